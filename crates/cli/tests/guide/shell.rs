//! One shell for a whole page, so that variables and commands in the background live from one block to the next.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longest time that one command of a page may take.
const LIMIT: Duration = Duration::from_secs(180);

pub struct Shell {
    child: Child,
    codes: Receiver<i32>,
    output: PathBuf,
}

impl Shell {
    /// A shell that works in this folder and finds programs in those folders first.
    pub fn start(folder: &Path, programs: &[&Path], variables: &[(&str, String)]) -> Self {
        let path = programs.iter().map(|path| path.display().to_string()).chain(std::env::var("PATH").ok());
        let mut command = Command::new("sh");
        command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        for name in ["PARITAS_CONFIG", "PARITAS_STATE", "NO_COLOR", "CLICOLOR_FORCE", "XDG_CONFIG_HOME", "PGPASSWORD"] {
            command.env_remove(name);
        }
        command.env("PATH", path.collect::<Vec<_>>().join(":")).env("HOME", folder).env("LC_ALL", "C.UTF-8");
        command.envs(variables.iter().map(|(name, value)| (*name, value.as_str())));
        let mut child = command.spawn().unwrap();
        let (sender, codes) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for code in lines.map_while(Result::ok).filter_map(|line| line.parse().ok()) {
                if sender.send(code).is_err() {
                    return;
                }
            }
        });
        Self { child, codes, output: folder.join("printed") }
    }

    /// Runs a command to its end: its exit code, and what it printed on both streams.
    pub fn run(&mut self, command: &str) -> (i32, String) {
        let output = self.output.display().to_string();
        let line = format!("{{ {command}\n}} > '{output}' 2>&1 < /dev/null\nprintf '%s\\n' $?\n");
        self.child.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        let code = self.codes.recv_timeout(LIMIT);
        let printed = String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned();
        let code = code.unwrap_or_else(|_| panic!("no end of {command:?}; so far:\n{printed}"));
        (code, printed)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // At the end of its input it ends by itself, with what runs in its background still known to it.
        drop(self.child.stdin.take());
        let _ended = self.child.kill();
        let _waited = self.child.wait();
    }
}
