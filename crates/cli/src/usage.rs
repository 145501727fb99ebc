//! Mistakes in the command line, told like every other failure.

use crate::failure::Failure;
use crate::session::{Session, Style};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use paritas_connect::redact_url;
use paritas_model::ParseQuantityError;
use std::error::Error as _;

/// Reports what clap says: help and version are results, everything else is a failure.
pub fn report(error: &clap::Error, style: Style) -> u8 {
    let session = Session::unparsed(style);
    let rendered = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let color = session.stdout_color();
            let text = if color { rendered.ansi().to_string() } else { rendered.to_string() };
            session.print(text.as_bytes(), 0)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if style == Style::Human => {
            let color = session.stderr_color();
            let text = if color { rendered.ansi().to_string() } else { rendered.to_string() };
            crate::output::write_stderr(text.as_bytes());
            crate::failure::USAGE
        }
        _ => session.fail(&failure(error)),
    }
}

/// The mistake as primary line and hint.
fn failure(error: &clap::Error) -> Failure {
    let text = |kind| context(error, kind);
    let help = "see `paritas --help`, or `paritas COMMAND --help`";
    let argument = || text(ContextKind::InvalidArg).unwrap_or_else(|| "an option".to_owned());
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let name = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            let hint = text(ContextKind::SuggestedSubcommand).map(|word| format!("did you mean `{word}`?"));
            Failure::usage(format!("unknown command `{}`", shown(&name)), hint.unwrap_or_else(|| help.to_owned()))
        }
        ErrorKind::UnknownArgument => {
            let hint = text(ContextKind::SuggestedArg).map(|word| format!("did you mean `{word}`?"));
            Failure::usage(format!("unknown option `{}`", shown(&argument())), hint.unwrap_or_else(|| help.to_owned()))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => value(error, &argument()),
        ErrorKind::ArgumentConflict => {
            let other = text(ContextKind::PriorArg).unwrap_or_else(|| "another option".to_owned());
            let (one, other) = (bare(&argument()), bare(&other));
            Failure::usage(format!("`{one}` and `{other}` exclude each other"), "leave one of them out")
        }
        ErrorKind::MissingRequiredArgument => Failure::usage(format!("missing argument: {}", argument()), help),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            Failure::usage("missing command", help)
        }
        ErrorKind::InvalidUtf8 => Failure::usage("an argument is not UTF-8", "name stores and links in UTF-8"),
        _ => {
            let rendered = error.render().to_string();
            let line = rendered.lines().next().unwrap_or_default();
            Failure::usage(shown(line.trim_start_matches("error: ")), help)
        }
    }
}

/// A value that an option does not take.
fn value(error: &clap::Error, argument: &str) -> Failure {
    let given = context(error, ContextKind::InvalidValue).unwrap_or_default();
    let option = bare(argument);
    if given.is_empty() {
        return Failure::usage(format!("`{option}` needs a value"), format!("write `{argument}`"));
    }
    let failure = Failure::usage(format!("cannot read `{}` as a value of `{option}`", shown(&given)), String::new());
    if let Some(reason) = error.source() {
        return match reason.downcast_ref::<ParseQuantityError>() {
            Some(quantity) => failure.hint(quantity.hint),
            None => failure.hint(reason.to_string()),
        };
    }
    match context(error, ContextKind::ValidValue) {
        Some(known) => failure.hint(format!("known are {known}")),
        None => failure.hint("see `paritas COMMAND --help`"),
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        ContextValue::StyledStrs(texts) => Some(texts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        ContextValue::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The name of an option without its value: `--budget` of `--budget <LIMIT>`.
fn bare(argument: &str) -> String {
    argument.split_whitespace().next().unwrap_or(argument).trim_end_matches("...").to_owned()
}

/// What the user wrote may be an address with a password in it.
fn shown(text: &str) -> String {
    redact_url(text)
}
