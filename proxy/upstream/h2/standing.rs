//! The connections to one address that stand, as far as they can be ended from outside.
//!
//! pingora's pool lets nobody take a connection out of it: what nobody needs any more would stand until its idle limit.
//! So a second descriptor of each is kept here, and goes with the connection. Never ends one that carries a request.

use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use pingora::http::ResponseHeader;
use pingora::protocols::GetProxyDigest;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::raw_connect::ProxyDigest;
use socket2::Socket;

/// Those that stand, and whether there may be more.
#[derive(Debug, Default)]
pub struct Standing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// As many as pingora has.
    sockets: Vec<(u64, Socket)>,
    begun: u64,
    /// Requests that have one, or are about to.
    users: usize,
    /// Nobody is to come any more.
    is_retired: bool,
}

impl Standing {
    /// A request is about to use one.
    pub fn is_used(&self) {
        self.0.lock().users += 1;
    }

    /// A request is done with it.
    pub fn is_left(&self) {
        let mut state = self.0.lock();
        state.users -= 1;
        state.end_if_due();
    }

    /// No request comes here any more: they end, at the latest with the last one that is under way.
    pub fn retire(&self) {
        let mut state = self.0.lock();
        state.is_retired = true;
        state.end_if_due();
    }

    /// Notes `stream`, of which `second` is another descriptor, for as long as pingora holds it.
    pub fn note(self: &Arc<Self>, stream: &mut Stream, second: OwnedFd) {
        let number = {
            let mut state = self.0.lock();
            state.begun += 1;
            let number = state.begun;
            state.sockets.push((number, second.into()));
            number
        };
        let note = Note {
            home: Arc::downgrade(self),
            number,
        };
        // The one thing of ours that lives as long as pingora's connection. Nobody asks for the answer of a proxy that
        // there is none of.
        let Ok(none) = ResponseHeader::build(200, Some(0)) else {
            return; // dropping the note takes the descriptor along
        };
        stream.set_proxy_digest(ProxyDigest::new(Box::new(none), Some(Box::new(note))));
    }
}

impl State {
    fn end_if_due(&mut self) {
        if !self.is_retired || self.users > 0 {
            return;
        }
        for (_, socket) in self.sockets.drain(..) {
            // Who has closed it already needs no word.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Goes with a connection, and takes what is noted of it along.
struct Note {
    home: Weak<Standing>,
    number: u64,
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            let mut state = home.0.lock();
            state.sockets.retain(|(number, _)| *number != self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::time::Duration;

    use super::*;

    /// A connection as pingora has it, and its other end.
    fn connection(home: &Arc<Standing>) -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = listener.accept().unwrap().0;
        far.set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        near.set_nonblocking(true).unwrap();
        let near = tokio::net::TcpStream::from_std(near).unwrap();
        let second = near.as_fd().try_clone_to_owned().unwrap();
        let mut stream = Stream::from(near);
        home.note(&mut stream, second);
        (stream, far)
    }

    #[tokio::test]
    async fn what_nobody_needs_any_more_ends_with_its_last_request() {
        let home = Arc::new(Standing::default());
        let (_stream, mut far) = connection(&home);
        home.is_used();
        home.retire();
        assert!(far.read(&mut [0]).is_err(), "it is in use");
        home.is_left();
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
    }

    #[tokio::test]
    async fn what_is_closed_is_not_held_open_here() {
        let home = Arc::new(Standing::default());
        let (stream, mut far) = connection(&home);
        drop(stream);
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
        assert!(home.0.lock().sockets.is_empty());
    }
}
