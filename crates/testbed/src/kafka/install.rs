//! Where Java and Kafka's libraries are, and how a Java program of theirs is run.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{Process, Signal, Spec, which};
use crate::{Error, Result, Scratch, cache};

/// The version that tests take unless they ask for another one. `.ci/setup.sh` fetches the same.
pub const VERSION: &str = "4.3.1";
/// Every version that is tested.
pub const VERSIONS: &[&str] = &[VERSION, "3.9.1"];
/// Names another version of the cache for [`Install::find`] to take.
pub const VERSION_VARIABLE: &str = "PARITAS_KAFKA";
const HINT: &str = "run `make setup`, or `apt-get install openjdk-17-jre-headless maven` and then `make setup`";
const LOG_SETTINGS: &str = include_str!("log4j2.properties");
/// Start-up counts more than speed after hours; nothing is left in the system's temporary folder.
const JVM: &[&str] = &[
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
];
/// Memory of a tool, in MiB.
const TOOL_HEAP_MIB: u32 = 128;
/// Longest run of a tool; an order above what a busy machine needs.
const TOOL_LIMIT: Duration = Duration::from_secs(120);

/// Kafka of one version: a folder of libraries, and the Java that runs them.
#[derive(Debug, Clone)]
pub struct Install {
    java: PathBuf,
    libraries: PathBuf,
    version: String,
}

impl Install {
    /// The version in `PARITAS_KAFKA`, or else [`VERSION`].
    ///
    /// # Errors
    /// [`Error::NotInstalled`] when Java or the libraries are missing.
    pub fn find() -> Result<Self> {
        let wanted = std::env::var(VERSION_VARIABLE).ok().filter(|value| !value.is_empty());
        Self::of(wanted.as_deref().unwrap_or(VERSION))
    }

    /// One version, for example `3.9.1`, from the folder that `make setup` fills.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn of(version: &str) -> Result<Self> {
        let libraries = cache::folder().join("kafka").join(version);
        // Looked for by name: the folder of another version would start, and say another version.
        if !libraries.join(format!("kafka_2.13-{version}.jar")).is_file() {
            let looked = libraries.display().to_string();
            return Err(Error::NotInstalled { what: "Apache Kafka", looked, hint: HINT });
        }
        let home = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
        let java = home.filter(|java| java.is_file()).or_else(|| which("java"));
        let looked = || "JAVA_HOME and the PATH".to_owned();
        let java = java.ok_or_else(|| Error::NotInstalled { what: "Java", looked: looked(), hint: HINT })?;
        Ok(Self { java, libraries, version: version.to_owned() })
    }

    /// As [`Self::find`], and nothing where it is missing and `PARITAS_REQUIRE_SERVERS` does not ask for it.
    ///
    /// # Errors
    /// As [`Self::find`], where the variable is 1.
    pub fn unless_missing() -> Result<Option<Self>> {
        cache::unless_missing(Self::find())
    }

    /// As [`Self::of`], and nothing where it is missing and `PARITAS_REQUIRE_SERVERS` does not ask for it.
    ///
    /// # Errors
    /// As [`Self::of`], where the variable is 1.
    pub fn unless_missing_version(version: &str) -> Result<Option<Self>> {
        cache::unless_missing(Self::of(version))
    }

    /// The version, for example `4.3.1`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The folder of libraries.
    #[must_use]
    pub fn libraries(&self) -> &Path {
        &self.libraries
    }

    /// A Java program of Kafka's, ready to be started; its output goes to the log.
    pub(super) fn java(&self, scratch: &Scratch, program: Program<'_>) -> Result<Spec> {
        let settings = scratch.path().join("log4j2.properties");
        if !settings.exists() {
            fs::write(&settings, LOG_SETTINGS).map_err(Error::io("write", &settings))?;
        }
        let mut args: Vec<OsString> = JVM.iter().map(Into::into).collect();
        args.push(format!("-Xmx{}m", program.heap_mib).into());
        args.push(prefixed("-Dlog4j2.configurationFile=", &settings));
        // The star is for Java itself to resolve.
        args.extend(["-cp".into(), self.libraries.join("*").into_os_string(), program.class.into()]);
        args.extend(program.args);
        Ok(Spec {
            name: program.name,
            program: self.java.clone(),
            args,
            env: Vec::new(),
            log: program.log,
            user: None,
            // Nothing of a folder that goes away needs an orderly end.
            stop: Signal::KILL,
        })
    }

    /// Runs one of Kafka's tools to its end, by the name of its class, and returns what it wrote.
    ///
    /// # Errors
    /// [`Error::Program`] with its output when it fails, [`Error::TimedOut`].
    pub async fn tool(&self, scratch: &Scratch, class: &str, args: &[&str]) -> Result<String> {
        let log = tempfile::Builder::new().prefix("tool-").suffix(".log").tempfile_in(scratch.path());
        let log = log.map_err(Error::io("create a file in", scratch.path()))?.into_temp_path();
        let program = Program {
            name: class.to_owned(),
            class,
            heap_mib: TOOL_HEAP_MIB,
            args: args.iter().map(Into::into).collect(),
            log: log.to_path_buf(),
        };
        Process::run(self.java(scratch, program)?, TOOL_LIMIT).await?;
        fs::read_to_string(&log).map_err(Error::io("read", log.to_path_buf()))
    }
}

/// What is to be run.
pub(super) struct Program<'a> {
    /// Short name for messages.
    pub name: String,
    pub class: &'a str,
    pub heap_mib: u32,
    pub args: Vec<OsString>,
    pub log: PathBuf,
}

fn prefixed(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_version_that_is_not_there_says_how_it_is_installed() {
        let error = Install::of("0.1.2").unwrap_err();
        assert!(error.hint().unwrap().contains("make setup"), "{error}");
        assert!(error.detail().unwrap().contains("kafka/0.1.2"), "{error}");
    }

    #[test]
    fn set_up_fetches_the_versions_that_tests_ask_for() {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/setup.sh");
        let line = format!("KAFKA_VERSIONS='{}'", VERSIONS.join(" "));
        assert!(fs::read_to_string(script).unwrap().contains(&line), "{line}");
    }
}
