//! Digest files: what is written is read, and nothing else.

use crate::support::{FORMS, digest, spec};
use paritas_digest::{ArtifactError, CanonColumn, Capacity, Digest, KeyForm, Slot, compare};
use rstest::rstest;
use std::io::{self, Read, Write};

fn file(form: KeyForm) -> Vec<u8> {
    let rows: Vec<_> = (0..50).map(|key| (key, 7)).collect();
    let mut file = Vec::new();
    digest(&spec(form), Capacity::MIN, &rows).write_to(&mut file).unwrap();
    file
}

fn error(file: &[u8]) -> ArtifactError {
    Digest::read_from(file).unwrap_err()
}

/// A file with its checksum made right again after a change.
fn resealed(mut file: Vec<u8>) -> Vec<u8> {
    let end = file.len() - 32;
    let root = blake3::hash(&file[..end]);
    file[end..].copy_from_slice(root.as_bytes());
    file
}

#[rstest]
fn what_is_written_is_read(#[values(0, 1, 2, 3)] form: usize) {
    let written = digest(&spec(FORMS[form]), Capacity::default(), &[(1, 2), (3, 4)]);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    written.write_to(&mut first).unwrap();
    written.write_to(&mut second).unwrap();
    assert_eq!(first, second);
    let read = Digest::read_from(first.as_slice()).unwrap();
    assert_eq!((&read.header, &read.sums), (&written.header, &written.sums));
    assert_eq!(first[first.len() - 32..], written.root().unwrap());
    assert!(compare(&written, &read).unwrap().equal);
    assert!(compare(&written.blind(), &read).unwrap().equal);
}

#[test]
fn every_flipped_bit_is_noticed() {
    // Every bit of header and checksum; of the sums, which are all treated alike, one bit of each byte.
    let good = file(KeyForm::Inline8);
    let header = 16 + u32::from_le_bytes(good[12..16].try_into().unwrap()) as usize;
    let all = std::env::var_os("PARITAS_TRIALS").is_some();
    let mut bad = good.clone();
    for byte in 0..good.len() {
        let head_or_tail = byte < header || byte >= good.len() - 32;
        let step = if all || head_or_tail { 1 } else { 97 };
        if byte % step != 0 {
            continue;
        }
        for bit in 0..8 {
            if !head_or_tail && bit != byte % 8 {
                continue;
            }
            bad[byte] ^= 1 << bit;
            assert!(Digest::read_from(bad.as_slice()).is_err(), "byte {byte}, bit {bit}");
            bad[byte] ^= 1 << bit;
        }
    }
}

#[test]
fn every_truncation_is_noticed() {
    let good = file(KeyForm::Fingerprint);
    let header = 16 + u32::from_le_bytes(good[12..16].try_into().unwrap()) as usize;
    for len in 0..good.len() {
        if len > header + 100 && len < good.len() - 100 && len % 509 != 0 {
            continue;
        }
        let error = error(&good[..len]);
        match len {
            0..8 => assert!(matches!(error, ArtifactError::NotADigest), "{len}: {error}"),
            _ => assert!(matches!(error, ArtifactError::Truncated { .. }), "{len}: {error}"),
        }
    }
}

#[test]
fn each_way_of_being_bad_has_its_own_error_and_hint() {
    let good = file(KeyForm::Inline16);
    let mut hints = Vec::new();
    let mut check = |bad: Vec<u8>, text: &str| {
        let error = error(&bad);
        assert_eq!(error.to_string(), text);
        hints.push(error.hint());
    };
    check(b"PK\x03\x04 something else entirely".to_vec(), "this is not a Paritas digest");
    let mut version = good.clone();
    version[8] = 9;
    check(version, "the digest has format version 9; this program reads version 1");
    let mut huge = good.clone();
    huge[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    check(huge, "the digest's header claims 4294967295 bytes, more than 4194304");
    check([good.as_slice(), b"x"].concat(), "there are bytes after the end of the digest");
    let mut damaged = good.clone();
    let middle = good.len() / 2;
    damaged[middle] ^= 1;
    check(damaged, "the digest is damaged: its checksum does not match its content");
    check(good[..20].to_vec(), "the digest ends before its header is complete");
    check(good[..good.len() - 40].to_vec(), "the digest ends before its mop-up sketch is complete");
    assert!(hints.iter().all(|hint| !hint.is_empty()));
}

#[test]
fn a_header_that_contradicts_itself_is_refused_even_with_a_right_checksum() {
    let good = file(KeyForm::Inline8);
    let length = u32::from_le_bytes(good[12..16].try_into().unwrap()) as usize;
    let json = String::from_utf8(good[16..16 + length].to_vec()).unwrap();
    for (from, to) in [
        (r#""key_form":"inline8""#, r#""key_form":"inline16""#),
        (r#""sub":64"#, r#""sub":65"#),
        (r#""sub":64"#, r#""sub":4294967295"#),
        (r#""buckets":4096"#, r#""buckets":8192"#),
        (r#""format":1"#, r#""format":2"#),
        (r#""blind":false"#, r#""blind":false,"more":1"#),
        (r#""taken_at""#, r#""taken_on""#),
    ] {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, json, "{from}");
        let mut bad = good[..12].to_vec();
        bad.extend_from_slice(&(changed.len() as u32).to_le_bytes());
        bad.extend_from_slice(changed.as_bytes());
        bad.extend_from_slice(&good[16 + length..]);
        assert!(matches!(error(&resealed(bad)), ArtifactError::Header(_)), "{to}");
    }
}

#[test]
fn failing_disks_are_reported_as_such() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is on fire"))
        }
    }
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    assert_eq!(Digest::read_from(Broken).unwrap_err().to_string(), "the disk is on fire");
    let digest = digest(&spec(KeyForm::Inline8), Capacity::MIN, &[]);
    assert!(matches!(digest.write_to(Broken), Err(ArtifactError::Io(_))));
}

#[test]
fn keys_of_any_declared_width_are_compared() {
    let column = |name: &str| CanonColumn {
        name: name.to_owned(),
        slot: Slot::Wire { type_name: "x".to_owned(), fixed_width: Some(u32::MAX), nullable: false },
    };
    let mut wide = digest(&spec(KeyForm::Fingerprint), Capacity::MIN, &[(1, 2)]);
    wide.header.canon.columns = vec![column("a"), column("b")];
    wide.header.canon.key_columns = 2;
    assert_eq!(wide.header.canon.key_form(), KeyForm::Fingerprint);
    let mut file = Vec::new();
    wide.write_to(&mut file).unwrap();
    assert!(compare(&Digest::read_from(file.as_slice()).unwrap(), &wide).unwrap().equal);
}
