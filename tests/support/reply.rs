//! What an origin sees of a request, and the words in which a story tells it what to do.

use std::time::Duration;

use super::Gate;
use super::wire::Head;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Name of the origin it came to.
    pub node: String,
    /// The how-manieth request of that origin, from 0.
    pub serial: usize,
    /// Its head.
    pub head: Head,
    /// Its body without the framing; grows while it comes.
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub complete: bool,
}

impl Seen {
    /// Method of the request line.
    pub fn method(&self) -> &str {
        self.head.line.split(' ').next().unwrap_or_default()
    }

    /// Target of the request line.
    pub fn target(&self) -> &str {
        self.head.line.split(' ').nth(1).unwrap_or_default()
    }

    /// The client's own id of the request.
    pub fn id(&self) -> &str {
        self.head.get("x-id").unwrap_or("-")
    }
}

/// One step of an answer.
#[derive(Clone)]
pub enum Step {
    /// Waits.
    Wait(Duration),
    /// Waits until the story opens the gate.
    Gate(Gate),
    /// Status and fields; the origin adds `x-node`, `x-serial` and `x-id`.
    Head(u16, Vec<(String, String)>),
    /// Bytes as they are.
    Bytes(Vec<u8>),
    /// The same, even where an answer has no body (HEAD).
    Raw(Vec<u8>),
    /// One chunk; an empty one is the last.
    Chunk(Vec<u8>),
    /// The request's own body with its length.
    Mirror,
    /// Every further byte back to the sender, until it closes.
    Echo,
    /// Closes in order.
    Close,
    /// Resets the connection.
    Reset,
}

/// What an origin does with a request.
#[derive(Clone)]
pub struct Reply {
    /// Whether the request's body is read first.
    pub reads_body: bool,
    /// Whether `Expect: 100-continue` is met.
    pub continues: bool,
    /// What is done then.
    pub steps: Vec<Step>,
}

impl Reply {
    /// These steps.
    pub fn steps(steps: impl IntoIterator<Item = Step>) -> Self {
        Reply {
            reads_body: true,
            continues: true,
            steps: steps.into_iter().collect(),
        }
    }

    /// What an origin answers when nobody scripted it: its name, the serial and the request's id.
    pub fn usual(seen: &Seen) -> Self {
        Reply::text(format!("{} {} {}\n", seen.node, seen.serial, seen.id()))
    }

    /// 200 with this body and its length.
    pub fn text(body: impl Into<Vec<u8>>) -> Self {
        Reply::sized(200, body)
    }

    /// This status with this body and its length.
    pub fn sized(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let length = ("content-length".to_owned(), body.len().to_string());
        Reply::steps([Step::Head(status, vec![length]), Step::Bytes(body)])
    }

    /// A head that promises `length` bytes, and only these bytes, then an orderly close.
    pub fn short_of(length: usize, body: &str) -> Self {
        let length = ("content-length".to_owned(), length.to_string());
        Reply::steps([
            Step::Head(200, vec![length]),
            Step::Bytes(body.into()),
            Step::Close,
        ])
    }

    /// 200 with these chunks.
    pub fn chunked<B: Into<Vec<u8>>>(chunks: impl IntoIterator<Item = B>) -> Self {
        let head = [Reply::chunked_head()];
        let chunks = chunks.into_iter().map(|c| Step::Chunk(c.into()));
        let last = [Step::Chunk(Vec::new())];
        Reply::steps(head.into_iter().chain(chunks).chain(last))
    }

    /// The head of a chunked 200, for answers made of steps.
    pub fn chunked_head() -> Step {
        Step::Head(200, vec![("transfer-encoding".into(), "chunked".into())])
    }

    /// 200 with the request's body.
    pub fn mirror() -> Self {
        Reply::steps([Step::Mirror])
    }

    /// 101, then every byte back to the sender.
    pub fn websocket() -> Self {
        let fields = vec![
            ("upgrade".to_owned(), "websocket".to_owned()),
            ("connection".to_owned(), "upgrade".to_owned()),
        ];
        Reply::steps([Step::Head(101, fields), Step::Echo])
    }

    /// These bytes, whatever they are.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Reply::steps([Step::Raw(bytes.into())])
    }

    /// A reset instead of an answer.
    pub fn reset() -> Self {
        Reply::steps([Step::Reset])
    }

    /// Never answers.
    pub fn hangs() -> Self {
        Reply::steps([Step::Gate(Gate::closed())])
    }

    /// An orderly close instead of an answer.
    pub fn close() -> Self {
        Reply::steps([Step::Close])
    }

    /// The same, after a wait.
    pub fn after(mut self, wait: Duration) -> Self {
        self.steps.insert(0, Step::Wait(wait));
        self
    }

    /// The same, when the gate is open.
    pub fn when(mut self, gate: &Gate) -> Self {
        self.steps.insert(0, Step::Gate(gate.clone()));
        self
    }

    /// The same, then one more step.
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The same with one more field.
    pub fn field(mut self, name: &str, value: &str) -> Self {
        for step in &mut self.steps {
            if let Step::Head(_, fields) = step {
                fields.push((name.into(), value.into()));
            }
        }
        self
    }

    /// Answers without having read the body or said `100 Continue`, then closes.
    pub fn without_reading(mut self) -> Self {
        self.reads_body = false;
        self.continues = false;
        self.then(Step::Close)
    }
}

/// One chunk with its framing; the last one when there is no data.
pub fn chunk(data: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{:x}\r\n", data.len()).into_bytes();
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\r\n");
    bytes
}
