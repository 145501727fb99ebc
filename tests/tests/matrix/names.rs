//! Names of hosts that lead elsewhere from one moment on, for one process only.

use crate::stage::World;
use paritas_testbed::postgres::REQUIRE_VARIABLE;
use paritas_tests::binary;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The name.
pub const NAME: &str = "db.paritas.test";
/// Where it leads at first.
pub const HERE: &str = "127.0.0.1";
/// Where it leads later.
pub const ELSEWHERE: &str = "127.0.0.2";

/// A file of names that a process sees in the place of the system's.
pub struct Names {
    hosts: PathBuf,
    inside: String,
}

impl Names {
    /// The name leads [`HERE`]. Nothing where this cannot be had and is not demanded.
    pub fn new(world: &World) -> Option<Self> {
        let hosts = world.folder("etc").join("hosts");
        // A file of names of its own needs a mount of its own.
        let inside = format!("mount --bind {} /etc/hosts && exec \"$0\" \"$@\"", hosts.display());
        let names = Self { hosts, inside };
        names.lead_to(HERE);
        let probe = Command::new("unshare").args(["-rm", "sh", "-c", &names.inside, "true"]).output();
        if probe.is_ok_and(|output| output.status.success()) {
            return Some(names);
        }
        let required = std::env::var_os(REQUIRE_VARIABLE).is_some_and(|value| value == "1");
        assert!(!required, "a file of host names of its own needs `unshare -rm` (util-linux, and leave to mount)");
        println!("left out: a file of host names of its own needs `unshare -rm`");
        None
    }

    /// From now on the name leads there.
    pub fn lead_to(&self, address: &str) {
        fs::write(&self.hosts, format!("{address} {NAME}\n")).unwrap();
    }

    /// A call of the binary that sees these names.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut call = Command::new("unshare");
        call.args(["-rm", "sh", "-c", &self.inside]).arg(binary()).args(args);
        call.env_remove("PARITAS_CONFIG").env_remove("PARITAS_STATE").stdin(Stdio::null());
        call.stdout(Stdio::piped()).stderr(Stdio::piped());
        call
    }
}

/// What comes to a port [`ELSEWHERE`] goes to another one here, until the task is ended.
pub fn forward(world: &World, from: u16, to: u16) -> JoinHandle<()> {
    let listener = world.run(TcpListener::bind((ELSEWHERE, from))).unwrap();
    world.spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut server = TcpStream::connect((HERE, to)).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    })
}
