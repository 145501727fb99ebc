//! Comparing the files of two stores by their manifests.

use crate::Side;
use crate::rows::Origin;
use paritas_connect::{Error, FailureKind, FileEntry, FileManifest};
use paritas_model::{Class, DifferenceCounts, Known, Proof, Verdict};
use std::cmp::Ordering;

/// One file that is not proven equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMismatch {
    /// Path below both roots.
    pub path: String,
    /// What is wrong; `None` when it could not be verified.
    pub class: Option<Class>,
    /// The file on the source.
    pub source: Option<FileEntry>,
    /// The file on the replica.
    pub replica: Option<FileEntry>,
    /// Why it could not be verified, or what the difference means.
    pub why: Option<String>,
}

/// What a comparison of files came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Number of files and their bytes on the source.
    pub source: (u64, u64),
    /// Number of files and their bytes on the replica.
    pub replica: (u64, u64),
    /// Counts per class.
    pub counts: DifferenceCounts,
    /// Files that are not proven equal, by path, at most as many as asked for.
    pub items: Vec<FileMismatch>,
    /// Whether there are more.
    pub items_truncated: bool,
    /// What kept the comparison from finishing.
    pub problem: Option<(Origin, Error)>,
}

impl Outcome {
    /// The verdict: a proof or unknown. Two empty folders prove nothing.
    pub fn verdict(&self) -> Verdict {
        match () {
            () if self.counts.proven() > 0 => Verdict::Fail,
            // A copy that cannot be read because it is damaged is not a faithful copy.
            () if matches!(&self.problem, Some((Origin::Replica, error)) if error.kind() == FailureKind::Damaged) => {
                Verdict::Fail
            }
            () if self.problem.is_some() || self.counts.unsettled() > 0 || self.source.0 == 0 => Verdict::Unknown,
            () => Verdict::Pass,
        }
    }
}

/// Lists and hashes both sides at the same time and compares them by path, size and BLAKE3.
pub async fn verify(source: &Side, replica: &Side, items_max: usize) -> Outcome {
    let read = |side: &Side| {
        let side = side.clone();
        async move {
            let files = side.store.files().ok_or_else(|| Error::unsupported("files"))?;
            side.again("list and hash files", || files.manifest(&side.cx)).await
        }
    };
    let (ours, theirs) = futures_util::future::join(read(source), read(replica)).await;
    let mut outcome = Outcome::default();
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => compare(ours, theirs, items_max, &mut outcome),
        // As with rows: a damaged replica is a finding and wins over a fault of the source.
        (Err(ours), Err(error)) if error.kind() == FailureKind::Damaged && ours.kind() != FailureKind::Damaged => {
            outcome.problem = Some((Origin::Replica, error));
        }
        (Err(error), _) => outcome.problem = Some((Origin::Source, error)),
        (_, Err(error)) => outcome.problem = Some((Origin::Replica, error)),
    }
    if outcome.problem.is_none() && outcome.source.0 == 0 && outcome.counts.proven() == 0 {
        let error = Error::new(FailureKind::Permanent, "dataset.empty", "there are no files on the source");
        outcome.problem = Some((Origin::Source, error.hint("check the path: comparing nothing proves nothing")));
    }
    outcome
}

/// Merges two listings.
pub fn compare(mut source: FileManifest, mut replica: FileManifest, items_max: usize, outcome: &mut Outcome) {
    // Listings come sorted; in any other order equal files would pass each other by.
    source.files.sort_by(|a, b| a.path.cmp(&b.path));
    replica.files.sort_by(|a, b| a.path.cmp(&b.path));
    let total = |manifest: &FileManifest| {
        (manifest.files.len() as u64, manifest.files.iter().map(|file| file.size_bytes).sum::<u64>())
    };
    (outcome.source, outcome.replica) = (total(&source), total(&replica));
    if source.single && replica.single {
        pair(&source.files, &mut replica.files);
    }
    let (mut ours, mut theirs) = (source.files.iter().peekable(), replica.files.iter().peekable());
    loop {
        let order = match (ours.peek(), theirs.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.path.cmp(&b.path),
        };
        let a = if order.is_le() { ours.next() } else { None };
        let b = if order.is_ge() { theirs.next() } else { None };
        let Some(mismatch) = judge(a, b) else { continue };
        match mismatch.class {
            Some(class) => outcome.counts.add(class, Proof::Proven, 1),
            None => outcome.counts.unverifiable = outcome.counts.unverifiable.saturating_add(1),
        }
        if outcome.items.len() < items_max {
            outcome.items.push(mismatch);
        } else {
            outcome.items_truncated = true;
        }
    }
}

