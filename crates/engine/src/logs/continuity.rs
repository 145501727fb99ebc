//! Whether numbers follow each other.
use super::LogOptions;
use super::seen::{Both, Seen, Wanted};
use crate::Options;
use paritas_report::Check;
pub(crate) async fn checks(_: &Both, _: &Seen, _: &Wanted<'_>, _: &LogOptions, _: &Options) -> Vec<Check> {
    Vec::new()
}
