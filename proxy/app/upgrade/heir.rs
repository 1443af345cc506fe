//! The side of the process that takes over: it hears what the one before knows, and tells it how it went.
//!
//! Never ends because the one before did: from the moment that it has the ports, it can serve without it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

use super::{Go, Hello, LONGEST, Said, too_long};

/// How long the one before may take for a word. It is said at once, or never.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take from our readiness to its word: it finishes first what needs the ports.
const GOES: Duration = Duration::from_secs(40);

/// The process that we take over from.
#[derive(Debug)]
pub struct Predecessor {
    stream: BufReader<UnixStream>,
    /// What it said.
    pub hello: Hello,
}

impl Predecessor {
    /// Hears what it says.
    ///
    /// # Errors
    /// When it says nothing that can be understood.
    pub fn hear(stream: UnixStream) -> Result<Self, String> {
        let mut stream = BufReader::new(stream);
        let line = read(&mut stream, PATIENCE)
            .map_err(|e| format!("the process that is to be replaced says nothing: {e}"))?;
        let hello = Hello::read(&line)
            .ok_or("the process that is to be replaced says nothing that this version understands; restart instead")?;
        Ok(Predecessor { stream, hello })
    }

    /// We could accept. Returns at the word that we may, with what was changed at run time until then; also where the one
    /// before is gone, with what it had said before: nobody else serves then.
    ///
    /// # Errors
    /// When it is there and says nothing.
    pub fn ready(&mut self) -> Result<Value, String> {
        self.say(&Said::Ready);
        match read(&mut self.stream, GOES) {
            Ok(line) => Go::read(&line).map(|Go(changes)| changes).ok_or_else(|| {
                "the process that is to be replaced says nothing that this version understands; restart instead".into()
            }),
            Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                Ok(self.hello.changes.clone())
            }
            Err(e) => Err(format!("the process that is to be replaced does not let go of the ports: {e}")),
        }
    }

    /// We accept on these ports. Returns once it has heard, and told the service manager who we are; or is gone.
    pub fn serves(mut self, ports: Vec<String>) {
        self.say(&Said::Serves {
            version: env!("CARGO_PKG_VERSION").into(),
            ports,
        });
        let _ = read(&mut self.stream, PATIENCE);
    }

    /// We cannot take over, and end.
    pub fn failed(mut self, why: &str) {
        self.say(&Said::Failed(why.into()));
    }

    fn say(&mut self, said: &Said) {
        // If it is gone, there is nobody to tell.
        let _ = self.stream.get_mut().write_all(said.line().as_bytes());
    }
}

fn read(stream: &mut BufReader<UnixStream>, patience: Duration) -> std::io::Result<String> {
    stream.get_ref().set_read_timeout(Some(patience))?;
    let mut line = String::new();
    stream.take(LONGEST as u64).read_line(&mut line)?;
    match line.ends_with('\n') {
        true => Ok(line),
        false if line.len() >= LONGEST => Err(too_long()),
        false => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}
