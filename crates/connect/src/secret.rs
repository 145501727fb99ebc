//! Secrets by reference: where one is kept, and reading it. A secret is never shown.

use crate::{Error, FailureKind, Result};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// No secret is longer than this.
pub const SECRET_BYTES_MAX: usize = 64 << 10;

/// How long a command may take to print a secret.
pub const SECRET_COMMAND_TIME_MAX: Duration = Duration::from_secs(10);

/// How often a running command is looked at.
const COMMAND_POLL: Duration = Duration::from_millis(5);

/// Where a secret is kept: `{ env = "NAME" }`, `{ file = "PATH" }` or `{ command = ["PROGRAM", …] }`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretRef {
    /// In an environment variable of this name.
    Env(String),
    /// In a file; one newline at its end is not part of the secret.
    File(PathBuf),
    /// Printed by a program to its standard output, started without a shell; one newline at the end
    /// is not part of the secret.
    Command(Vec<String>),
}

impl SecretRef {
    /// Reads the secret. Blocks for as long as the file system or the command takes, at most
    /// [`SECRET_COMMAND_TIME_MAX`].
    ///
    /// # Errors
    /// `secret.missing` when there is none, `secret.denied` when it may not be read,
    /// `secret.command` when the command fails or takes too long, `secret.invalid` when what is there
    /// cannot be a secret: empty, too long, not UTF-8. No error contains what was read.
    pub fn resolve(&self) -> Result<SecretString> {
        self.resolve_within(SECRET_COMMAND_TIME_MAX)
    }

    fn resolve_within(&self, time_max: Duration) -> Result<SecretString> {
        let bytes = match self {
            Self::Env(name) => read_env(name)?,
            Self::File(path) => read_file(path)?,
            Self::Command(command) => run(command, time_max)?,
        };
        let text = String::from_utf8(bytes).map_err(|_| invalid(self, "is not UTF-8 text"))?;
        let text = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        if text.is_empty() {
            return Err(invalid(self, "is empty"));
        }
        Ok(SecretString::from(text))
    }

    /// What is unwise about where the secret is kept, for the user to see; `None` when nothing is.
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::File(path) => file_warning(path),
            Self::Env(_) | Self::Command(_) => None,
        }
    }
}

/// Says where the secret is kept. Of a command only the program is named: its arguments may hold
/// secrets themselves.
impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) if is_variable_name(name) => write!(f, "environment variable {name}"),
            Self::Env(_) => f.write_str("environment variable (not a valid name)"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Command(command) => match command.split_first() {
                Some((program, [])) => write!(f, "command {program}"),
                Some((program, arguments)) => write!(f, "command {program} with {} arguments", arguments.len()),
                None => f.write_str("command (empty)"),
            },
        }
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretRef({self})")
    }
}

/// Whether this can be the name of a variable; a secret written there by mistake mostly cannot.
pub fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn invalid(secret: &SecretRef, why: &str) -> Error {
    Error::new(FailureKind::Permanent, "secret.invalid", format!("the secret from {secret} {why}"))
}

fn read_env(name: &str) -> Result<Vec<u8>> {
    if !is_variable_name(name) {
        let error = Error::new(FailureKind::Permanent, "secret.invalid", "env does not name an environment variable");
        return Err(error.hint("write the variable's name, not its value, such as { env = \"PG_EAST_PASSWORD\" }"));
    }
    let Some(value) = std::env::var_os(name) else {
        let error =
            Error::new(FailureKind::Permanent, "secret.missing", format!("the environment variable {name} is not set"));
        return Err(error.hint(format!("set {name} where paritas runs (in a systemd unit: EnvironmentFile=)")));
    };
    let bytes = value.into_encoded_bytes();
    if bytes.len() > SECRET_BYTES_MAX { Err(too_long(&SecretRef::Env(name.to_owned()))) } else { Ok(bytes) }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| {
        let shown = path.display();
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::new(FailureKind::Permanent, "secret.missing", format!("the secret file {shown} does not exist"))
                    .because(error)
            }
            std::io::ErrorKind::PermissionDenied => {
                Error::new(FailureKind::Denied, "secret.denied", format!("cannot read the secret file {shown}"))
                    .because(error)
                    .hint("make it readable by the user paritas runs as (chown, chmod 0400)")
            }
            _ => Error::new(FailureKind::Permanent, "secret.missing", format!("cannot read the secret file {shown}"))
                .because(error),
        }
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let bytes = read_limited(file).map_err(failed)?;
    bytes.ok_or_else(|| too_long(&SecretRef::File(path.to_owned())))
}

