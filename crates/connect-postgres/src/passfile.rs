//! Passwords that libpq would find: `PGPASSWORD`, then the password file.
//!
//! Source: PostgreSQL documentation, "The Password File": lines of
//! `host:port:database:user:password`, `*` matches anything, `\` escapes `:` and itself.

use crate::conninfo::{ConnInfo, Host};
use secrecy::SecretString;
use std::path::{Path, PathBuf};

/// The password for one host: given, from `PGPASSWORD`, or from the password file.
pub(crate) fn password(info: &ConnInfo, host: &Host) -> Option<SecretString> {
    if info.password.is_some() {
        return info.password.clone();
    }
    if let Some(password) = std::env::var("PGPASSWORD").ok().filter(|password| !password.is_empty()) {
        return Some(password.into());
    }
    let path = info.passfile.clone().or_else(default_path)?;
    if !path.exists() {
        return None;
    }
    if !private(&path) {
        // Once: every connection of every split would say it again.
        static SAID: std::sync::Once = std::sync::Once::new();
        SAID.call_once(|| {
            tracing::warn!(path = %path.display(), "password file ignored: others can read it; chmod 0600");
        });
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    // A server reached through its socket is called localhost in the file.
    let name = if host.is_socket() { "localhost" } else { &host.host };
    find(&text, name, host.port, &info.dbname, &info.user)
}

fn default_path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    set("PGPASSFILE").map(PathBuf::from).or_else(|| Some(Path::new(&set("HOME")?).join(".pgpass")))
}

#[cfg(unix)]
fn private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o077 == 0)
}

#[cfg(not(unix))]
fn private(path: &Path) -> bool {
    path.is_file()
}

fn find(text: &str, host: &str, port: u16, dbname: &str, user: &str) -> Option<SecretString> {
    let port = port.to_string();
    let wanted = [host, port.as_str(), dbname, user];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = fields(line).into_iter();
        let matches = wanted.iter().all(|want| fields.next().is_some_and(|have| have == "*" || have == *want));
        if matches { fields.next().map(Into::into) } else { None }
    })
}

/// At most five fields; the last one is the whole rest of the line, unescaped as well.
fn fields(line: &str) -> Vec<String> {
    const FIELDS: usize = 5;
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let separates = c == ':' && fields.len() < FIELDS;
        if separates {
            fields.push(String::new());
        } else if let Some(last) = fields.last_mut() {
            last.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
        }
    }
    fields
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rstest::rstest;
    use secrecy::ExposeSecret;

    #[rstest]
    #[case("h:5432:d:u:secret", Some("secret"))]
    #[case("*:*:*:*:any", Some("any"))]
    #[case("# h:5432:d:u:no\nother:5432:d:u:no\nh:*:d:u:yes", Some("yes"))]
    #[case(r"h:5432:d:u:with\:colon\\", Some(r"with:colon\"))]
    #[case("h:5432:d:u:tail:of:line", Some("tail:of:line"))]
    #[case("h:5433:d:u:secret", None)]
    #[case("h:5432:d", None)]
    fn the_first_matching_line_wins(#[case] text: &str, #[case] expected: Option<&str>) {
        let found = find(text, "h", 5432, "d", "u");
        assert_eq!(found.as_ref().map(ExposeSecret::expose_secret), expected);
    }
}
