//! A stored run: a report that can be written in every format, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paritas_report::{Called, Format, Human, Json, Nagios, RenderOptions, Report};
use paritas_state::{RunRecord, State, Which};
use ulid::Ulid;

fuzz_target!(|data: &[u8]| {
    let state = State::open(paritas_fuzz::place("state")).expect("a state");
    // As it stands, and with the checksum that it would have, had it been written by a run.
    let runs = state.folder().join("runs");
    let (id, json) = (Ulid::from_parts(1, 1), data.to_vec());
    std::fs::create_dir_all(&runs).expect("make a folder");
    std::fs::write(runs.join(format!("{id}.json")), data).expect("write the input");
    let _ = state.load_run(Which::Last);
    if state.save_run(&RunRecord { id, json }).is_err() {
        return;
    }
    let Ok(run) = state.load_run(Which::Id(id)) else { return };
    assert_eq!(run.json, data);
    let Ok(report) = serde_json::from_slice::<Report>(&run.json) else { return };
    let formats: [&dyn Format; 3] =
        [&Human { called: Called::default() }, &Json { pretty: true }, &Nagios { deny_warnings: true }];
    for format in formats {
        for width in [0, 40, 120] {
            let options = RenderOptions { color: true, width, max_items: 3, verbose: width == 120 };
            format.write(&report, &options, &mut std::io::sink()).expect("nothing fails to take it");
        }
    }
});
