//! What a client is sent of a stored answer in the express lane: in which form, whether it has it already, and the head.

use std::sync::Arc;

use http::{StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;

use super::super::encode::choice;
use super::super::lookup::form::{AtHand, at_hand};
use super::super::lookup::head::{self, Sink, has_no_body, number};
use super::super::lookup::offer::{Deciding, Offer, has_terms, held};
use super::super::lookup::parts::Parts;
use super::super::lookup::{Cached, seconds_left};
use super::super::trace::Says;
use super::hit::Source;
use crate::base::coding::Coding;
use crate::base::fields::Fields;
use crate::cache::entry::Entry;
use crate::cache::policy::life::Millis;
use crate::live::control::Control;
use crate::live::snapshot::Snapshot;

/// What is sent of a stored answer.
pub struct Answer<'a> {
    offer: Offer<'a>,
    parts: Parts,
    /// What is there in the form of the choice; `None`: the client has it already.
    at_hand: Option<AtHand<'a>>,
}

impl<'a> Answer<'a> {
    /// `None`: it is not at hand in the form that the client gets.
    pub fn of(
        request: &impl Fields,
        rules: choice::Rules<'_>,
        entry: &'a Entry,
    ) -> Option<Answer<'a>> {
        let wants = rules.map(|(_, wants)| wants);
        let length = Some(entry.body.len());
        let mut answer = Answer {
            offer: Offer {
                head: &entry.head,
                life: &entry.life,
                choice: choice::of_stored(rules, &entry.head, length, false),
                length,
                is_by_date: !request.has(&header::IF_NONE_MATCH),
            },
            parts: Parts::Whole,
            at_hand: None,
        };
        if has_terms(request) {
            let deciding = Deciding::of(&entry.head);
            if let Some(form) = held(request, wants, &answer.offer, &deciding) {
                answer.offer.choice.to = form;
                answer.parts = Parts::NotModified;
                return Some(answer);
            }
        }
        let found = at_hand(entry, answer.offer.choice, wants)?;
        answer.offer.choice = found.choice;
        answer.offer.is_by_date = false;
        answer.offer.length = Some(found.body().map_or(entry.body.len(), |body| body.len()));
        answer.at_hand = Some(found);
        Some(answer)
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.parts.status().unwrap_or(self.offer.head.status)
    }

    /// How the body is written that its head speaks of.
    pub fn encoding(&self) -> Option<Coding> {
        let choice = &self.offer.choice;
        match self.at_hand {
            None => None,
            Some(_) if choice.changes() => Some(choice.to),
            Some(_) => self.offer.head.coding(),
        }
    }

    /// Which body is sent, and how long it is. `is_head`: none is.
    pub fn sent(&self, is_head: bool) -> (Source, u64) {
        let length = self.offer.length.unwrap_or_default();
        let no_body = is_head || has_no_body(self.offer.head.status);
        match self.at_hand.as_ref().filter(|_| !no_body) {
            None => (Source::Nothing, 0),
            Some(found) if found.body().is_some() => (Source::Form(self.offer.choice.to), length),
            Some(_) => (Source::Own, length),
        }
    }

    /// It is sent: what is popular may be made smaller, and why it is not compressed is counted.
    pub fn is_used(&self, control: &Control, now: &Snapshot, route: usize, entry: &Arc<Entry>) {
        let (Some(found), Some(rules)) = (&self.at_hand, &now.compressing[route]) else {
            return;
        };
        found.is_used(control, now, entry, &rules.rules);
        if let Some(why) = self.offer.choice.skipped {
            control.metrics.compression.skipped(why);
        }
    }

    /// Writes the fields of its head, but for those that say how its body is framed.
    fn fields(
        &self,
        out: &mut impl Sink,
        entry: &Arc<Entry>,
        at: At,
        show_key: bool,
    ) -> Result<()> {
        let ttl = seconds_left(entry.life.fresh_until(at.expired_at), at.now);
        let cached = Cached::hit(show_key.then_some(&entry.key), ttl);
        let age = entry.life.age(at.now) / 1_000;
        head::write(out, &self.offer, &self.parts, (Some(age), &cached))
    }

    /// What its head says of the length of its body.
    fn length(&self) -> Option<u64> {
        let framed = self.at_hand.is_some() && !has_no_body(self.offer.head.status);
        self.offer.length.filter(|_| framed)
    }

    /// Its whole head, as fields.
    ///
    /// # Errors
    /// When a field cannot be set, which does not happen.
    pub fn head(&self, entry: &Arc<Entry>, at: At, how: How<'_>) -> Result<ResponseHeader> {
        let mut head = ResponseHeader::build_no_case(self.status(), Some(16))?;
        self.fields(&mut head, entry, at, how.show_key)?;
        how.says.put(&mut head)?;
        if let Some(length) = self.length() {
            head.insert_header(header::CONTENT_LENGTH, length)?;
        }
        Ok(head)
    }

    /// Writes its whole head.
    pub fn write(&self, out: &mut Vec<u8>, entry: &Arc<Entry>, at: At, how: How<'_>) {
        status_line(out, self.status());
        self.fields(out, entry, at, how.show_key)
            .expect("invariant: bytes can always be written into memory");
        how.says.write(out);
        if let Some(length) = self.length() {
            out.extend_from_slice(b"Content-Length: ");
            number(out, length);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(match how.closes {
            true => b"Connection: close\r\n\r\n",
            false => b"Connection: keep-alive\r\n\r\n",
        });
    }
}

/// When an answer is sent.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// By the clock of the cache.
    pub now: Millis,
    /// When what is stored was purged softly.
    pub expired_at: Option<Millis>,
}

/// How it is sent.
#[derive(Debug, Clone, Copy)]
pub struct How<'a> {
    /// `Cache-Status` names the key.
    pub show_key: bool,
    /// The connection ends with it.
    pub closes: bool,
    /// What it says of the request.
    pub says: Says<'a>,
}

fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}
