//! An HTTP probe: one request, and whether its answer is a good one.
//!
//! The answer is read as strictly as those that go to clients: a node that answers in two ways at once is not well.
//! Of a body no more is read than is looked at, and without need none.

use http::{HeaderName, HeaderValue, header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Outcome;
use super::agent::{self, Said};
use super::stream::Wire;
use crate::config::checked::{BodyMatch, HttpProbe, codes};
use crate::wire::answer::{self, Answer, Asked, Framing};
use crate::wire::chunks::Chunks;
use crate::wire::head::{self, Body};

/// The largest head of an answer.
const HEAD_AT_MOST: usize = 64 * 1024;
/// So much of a body is looked at.
const BODY_AT_MOST: usize = 64 * 1024;
/// Interim answers before the answer.
const INTERIMS_AT_MOST: usize = 16;
/// Trailer fields, in bytes: nobody reads them.
const TRAILERS_AT_MOST: u32 = 16 * 1024;
/// One read.
const READ: usize = 4 * 1024;

/// What is asked, ready to be sent.
pub struct Question {
    request: Vec<u8>,
    asked: Asked,
    expect: Vec<(u16, u16)>,
    body: Option<BodyMatch>,
}

impl Question {
    /// Prepares it.
    pub fn new(
        probe: &HttpProbe,
        host: &HeaderValue,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Self {
        let mut request = format!("{} {} HTTP/1.1\r\n", probe.method, probe.path).into_bytes();
        let mut field = |name: &str, value: &[u8]| {
            request.extend_from_slice(name.as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value);
            request.extend_from_slice(b"\r\n");
        };
        field("Host", host.as_bytes());
        let given = |name| headers.iter().any(|(given, _)| *given == name);
        if !given(header::USER_AGENT) {
            field("User-Agent", b"tidegate-health");
        }
        if !given(header::ACCEPT) {
            field("Accept", b"*/*");
        }
        for (name, value) in headers {
            field(name.as_str(), value.as_bytes());
        }
        field("Connection", b"close");
        request.extend_from_slice(b"\r\n");
        Question {
            asked: Asked {
                head_only: probe.method == http::Method::HEAD,
                upgrade: false,
                // A 304 is an answer like any other here: what counts is whether it is expected.
                conditional: true,
                body: Body::Sized(0),
            },
            request,
            expect: probe.expect.clone(),
            body: probe.body.clone(),
        }
    }

    /// Asks over `stream`.
    pub async fn ask(&self, stream: Box<dyn Wire>) -> Outcome {
        let mut reading = Reading {
            stream,
            bytes: Vec::new(),
        };
        match self.head(&mut reading).await {
            Ok((answer, head)) => Outcome {
                said: Some(said(&head)),
                verdict: self.judge(&answer, reading).await,
            },
            Err(why) => Outcome {
                verdict: Err(why),
                said: None,
            },
        }
    }

    /// Sends the request and reads the head of its answer.
    async fn head(&self, reading: &mut Reading) -> Result<(Answer, Vec<u8>), String> {
        let sent = reading.stream.write_all(&self.request).await;
        sent.map_err(|_| "connection closed before an answer")?;
        let flushed = reading.stream.flush().await;
        flushed.map_err(|_| "connection closed before an answer")?;
        for _ in 0..=INTERIMS_AT_MOST {
            let head = reading.head().await?;
            let answer = answer::check(&head, &self.asked)
                .map_err(|bad| format!("the answer is not HTTP: {}", bad.in_words()))?;
            if answer.framing != Framing::Interim {
                return Ok((answer, head));
            }
        }
        Err("more than 16 interim answers".into())
    }

    async fn judge(&self, answer: &Answer, mut reading: Reading) -> Result<(), String> {
        let status = answer.status;
        if !self
            .expect
            .iter()
            .any(|(lo, hi)| (*lo..=*hi).contains(&status))
        {
            return Err(format!(
                "status {status}, expected {}",
                codes(&self.expect).join(", ")
            ));
        }
        let Some(wanted) = &self.body else {
            return Ok(());
        };
        let body = reading.body(answer.framing).await?;
        let lacks = |what: String| Err(format!("status {status}, but the body lacks {what}"));
        match wanted {
            BodyMatch::Text(text) => match memchr::memmem::find(&body, text.as_bytes()) {
                Some(_) => Ok(()),
                None => lacks(format!("\"{}\"", shortened(text))),
            },
            BodyMatch::Regex(regex) => match regex.is_match(&String::from_utf8_lossy(&body)) {
                true => Ok(()),
                false => lacks(format!("what /{}/ finds", shortened(regex.as_str()))),
            },
        }
    }
}

/// Whether a node begins with SETTINGS (RFC 9113 §6.5), as one does that knows nothing but HTTP/2.
fn is_http2(bytes: &[u8]) -> bool {
    matches!(bytes, [0, _, _, 4, 0, 0, 0, 0, 0, ..])
}

/// An answer as it comes.
struct Reading {
    stream: Box<dyn Wire>,
    /// Read, and not yet looked at.
    bytes: Vec<u8>,
}

impl Reading {
    /// Reads more. `false`: the node closed.
    async fn more(&mut self) -> Result<bool, String> {
        let mut piece = [0; READ];
        match self.stream.read(&mut piece).await {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.bytes.extend_from_slice(&piece[..n]);
                Ok(true)
            }
            // Over TLS: it closed without saying so.
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(_) => Err("connection broken before the end of an answer".into()),
        }
    }

    /// The next head, taken out.
    async fn head(&mut self) -> Result<Vec<u8>, String> {
        const BEGIN: &[u8] = b"HTTP/1.";
        let mut searched = 0;
        loop {
            let seen = self.bytes.len().min(BEGIN.len());
            if is_http2(&self.bytes) {
                let why = "the node speaks HTTP/2, and these checks HTTP/1.1: use `type: grpc` or `type: tcp`";
                return Err(why.into());
            }
            if self.bytes[..seen] != BEGIN[..seen] {
                let words = answer::Bad::Syntax.in_words();
                return Err(format!("the answer is not HTTP: {words}"));
            }
            let end = head::end(&self.bytes, searched);
            if end.unwrap_or(self.bytes.len()) > HEAD_AT_MOST {
                return Err("the answer is not HTTP: a head of more than 64 KiB".into());
            }
            if let Some(end) = end {
                let rest = self.bytes.split_off(end);
                return Ok(std::mem::replace(&mut self.bytes, rest));
            }
            searched = self.bytes.len();
            if !self.more().await? {
                return Err("connection closed before an answer".into());
            }
        }
    }

    /// The body, or its beginning.
    async fn body(&mut self, framing: Framing) -> Result<Vec<u8>, String> {
        let mut chunks = Chunks::new(TRAILERS_AT_MOST);
        let mut body = Vec::new();
        loop {
            let whole = match framing {
                Framing::None | Framing::Interim | Framing::Tunnel => return Ok(body),
                Framing::Sized(length) => {
                    body.append(&mut self.bytes);
                    body.len() as u64 >= length
                }
                Framing::UntilClose => {
                    body.append(&mut self.bytes);
                    false
                }
                Framing::Chunked => {
                    dechunk(&mut chunks, &self.bytes, &mut body)?;
                    self.bytes.clear();
                    chunks.is_over()
                }
            };
            if whole || body.len() >= BODY_AT_MOST {
                let end = match framing {
                    Framing::Sized(length) => length.min(BODY_AT_MOST as u64) as usize,
                    _ => BODY_AT_MOST,
                };
                body.truncate(end);
                return Ok(body);
            }
            if !self.more().await? {
                return match framing {
                    Framing::UntilClose => Ok(body),
                    _ => Err("connection closed before the end of the answer".into()),
                };
            }
        }
    }
}

/// Adds the data of a chunked body's next bytes to `body`. Byte by byte: the reader of chunks says where they end and
/// copies nothing, and a probe's body is small.
fn dechunk(chunks: &mut Chunks, bytes: &[u8], body: &mut Vec<u8>) -> Result<(), String> {
    for byte in bytes {
        let before = chunks.data();
        let scanned = chunks.scan(std::slice::from_ref(byte));
        scanned.map_err(|bad| format!("the answer is not HTTP: {}", bad.in_words()))?;
        if chunks.data() > before {
            body.push(*byte);
        }
    }
    Ok(())
}

/// What the fields of a checked head say of the node.
fn said(head: &[u8]) -> Said {
    let mut said = Said::default();
    for line in head.split(|b| *b == b'\n').skip(1) {
        if let Some(colon) = memchr::memchr(b':', line)
            && line[..colon].eq_ignore_ascii_case(agent::FIELD.as_bytes())
        {
            said.read(&line[colon + 1..]);
        }
    }
    said
}

/// A text of the file, short enough for a line of the status page.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests;
