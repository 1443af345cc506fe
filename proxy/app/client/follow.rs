//! What a running proxy goes on telling: server-sent events, read on a thread of their own.
//!
//! A thread, so that whoever reads them can see that nothing comes any more: the proxy breathes now and then, and one
//! that does not is gone, whatever the connection says. Bounded: a reader that is slow lets the proxy wait, which
//! counts what is lost.

use std::io::{BufRead, BufReader};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::{Failed, PATIENCE, Proxy};

/// Events that wait for the reader.
const WAITING: usize = 256;
/// A proxy that says nothing for so long, not even that it lives, is gone.
const SILENCE: Duration = Duration::from_secs(35);

/// An event.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// Its kind.
    pub name: String,
    /// What it says.
    pub data: String,
}

/// Why there is nothing to follow.
#[derive(Debug)]
pub enum Cut {
    /// Nobody answers.
    Gone(Failed),
    /// The proxy will not.
    Refused(Failed),
}

/// What came within a time.
#[derive(Debug)]
pub enum Next {
    /// This.
    Event(Event),
    /// Nothing, so far.
    Nothing,
    /// The end.
    End,
}

/// Events as they come.
pub struct Feed {
    events: Receiver<Option<Event>>,
    silent: Duration,
}

impl Proxy<'_> {
    /// Follows what is told at a path.
    pub fn follow(&self, path: &str) -> Result<Feed, Cut> {
        let request = self.agent.get(format!("http://{}{path}", self.addr));
        let request = self.with_token(request).map_err(Cut::Refused)?;
        let endless = request.config().timeout_global(None);
        let patient = endless
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE));
        let answer = patient.build().call();
        match answer {
            Ok(answer) if answer.status().is_success() => {
                let kind = answer.headers().get("content-type");
                if kind.is_none_or(|kind| !kind.as_bytes().starts_with(b"text/event-stream")) {
                    return Err(Cut::Refused(self.is_somebody_else()));
                }
                let (tell, events) = sync_channel(WAITING);
                let body = BufReader::new(answer.into_body().into_reader());
                std::thread::spawn(move || read(body, &tell));
                Ok(Feed {
                    events,
                    silent: Duration::ZERO,
                })
            }
            Err(e) => Err(Cut::Gone(self.unreachable(&e))),
            refused => match self.understood(refused) {
                Ok(_) => Err(Cut::Refused(self.is_somebody_else())),
                Err(why) => Err(Cut::Refused(why)),
            },
        }
    }
}

impl Feed {
    /// The next event, if it comes in time.
    pub fn next(&mut self, within: Duration) -> Next {
        let within = within.min(SILENCE);
        match self.events.recv_timeout(within) {
            Ok(event) => {
                self.silent = Duration::ZERO;
                event.map_or(Next::Nothing, Next::Event)
            }
            Err(RecvTimeoutError::Timeout) => {
                self.silent += within;
                match self.silent >= SILENCE {
                    true => Next::End,
                    false => Next::Nothing,
                }
            }
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }
}

/// Reads events to their end, or until nobody wants them (WHATWG HTML §9.2.6). `None` is a sign of life.
fn read(mut from: impl BufRead, tell: &SyncSender<Option<Event>>) {
    let (mut name, mut data) = (String::new(), String::new());
    let mut line = String::new();
    loop {
        line.clear();
        if !matches!(from.read_line(&mut line), Ok(1..)) {
            return;
        }
        let text = line.trim_end_matches(['\r', '\n']);
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        let told = match field {
            "event" => {
                name = value.to_owned();
                continue;
            }
            "data" => {
                if !data.is_empty() {
                    data.push('\n');
                }
                data.push_str(value);
                continue;
            }
            "" if text.is_empty() && !data.is_empty() => Some(Event {
                name: std::mem::take(&mut name),
                data: std::mem::take(&mut data),
            }),
            "" => None,
            _ => continue,
        };
        if tell.send(told).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_are_written() {
        let (tell, told) = sync_channel(9);
        let text = "event: line\ndata: {\"a\": \"b:c\"}\n\n:\n\nid: 7\nevent:lost\r\ndata:1\r\ndata: 2\r\n\r\nevent: cut";
        read(text.as_bytes(), &tell);
        drop(tell);
        let events: Vec<_> = told.into_iter().flatten().collect();
        let event = |name: &str, data: &str| Event {
            name: name.into(),
            data: data.into(),
        };
        assert_eq!(
            events,
            [event("line", "{\"a\": \"b:c\"}"), event("lost", "1\n2")]
        );
    }
}
