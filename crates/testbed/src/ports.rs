//! Free loopback ports.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// Ports are taken from below the system's ephemeral range (from 32768 on), so that an outgoing connection of
/// somebody else cannot take one between the choice and the server's start.
const RANGE: Range<u16> = 20_000..32_000;
/// Tries before giving up: with even half of the range in use this does not fail by chance.
const TRIES_MAX: usize = 200;

/// A port on 127.0.0.1 that nobody listens on and that this process has not handed out before.
///
/// Another process may still take it before the server starts: a server that cannot bind is to be started again
/// with another port.
///
/// # Errors
/// [`Error::Unfit`] when no free port was found.
pub fn free_port() -> Result<u16> {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut guard = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = guard.get_or_insert_with(HashSet::new);
    for _ in 0..TRIES_MAX {
        let port = random_port();
        // Bound on all addresses: a server elsewhere on 0.0.0.0 would collide as well.
        if !given.contains(&port) && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            given.insert(port);
            return Ok(port);
        }
    }
    Err(Error::Unfit {
        what: format!("no free port found between {} and {}", RANGE.start, RANGE.end),
        hint: "look for servers left behind with ss -ltnp",
    })
}

/// Random between processes as well: each `RandomState` has new keys.
fn random_port() -> u16 {
    let span = u64::from(RANGE.end - RANGE.start);
    let offset = RandomState::new().build_hasher().finish() % span;
    RANGE.start + u16::try_from(offset).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ports_are_free_and_never_the_same() {
        let ports: HashSet<u16> = (0..20).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 20);
        for port in ports {
            assert!(bound(port), "port {port} cannot be bound");
        }
    }

    /// Whether the port can be bound within some seconds: a process that another test starts holds every open
    /// socket of this one between its fork and its exec.
    fn bound(port: u16) -> bool {
        (0..500).any(|_| {
            let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if !taken {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            taken
        })
    }
}
