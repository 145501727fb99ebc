//! A file that was found, and what must not change about it while a view is open.

use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use paritas_connect::FiledPart;
use paritas_model::Known;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Where files lie.
#[derive(Clone)]
pub(crate) enum Root {
    /// A folder of this machine, canonical.
    Local(PathBuf),
    /// A prefix of an object store.
    Remote(Remote),
}

/// A prefix of an object store.
#[derive(Clone)]
pub(crate) struct Remote {
    /// The client, with its credentials.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The prefix below which everything lies.
    pub(crate) prefix: ObjectPath,
    /// What it is, such as `S3`.
    pub(crate) product: &'static str,
    /// What its client heard last.
    pub(crate) heard: crate::clock::Heard,
}

impl fmt::Debug for Root {
    // The client's own Debug may show its configuration, so it is never called.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => f.debug_tuple("Local").field(path).finish(),
            Self::Remote(remote) => f.debug_tuple(remote.product).field(&remote.prefix.as_ref()).finish(),
        }
    }
}

/// Where one file lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A path of this machine.
    Local(PathBuf),
    /// An object.
    Remote(ObjectPath),
}

/// A file as a listing showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundFile {
    /// Path below the root for people and for comparing, see [`escape`].
    pub(crate) name: String,
    /// Where it lies.
    pub(crate) place: Place,
    /// Size in bytes.
    pub(crate) size: u64,
    /// What changes when the content does.
    pub(crate) stamp: Stamp,
}

/// What a store says about the identity and the last change of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// Device, inode and the times of the last change of content and of the inode, in nanoseconds.
    /// The latter also moves when somebody sets the former back.
    Local { device: u64, inode: u64, modified: i128, changed: i128 },
    /// The object's tag and version, and the nanosecond of its last change.
    Remote { tag: Option<String>, version: Option<String>, modified: Option<i64> },
}