/// Two files that were named as such face each other, whatever their names are.
fn pair(source: &[FileEntry], replica: &mut [FileEntry]) {
    if let ([ours], [theirs]) = (source, replica) {
        theirs.path.clone_from(&ours.path);
    }
}

/// What is to be said about one path; `None` when its two files are proven equal.
fn judge(source: Option<&FileEntry>, replica: Option<&FileEntry>) -> Option<FileMismatch> {
    let (class, why) = match (source, replica) {
        (None, None) => return None,
        (Some(_), None) => (Some(Class::Lost), None),
        (None, Some(_)) => (Some(Class::Extra), None),
        (Some(a), Some(b)) => match (&a.blake3, &b.blake3) {
            // Where the source is damaged as well, the replica may be a faithful copy of it.
            (_, Known::Unknown { why }) if b.damaged && !a.damaged => {
                (Some(Class::Changed), Some(format!("damaged on the replica: {why}")))
            }
            (Known::Known(x), Known::Known(y)) if x == y && a.size_bytes == b.size_bytes => return None,
            (Known::Known(_), Known::Known(_)) => {
                let why = match b.size_bytes.cmp(&a.size_bytes) {
                    Ordering::Less => "shorter on the replica",
                    Ordering::Greater => "longer on the replica",
                    Ordering::Equal => "same size, other content",
                };
                (Some(Class::Changed), Some(why.to_owned()))
            }
            (Known::Unknown { why }, _) => (None, Some(format!("source: {why}"))),
            (_, Known::Unknown { why }) => (None, Some(format!("replica: {why}"))),
        },
    };
    let path = source.or(replica).map(|file| file.path.clone()).unwrap_or_default();
    Some(FileMismatch { path, class, source: source.cloned(), replica: replica.cloned(), why })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(path: &str, size_bytes: u64, content: Option<u8>) -> FileEntry {
        let blake3 = content.map_or_else(|| Known::unknown("changed while it was read"), |c| Known::Known([c; 32]));
        FileEntry { path: path.to_owned(), size_bytes, blake3, damaged: false }
    }

    fn compared(source: Vec<FileEntry>, replica: Vec<FileEntry>) -> Outcome {
        let mut outcome = Outcome::default();
        let manifest = |files| FileManifest { files, single: false };
        compare(manifest(source), manifest(replica), 10, &mut outcome);
        outcome
    }

    #[test]
    fn two_files_named_as_such_are_one_pair_and_two_folders_of_one_file_are_not() {
        for (single, content, verdict, items) in
            [(true, 1, Verdict::Pass, 0), (true, 2, Verdict::Fail, 1), (false, 1, Verdict::Fail, 2)]
        {
            let mut outcome = Outcome::default();
            let manifest = |path, content| FileManifest { files: vec![file(path, 1, Some(content))], single };
            compare(manifest("a", 1), manifest("b", content), 10, &mut outcome);
            assert_eq!((outcome.verdict(), outcome.items.len()), (verdict, items));
        }
    }

    #[test]
    fn every_kind_of_file_difference_is_named() {
        let outcome = compared(
            vec![file("a", 1, Some(1)), file("b", 1, Some(1)), file("c", 9, Some(1)), file("e", 1, None)],
            vec![file("a", 1, Some(1)), file("c", 8, Some(2)), file("d", 1, Some(1)), file("e", 1, Some(1))],
        );
        let items: Vec<_> = outcome.items.iter().map(|item| (item.path.as_str(), item.class)).collect();
        let expected = [("b", Some(Class::Lost)), ("c", Some(Class::Changed)), ("d", Some(Class::Extra)), ("e", None)];
        assert_eq!(items, expected);
        assert_eq!(outcome.verdict(), Verdict::Fail);
    }

    #[test]
    fn a_file_that_could_not_be_read_is_never_a_pass() {
        let outcome = compared(
            vec![file("a", 1, Some(1)), file("b", 1, None)],
            vec![file("a", 1, Some(1)), file("b", 1, Some(1))],
        );
        assert_eq!(outcome.verdict(), Verdict::Unknown);
        assert_eq!(compared(vec![file("a", 1, Some(1))], vec![file("a", 1, Some(1))]).verdict(), Verdict::Pass);
        assert_eq!(compared(Vec::new(), Vec::new()).verdict(), Verdict::Unknown);
    }
}
