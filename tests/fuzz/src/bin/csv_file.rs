//! A CSV file in any dialect, its text read as every type.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paritas_connect_lake::{CsvStore, LakeOptions, Location};

fuzz_target!(|data: &[u8]| {
    paritas_fuzz::calm();
    let Some((dialect, data)) = data.split_first() else { return };
    let mut options = LakeOptions::default();
    options.csv.header = dialect & 1 == 0;
    options.csv.delimiter = [b',', b'\t', b';', b'|'][usize::from(dialect >> 1 & 3)];
    options.csv.quote = if dialect & 8 == 0 { b'"' } else { b'\'' };
    options.csv.null = if dialect & 16 == 0 { "" } else { "\\N" }.to_owned();
    // A compressed file is told by its name.
    let path = paritas_fuzz::place(if dialect & 32 == 0 { "x.csv" } else { "x.csv.gz" });
    std::fs::write(&path, data).expect("write the input");
    let location = Location::parse(&path.to_string_lossy()).expect("a path");
    let store = CsvStore::new(location, options).expect("a store");
    if let Err(error) = paritas_fuzz::runtime().block_on(paritas_fuzz::read_rows(&store)) {
        paritas_fuzz::expected(&error);
    }
});
