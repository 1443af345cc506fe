//! A server of DNS that answers as it is told, over UDP and TCP, on the loopback.
//!
//! The few bytes of a message (RFC 1035 §4) are written by hand: a library would refuse to be as unhelpful as a story
//! wants it. What is too long for UDP is cut and marked so, as servers do.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// More does not go over UDP.
const UDP_AT_MOST: usize = 1_232;

/// What the server does with a question.
#[derive(Clone, Debug)]
pub enum Says {
    /// These addresses, which hold so many seconds. A question for a family without any has an empty answer.
    Has(Vec<IpAddr>, u32),
    /// No answer, but this code: 2 is SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
    Code(u8),
    /// These addresses for A; this code for AAAA.
    HalfBroken(Vec<IpAddr>, u8),
    /// Nothing at all.
    Nothing,
}

/// A running server.
pub struct Dns {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    says: Mutex<HashMap<String, Says>>,
    asked: AtomicUsize,
}

impl Dns {
    /// A server that knows no name: NXDOMAIN.
    pub async fn start() -> Self {
        let (udp, tcp) = both().await;
        let server = Dns {
            addr: udp.local_addr().expect("a bound socket"),
            shared: Arc::default(),
        };
        tokio::spawn(over_udp(udp, server.shared.clone()));
        let shared = server.shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                tokio::spawn(over_tcp(stream, shared.clone()));
            }
        });
        server
    }

    /// From now on it says this of a name.
    pub fn says(&self, name: &str, says: Says) {
        let mut all = self.shared.says.lock().unwrap();
        all.insert(name.to_owned(), says);
    }

    /// From now on a name has these addresses for a second.
    pub fn has(&self, name: &str, addresses: &[&str]) {
        let parsed = addresses.iter().map(|a| a.parse().expect("an address"));
        self.says(name, Says::Has(parsed.collect(), 1));
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Number of questions so far.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(SeqCst)
    }
}

/// UDP and TCP on one port.
async fn both() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let addr = udp.local_addr().expect("a bound socket");
        // Somebody else may have the other one.
        if let Ok(tcp) = TcpListener::bind(addr).await {
            return (udp, tcp);
        }
    }
}

async fn over_udp(socket: UdpSocket, shared: Arc<Shared>) {
    let mut bytes = [0; 4_096];
    while let Ok((n, from)) = socket.recv_from(&mut bytes).await {
        if let Some(mut answer) = answer(&bytes[..n], &shared) {
            if answer.len() > UDP_AT_MOST {
                answer[2] |= 0x02; // cut
                answer[6..8].fill(0);
                answer.truncate(question_end(&answer));
            }
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn over_tcp(mut stream: TcpStream, shared: Arc<Shared>) {
    while let Ok(length) = stream.read_u16().await {
        let mut bytes = vec![0; length.into()];
        if stream.read_exact(&mut bytes).await.is_err() {
            return;
        }
        if let Some(answer) = answer(&bytes, &shared) {
            let length = u16::try_from(answer.len()).expect("an answer of DNS");
            let framed = [&length.to_be_bytes()[..], &answer].concat();
            if stream.write_all(&framed).await.is_err() {
                return;
            }
        }
    }
}

/// Where the first question ends.
fn question_end(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5
}

/// The name of the first question, in lower case, and the type it asks for.
fn question(message: &[u8]) -> (String, u16) {
    let end = question_end(message);
    let (mut at, mut labels) = (12, Vec::new());
    while message[at] != 0 {
        let label = &message[at + 1..=at + usize::from(message[at])];
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        at += 1 + label.len();
    }
    let kind = u16::from_be_bytes([message[end - 4], message[end - 3]]);
    (labels.join("."), kind)
}

fn answer(asked: &[u8], shared: &Shared) -> Option<Vec<u8>> {
    shared.asked.fetch_add(1, SeqCst);
    let (name, kind) = question(asked);
    let says = shared.says.lock().unwrap().get(&name).cloned();
    let (addresses, ttl, code) = match says.unwrap_or(Says::Code(3)) {
        Says::Has(addresses, ttl) => (addresses, ttl, 0),
        Says::Code(code) => (Vec::new(), 0, code),
        Says::HalfBroken(_, code) if kind == 28 => (Vec::new(), 0, code),
        Says::HalfBroken(addresses, _) => (addresses, 1, 0),
        Says::Nothing => return None,
    };
    let fits = |ip: &&IpAddr| kind == if ip.is_ipv4() { 1 } else { 28 };
    let records: Vec<&IpAddr> = addresses.iter().filter(fits).collect();
    let mut message = asked[..question_end(asked)].to_vec();
    message[2] = 0x81; // an answer to a question that wants recursion
    message[3] = 0x80 | code;
    let count = u16::try_from(records.len()).expect("a few records");
    message[4..12].copy_from_slice(&[
        0,
        1,
        count.to_be_bytes()[0],
        count.to_be_bytes()[1],
        0,
        0,
        0,
        0,
    ]);
    for ip in records {
        message.extend([0xc0, 12]); // the name of the question
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message.extend(ttl.to_be_bytes());
        match ip {
            IpAddr::V4(ip) => message.extend([&[0, 4][..], &ip.octets()].concat()),
            IpAddr::V6(ip) => message.extend([&[0, 16][..], &ip.octets()].concat()),
        }
    }
    Some(message)
}
