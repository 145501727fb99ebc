//! A live view on a terminal: it follows the size, quits when asked, and leaves the terminal as it was.

use super::common::Folder;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Something that was waited for this long never comes.
const LIMIT: Duration = Duration::from_secs(60);
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";

/// A view under way on a terminal of its own.
struct View {
    child: Child,
    master: File,
    slave: File,
    output: Receiver<Vec<u8>>,
    seen: String,
    _folder: Folder,
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

impl View {
    /// Two servers that are not there: the view says so, again and again.
    fn start() -> Self {
        let folder = Folder::new();
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = OpenOptions::new().read(true).write(true).open(OsStr::from_bytes(name.as_bytes())).unwrap();
        tcsetwinsize(&slave, size(80, 24)).unwrap();
        // Of a session of its own, so that the terminal is its own as well and tells it of a new size.
        let source = folder.command(&[]);
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(source.get_program());
        command.args(["lag", "--watch", "postgres://nobody@127.0.0.1:1/a", "postgres://nobody@127.0.0.1:1/b"]);
        command.current_dir(folder.path()).env("TERM", "xterm-256color").env("HOME", folder.path());
        let side = || slave.try_clone().unwrap();
        command.stdin(side()).stdout(side()).stderr(side());
        let child = command.spawn().unwrap();
        let master = File::from(master);
        let mut reader = master.try_clone().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(read @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, master, slave, output, seen: String::new(), _folder: folder }
    }

    /// Reads until this was written.
    fn until(&mut self, text: &str) {
        let deadline = Instant::now() + LIMIT;
        while !self.seen.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            let more = self.output.recv_timeout(left).unwrap_or_else(|_| panic!("no {text:?}: {:?}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&more));
        }
    }

    fn cooked(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    fn shown() -> Self {
        let mut view = Self::start();
        assert!(view.cooked());
        view.until(ENTER);
        view.until("UNKNOWN");
        view.until("q quits");
        assert!(!view.cooked(), "keys are not read one by one");
        view
    }

    /// Waits for the end, and demands the terminal back.
    fn ended(mut self, code: i32) {
        self.until(LEAVE);
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{:?}", self.seen);
        assert!(self.cooked(), "the terminal is not as it was");
    }

    /// The process behind `setsid`.
    fn process(&self) -> Pid {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let own = std::fs::read_to_string(children).unwrap();
        let first = own.split_whitespace().next().map_or_else(|| self.child.id().to_string(), str::to_owned);
        Pid::from_raw(first.parse().unwrap()).unwrap()
    }
}

#[test]
fn a_view_quits_with_a_key_and_gives_the_terminal_back() {
    for key in ["q", "\u{1b}"] {
        let mut view = View::shown();
        view.master.write_all(key.as_bytes()).unwrap();
        view.ended(0);
    }
}

#[test]
fn an_interrupt_ends_a_view_by_key_and_by_signal() {
    let mut view = View::shown();
    view.master.write_all(b"\x03").unwrap();
    view.ended(130);
    for signal in [Signal::INT, Signal::TERM] {
        let view = View::shown();
        kill_process(view.process(), signal).unwrap();
        view.ended(130);
    }
}

#[test]
fn a_view_follows_the_size_of_its_terminal() {
    let mut view = View::shown();
    view.seen.clear();
    tcsetwinsize(&view.slave, size(30, 6)).unwrap();
    // The last line is the sixth now, by the place to which the cursor is sent.
    view.until("\u{1b}[6;1H");
    view.seen.clear();
    tcsetwinsize(&view.slave, size(100, 40)).unwrap();
    view.until("\u{1b}[40;1H");
    view.master.write_all(b"q").unwrap();
    view.ended(0);
}
