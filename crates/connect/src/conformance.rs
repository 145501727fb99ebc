//! What every connector has to keep, as a suite that its tests run in one line.
//!
//! ```text
//! conformance::run(&Fixture::new(&store).dataset("public.fills", 1_000)).await
//! ```
//!
//! The answer lists every violation. The suite only reads; the data must not change meanwhile.

mod ends;
mod rows;
mod sinks;
mod store;
mod values;

use crate::{Context, Datasets, Description, Error, ScanRequest, Store};
use paritas_digest::{Canon, Policies};
use paritas_model::Dataset;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Calls that must end soon have so much time unless the fixture says otherwise.
const TIME_MAX: Duration = Duration::from_secs(10);

/// The whole suite has so many times as much.
const TIMES_TOTAL: u32 = 30;

/// A store with known content.
#[derive(Debug)]
pub struct Fixture<'a> {
    store: &'a dyn Store,
    dataset: Option<(Dataset, u64)>,
    missing: Dataset,
    absent_key: Option<Vec<u8>>,
    canaries: Vec<String>,
    time_max: Duration,
}

impl<'a> Fixture<'a> {
    /// A store of which nothing else is known yet.
    pub fn new(store: &'a dyn Store) -> Self {
        let missing = Dataset("paritas_no_such_dataset".to_owned());
        Self { store, dataset: None, missing, absent_key: None, canaries: Vec::new(), time_max: TIME_MAX }
    }

    /// Has a dataset of this name with so many rows.
    #[must_use]
    pub fn dataset(mut self, name: &str, rows: u64) -> Self {
        self.dataset = Some((Dataset(name.to_owned()), rows));
        self
    }

    /// Has no dataset of this name.
    #[must_use]
    pub fn missing(mut self, name: &str) -> Self {
        self.missing = Dataset(name.to_owned());
        self
    }

    /// Has no row with this canonical key. Only needed where keys are not kept whole; otherwise one is
    /// found.
    #[must_use]
    pub fn absent_key(mut self, key: Vec<u8>) -> Self {
        self.absent_key = Some(key);
        self
    }

    /// Was opened with this secret, which must not be seen anywhere.
    #[must_use]
    pub fn canary(mut self, secret: &str) -> Self {
        self.canaries.push(secret.to_owned());
        self
    }

    /// Calls that must end soon have so much time (10 s by default), the whole suite 30 times as much.
    #[must_use]
    pub fn time_max(mut self, time: Duration) -> Self {
        self.time_max = time;
        self
    }
}

/// Runs the suite.
///
/// # Errors
/// Every violation, as `check: what was wrong`.
pub async fn run(fixture: &Fixture<'_>) -> Result<(), Vec<String>> {
    let total = fixture.time_max * TIMES_TOTAL;
    let cx = Context::default().with_timeout(total);
    let suite = Suite { fixture, cx, found: Mutex::default(), seen: Mutex::default() };
    // A connector that obeys the context ends by itself a little earlier.
    if tokio::time::timeout(total + fixture.time_max, check(&suite)).await.is_err() {
        suite.wrong("deadline", format_args!("is not obeyed after {total:?}"));
    }
    suite.check_canaries();
    let found = suite.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let masked = |text: String| fixture.canaries.iter().fold(text, |text, canary| text.replace(canary, "***"));
    let found: Vec<String> = found.into_iter().map(masked).collect();
    if found.is_empty() { Ok(()) } else { Err(found) }
}

async fn check(suite: &Suite<'_>) {
    let fixture = suite.fixture;
    store::check(suite).await;
    if let (Some(datasets), Some((dataset, rows))) = (fixture.store.datasets(), &fixture.dataset) {
        store::check_list(suite, datasets, dataset).await;
        if let Some(description) = store::check_describe(suite, datasets, dataset).await {
            for request in requests(suite, datasets, &description) {
                rows::check(suite, datasets, &request, *rows).await;
                ends::check(suite, datasets, &request, *rows).await;
                values::check(suite, datasets, &request, *rows).await;
            }
        }
    } else if fixture.dataset.is_some() {
        suite.wrong("datasets", "the store has none");
    }
    if let Some(files) = fixture.store.files() {
        store::check_files(suite, files).await;
    }
}

/// One run of the suite.
struct Suite<'a> {
    fixture: &'a Fixture<'a>,
    cx: Context,
    found: Mutex<Vec<String>>,
    /// Texts that came from the connector, to be searched for canaries.
    seen: Mutex<Vec<String>>,
}

impl Suite<'_> {
    fn wrong(&self, check: &str, what: impl std::fmt::Display) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{check}: {what}"));
    }

    fn saw(&self, text: impl std::fmt::Display) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_string());
    }

    fn saw_error(&self, error: &Error) {
        self.saw(format_args!("{error} {error:?} {}", error.hint_text().unwrap_or_default()));
    }

    /// The value, or a violation.
    fn expect<T>(&self, check: &str, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.saw_error(&error);
                self.wrong(check, format_args!("{} ({})", error, error.code()));
                None
            }
        }
    }

    /// An error with this code, or a violation.
    fn expect_code<T>(&self, check: &str, code: &str, result: Result<T, Error>) {
        match result {
            Ok(_) => self.wrong(check, format_args!("succeeds instead of {code}")),
            Err(error) => {
                self.saw_error(&error);
                if error.code() != code {
                    self.wrong(check, format_args!("gives {} instead of {code}: {error}", error.code()));
                }
            }
        }
    }

    /// The result of work that must end in time.
    async fn soon<T>(&self, check: &str, work: impl Future<Output = T>) -> Option<T> {
        match tokio::time::timeout(self.fixture.time_max, work).await {
            Ok(value) => Some(value),
            Err(_) => {
                self.wrong(check, format_args!("does not end within {:?}", self.fixture.time_max));
                None
            }
        }
    }

    fn check_canaries(&self) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
        for (index, canary) in self.fixture.canaries.iter().enumerate() {
            if seen.contains(canary.as_str()) {
                self.wrong("secrets", format_args!("canary {index} is shown in a name, label or error"));
            }
        }
    }
}

/// The dataset compared with itself, in the canon of its engine and in the logical one.
fn requests(suite: &Suite<'_>, datasets: &dyn Datasets, description: &Description) -> Vec<ScanRequest> {
    let names: Vec<(String, String)> =
        description.schema.columns.iter().map(|column| (column.name.clone(), column.name.clone())).collect();
    let (schema, key, policies) = (&description.schema, &description.schema.key, Policies::default());
    let mut canons = Vec::new();
    if datasets.wire_engine().is_some() {
        match datasets.wire_canon(description, description, &names, key, policies) {
            Ok(canon) => canons.push(canon),
            Err(problems) => suite.wrong("wire canon", format_args!("a dataset does not fit itself: {problems:?}")),
        }
    }
    match Canon::logical(schema, schema, &names, key, policies) {
        Ok(canon) => canons.push(canon),
        // Types of one engine alone need not have a logical form.
        Err(_) if datasets.wire_engine().is_some() => {}
        Err(problems) => suite.wrong("logical canon", format_args!("a dataset does not fit itself: {problems:?}")),
    }
    let pair = |name: &str| crate::ColumnPair { canonical: name.to_owned(), own: name.to_owned() };
    let request = |canon: Canon| ScanRequest {
        dataset: description.dataset.clone(),
        columns: canon.columns.iter().map(|column| pair(&column.name)).collect(),
        canon: canon.into(),
        filter: None,
        ranges: Vec::new(),
    };
    canons.into_iter().map(request).collect()
}
