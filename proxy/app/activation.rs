//! Sockets that the process was started with: by systemd (socket activation), or by the process that it takes over from.
//!
//! Read before any thread runs, since it takes the words about them out of the environment: nothing that is started later
//! may take them for its own. A socket that nobody wants is closed, never left open and unserved.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;

use listenfd::ListenFd;
use socket2::{Domain, SockRef, Type};

/// The name of the socket to the process that we take over from. Its presence says that there is one.
pub const HANDOVER: &str = "tidegate-handover";
/// What the names of ports begin with that the process before had open.
const DATA: &str = "tidegate-data-";
const STATS: &str = "tidegate-stats-";
/// More sockets than anybody has ports: a number beyond it is a mistake in the environment.
pub const MOST: usize = 1_024;

/// What a port is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Requests.
    Data,
    /// The stats port.
    Stats,
}

/// The name under which a port is passed on, by the address that the file gives it. A name of systemd's kind has no
/// colons.
pub fn name_of(role: Role, addr: SocketAddr) -> String {
    let prefix = match role {
        Role::Data => DATA,
        Role::Stats => STATS,
    };
    format!("{prefix}{}", addr.to_string().replace(':', "_"))
}

/// Sockets that the process was started with and that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    ports: Vec<Port>,
    /// The way to the process that we take over from.
    pub predecessor: Option<UnixStream>,
}

#[derive(Debug)]
struct Port {
    name: String,
    /// Where it is really open.
    open: SocketAddr,
    listener: TcpListener,
}

impl Inherited {
    /// Takes what the environment says is ours. Call it before there is a second thread.
    ///
    /// # Errors
    /// What is wrong with the sockets, and what to do about it.
    pub fn of_this_process() -> Result<Self, String> {
        let var = |name: &str| std::env::var(name).unwrap_or_default();
        let (names, count) = (var("LISTEN_FDNAMES"), var("LISTEN_FDS"));
        if count.parse().is_ok_and(|count: usize| count > MOST) {
            return Err(format!(
                "the environment says that {count} sockets were passed on (LISTEN_FDS), more than the {MOST} that can be\n  \
                 = help: unset LISTEN_FDS, or look at who starts tidegate"
            ));
        }
        let mut fds = ListenFd::from_env();
        let mut names = names.split(':');
        let mut inherited = Inherited::default();
        for at in 0..fds.len() {
            let name = names.next().unwrap_or("");
            let wrong = |e: io::Error| {
                format!(
                    "socket {} that was passed on by who started tidegate (named {name:?}) cannot be used: {e}\n  = help: a \
                     .socket unit for tidegate has ListenStream=ADDRESS:PORT lines and no others, and not Accept=yes",
                    at + 1
                )
            };
            if name == HANDOVER {
                let (family, kind) = (Domain::UNIX.into(), Type::STREAM.into());
                inherited.predecessor = fds
                    .take_custom(at, family, kind, "stream socket of this machine")
                    .map_err(wrong)?;
                continue;
            }
            let taken = fds.take_tcp_listener(at).and_then(|taken| {
                let listener = taken.ok_or_else(|| io::Error::other("it is gone"))?;
                if !SockRef::from(&listener).is_listener()? {
                    return Err(io::Error::other("it is a connection, not a port"));
                }
                listener.set_nonblocking(true)?;
                Ok((listener.local_addr()?, listener))
            });
            let (open, listener) = taken.map_err(wrong)?;
            let name = name.to_string();
            inherited.ports.push(Port {
                name,
                open,
                listener,
            });
        }
        Ok(inherited)
    }

    /// Takes the port that the file wants open at `addr`, where it came with us. One of the process before goes by what
    /// its file said, port 0 included; one of systemd by where it is open.
    pub fn take(&mut self, role: Role, addr: SocketAddr) -> Option<TcpListener> {
        let name = name_of(role, addr);
        let named = self.ports.iter().position(|port| port.name == name);
        let open = || self.ports.iter().position(|port| port.open == addr);
        let at = named.or_else(open)?;
        Some(self.ports.remove(at).listener)
    }

    /// Closes what nobody took. What the process before had (`takes_over`) and the file no longer names is closed with a
    /// word in the log.
    ///
    /// # Errors
    /// When systemd passed on what the file does not name: clients of that port would wait for ever.
    pub fn close_rest(self, takes_over: bool) -> Result<(), String> {
        if takes_over {
            for port in self.ports {
                tracing::info!("{} is open no more: the file no longer names it", port.open);
            }
            return Ok(());
        }
        match self.ports.first() {
            None => Ok(()),
            Some(port) => Err(format!(
                "a socket for {} was passed on by systemd, and the file names no such address\n  = help: name it under \
                 `listen` or `admin`, written the same way, or take it out of the .socket unit. ListenStream=8080 alone is \
                 [::]:8080; for `addr: 0.0.0.0:8080` write ListenStream=0.0.0.0:8080",
                port.open
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str) -> Port {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Port {
            name: name.into(),
            open: listener.local_addr().unwrap(),
            listener,
        }
    }

    #[test]
    fn a_name_has_no_colon_and_says_what_it_is_for() {
        let addr = "[::1]:8080".parse().unwrap();
        assert_eq!(name_of(Role::Data, addr), "tidegate-data-[__1]_8080");
        assert_eq!(name_of(Role::Stats, addr), "tidegate-stats-[__1]_8080");
    }

    #[test]
    fn a_port_is_taken_by_its_name_or_by_where_it_is_open_and_only_once() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (stats, data, other) = (
            port(&name_of(Role::Stats, any)),
            port(&name_of(Role::Data, any)),
            port("http"),
        );
        let (data_at, other_at) = (data.open, other.open);
        let mut inherited = Inherited {
            ports: vec![stats, data, other],
            predecessor: None,
        };
        let taken = inherited.take(Role::Data, any).unwrap();
        assert_eq!(taken.local_addr().unwrap(), data_at);
        assert!(inherited.take(Role::Data, any).is_none());
        assert!(inherited.take(Role::Data, other_at).is_some());
        let rest = inherited.close_rest(false).unwrap_err();
        assert!(rest.contains("the file names no such address"), "{rest}");
    }
}
