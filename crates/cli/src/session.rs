//! What every command needs: how to print, how to fail, with which exit code.

use crate::arguments::{ColorWhen, Common};
use crate::failure::{Failure, INCONCLUSIVE};
use crate::output;
use anstream::{AutoStream, ColorChoice};
use paritas_report::{ErrorDocument, Json, RenderOptions, nagios_error, write_problem};
use serde::Serialize;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// Exit code for UNKNOWN in the language of monitoring plugins.
const NAGIOS_UNKNOWN: u8 = 3;
/// Exit code for CRITICAL in the language of monitoring plugins.
pub const NAGIOS_CRITICAL: u8 = 2;
/// Without a terminal lines are not broken: logs are searched line by line.
const UNBROKEN: usize = 10_000;

/// In what form the result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Text for people.
    Human,
    /// One JSON document.
    Json,
    /// One line for a monitoring system.
    Nagios,
}

impl Style {
    /// What the command line seems to ask for, even if it cannot be parsed: errors of usage are
    /// reported in that form too.
    pub fn foreseen(arguments: &[OsString]) -> Self {
        let words: Vec<&str> =
            arguments.iter().skip(1).map_while(|word| word.to_str()).take_while(|w| *w != "--").collect();
        let nagios = |pair: &[&str]| matches!(pair, ["--exit-style", "nagios"]);
        if words.contains(&"--json") {
            Self::Json
        } else if words.contains(&"--exit-style=nagios") || words.windows(2).any(nagios) {
            Self::Nagios
        } else {
            Self::Human
        }
    }
}

/// How to print, and what was said about files and folders.
#[derive(Debug, Clone)]
pub struct Session {
    /// The form of the result.
    pub style: Style,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state`.
    pub state: Option<PathBuf>,
    /// `-q`.
    pub quiet: bool,
    /// Number of `-v`.
    pub verbose: u8,
    stdout_color: bool,
    stderr_color: bool,
}

impl Session {
    /// The session of parsed options.
    pub fn new(common: &Common, style: Style) -> Self {
        Self {
            style,
            config: common.config.clone(),
            state: common.state.clone(),
            quiet: common.quiet,
            verbose: common.verbose,
            stdout_color: colored(common.color, &io::stdout()),
            stderr_color: colored(common.color, &io::stderr()),
        }
    }

    /// The session of a command line that could not be parsed.
    pub fn unparsed(style: Style) -> Self {
        Self {
            style,
            config: None,
            state: None,
            quiet: false,
            verbose: 0,
            stdout_color: colored(ColorWhen::Auto, &io::stdout()),
            stderr_color: colored(ColorWhen::Auto, &io::stderr()),
        }
    }

    /// Whether results may be coloured.
    pub fn stdout_color(&self) -> bool {
        self.stdout_color
    }

    /// Whether messages may be coloured.
    pub fn stderr_color(&self) -> bool {
        self.stderr_color
    }

    /// How text results are to look.
    pub fn render_options(&self) -> RenderOptions {
        RenderOptions {
            color: self.stdout_color,
            width: output::stdout_width().unwrap_or(RenderOptions::WIDTH_DEFAULT),
            verbose: self.verbose > 0,
            ..RenderOptions::default()
        }
    }

    /// JSON, indented where a person looks at it.
    pub fn json(&self) -> Json {
        Json { pretty: output::stdout_is_terminal() }
    }

    /// Prints a finished result and returns the exit code: `code`, unless the result could not be
    /// written.
    pub fn print(&self, bytes: &[u8], code: u8) -> u8 {
        let Err(error) = output::write_stdout(bytes) else { return code };
        let failure = Failure::new("output.failed", INCONCLUSIVE, "cannot write the result to standard output")
            .detail(error)
            .hint("make room where standard output goes, or send it elsewhere");
        self.complain(&failure);
        // A proven violation stays one even if nobody can read about it.
        match (self.style, code) {
            (Style::Nagios, NAGIOS_CRITICAL) | (Style::Human | Style::Json, 1) => code,
            _ => INCONCLUSIVE,
        }
    }

    /// Prints either the text or the document, whichever was asked for.
    ///
    /// # Errors
    /// When the document has no JSON form.
    pub fn print_either<T: Serialize>(&self, text: &str, document: &T, code: u8) -> Result<u8, Failure> {
        if self.style != Style::Json {
            return Ok(self.print(text.as_bytes(), code));
        }
        let mut bytes = Vec::new();
        let write = self.json().document(document, &mut bytes);
        write.map_err(|error| Failure::new("output.failed", INCONCLUSIVE, "cannot write JSON").detail(error))?;
        Ok(self.print(&bytes, code))
    }

    /// Reports a failure in the form that was asked for and returns its exit code.
    pub fn fail(&self, failure: &Failure) -> u8 {
        match self.style {
            Style::Human => {
                self.complain(failure);
                failure.exit_code
            }
            Style::Json => {
                let document = ErrorDocument::new(failure.problem.clone(), failure.exit_code);
                let mut bytes = Vec::new();
                match self.json().error(&document, &mut bytes) {
                    Ok(()) => self.print(&bytes, failure.exit_code),
                    Err(_) => failure.exit_code,
                }
            }
            Style::Nagios => {
                self.complain(failure);
                self.print(format!("{}\n", nagios_error(&failure.problem.message)).as_bytes(), NAGIOS_UNKNOWN)
            }
        }
    }

    /// Writes a failure to standard error.
    pub fn complain(&self, failure: &Failure) {
        let options = RenderOptions {
            color: self.stderr_color,
            width: output::stderr_width().unwrap_or(UNBROKEN),
            ..RenderOptions::default()
        };
        let mut bytes = Vec::new();
        if write_problem(&failure.problem, &options, &mut bytes).is_ok() {
            output::write_stderr(&bytes);
        }
    }
}

fn colored(when: ColorWhen, stream: &impl anstream::stream::RawStream) -> bool {
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => AutoStream::choice(stream) != ColorChoice::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_errors_is_known_before_anything_is_parsed() {
        let foreseen = |words: &[&str]| Style::foreseen(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(foreseen(&["paritas", "verify", "--json", "--nonsense"]), Style::Json);
        assert_eq!(foreseen(&["paritas", "verify", "--exit-style", "nagios"]), Style::Nagios);
        assert_eq!(foreseen(&["paritas", "verify", "--exit-style=nagios"]), Style::Nagios);
        assert_eq!(foreseen(&["paritas", "verify", "--", "--json"]), Style::Human);
        assert_eq!(foreseen(&["--json"]), Style::Human);
    }
}
