//! A snapshot has a copy somewhere else, and the copy is enough when everything else is gone.

use paritas_testbed::Scratch;
use paritas_testbed::seaweed::S3;
use paritas_tests::{Run, command, run};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Two files with the same rows, and a link between them.
struct Place {
    dir: Scratch,
    /// What the object store wants to know.
    environment: Vec<(&'static str, String)>,
}

impl Place {
    fn new(copies: &str) -> Self {
        let dir = Scratch::new().unwrap();
        let store = |name: &str| format!("[store.{name}]\nkind = \"csv\"\nurl = \"{name}/fills\"\n");
        let text = format!(
            "[paritas]\nstate = \"state\"\nsnapshot_copy = \"{copies}\"\n{}{}[[link]]\nname = \"fills\"\n\
             source = \"east\"\nreplica = \"west\"\n[[link.dataset]]\nname = \"fills\"\nkey = [\"id\"]\nwrites = \"inserts\"\n",
            store("east"),
            store("west")
        );
        fs::write(dir.path().join("paritas.toml"), text).unwrap();
        for name in ["east", "west"] {
            fs::create_dir_all(dir.path().join(name).join("fills")).unwrap();
            fs::write(dir.path().join(name).join("fills/a.csv"), "id,v\n1,a\n2,b\n").unwrap();
        }
        Self { dir, environment: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn call(&self, args: &[&str]) -> Run {
        let mut call = command(args);
        call.current_dir(self.dir.path()).envs(self.environment.iter().cloned());
        tokio::task::spawn_blocking(move || run(call)).await.unwrap()
    }

    /// A snapshot, its verdict and notes.
    async fn snapshot(&self) -> (String, String, Vec<String>) {
        self.snapshot_of("9000").await
    }

    /// The same that names so many rows.
    async fn snapshot_of(&self, capacity: &str) -> (String, String, Vec<String>) {
        let run = self.call(&["snapshot", "--json", "--capacity", capacity]).await.expect_code(0);
        let check = run.checks("snapshot").remove(0);
        let texts = check["notes"].as_array().cloned().unwrap_or_default();
        let notes = texts.iter().map(|note| note.as_str().unwrap().to_owned()).collect();
        (check["snapshot"].as_str().unwrap().to_owned(), check["verdict"].as_str().unwrap().to_owned(), notes)
    }

    /// The source, the state and its snapshots are gone, and a row of the replica is another one.
    fn lose(&self) {
        fs::remove_dir_all(self.path("state")).unwrap();
        fs::write(self.path("west/fills/a.csv"), "id,v\n1,a\n2,changed\n").unwrap();
    }

    async fn demand_the_row(&self, copy: &str) {
        let found = self.call(&["verify", "--json", "--against", copy]).await.expect_code(1);
        let parity = found.parity();
        assert_eq!(Run::counts(&parity), (0, 0, 1), "{found:#?}");
        assert_eq!(parity["items"][0]["key"], serde_json::json!({"id": "2"}));
    }
}

fn copied(notes: &[String]) -> String {
    notes.iter().find_map(|note| note.strip_prefix("copied to ")).unwrap_or_else(|| panic!("{notes:?}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_a_folder_is_enough_when_the_state_is_gone() {
    let place = Place::new("elsewhere");
    let (id, verdict, notes) = place.snapshot().await;
    assert_eq!(verdict, "pass");
    let copy = copied(&notes);
    assert!(copy.ends_with(&format!("elsewhere/fills/{id}.snapshot")), "{copy}");
    place.lose();
    place.demand_the_row(&copy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_fails_is_a_warning_and_the_snapshot_is_there() {
    let place = Place::new("file/below");
    fs::write(place.path("file"), "no folder").unwrap();
    let (_, verdict, notes) = place.snapshot().await;
    assert_eq!(verdict, "warn");
    assert!(notes.iter().any(|note| note.starts_with("not copied to ")), "{notes:?}");
    place.call(&["verify", "--json", "--against", "last"]).await.expect_code(0);
    assert_eq!(place.call(&["snapshot", "--deny", "warnings"]).await.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_a_bucket_is_enough_and_a_damaged_or_missing_one_is_said() {
    if S3::find().is_err() {
        assert!(std::env::var_os("PARITAS_REQUIRE_SERVERS").is_none(), "no S3 server is installed");
        return;
    }
    let scratch = Scratch::new().unwrap();
    let server = S3::start(&scratch, "s3").await.unwrap();
    server.create_bucket("copies").await.unwrap();
    let mut place = Place::new("s3://copies/east");
    place.environment = vec![
        ("AWS_ACCESS_KEY_ID", server.access_key().to_owned()),
        ("AWS_SECRET_ACCESS_KEY", server.secret_key().to_owned()),
        ("AWS_REGION", server.region().to_owned()),
        ("AWS_ENDPOINT_URL", server.endpoint()),
    ];
    let (id, verdict, notes) = place.snapshot().await;
    assert_eq!((verdict.as_str(), copied(&notes)), ("pass", format!("s3://copies/east/fills/{id}.snapshot")));
    let local = fs::read(place.path(&format!("state/snapshots/fills/{id}.snapshot"))).unwrap();
    let key = format!("east/fills/{id}.snapshot");
    assert_eq!(server.get("copies", &key).await.unwrap(), local);
    // One of several parts.
    let (large, verdict, _) = place.snapshot_of("200000").await;
    assert_eq!(verdict, "pass");
    assert!(fs::metadata(place.path(&format!("state/snapshots/fills/{large}.snapshot"))).unwrap().len() > 10 << 20);
    place.lose();
    place.demand_the_row(&format!("s3://copies/{key}")).await;
    place.demand_the_row(&format!("s3://copies/east/fills/{large}.snapshot")).await;
    let mut damaged = local;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    server.put("copies", "damaged", &damaged).await.unwrap();
    demand_error(&place.call(&["verify", "--json", "--against", "s3://copies/damaged"]).await, "state.damaged");
    demand_error(&place.call(&["verify", "--json", "--against", "s3://copies/nothing"]).await, "dataset.missing");
    // Nobody there: the snapshot is kept, and the run warns.
    place.environment.retain(|(name, _)| *name != "AWS_ENDPOINT_URL");
    place.environment.push(("AWS_ENDPOINT_URL", "http://127.0.0.1:1".to_owned()));
    let (_, verdict, _) = place.snapshot().await;
    assert_eq!(verdict, "warn");
    assert!(Path::new(&place.path("state/snapshots/fills")).is_dir());
}

fn demand_error(run: &Run, code: &str) {
    let error: Value = run.json();
    assert_eq!((run.code, &error["code"]), (3, &code.into()), "{run:#?}");
}
