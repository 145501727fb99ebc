//! One link between stores of logs: how far mirrors and groups are behind.
/// To come.
#[derive(Debug)]
pub(crate) struct LogLink;
