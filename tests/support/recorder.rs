//! An origin that writes down every byte and reads it by the letter ([`strict`]).
//!
//! It answers each whole request with the id it finds in it (`~123~` in the target or a field), so that an answer
//! given to the wrong request is seen. What it cannot read it never answers: that is a fault of the proxy, told by
//! [`Recorder::faults`]. What it can read but the proxy should not have written so, it answers and remembers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::notation::show;
use super::strict::{self, Body, Not, Request};

/// Number of a request, written `~number~` in it.
pub type Id = u64;

/// How an id stands in a request.
pub fn mark(id: Id) -> String {
    format!("~{id}~")
}

/// Every id in some bytes.
pub fn marks(bytes: &[u8]) -> Vec<Id> {
    let mut parts = bytes.split(|b| *b == b'~');
    parts.next();
    let number = |p: &[u8]| std::str::from_utf8(p).ok()?.parse().ok();
    parts.filter_map(number).collect()
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Taken {
    /// As it was read; without its body when that never came to its end.
    pub request: Request,
    /// Every byte of the head.
    pub head: Vec<u8>,
    /// Whether it came to its end.
    pub whole: bool,
    /// What about it is not in the form in which the proxy writes heads.
    pub fault: Option<String>,
}

/// A running recorder. Its `{}` is a node entry of the configuration file.
pub struct Recorder {
    addr: SocketAddr,
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    taken: BTreeMap<Id, Vec<Taken>>,
    faults: Vec<String>,
    whole: usize,
    bytes: usize,
}

impl Recorder {
    /// Starts listening.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("a bound socket");
        let book: Arc<Mutex<Book>> = Arc::default();
        let shared = book.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(record(stream, shared.clone()));
            }
        });
        Recorder { addr, book }
    }

    /// Requests with this id, those cut off included.
    pub fn of(&self, id: Id) -> Vec<Taken> {
        let book = self.book.lock().unwrap();
        book.taken.get(&id).cloned().unwrap_or_default()
    }

    /// Number of whole requests of each id.
    pub fn wholes(&self) -> BTreeMap<Id, usize> {
        let book = self.book.lock().unwrap();
        let whole = |taken: &Vec<Taken>| taken.iter().filter(|t| t.whole).count();
        let all = book.taken.iter().map(|(id, taken)| (*id, whole(taken)));
        all.filter(|(_, n)| *n > 0).collect()
    }

    /// Number of whole requests.
    pub fn requests(&self) -> usize {
        self.book.lock().unwrap().whole
    }

    /// Number of bytes it got.
    pub fn bytes(&self) -> usize {
        self.book.lock().unwrap().bytes
    }

    /// What the proxy sent that is no request.
    pub fn faults(&self) -> Vec<String> {
        self.book.lock().unwrap().faults.clone()
    }
}

impl fmt::Display for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ addr: \"{}\", id: recorder }}", self.addr)
    }
}

async fn record(mut stream: TcpStream, book: Arc<Mutex<Book>>) {
    let _ = stream.set_nodelay(true);
    let mut buf = Vec::new();
    loop {
        match request(&mut stream, &mut buf, &book).await {
            Ok(Some(answer)) => {
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(fault) => return book.lock().unwrap().faults.push(fault),
        }
    }
}

/// Reads one request and notes it; its answer, `None` at the end of the connection.
async fn request(
    stream: &mut TcpStream,
    buf: &mut Vec<u8>,
    book: &Mutex<Book>,
) -> Result<Option<Vec<u8>>, String> {
    let head = loop {
        match strict::head(buf) {
            Ok(head) => break head,
            Err(Not::Ever(why)) => return Err(format!("no head ({why}): {}", show(buf))),
            Err(Not::Yet) if !more(stream, buf, book).await => {
                let rest = || format!("a part of a head: {}", show(buf));
                return if buf.is_empty() {
                    Ok(None)
                } else {
                    Err(rest())
                };
            }
            Err(Not::Yet) => {}
        }
    };
    let raw = buf[..head.head].to_vec();
    let fault = canonical(&head, &raw).err();
    let expects = !head.all("expect").is_empty();
    let mut taken = Taken {
        fault: fault.map(|why| format!("not canonical, {why}: {}", show(&raw))),
        head: raw,
        whole: false,
        request: head,
    };
    let mut body = Body::of(&taken.request);
    let mut waits = expects;
    loop {
        // At its end it is not asked again: what follows is another request.
        match body.advance(&buf[taken.request.head..]) {
            Ok(()) => break,
            Err(Not::Yet) => {
                if std::mem::take(&mut waits) {
                    // Who left meanwhile is noticed when reading.
                    let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
                }
                if !more(stream, buf, book).await {
                    note(book, taken);
                    return Ok(None);
                }
            }
            Err(Not::Ever(why)) => return Err(format!("body ({why}): {}", show(buf))),
        }
    }
    taken.whole = true;
    taken.request.length = taken.request.head + body.at;
    buf.drain(..taken.request.length);
    taken.request.body = body.data;
    let answer = answer(&taken);
    note(book, taken);
    Ok(Some(answer))
}

fn answer(taken: &Taken) -> Vec<u8> {
    let Request { method, body, .. } = &taken.request;
    let id = marks(&taken.head).first().copied().unwrap_or(0);
    let text = format!("{} {}\n", mark(id), body.len());
    let length = text.len();
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nX-Id: {}\r\nContent-Length: {length}\r\n\r\n",
        mark(id)
    );
    if method != "HEAD" {
        answer.push_str(&text);
    }
    answer.into_bytes()
}

