//! Archives as archive commands and `pg_receivewal` pack them: the same commits as in plain ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use common::Server;
use paritas_model::{Ancestry, Lsn, Switch};
use paritas_pgwal::{Abandoned, Error, Sources, recover, touched};
use tempfile::TempDir;

const PACKINGS: [&str; 3] = ["gz", "zst", "lz4"];

fn pack(packing: &str, bytes: &[u8]) -> Vec<u8> {
    match packing {
        "gz" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "zst" => zstd::encode_all(bytes, 1).unwrap(),
        _ => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

/// The segments of a log, each with the ending that `name` gives it.
fn archive(from: &Path, name: impl Fn(usize, &str) -> (String, Option<&'static str>)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut paths: Vec<PathBuf> = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    for (number, path) in paths.iter().enumerate() {
        let (name, packing) = name(number, &path.file_name().unwrap().to_string_lossy());
        let bytes = fs::read(path).unwrap();
        fs::write(folder.path().join(name), packing.map_or(bytes.clone(), |packing| pack(packing, &bytes))).unwrap();
    }
    folder
}

fn read(archive: &Path, ancestry: &Ancestry) -> (Vec<Abandoned>, Vec<Error>) {
    recover(&Sources { directories: &[], archives: &[archive.to_owned()], ancestry, timeline: None })
}

#[test]
fn a_packed_archive_is_read_like_a_plain_one() {
    let Some(install) = common::install(15) else { return };
    let scratch = common::scratch();
    let mut server = Server::start(&scratch, &install, "old", 1, &[]);
    server.sql("create table t (a int, b text)");
    let from: Lsn = server.sql("select pg_current_wal_lsn()").parse().unwrap();
    server.sql("insert into t select i, repeat(md5(i::text), 10) from generate_series(1, 20000) i");
    server.sql("insert into t values (1, 'a')");
    let system: i64 = server.sql("select system_identifier from pg_control_system()").parse().unwrap();
    server.stop(false);
    let switch = Switch { timeline: 1, at: from };
    let ancestry = Ancestry { system: system.cast_unsigned(), timeline: 2, switches: vec![switch] };
    let plain = archive(&server.pg_wal(), |_, name| (name.to_owned(), None));
    let (expected, errors) = read(plain.path(), &ancestry);
    assert!(errors.is_empty() && expected[0].commits().count() == 2, "{expected:?} {errors:?}");
    let rows = touched(&[plain.path().to_owned()], &expected[0]).unwrap();
    assert_eq!(rows.tables.iter().map(|table| table.rows.len()).max(), Some(20_001));

    // Mixed, and the last one as pg_receivewal leaves it.
    let mixed = archive(&server.pg_wal(), |number, name| {
        let packing = PACKINGS[number % 3];
        (format!("{name}.{packing}"), Some(packing))
    });
    let (found, errors) = read(mixed.path(), &ancestry);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!((&found[0].stretches, &found[0].survivor), (&expected[0].stretches, &expected[0].survivor));
    assert_eq!(touched(&[mixed.path().to_owned()], &found[0]).unwrap(), rows);

    // One that is cut off, or spoilt, gives what is before it and says that there may be more.
    let middle = expected[0].stretches[0].from.0 / (1 << 20) + 2;
    for spoil in ["cut", "flip", "empty"] {
        for packing in PACKINGS {
            let spoilt = archive(&server.pg_wal(), |_, name| (format!("{name}.{packing}"), Some(packing)));
            let path = spoilt.path().join(format!("{:024X}.{packing}", (1_u128 << 64) | u128::from(middle)));
            let mut bytes = fs::read(&path).unwrap();
            match spoil {
                "cut" => bytes.truncate(bytes.len() / 2),
                "flip" => {
                    let at = bytes.len() / 2;
                    bytes[at] ^= 0xFF;
                }
                _ => bytes.clear(),
            }
            fs::write(&path, bytes).unwrap();
            let (found, errors) = read(spoilt.path(), &ancestry);
            assert!(errors.is_empty(), "{errors:?}");
            assert_eq!(found[0].commits().count(), 0, "{spoil} {packing}");
            assert!(found[0].doubts.iter().any(|doubt| doubt.contains("cannot be read") || doubt.contains("hole")));
        }
    }

    // Encrypted ones are told apart from none.
    let locked = archive(&server.pg_wal(), |_, name| (format!("{name}.gz.gpg"), Some("gz")));
    let (_, errors) = read(locked.path(), &ancestry);
    let error = errors.first().unwrap();
    assert!(error.primary().contains(".gpg") && error.hint().contains("decrypt"), "{error:?}");
    // A data directory is none.
    let (_, errors) = read(&server.data(), &ancestry);
    assert!(errors.first().unwrap().hint().contains("--data-directory"), "{errors:?}");
}
