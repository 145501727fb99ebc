//! The world of the guide: two servers of PostgreSQL, folders, and the names that its pages give them.

use crate::called::Folder;
use crate::page::{self, Step, What};
use crate::shell::Shell;
use crate::shown;
use crate::testbed::{self, Scratch, Server};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The version that Debian 12 has.
const MAJOR: u32 = 15;
/// Longest wait for a server to reach a state.
const PATIENCE: Duration = Duration::from_secs(120);
/// Folders of the pages that lie below the folder of the test.
const FOLDERS: [&str; 5] = ["/etc/", "/var/lib/", "/srv/", "/mnt/", "/tmp/"];
/// Folders that are there before anything is done.
const THERE: [&str; 4] = ["/etc/paritas", "/etc/systemd/system", "/var/lib/node_exporter", "/var/lib/paritas"];

const TABLES: &str = "
create table accounts (id int primary key, owner text not null, balance numeric(18,2) not null);
create table orders (id bigint generated always as identity primary key, account int not null references accounts,
  amount numeric(18,2) not null, placed_at timestamptz not null default now());
insert into accounts select i, 'owner ' || i, 1000 from generate_series(1, 50) i;
insert into orders (account, amount) select 1 + i % 50, i * 1.25 from generate_series(1, 2000) i;
";

pub struct World {
    pub east: Server,
    pub west: Server,
    /// Whether the second server still follows the first.
    pub following: bool,
    shell: Shell,
    psql: PathBuf,
    folder: Folder,
    /// Names of the pages, and what they are here.
    names: Vec<(String, String)>,
    _scratch: Scratch,
}

/// The tables are there before there is a standby, so that both have the same pages of their sequence.
fn with_tables<'a>(server: &'a Server, install: &testbed::Install) -> &'a Server {
    let mut psql = install.command("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", TABLES]);
    let output = psql.arg(format!("postgres://postgres@127.0.0.1:{}/shop", server.port())).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server
}

pub fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide")
}