fn note(book: &Mutex<Book>, taken: Taken) {
    let mut ids = marks(&taken.head);
    ids.dedup();
    let mut book = book.lock().unwrap();
    book.whole += usize::from(taken.whole);
    let id = match ids.as_slice() {
        [id] => *id,
        _ => {
            let fault = format!("a head with the ids {ids:?}: {}", show(&taken.head));
            book.faults.push(fault);
            ids.first().copied().unwrap_or(0)
        }
    };
    book.taken.entry(id).or_default().push(taken);
}

async fn more(stream: &mut TcpStream, buf: &mut Vec<u8>, book: &Mutex<Book>) -> bool {
    let before = buf.len();
    // A reset is an end like any other: what counts is what came before it.
    let read = matches!(stream.read_buf(buf).await, Ok(n) if n > 0);
    book.lock().unwrap().bytes += buf.len() - before;
    read
}

/// Fields of one connection that have no business on another one, and fields that no node may see.
const NEVER: [&str; 14] = [
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "proxy-authenticate",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "proxy",
    "x-forwarded-prefix",
];

/// Whether a head is in the one form in which the proxy writes heads.
pub fn canonical(head: &Request, raw: &[u8]) -> Result<(), String> {
    let minor_is_1 = head.minor == 1;
    if !minor_is_1 {
        return Err("not HTTP/1.1".into());
    }
    let (path, _) = head.target.split_once('?').unwrap_or((&head.target, ""));
    let dots = path.split('/').any(|s| matches!(s, "." | ".."));
    if !path.starts_with('/') || path.contains("//") || dots {
        return Err("target".into());
    }
    if head.all("host").len() != 1 {
        return Err("not one Host".into());
    }
    let websocket = head.names("upgrade", "websocket") && head.names("connection", "upgrade");
    for name in NEVER {
        let agreed = websocket && name == "upgrade";
        if !agreed && !head.all(name).is_empty() {
            return Err(format!("the field {name}"));
        }
    }
    if let Some((name, _)) = head.fields.iter().find(|(name, _)| name.contains('_')) {
        return Err(format!("the field {name}"));
    }
    let usual = |v: &&[u8]| matches!(v.to_ascii_lowercase().as_slice(), b"keep-alive" | b"close");
    if !websocket && !head.all("connection").iter().all(usual) {
        return Err("Connection".into());
    }
    // The second opinion: the parser that the rest of the world uses.
    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut second = httparse::Request::new(&mut fields);
    let whole = matches!(second.parse(raw), Ok(httparse::Status::Complete(n)) if n == raw.len());
    let same = second.method == Some(&head.method)
        && second.path == Some(&head.target)
        && second.version == Some(head.minor)
        && second.headers.len() == head.fields.len()
        && second
            .headers
            .iter()
            .zip(&head.fields)
            .all(|(a, b)| a.name == b.0 && a.value == b.1);
    if whole && same {
        Ok(())
    } else {
        Err("httparse reads it otherwise".into())
    }
}
