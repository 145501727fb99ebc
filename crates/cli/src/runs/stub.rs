//! Stands in for the engine until it compiles. It verifies nothing and says so.
#![allow(missing_docs, dead_code)]

use paritas_config::Config;
use paritas_connect::{Context, Progress};
use paritas_digest::{DigestKey, Policies};
use paritas_model::{ParseQuantityError, parse_duration, parse_size};
use paritas_report::{Problem, Report};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Options {
    pub state: Option<PathBuf>,
    pub max_differences: usize,
    pub budget: Option<Budget>,
    pub parallel: usize,
    pub capacity: u64,
    pub deny_warnings: bool,
    pub digest_key: DigestKey,
    pub policies: Policies,
    pub settle: Duration,
    pub save_digest: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            state: None,
            max_differences: 1_000,
            budget: None,
            parallel: 2,
            capacity: 9_000,
            deny_warnings: false,
            digest_key: DigestKey::unkeyed(),
            policies: Policies::default(),
            settle: Duration::from_secs(30),
            save_digest: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    Time(Duration),
    Bytes(u64),
    Rows(u64),
}

impl FromStr for Budget {
    type Err = ParseQuantityError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hint = "write a time, a size or a number of rows, such as 10m, 5GiB or 1e8rows";
        parse_duration(text)
            .map(Self::Time)
            .or_else(|_| parse_size(text).map(Self::Bytes))
            .map_err(|_| ParseQuantityError { what: "budget", text: text.to_owned(), hint })
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Planning,
    Fencing,
    Digesting,
    Locating,
    Confirming,
}

#[derive(Debug, Clone, Default)]
pub struct SideProgress {
    pub source: Arc<Progress>,
    pub replica: Arc<Progress>,
}

#[derive(Debug, Clone, Default)]
pub struct Monitor {
    now: Arc<Mutex<(String, Phase, SideProgress)>>,
}

impl Monitor {
    pub fn now(&self) -> (String, Phase, SideProgress) {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug)]
pub struct Error {
    problem: Problem,
    exit_code: u8,
}

impl Error {
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

fn missing() -> Error {
    let problem = Problem {
        code: "internal".to_owned(),
        message: "the engine is not built in".to_owned(),
        detail: None,
        hint: None,
    };
    Error { problem, exit_code: 3 }
}

#[derive(Debug)]
pub struct StoreCheck {
    pub name: String,
    pub result: Result<String, Problem>,
    pub limits: Vec<String>,
}

pub async fn check_stores(_: &Context, config: &Config) -> Vec<StoreCheck> {
    let check = |name: &String| StoreCheck { name: name.clone(), result: Err(missing().problem), limits: Vec::new() };
    config.stores.iter().map(|store| check(&store.name)).collect()
}

pub fn looks_like_target(text: &str) -> bool {
    let prefixes = ["parquet:", "csv:", "digest:", "files:"];
    text.contains('/') || prefixes.iter().any(|prefix| text.starts_with(prefix)) || Path::new(text).exists()
}

pub async fn verify_pair(_: &Context, _: &str, _: &str, _: &Options, _: &Monitor) -> Result<Report, Error> {
    Err(missing())
}

pub async fn verify_links(_: &Context, _: &Config, _: &[String], _: &Options, _: &Monitor) -> Result<Report, Error> {
    Err(missing())
}
