//! Opening ports: before anything else starts, so that a port in use is one clear sentence and nothing half done.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

/// Connections that may wait to be accepted; the system allows fewer where `somaxconn` is smaller. Of those beyond it the
/// first packet is lost, and sent again only after a second.
const BACKLOG: i32 = 4_096;

/// Opens `addr`.
///
/// # Errors
/// What is wrong and what to do about it.
pub fn open(addr: SocketAddr, what: &str) -> Result<TcpListener, String> {
    let listener = bind(addr).map_err(|e| {
        use std::io::ErrorKind;
        let remedy = match e.kind() {
            ErrorKind::AddrInUse => format!(
                "another program (perhaps another tidegate) has port {}; stop it or choose another port",
                addr.port()
            ),
            ErrorKind::PermissionDenied => {
                "ports below 1024 need CAP_NET_BIND_SERVICE; grant it or choose a higher port".into()
            }
            ErrorKind::AddrNotAvailable => {
                "no interface of this machine has that address; look at `ip address`".into()
            }
            _ => "look at the address".into(),
        };
        format!("{what} cannot listen on {addr}: {e}\n  = help: {remedy}")
    })?;
    Ok(listener)
}

fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    // Or a restart would have to wait until the last connections of the process before are forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
