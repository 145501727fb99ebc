#!/usr/bin/env bash
# Fuzz every parser of untrusted input with libFuzzer, on the stable toolchain.
#
#   tests/fuzz/run.sh                  every target
#   tests/fuzz/run.sh NAME...          these targets
#   tests/fuzz/run.sh NAME FILE        one input again, to see what it does
#
# Environment: FUZZ_SECONDS    time for each target (default: 60)
#              FUZZ_ARTIFACTS  folder for inputs that break something (default: tests/fuzz/artifacts)
# What was learnt is kept in tests/fuzz/corpus and used by the next run. Ends with status 1 when something broke.
set -uo pipefail
cd "$(dirname "$0")" || exit 2

SECONDS_EACH=${FUZZ_SECONDS:-60}
ARTIFACTS=${FUZZ_ARTIFACTS:-$PWD/artifacts}
# No input may take longer than this many seconds, or more than this many MiB.
INPUT_SECONDS_MAX=10
MEMORY_MIB_MAX=1024
INPUT_BYTES_MAX=65536
HOST=$(rustc -vV | sed -n 's/^host: //p')

case $SECONDS_EACH in '' | *[!0-9]*) echo "FUZZ_SECONDS must be a whole number" >&2; exit 2 ;; esac
if ! command -v "${CXX:-c++}" >/dev/null; then
  echo 'libFuzzer needs a C++ compiler: apt-get install g++, or set CXX' >&2
  exit 2
fi

# What `cargo fuzz` sets on a nightly toolchain, without the address sanitizer: it would find little in safe code.
FLAGS=(
  --cfg fuzzing
  -Cpasses=sancov-module
  -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
  -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares
)
RUSTFLAGS="${FLAGS[*]}" cargo build --release --locked --target "$HOST" || exit 2
BIN=$PWD/target/$HOST/release

# An input given by name is only run.
if [ $# = 2 ] && [ -f "$2" ]; then
  exec "$BIN/$1" "$2"
fi

targets=("$@")
if [ ${#targets[@]} = 0 ]; then
  for file in src/bin/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

# Inputs to begin with: those kept for this target, and files of the repository in the same format.
seeds() {
  [ -d "seeds/$1" ] && echo "seeds/$1"
  case $1 in
  parquet_file) printf '%s\n' ../../fixtures/lake/{codec,layout,types,int96,empty} ;;
  config_file) printf '%s\n' ../../checks ../../crates/config/tests ;;
  esac
}

status=0
mkdir -p "$ARTIFACTS"
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target"
  mapfile -t begin < <(seeds "$target")
  log=$ARTIFACTS/$target.log
  "$BIN/$target" "corpus/$target" "${begin[@]}" -max_total_time="$SECONDS_EACH" -timeout="$INPUT_SECONDS_MAX" \
    -rss_limit_mb="$MEMORY_MIB_MAX" -max_len="$INPUT_BYTES_MAX" -artifact_prefix="$ARTIFACTS/$target-" \
    -print_final_stats=1 >"$log" 2>&1
  code=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  peak=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")
  edges=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
  if [ $code = 0 ]; then
    printf '%-16s ok      %10s inputs  %-12s %6s MiB\n' "$target" "$runs" "$edges" "$peak"
  else
    printf '%-16s BROKEN  see %s\n' "$target" "$log"
    grep -E '^(thread|SUMMARY|==|artifact_prefix)|panicked' "$log" | head -n 8
    status=1
  fi
done
exit $status
