//! Opening ports: before anything else starts, so that a port in use is one clear sentence and nothing half done.

use std::net::{SocketAddr, TcpListener};

/// Opens `addr`.
///
/// # Errors
/// What is wrong and what to do about it.
pub fn open(addr: SocketAddr, what: &str) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(addr).map_err(|e| {
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
    listener
        .set_nonblocking(true)
        .map_err(|e| format!("{what} cannot listen on {addr}: {e}"))?;
    Ok(listener)
}
