//! Clients of every kind at once, while a story changes something that none of them may notice.
//!
//! Nobody tries again what was sent, and each answer is checked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::rustls::client::Resumption;

use super::Gate;
use super::client::{Client, Request};
use super::h2::{H2, request};
use super::load::{Load, Running};
use super::ms;
use super::origin::Origin;
use super::reply::Reply;
use super::tls::{Authority, Bridge, Handshake};
use super::websocket::{TEXT, frame};

/// Asks over HTTP/2 at most so many times a second, one request after the other, until it is stopped; how many were
/// answered. Each n-th request has a connection of its own, the others share one; one that says goodbye before a
/// request is sent is followed by another.
pub fn over_h2(
    to: SocketAddr,
    rate: u32,
    new_every: usize,
    stop: Gate,
) -> JoinHandle<Result<usize, String>> {
    tokio::spawn(async move {
        let mut answered = 0;
        let mut client = H2::connect(to).await;
        let mut due = interval(ms(1_000) / rate);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let own = answered % new_every == new_every - 1;
            let asked = async {
                due.tick().await;
                let get = request("GET", "/h2");
                match own {
                    true => H2::connect(to).await.ask(get, b"").await,
                    false => client.ask(get, b"").await,
                }
            };
            let asked = tokio::select! {
                biased;
                () = stop.passed() => return Ok(answered),
                asked = asked => asked,
            };
            match asked {
                Ok(answer) if answer.status == 200 => answered += 1,
                Ok(answer) => return Err(format!("status {} after {answered}", answer.status)),
                // It was told that nothing of it was looked at: anybody may ask again.
                Err(e) if e.is_go_away() && e.reason() == Some(h2::Reason::NO_ERROR) => {
                    client = H2::connect(to).await;
                }
                Err(e) => return Err(format!("{e:?} after {answered}")),
            }
        }
    })
}

/// From now on the app answers up to 40 ms late, and `/chat` with a WebSocket; how often it did.
pub fn counted(app: &Origin) -> Arc<AtomicUsize> {
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    app.answers(move |seen| {
        count.fetch_add(1, Relaxed);
        match seen.target() {
            "/chat" => Reply::websocket(),
            _ => Reply::usual(seen).after(ms(seen.serial as u64 % 40)),
        }
    });
    served
}

/// Clients of one name of a port that speaks TLS: HTTP/1.1 on kept and on new connections, HTTP/2 likewise, a
/// WebSocket that stays and others that do not. None of them resumes a session: each handshake shows a certificate.
pub struct Everybody {
    h1: Bridge,
    h2: Bridge,
    load: Running,
    streams: JoinHandle<Result<usize, String>>,
    chat: Client,
    stop: Gate,
}

impl Everybody {
    /// They begin: so many requests a second, a third of them over HTTP/2. The nodes answer `/chat` by a WebSocket that
    /// says what it hears.
    pub async fn at(to: SocketAddr, name: &str, authority: &Authority, rate: u32) -> Self {
        let client = |alpn| {
            let mut client = authority.client(&[alpn]);
            client.resumption = Resumption::disabled();
            client
        };
        let h1 = Bridge::open(to, name, client("http/1.1")).await;
        let h2 = Bridge::open(to, name, client("h2")).await;
        let chat = chat(&h1).await;
        let stop = Gate::closed();
        Everybody {
            load: Load::at(rate * 2 / 3)
                .new_connection_every(10)
                .start(h1.addr()),
            streams: over_h2(h2.addr(), rate / 3, 10, stop.clone()),
            h1,
            h2,
            chat,
            stop,
        }
    }

    /// Something is said in the WebSocket that stays, and in a new one.
    pub async fn chats(&mut self, words: &str) {
        echoes(&mut self.chat, words).await;
        echoes(&mut chat(&self.h1).await, words).await;
    }

    /// They have enough: none of them was refused or cut off, and there were at least so many requests of each kind.
    /// Their handshakes, and the WebSocket.
    pub async fn leave(self, least: usize) -> (Vec<Handshake>, Client) {
        self.stop.open();
        self.load.stop().await.nothing_failed_of(least);
        let streams = self.streams.await.expect("they do not panic");
        let streams = streams.expect("none over HTTP/2 is lost");
        println!("{streams} over HTTP/2");
        assert!(streams >= least, "only {streams} over HTTP/2");
        let mut all = Vec::new();
        for (bridge, protocol) in [(&self.h1, "http/1.1"), (&self.h2, "h2")] {
            assert!(bridge.failed().is_empty(), "{:?}", bridge.failed());
            let stood = bridge.stood();
            for shook in &stood {
                assert_eq!(shook.protocol.as_deref(), Some(protocol));
            }
            all.extend(stood);
        }
        (all, self.chat)
    }
}

async fn chat(to: &Bridge) -> Client {
    let mut chat = Client::connect(to.addr()).await.expect("the port is open");
    let asked = chat.ask(&Request::websocket("/chat")).await;
    assert_eq!(asked.expect("an answer").status, 101);
    chat
}

async fn echoes(chat: &mut Client, words: &str) {
    let said = frame(TEXT, words.as_bytes(), true);
    chat.send_bytes(&said).await.expect("it is open");
    assert_eq!(chat.exactly(said.len()).await, Ok(said));
}