fn too_long(secret: &SecretRef) -> Error {
    invalid(secret, &format!("is longer than {SECRET_BYTES_MAX} bytes"))
}

/// Everything up to the limit, `None` if there is more.
fn read_limited(from: impl std::io::Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= SECRET_BYTES_MAX).then_some(bytes))
}

#[cfg(unix)]
fn file_warning(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    let who = match (mode & 0o004, mode & 0o022) {
        (0, 0) => return None,
        (_, 0) => "readable by every user of this machine",
        _ => "writable by other users of this machine",
    };
    let shown = path.display();
    Some(format!("the secret file {shown} is {who} (mode {:04o}): chmod 0400 {shown}", mode & 0o7777))
}

#[cfg(not(unix))]
fn file_warning(_path: &Path) -> Option<String> {
    None
}

/// Runs the command and returns what it prints. What it writes to its standard error is dropped: it
/// may hold the secret.
fn run(command: &[String], time_max: Duration) -> Result<Vec<u8>> {
    let this = || SecretRef::Command(command.to_vec());
    let Some((program, arguments)) = command.split_first() else {
        return Err(invalid(&this(), "cannot be read").detail("The list of the command is empty."));
    };
    let mut process = Command::new(program);
    process.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    own_group(&mut process);
    let failed = |what: String| Error::new(FailureKind::Permanent, "secret.command", what);
    let hint = "run it by hand; it must print the secret and nothing else (its own messages are not shown here)";
    let mut child = process
        .spawn()
        .map_err(|error| failed(format!("cannot start the {}", this())).because(error).hint("give the full path"))?;
    let (sender, receiver) = mpsc::sync_channel(1);
    if let Some(stdout) = child.stdout.take() {
        // Ends when the pipe closes, at the latest when the command's processes are killed.
        std::thread::spawn(move || sender.send(read_limited(stdout)));
    }
    let deadline = Instant::now() + time_max;
    let Some(status) = wait(&mut child, deadline) else {
        end(&mut child);
        return Err(failed(format!("the {} did not end within {time_max:?}", this())).hint(hint));
    };
    let left = deadline.saturating_duration_since(Instant::now()).max(COMMAND_POLL);
    let printed = receiver.recv_timeout(left);
    match printed {
        // A command that is cut off in its printing fails of that, so this is said first.
        Ok(Ok(None)) => Err(too_long(&this())),
        _ if !status.success() => {
            end(&mut child);
            Err(failed(format!("the {} failed", this())).detail(format!("It ended with {status}.")).hint(hint))
        }
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Err(error)) => Err(failed(format!("cannot read from the {}", this())).because(error)),
        Err(_) => {
            end(&mut child);
            Err(failed(format!("the {} left its output open", this())).hint(hint))
        }
    }
}

/// Waits until the command ends; `None` when the time is over first.
fn wait(child: &mut Child, deadline: Instant) -> Option<std::process::ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(COMMAND_POLL),
            _ => return None,
        }
    }
}

/// Gives the command a process group, so that what it starts can be ended with it.
#[cfg(unix)]
fn own_group(process: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    process.process_group(0);
}

#[cfg(not(unix))]
fn own_group(_process: &mut Command) {}

