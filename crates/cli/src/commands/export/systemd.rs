//! A service and a timer of systemd.

use super::every::Every;
use std::path::Path;

/// What the units say.
pub(super) struct Facts<'a> {
    pub(super) program: &'a Path,
    pub(super) config: &'a Path,
    pub(super) state: &'a Path,
    /// Whether the state folder was named beside the configuration.
    pub(super) given_state: bool,
    pub(super) user: Option<&'a str>,
    pub(super) every: Every,
}

/// Both units, by name.
pub(super) fn units(facts: &Facts<'_>) -> [(&'static str, String); 2] {
    [("paritas.service", service(facts)), ("paritas.timer", timer(facts.every))]
}

fn service(facts: &Facts<'_>) -> String {
    let mut call = format!("{} --config {}", word(facts.program), word(facts.config));
    if facts.given_state {
        call += &format!(" --state {}", word(facts.state));
    }
    let user = facts.user.map_or_else(String::new, |user| format!("User={user}\n"));
    format!(
        "\
[Unit]
Description=Verify replication between regions
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={call} --quiet run
{user}# 0 is a pass; 1 a violation, 2 a mistake in the configuration, 3 something could not be verified.
Nice=10
TimeoutStartSec=infinity
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths={state}
",
        state = word(facts.state),
    )
}

fn timer(every: Every) -> String {
    format!(
        "\
[Unit]
Description=Call paritas when something may be due

[Timer]
OnCalendar={}
AccuracySec=1s
Persistent=true

[Install]
WantedBy=timers.target
",
        every.calendar()
    )
}

/// A path as systemd takes it: percent signs are its own, and blanks need quotes.
fn word(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%");
    let plain = |c: char| c.is_alphanumeric() || "/._-%@+=:,".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn paths_with_blanks_and_signs_stay_paths() {
        let facts = Facts {
            program: Path::new("/usr/bin/paritas"),
            config: Path::new("/etc/pari tas/100%.toml"),
            state: Path::new("/var/lib/paritas"),
            given_state: true,
            user: Some("paritas"),
            every: Every::of(Duration::from_secs(30)),
        };
        let [(_, service), (_, timer)] = units(&facts);
        let call =
            "ExecStart=/usr/bin/paritas --config \"/etc/pari tas/100%%.toml\" --state /var/lib/paritas --quiet run";
        for line in [call, "Type=oneshot", "User=paritas", "ReadWritePaths=/var/lib/paritas"] {
            assert!(service.lines().any(|own| own == line), "{line}\n{service}");
        }
        for line in ["OnCalendar=*-*-* *:*:0/30", "Persistent=true", "WantedBy=timers.target"] {
            assert!(timer.lines().any(|own| own == line), "{line}\n{timer}");
        }
    }
}