pub fn read(page: &str) -> String {
    let path = docs().join(page);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl World {
    /// Both servers with the tables of the shop, and the archive of files; nothing where PostgreSQL is missing.
    pub fn start() -> Option<Self> {
        let install = testbed::install(MAJOR)?;
        let scratch = testbed::scratch();
        let east = Server::start(&scratch, &install, "east", 16, &[("track_commit_timestamp", "on")]);
        east.sql("create database shop");
        let folder = Folder::new();
        let programs = folder.path().join("programs");
        fs::create_dir_all(&programs).unwrap();
        let paritas = Path::new(env!("CARGO_BIN_EXE_paritas"));
        let postgres = install.program("psql").parent().unwrap().to_owned();
        let variables = [("PGPASSFILE", folder.path().join("no-passwords").display().to_string())];
        let home = folder.path().join("home");
        fs::create_dir_all(&home).unwrap();
        let shell = Shell::start(&home, &[&programs, paritas.parent().unwrap(), &postgres], &variables);
        let root = folder.path().display().to_string();
        let mut names: Vec<_> = FOLDERS.iter().map(|name| ((*name).to_owned(), format!("{root}{name}"))).collect();
        names.push(("/usr/local/bin/paritas".to_owned(), paritas.display().to_string()));
        names.push(("db-east:5432".to_owned(), format!("127.0.0.1:{}", east.port())));
        let west = with_tables(&east, &install).standby("west");
        names.push(("db-west:5432".to_owned(), format!("127.0.0.1:{}", west.port())));
        let psql = install.program("psql");
        let world = Self { east, west, following: true, shell, psql, folder, names, _scratch: scratch };
        testbed::caught_up(&world.east, &world.west);
        for name in FOLDERS.iter().chain(&THERE) {
            fs::create_dir_all(world.path(name)).unwrap();
        }
        for folder in ["/srv/archive", "/mnt/archive-west"] {
            for number in 1..=4 {
                world.write(&format!("{folder}/statements/{number}.txt"), &format!("statement {number}\n"));
            }
        }
        Some(world)
    }

    /// A path of the pages, here.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    pub fn write(&self, path: &str, text: &str) {
        self.folder.write(path.trim_start_matches('/'), text);
    }

    /// Puts a program into the path of the shell.
    pub fn program(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.write(&format!("programs/{name}"), text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Lets a name of the pages mean something here.
    pub fn name(&mut self, name: &str, here: &str) {
        self.names.push((name.to_owned(), here.to_owned()));
    }

    fn here(&self, text: &str) -> String {
        // One after the other, so that no name is found in what another one was replaced by.
        let mut out = String::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let boundary = !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.');
            match self.names.iter().find(|(name, _)| boundary && rest.starts_with(name.as_str())) {
                Some((name, here)) => {
                    out.push_str(here);
                    at += name.len();
                }
                None => {
                    let next = rest.chars().next().map_or(1, char::len_utf8);
                    out.push_str(&rest[..next]);
                    at += next;
                }
            }
        }
        out
    }

    /// What was printed, in the names of the pages.
    fn there(&self, text: &str) -> String {
        let mut names = self.names.clone();
        names.sort_by_key(|(_, here)| std::cmp::Reverse(here.len()));
        names.iter().fold(text.to_owned(), |text, (name, here)| text.replace(here, name))
    }

    /// Waits until the standby has everything.
    pub fn caught_up(&self) {
        testbed::caught_up(&self.east, &self.west);
    }

    /// Waits until a query in the shop answers `t` on the first server.
    pub fn east_waits_for(&self, query: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.sql("db-east", query) != "t" {
            assert!(Instant::now() < deadline, "{query}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Servers that were started again may be at another port.
    pub fn rename_servers(&mut self) {
        let ports = [("db-east:5432", self.east.port()), ("db-west:5432", self.west.port())];
        for (name, here) in &mut self.names {
            if let Some((_, port)) = ports.iter().find(|(server, _)| server == name) {
                *here = format!("127.0.0.1:{port}");
            }
        }
        // What was written with the old ones.
        self.prepare_files("scheduled-job.md");
    }

    /// Runs statements in the shop, on a server of the pages.
    pub fn sql(&self, server: &str, sql: &str) -> String {
        let port = match server {
            "db-east" => self.east.port(),
            "db-west" => self.west.port(),
            other => panic!("no server {other}"),
        };
        let file = self.folder.write("statements.sql", sql);
        let mut psql = Command::new(&self.psql);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f"]).arg(file);
        let output = psql.arg(format!("postgres://postgres@127.0.0.1:{port}/shop")).output().unwrap();
        assert!(output.status.success(), "{sql}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs a command of a page: its exit code, and what it printed in the names of the pages.
    pub fn shell(&mut self, command: &str) -> (i32, String) {
        let (code, printed) = self.shell.run(&self.here(command));
        (code, self.there(&printed))
    }

    /// Does what is on a page, in its order. What happens outside of Paritas is done by `stage`.
    pub fn follow(&mut self, page: &str, stage: &mut dyn FnMut(&mut Self, &str)) {
        let text = read(page);
        for step in page::steps(&text).unwrap_or_else(|why| panic!("{page}: {why}")) {
            self.step(page, &step, stage);
        }
    }

    /// Writes the files of a page.
    fn prepare_files(&self, page: &str) {
        for step in page::steps(&read(page)).unwrap_or_else(|why| panic!("{page}: {why}")) {
            if let What::File { path, text } = &step.what {
                self.write(path, &self.here(text));
            }
        }
    }

    /// Does the blocks of another page that have no output: its files and statements.
    pub fn prepare(&mut self, page: &str) {
        for step in page::steps(&read(page)).unwrap_or_else(|why| panic!("{page}: {why}")) {
            if matches!(step.what, What::File { .. } | What::Sql { .. }) {
                self.step(page, &step, &mut |_, _| ());
            }
        }
    }

    fn step(&mut self, page: &str, step: &Step, stage: &mut dyn FnMut(&mut Self, &str)) {
        let at = format!("docs/guide/{page}:{}", step.line);
        match &step.what {
            What::Stage(words) => stage(self, words),
            What::File { path, text } => self.write(path, &self.here(text)),
            What::Sql { server, text } => {
                self.sql(server, text);
                if server == "db-east" && self.following {
                    testbed::caught_up(&self.east, &self.west);
                }
            }
            What::Cron(command) => {
                let (code, printed) = self.shell(command);
                assert_eq!(code, 0, "{at}: {command}\n{printed}");
            }
            What::Command { text, code, shown } => {
                let (ended, printed) = self.shell(text);
                eprintln!("{at}\n$ {text}\n? {ended}\n{printed}");
                assert_eq!(ended, *code, "{at}: $ {text}\n{printed}");
                assert!(
                    shown.is_empty() || shown::fits(shown, &printed),
                    "{at}: $ {text}\nprints something else:\n{printed}"
                );
            }
        }
    }
}
