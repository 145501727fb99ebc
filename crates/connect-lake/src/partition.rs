//! Columns that are not in the files but in the names of their folders: `day=2026-01-01/part-0.parquet`.

use paritas_connect::{Error, FailureKind, Result};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// The type of a column that only folders have, in descriptions.
pub(crate) const FOLDER_TYPE: &str = "partition folder";

/// What writers put in a folder's name for NULL.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The partition columns that all files of a dataset share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Partition {
    names: Vec<String>,
}

impl Partition {
    /// The partition columns of files with these names below the dataset.
    ///
    /// # Errors
    /// `schema.mismatch` when two files are in folders of different columns.
    pub(crate) fn of<'a>(files: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut first: Option<(&str, Vec<String>)> = None;
        for file in files {
            let names: Vec<String> = parts(file).map(|(name, _)| decode(name)).collect();
            match &first {
                None => first = Some((file, names)),
                Some((before, expected)) if *expected != names => {
                    return Err(Error::new(
                        FailureKind::Permanent,
                        "schema.mismatch",
                        "files of one dataset lie in folders of different partition columns",
                    )
                    .detail(format!("The folders of {before} say {expected:?} and those of {file} say {names:?}."))
                    .hint("point at the folder in which all files are partitioned alike"));
                }
                Some(_) => {}
            }
        }
        Ok(Self { names: first.map(|(_, names)| names).unwrap_or_default() })
    }

    /// Names of the columns, outermost folder first.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The value of one column for a file; the inner `None` is NULL, the outer an unknown column.
    pub(crate) fn value(&self, file: &str, column: &str) -> Option<Option<String>> {
        parts(file).find(|(name, _)| decode(name) == column).map(|(_, value)| (value != NULL).then(|| decode(value)))
    }
}

fn parts(file: &str) -> impl Iterator<Item = (&str, &str)> {
    let folders = file.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders.split('/').filter_map(|part| part.split_once('=')).filter(|(name, _)| !name.is_empty())
}

/// The text behind percent escapes. Where they are no UTF-8 the name is taken as it is written, so that
/// two folders of different names never mean the same.
fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), Cow::into_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn folders_give_columns_and_values() {
        let partition = Partition::of(["day=1/venue=a%2Fb/x", "day=2/venue=__HIVE_DEFAULT_PARTITION__/x"]).unwrap();
        assert_eq!(partition.names(), ["day", "venue"]);
        assert_eq!(partition.value("day=1/venue=a%2Fb/x", "venue"), Some(Some("a/b".into())));
        assert_eq!(partition.value("day=2/venue=__HIVE_DEFAULT_PARTITION__/x", "venue"), Some(None));
        assert_eq!(partition.value("day=2/x", "other"), None);
        for name in ["%FF", "%FE", "\u{FFFD}"] {
            assert_eq!(partition.value(&format!("day={name}/x"), "day"), Some(Some(name.into())));
        }
        assert_eq!(Partition::of(["day=1/x", "x"]).unwrap_err().code(), "schema.mismatch");
        assert!(Partition::of(["a/x", "x=1"]).unwrap().names().is_empty());
    }
}