/// Ends the command and all that it started.
fn end(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself meanwhile.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;
    use secrecy::ExposeSecret as _;

    fn command(script: &str) -> SecretRef {
        SecretRef::Command(vec!["/bin/sh".into(), "-c".into(), script.into()])
    }

    fn file(content: &[u8]) -> (tempfile::TempDir, SecretRef) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, content).unwrap();
        (dir, SecretRef::File(path))
    }

    #[rstest]
    #[case(b"s3cret", "s3cret")]
    #[case(b"s3cret\n", "s3cret")]
    #[case(b"s3cret\r\n", "s3cret")]
    #[case(b"s3cret\n\n", "s3cret\n")]
    #[case(b" s3cret ", " s3cret ")]
    fn one_newline_at_the_end_is_not_part_of_the_secret(#[case] content: &[u8], #[case] secret: &str) {
        let (_dir, reference) = file(content);
        assert_eq!(reference.resolve().unwrap().expose_secret(), secret);
    }

    #[test]
    fn a_command_prints_the_secret() {
        assert_eq!(command("printf 's3cret\\n'").resolve().unwrap().expose_secret(), "s3cret");
    }

    #[test]
    fn a_variable_holds_the_secret() {
        // Set by cargo for every test process.
        let expected = std::env::var("CARGO_PKG_NAME").unwrap();
        assert_eq!(SecretRef::Env("CARGO_PKG_NAME".into()).resolve().unwrap().expose_secret(), expected);
    }

    #[rstest]
    #[case::unset(SecretRef::Env("PARITAS_NO_SUCH_VARIABLE".into()), "secret.missing")]
    #[case::value_instead_of_name(SecretRef::Env("c4n4ry!".into()), "secret.invalid")]
    #[case::no_file(SecretRef::File("/nonexistent/key".into()), "secret.missing")]
    #[case::folder(SecretRef::File("/".into()), "secret.missing")]
    #[case::endless(SecretRef::File("/dev/zero".into()), "secret.invalid")]
    #[case::empty_command(SecretRef::Command(vec![]), "secret.invalid")]
    #[case::no_program(SecretRef::Command(vec!["/nonexistent/program".into(), "c4n4ry".into()]), "secret.command")]
    #[case::failing(command("echo c4n4ry; echo c4n4ry >&2; exit 3"), "secret.command")]
    #[case::killed(command("kill -9 $$"), "secret.command")]
    #[case::silent(command("exit 0"), "secret.invalid")]
    #[case::endless_command(command("yes c4n4ry | head -c 100000"), "secret.invalid")]
    #[case::not_text(command("printf 'c4n4ry\\377'"), "secret.invalid")]
    fn what_gives_no_secret_is_a_clear_error_without_content(#[case] reference: SecretRef, #[case] code: &str) {
        let error = reference.resolve().unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        let texts = format!("{error} {error:?} {reference} {reference:?} {:?}", error.hint_text());
        assert!(!texts.contains("c4n4ry"), "{texts}");
    }

    #[rstest]
    #[case::slow("sleep 60", "did not end")]
    #[case::child_keeps_the_output("sleep 60 & exit 0", "left its output open")]
    fn a_command_that_takes_too_long_is_ended_with_its_children(#[case] script: &str, #[case] expected: &str) {
        let error = command(script).resolve_within(Duration::from_millis(200)).unwrap_err();
        assert!(error.message().contains(expected), "{error}");
    }

    #[cfg(unix)]
    #[rstest]
    #[case(0o400, None)]
    #[case(0o640, None)]
    #[case(0o644, Some("readable by every user"))]
    #[case(0o620, Some("writable by other users"))]
    fn open_file_modes_are_warned_about(#[case] mode: u32, #[case] expected: Option<&str>) {
        use std::os::unix::fs::PermissionsExt as _;
        let (_dir, reference) = file(b"s3cret");
        let SecretRef::File(path) = &reference else { return };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let warning = reference.warning();
        assert_eq!(warning.is_some(), expected.is_some(), "{warning:?}");
        assert!(expected.is_none_or(|text| warning.unwrap().contains(text)));
    }
}
