//! A CronJob of Kubernetes.

use super::every::Every;

/// The manifest, with marks for what differs. One run at a time; a violation and a mistake fail at once, what could not
/// be verified is tried again.
const MANIFEST: &str = include_str!("cronjob.yaml");

/// The manifest of a job that runs this image.
pub(super) fn manifest(image: &str, namespace: Option<&str>, every: Every) -> String {
    let namespace = namespace.map_or_else(String::new, |name| format!("  namespace: {}\n", quoted(name)));
    MANIFEST
        .replace("@NAMESPACE@", &namespace)
        .replace("@SCHEDULE@", &quoted(&every.cron()))
        .replace("@IMAGE@", &quoted(image))
}

/// A string that YAML cannot take for anything else.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            c if c.is_control() => quoted += &format!("\\u{:04x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_run_at_a_time_and_only_what_may_help_is_tried_again() {
        let text = manifest("registry.example/paritas:1", Some("dr\"x"), Every::of(Duration::from_secs(900)));
        for line in [
            "  namespace: \"dr\\\"x\"",
            "  schedule: \"*/15 * * * *\"",
            "  concurrencyPolicy: Forbid",
            "              values: [1, 2]",
            "              values: [3]",
            "          restartPolicy: Never",
            "              image: \"registry.example/paritas:1\"",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
    }
}
