//! Writes sample reports into a folder, as pages to look at, and says how long each took:
//! `cargo run --release -p paritas-report --example pages -- FOLDER`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::browser::Browser;
use common::sample;
use paritas_report::{Called, Format, Html, RenderOptions, Report};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "target/pages".to_owned());
    std::fs::create_dir_all(&folder).unwrap();
    let reports = [
        ("none", sample::large(0)),
        ("large", sample::large(100_000)),
        ("failover", sample::failover()),
        ("everything", sample::everything()),
    ];
    let mut browser = Browser::start();
    for (name, report) in reports {
        let stored = serde_json::to_vec(&report).unwrap();
        let page = write(Path::new(&folder), name, &stored).canonicalize().unwrap();
        if let Some(browser) = &mut browser {
            browser.open(&page);
            let loaded = browser.value("performance.getEntriesByType('navigation')[0].loadEventEnd");
            let turned = browser.value(TURN);
            println!("  opened in {loaded} ms; the first page turned in {turned} ms");
        }
    }
}

/// Milliseconds of the first turn, which reads the document; nothing where there is one page only.
const TURN: &str = "(() => {
    const [, on] = document.querySelectorAll('.bar button'), begun = performance.now();
    if (!on) return null;
    on.click();
    return Math.round(performance.now() - begun);
})()";

/// From the stored bytes to the file, as the command does it.
fn write(folder: &Path, name: &str, stored: &[u8]) -> PathBuf {
    let started = Instant::now();
    let report: Report = serde_json::from_slice(stored).unwrap();
    let read = started.elapsed();
    let path = folder.join(format!("{name}.html"));
    let html = Html { stored: Some(stored), called: Called::default() };
    let mut out = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    html.write(&report, &RenderOptions::default(), &mut out).unwrap();
    out.flush().unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();
    let (all, read) = (started.elapsed().as_secs_f64(), read.as_secs_f64());
    println!("{name}: {} B of JSON, {bytes} B of HTML, {all:.3} s ({read:.3} s of it reading the JSON)", stored.len());
    path
}
