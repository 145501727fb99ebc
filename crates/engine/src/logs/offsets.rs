//! Whether groups would go on at the right record on the replica.
use super::LogOptions;
use super::seen::{Both, Seen, Wanted};
use crate::Options;
use paritas_report::Check;
pub(crate) async fn check(_: &Both, _: &Seen, _: &Wanted<'_>, _: &LogOptions, _: &Options) -> Option<Check> {
    None
}
