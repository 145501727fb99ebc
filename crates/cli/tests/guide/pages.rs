//! The pages, each followed from its top to its end.

use crate::page;
use crate::world::{World, docs, read};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Pages that a test below follows, beside the index.
const FOLLOWED: [&str; 7] = [
    "drill.md",
    "failback.md",
    "failover-runbook.md",
    "privileges.md",
    "reading-a-report.md",
    "scheduled-job.md",
    "sizing.md",
];

fn no_stage(_: &mut World, words: &str) {
    panic!("nothing does {words:?}");
}

/// A world in which the job of the guide has run once.
fn prepared() -> Option<World> {
    let mut world = World::start()?;
    world.prepare("privileges.md");
    world.prepare("scheduled-job.md");
    let (code, printed) = world.shell("paritas --config /etc/paritas/paritas.toml run");
    assert_eq!(code, 0, "{printed}");
    Some(world)
}

#[test]
fn no_page_is_left_out() {
    let pages = fs::read_dir(docs()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found: BTreeSet<String> = pages.filter(|name| name != "README.md").collect();
    assert_eq!(found, FOLLOWED.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
    assert!(page::steps(&read("README.md")).unwrap().is_empty(), "nothing runs what is on the index");
}

/// A command in running text begins one that a page runs, so that it can be neither misspelt nor out of date.
#[test]
fn commands_in_running_text_are_among_those_that_are_run() {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut run = Vec::new();
    for name in FOLLOWED {
        for step in page::steps(&read(name)).unwrap() {
            if let page::What::Command { text, .. } | page::What::Cron(text) = step.what {
                run.push(words(&text.replace("--config /etc/paritas/paritas.toml ", "")));
            }
        }
    }
    let mut unknown = Vec::new();
    for name in FOLLOWED.iter().chain(&["README.md"]) {
        for (line, span) in page::spans(&read(name)) {
            let span = words(&span);
            if !run.iter().any(|command| command.windows(span.len()).any(|part| part == span)) {
                unknown.push(format!("docs/guide/{name}:{line}: {}", span.join(" ")));
            }
        }
    }
    assert!(unknown.is_empty(), "no page runs these:\n{}", unknown.join("\n"));
}

#[test]
fn a_job_is_scheduled_as_its_page_says() {
    let Some(mut world) = World::start() else { return };
    world.prepare("privileges.md");
    let units = world.path("/etc/systemd/system").display().to_string();
    // What is given to them is looked at; they themselves rule the machine.
    world.program("systemctl", &format!("#!/bin/sh\n[ $1 = daemon-reload ] || [ -f '{units}'/\"$3\" ]\n"));
    world.program("kubectl", "#!/bin/sh\n[ \"$*\" = 'apply -f -' ] && grep -q '^  concurrencyPolicy: Forbid$'\n");
    world.follow("scheduled-job.md", &mut no_stage);
    let timer = fs::read_to_string(Path::new(&units).join("paritas.timer")).unwrap();
    assert!(timer.contains("Persistent=true"), "{timer}");
}

/// Nothing of the source answers any more, nor can it be read.
fn source_fails(world: &mut World) {
    // The last commit that arrives, just before.
    world.sql("db-east", "update accounts set balance = 1001 where id = 1");
    world.caught_up();
    world.west.cut_off();
    world.following = false;
    world.sql("db-east", "insert into orders (account, amount) values (7, 99.5), (8, 1.25)");
    world.sql("db-east", "update orders set amount = 0 where id = 5");
    world.write("/srv/archive/statements/5.txt", "statement 5\n");
    // As the timer would.
    let (code, printed) = world.shell("paritas --config /etc/paritas/paritas.toml snapshot");
    assert_eq!(code, 0, "{printed}");
    world.sql("db-east", "insert into orders (account, amount) values (9, 11)");
    // The page notes the time of the failure in whole seconds, and the snapshot was begun before it.
    let second = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let snapshot = second();
    while second() == snapshot {
        std::thread::sleep(Duration::from_millis(10));
    }
    // What whoever enters them again knows from elsewhere.
    let form = "select string_agg(format('insert into orders overriding system value values (%s, %s, %s, %L);', id, account, amount, \
                placed_at), ' ') from orders where id in (2001, 2002)";
    let lost = world.sql("db-east", form);
    world.write(
        "/lost.sql",
        &format!(
            "update orders set amount = 0 where id = 5; {lost} insert into orders (account, amount) values (9, 11);"
        ),
    );
    world.east.stop(true);
    fs::rename(world.path("/srv/archive"), world.path("/srv/away")).unwrap();
}

#[test]
fn a_failover_is_got_through_with_the_runbook() {
    let Some(mut world) = prepared() else { return };
    world.follow("failover-runbook.md", &mut |world, words| match words {
        "the source fails" => source_fails(world),
        "the disk of the old primary is mounted at /mnt/db-east" => {
            std::os::unix::fs::symlink(world.east.data(), world.path("/mnt/db-east")).unwrap();
        }
        "what was lost is entered again, and applications write" => {
            let lost = fs::read_to_string(world.path("/lost.sql")).unwrap();
            world.sql("db-west", &lost);
            world.write("/mnt/archive-west/statements/5.txt", "statement 5\n");
        }
        other => panic!("nothing does {other:?}"),
    });
}

/// Both servers stop in good order, so that nothing is lost.
fn stops(world: &mut World) {
    world.east.stop(false);
    world.following = false;
    std::os::unix::fs::symlink(world.east.data(), world.path("/mnt/db-east")).unwrap();
}

#[test]
fn a_drill_is_held_as_its_page_says() {
    let Some(mut world) = prepared() else { return };
    world.follow("drill.md", &mut |world, words| match words {
        "the standby has the table" => world.caught_up(),
        "the probe is at work" => world.east_waits_for("select count(*) > 0 from paritas.heartbeat"),
        "the primary is stopped" => stops(world),
        other => panic!("nothing does {other:?}"),
    });
}

#[test]
fn the_way_back_is_gone_as_its_page_says() {
    let Some(mut world) = prepared() else { return };
    stops(&mut world);
    world.west.promote();
    world.follow("failback.md", &mut |world, words| match words {
        "the old primary is rebuilt as a standby of the new one" => {
            world.east.rewind_and_follow(&world.west);
            crate::testbed::caught_up(&world.west, &world.east);
            world.rename_servers();
        }
        "the applications are stopped" => {}
        "the source is stopped in good order" => {
            crate::testbed::caught_up(&world.west, &world.east);
            world.west.stop(false);
            std::os::unix::fs::symlink(world.west.data(), world.path("/mnt/db-west")).unwrap();
        }
        "the applications write on the other side" => {
            world.east.wait_for("select timeline_id > 2 from pg_control_checkpoint()");
            world.sql("db-east", "insert into orders (account, amount) values (1, 2)");
        }
        "the other server is rebuilt as a standby" => {
            world.west.rewind_and_follow(&world.east);
            world.west.sql("alter system reset default_transaction_read_only");
            crate::testbed::caught_up(&world.east, &world.west);
            world.rename_servers();
        }
        other => panic!("nothing does {other:?}"),
    });
}

#[test]
fn sizes_are_those_of_their_page() {
    let Some(mut world) = prepared() else { return };
    world.follow("sizing.md", &mut no_stage);
    let page = read("sizing.md");
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &[_, capacity, names, size, _] = cells.as_slice() else { continue };
        let Ok(asked) = capacity.trim_end_matches(" (default)").trim_matches('`').parse::<u64>() else { continue };
        let (code, printed) = world.shell(&format!("paritas snapshot trading --json --capacity {asked} 2>/dev/null"));
        assert_eq!(code, 0, "{printed}");
        let report: serde_json::Value = serde_json::from_str(&printed).unwrap();
        let kept = &report["links"][0]["checks"][0];
        assert_eq!(kept["kept"]["datasets"][0]["capacity"].to_string(), names.replace(',', ""), "{kept:#}");
        let bytes = kept["bytes"].as_u64().unwrap() / kept["kept"]["datasets"].as_array().unwrap().len() as u64;
        let (number, unit) = size.split_once(' ').unwrap();
        let unit = if unit == "KiB" { 1024.0 } else { 1024.0 * 1024.0 };
        let said = number.parse::<f64>().unwrap() * unit;
        assert!((bytes as f64 / said - 1.0).abs() < 0.05, "{line}: {bytes} bytes");
        rows += 1;
    }
    assert_eq!(rows, 5, "the table of sizes is another one");
}

#[test]
fn a_report_is_read_as_its_page_says() {
    let Some(mut world) = World::start() else { return };
    world.follow("reading-a-report.md", &mut no_stage);
    let report = fs::read_to_string(world.path("/tmp/report.html")).unwrap();
    assert!(report.contains("id=\"report\""));
}
