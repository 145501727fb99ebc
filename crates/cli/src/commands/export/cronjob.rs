//! A CronJob of Kubernetes.

use super::every::Every;

/// The manifest: one run at a time; a violation and a mistake fail at once, what could not be verified is tried again.
pub(super) fn manifest(image: &str, namespace: Option<&str>, every: Every) -> String {
    let namespace = namespace.map_or_else(String::new, |name| format!("  namespace: {}\n", quoted(name)));
    format!(
        "\
apiVersion: batch/v1
kind: CronJob
metadata:
  name: paritas
{namespace}spec:
  schedule: {schedule}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 300
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 3
      podFailurePolicy:
        rules:
          # A proven violation, or a mistake in the configuration: trying again changes nothing.
          - action: FailJob
            onExitCodes:
              operator: In
              values: [1, 2]
          # Something could not be verified: tried again.
          - action: Count
            onExitCodes:
              operator: In
              values: [3]
          # The pod was moved elsewhere.
          - action: Ignore
            onPodConditions:
              - type: DisruptionTarget
      template:
        spec:
          restartPolicy: Never
          securityContext:
            runAsNonRoot: true
            runAsUser: 65532
            fsGroup: 65532
          containers:
            - name: paritas
              image: {image}
              args: [\"--config\", \"/etc/paritas/paritas.toml\", \"--state\", \"/var/lib/paritas\", \"--quiet\", \"run\"]
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
              volumeMounts:
                - name: config
                  mountPath: /etc/paritas
                  readOnly: true
                - name: state
                  mountPath: /var/lib/paritas
                - name: tmp
                  mountPath: /tmp
          volumes:
            # paritas.toml, and the files that it names.
            - name: config
              secret:
                secretName: paritas
            # What was done must outlive the pod.
            - name: state
              persistentVolumeClaim:
                claimName: paritas-state
            - name: tmp
              emptyDir: {{}}
",
        schedule = quoted(&every.cron()),
        image = quoted(image),
    )
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
