//! The same through the binary: what the report counts, what the options say, and two runs at once.

use super::world::{Kind, bytes};
use paritas_testbed::Scratch;
use paritas_tests::{Run, command, ended, run};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Files, and rows of each.
const FILES: u64 = 200;
const ROWS: u64 = 1_000;
/// As long as the product does not believe a file after its change, and a tick more.
const UNSETTLED: Duration = Duration::from_millis(12_100);

struct Lake {
    scratch: Scratch,
    data: PathBuf,
}

impl Lake {
    fn new() -> Self {
        let scratch = Scratch::new().unwrap();
        let data = scratch.folder("data").unwrap();
        let lake = Self { scratch, data };
        (0..FILES).for_each(|number| lake.write(number, 0));
        lake
    }

    fn write(&self, number: u64, salt: i64) {
        let first = i64::try_from(number * ROWS).unwrap();
        let ids = first..first + i64::try_from(ROWS).unwrap();
        std::fs::write(self.data.join(format!("f{number:03}.parquet")), bytes(Kind::Parquet, ids, salt)).unwrap();
    }

    fn call(&self, command_name: &str, more: &[&str]) -> Command {
        let url = format!("parquet:{}?key=id&writes=none", self.data.display());
        let state = self.scratch.path().join("state");
        let mut args = vec![command_name, "--json", "--state", state.to_str().unwrap(), &url, &url];
        args.extend(more);
        command(&args)
    }

    fn snapshot(&self, more: &[&str]) -> Value {
        let began = Instant::now();
        let run = run(self.call("snapshot", more));
        assert_eq!(run.code, 0, "{run:#?}");
        let dataset = dataset(&run);
        eprintln!("snapshot {more:?}: {:.2} s, {}", began.elapsed().as_secs_f64(), dataset["reading"]);
        dataset
    }

    /// The last snapshot is that of what is there.
    fn holds(&self) {
        let verified = run(self.call("verify", &["--against", "last"]));
        assert_eq!(verified.code, 0, "{verified:#?}");
        assert_eq!(Run::counts(&verified.parity()), (0, 0, 0));
    }
}

fn dataset(run: &Run) -> Value {
    run.json()["links"][0]["checks"][0]["kept"]["datasets"][0].clone()
}

fn count(dataset: &Value, name: &str) -> u64 {
    dataset["reading"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {dataset}"))
}

#[test]
fn of_two_hundred_files_of_which_one_was_written_one_is_read() {
    let lake = Lake::new();
    let written = Instant::now();
    let first = lake.snapshot(&[]);
    assert_eq!((count(&first, "rows_read"), count(&first, "files_read")), (FILES * ROWS, FILES));
    assert!(first["reading"]["why"].as_str().unwrap().contains("nothing was kept"), "{first}");
    std::thread::sleep(UNSETTLED.saturating_sub(written.elapsed()));
    lake.snapshot(&[]);
    lake.write(77, 1);
    let one = lake.snapshot(&[]);
    let again = count(&one, "files_reread");
    eprintln!("{} of {} rows were read", count(&one, "rows_read"), FILES * ROWS);
    assert_eq!((count(&one, "files_read"), count(&one, "rows_read")), (1 + again, (1 + again) * ROWS));
    assert_eq!(count(&one, "files_kept"), FILES - 1 - again);
    assert!(again <= 1, "no turn of the files has come yet");
    lake.holds();
    let full = lake.snapshot(&["--full"]);
    assert!(full.get("reading").is_none(), "{full}");
}

#[test]
fn two_runs_at_once_leave_what_the_next_one_can_use() {
    let lake = Lake::new();
    lake.snapshot(&[]);
    for salt in 2..5 {
        lake.write(5, salt);
        let begin = || lake.call("snapshot", &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (one, other) = (begin(), begin());
        let runs = [ended(one), ended(other)];
        // The second one says that the first one is at it, and leaves everything to it.
        assert!(runs.iter().any(|run| run.code == 0), "{runs:#?}");
        assert!(runs.iter().all(|run| run.code == 0 || run.stderr.contains("state.locked")), "{runs:#?}");
        lake.snapshot(&[]);
        lake.holds();
    }
}
