//! The report of a run, and its formats.
//!
//! [`Report`] is the JSON document of `docs/contract.md`; every format is made from it alone, so
//! that a stored run can be reported again in any format without a store.

mod document;

pub use document::{
    BothSides, Check, ErrorDocument, FileDifference, FileFacts, FilesCheck, LinkReport, NotChecked, ParityCheck,
    Positions, Problem, Report, RowCounts, Run, SchemaCheck, SchemaDifference,
};
