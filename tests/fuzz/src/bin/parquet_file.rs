//! A Parquet file: rows, or an error that names it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use paritas_connect_lake::{LakeOptions, Location, ParquetStore};

fuzz_target!(|data: &[u8]| {
    paritas_fuzz::calm();
    let path = paritas_fuzz::place("x.parquet");
    std::fs::write(&path, data).expect("write the input");
    let location = Location::parse(&path.to_string_lossy()).expect("a path");
    let store = ParquetStore::new(location, LakeOptions::default()).expect("a store");
    if let Err(error) = paritas_fuzz::runtime().block_on(paritas_fuzz::read_rows(&store)) {
        paritas_fuzz::expected(&error);
    }
});