impl Stamp {
    /// The stamp of a local file.
    pub(crate) fn local(metadata: &Metadata) -> Self {
        let nanos = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self::Local {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanos(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The stamp of an object.
    pub(crate) fn remote(meta: &object_store::ObjectMeta) -> Self {
        Self::Remote {
            tag: meta.e_tag.clone(),
            version: meta.version.clone(),
            modified: meta.last_modified.timestamp_nanos_opt(),
        }
    }

    /// A text that is another one once the content is, as far as the store says; or why it does not.
    pub(crate) fn identity(&self, size: u64) -> Known<String> {
        match self {
            Self::Local { device, inode, modified, changed } => Known::Known(format!(
                "local file of {size} bytes, device {device}, inode {inode}, modified {modified}, changed {changed}"
            )),
            Self::Remote { tag: None, .. } => Known::unknown("the object store gives no ETags"),
            Self::Remote { tag: Some(tag), .. } if tag.is_empty() || tag.starts_with("W/") => {
                Known::unknown("the object store gives weak ETags, which may stay when the content changes")
            }
            Self::Remote { tag: Some(tag), version, modified } => {
                Known::Known(format!("object of {size} bytes, tag {tag:?}, version {version:?}, modified {modified:?}"))
            }
        }
    }

    /// When the file was last changed, in nanoseconds since 1970 by the clock of its store; the latest of all its times.
    pub(crate) fn changed_at(&self) -> i128 {
        match self {
            Self::Local { modified, changed, .. } => *modified.max(changed),
            Self::Remote { modified, .. } => modified.map_or(i128::MAX, i128::from),
        }
    }

    /// Whether both are of the same content. Listings and reads of some object stores give versions
    /// and fractions of seconds only on one of the two, so a tag decides where both have one.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Remote { tag: Some(a), .. }, Self::Remote { tag: Some(b), .. }) => a == b,
            (Self::Remote { modified: a, .. }, Self::Remote { modified: b, .. }) => {
                a.map(|nanos| nanos / 1_000_000_000) == b.map(|nanos| nanos / 1_000_000_000)
            }
            _ => self == other,
        }
    }
}

/// What is known of a file without reading its rows.
pub(crate) fn part(file: &FoundFile, rows: Known<u64>, pieces: usize) -> FiledPart {
    FiledPart {
        name: file.name.clone(),
        bytes: file.size,
        rows,
        identity: file.stamp.identity(file.size),
        changed_at: file.stamp.changed_at(),
        pieces,
    }
}

/// A name as text, without loss: backslashes are doubled and bytes that are not UTF-8 become `\xHH`,
/// so that two different names never give the same text.
pub(crate) fn escape(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                text.push('\\');
            }
            text.push(character);
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Whether readers of datasets leave a file out: some part of its path begins with a dot, or with an
/// underscore and is no partition (`_col=1`), or its name ends as unfinished and helper files do.
pub(crate) fn is_hidden(name: &str) -> bool {
    let part_hidden = |part: &str| part.starts_with('.') || (part.starts_with('_') && !part.contains('='));
    let lower = name.to_ascii_lowercase();
    name.split('/').any(part_hidden)
        || [".tmp", ".crc", "._copying_", ".inprogress", ".part", ".partial"].iter().any(|end| lower.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("part-0.parquet", false)]
    #[case("_SUCCESS", true)]
    #[case(".part-0.parquet.crc", true)]
    #[case("_temporary/0/part-0.parquet", true)]
    #[case("_day=3/part-0.parquet", false)]
    #[case("a/.hidden/b.parquet", true)]
    #[case("b.parquet.tmp", true)]
    #[case("_delta_log/0.parquet", true)]
    fn helper_files_are_no_part_of_a_dataset(#[case] name: &str, #[case] hidden: bool) {
        assert_eq!(is_hidden(name), hidden);
    }

    #[test]
    fn every_part_of_a_stamp_is_in_the_identity_and_an_object_without_a_strong_tag_has_none() {
        let local = |device, inode, modified, changed| Stamp::Local { device, inode, modified, changed };
        let object = |tag: &str, version: Option<&str>, modified| Stamp::Remote {
            tag: Some(tag.to_owned()),
            version: version.map(str::to_owned),
            modified,
        };
        let known = [
            (local(1, 2, 3, 4), 5),
            (local(9, 2, 3, 4), 5),
            (local(1, 9, 3, 4), 5),
            (local(1, 2, 9, 4), 5),
            (local(1, 2, 3, 9), 5),
            (local(1, 2, 3, 4), 9),
            (object("\"a\"", None, Some(1)), 5),
            (object("\"b\"", None, Some(1)), 5),
            (object("\"a\"", Some("v"), Some(1)), 5),
            (object("\"a\"", None, Some(2)), 5),
            (object("\"a\"", None, Some(1)), 6),
        ];
        let texts: std::collections::BTreeSet<Option<String>> =
            known.iter().map(|(stamp, size)| stamp.identity(*size).value().cloned()).collect();
        assert!(texts.len() == known.len() && !texts.contains(&None), "{texts:?}");
        let untagged = Stamp::Remote { tag: None, version: Some("v".to_owned()), modified: Some(1) };
        for stamp in [untagged, object("", None, Some(1)), object("W/\"a\"", None, Some(1))] {
            assert!(stamp.identity(5).value().is_none(), "{stamp:?}");
        }
    }

    #[test]
    fn the_latest_time_counts_and_an_object_without_one_was_changed_just_now() {
        let local = |modified, changed| Stamp::Local { device: 1, inode: 1, modified, changed };
        assert_eq!((local(7, 3).changed_at(), local(3, 7).changed_at()), (7, 7));
        let object = |modified| Stamp::Remote { tag: Some("a".to_owned()), version: None, modified };
        assert_eq!((object(Some(5)).changed_at(), object(None).changed_at()), (5, i128::MAX));
    }

    #[test]
    fn a_name_that_is_not_utf8_is_kept_without_loss() {
        assert_eq!(escape(b"a\xffb"), "a\\xffb");
        assert_eq!(escape(b"a\\xffb"), "a\\\\xffb");
        assert_eq!(escape("größe".as_bytes()), "größe");
    }

    proptest! {
        #[test]
        fn two_names_never_have_the_same_text(a: Vec<u8>, b: Vec<u8>, tail in "[\\\\xf0-9]{0,6}") {
            let joined = [a.as_slice(), tail.as_bytes()].concat();
            prop_assert_eq!(escape(&joined) == escape(&b), joined == b);
        }
    }
}
