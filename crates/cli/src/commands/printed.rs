//! A report in the form that was asked for, and what the next command has to repeat.

use crate::arguments::Deny;
use crate::failure::{Failure, INCONCLUSIVE, INTERRUPTED};
use crate::session::{Session, Style};
use paritas_connect::redact_url;
use paritas_model::Verdict;
use paritas_report::{Called, Format, Human, Nagios, RenderOptions, Report, nagios_code, shell_word};

/// The bytes of a report and the exit code: that of the contract, or of the style asked for. Without
/// `max_items`, text shows as many as a person reads.
pub(super) fn rendered(
    session: &Session,
    called: Called,
    deny: Option<Deny>,
    max_items: Option<u64>,
    report: &Report,
) -> Result<(Vec<u8>, u8), Failure> {
    let deny_warnings = deny == Some(Deny::Warnings);
    let items = |asked| usize::try_from(asked).unwrap_or(usize::MAX);
    let max_items = max_items.map_or(RenderOptions::MAX_ITEMS_DEFAULT, items);
    let options = RenderOptions { max_items, ..session.render_options() };
    let (format, code): (&dyn Format, u8) = match session.style {
        Style::Human => (&Human { called }, report.exit_code),
        Style::Json => (&session.json(), report.exit_code),
        // An interrupted run proves nothing beyond what it found.
        Style::Nagios if report.exit_code == INTERRUPTED && report.verdict != Verdict::Fail => {
            (&Nagios { deny_warnings }, nagios_code(Verdict::Unknown, deny_warnings))
        }
        Style::Nagios => (&Nagios { deny_warnings }, nagios_code(report.verdict, deny_warnings)),
    };
    let mut bytes = Vec::new();
    format
        .write(report, &options, &mut bytes)
        .map_err(|error| Failure::new("output.failed", INCONCLUSIVE, "cannot write the report").detail(error))?;
    Ok((bytes, code))
}

/// A word for a shell, without a password.
pub(super) fn word(text: &str) -> String {
    shell_word(&redact_url(text)).unwrap_or_else(|| "…".to_owned())
}

/// The configuration and the state folder, as they were given. Two stores take only the state folder from here, unless
/// the configuration says something about them as well.
pub(super) fn common(session: &Session, configured: bool) -> Vec<String> {
    let given = |option: &str, path: &Option<std::path::PathBuf>| {
        path.as_ref().map(|path| format!("{option} {}", word(&path.display().to_string())))
    };
    let config = given("-c", &session.config).filter(|_| configured);
    config.into_iter().chain(given("--state", &session.state)).collect()
}

/// What the next command has to repeat of this one.
pub(super) fn called(session: &Session, what: &[String], report: &Report) -> Called {
    let ad_hoc = report.run.config.is_none();
    let options = common(session, !ad_hoc);
    Called { options, stores: what.iter().filter(|_| ad_hoc).map(|store| word(store)).collect(), resume: None }
}
