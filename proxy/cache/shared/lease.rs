//! Who of the cluster fetches, and how the others wait.
//!
//! One who finds nothing takes the lease on it and fetches; the others look again every few milliseconds until the answer
//! is there, the holder says that there will be none for them, or the lease is gone: then it is theirs to take. A
//! holder that dies is missed after a second. Whatever Redis does, nobody waits longer than they were told to, and two
//! who fetch the same thing do no harm.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::entries::{Ask, Entries, Looked};
use super::queue::Note;
use super::stats::count;
use crate::cache::store::Loaded;
use crate::kv::{Command, Fault, Op, Reply};

/// How long a lease lasts when its holder dies.
const LASTS: u64 = 1_000;
/// How often its holder says that it lives.
const RENEWED: Duration = Duration::from_millis(300);
/// How long it is still there when the answer is, or the holder's word: longer than the longest pause.
const LINGERS: u64 = 150;
/// Milliseconds between looks; the last goes on.
const PAUSES: [u64; 4] = [10, 20, 40, 50];

/// A lease as it stands in Redis.
#[derive(Debug, Clone)]
pub struct Ticket {
    pub(super) place: String,
    pub(super) token: String,
}

/// What a holder leaves for those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Nothing: the next one may try.
    Free,
    /// There will be no answer for them: they go on by themselves.
    Go,
    /// The answer is for nobody else, and nobody need wait for one for so many milliseconds.
    NotStorable(u64),
    /// It is written.
    Written,
}

impl Word {
    fn write(self) -> String {
        match self {
            Word::Free | Word::Written => String::new(),
            Word::Go => "go".into(),
            Word::NotStorable(millis) => format!("no:{millis}"),
        }
    }

    /// A holder's word; `None`: its token, it still fetches.
    fn read(text: &[u8]) -> Option<Word> {
        if text == b"go" {
            return Some(Word::Go);
        }
        let digits = std::str::from_utf8(text.strip_prefix(b"no:")?).ok()?;
        digits.parse().ok().map(Word::NotStorable)
    }
}

/// The right to fetch in the name of the cluster. Dropped, it is given back.
#[derive(Debug)]
pub struct Lease {
    entries: Arc<Entries>,
    ticket: Option<Ticket>,
}

impl Lease {
    /// Gives it back with this word.
    pub fn ends(mut self, word: Word) {
        self.give_back(word);
    }

    /// To be given back by who writes the answer.
    pub(super) fn into_ticket(mut self) -> Option<Ticket> {
        self.ticket.take()
    }

    /// Says every now and then that its holder lives, until it is somebody else's.
    pub fn renewed(&self) -> impl Future<Output = ()> + Send + use<> {
        let (entries, ticket) = (Arc::clone(&self.entries), self.ticket.clone());
        async move {
            let Some(ticket) = ticket else { return };
            loop {
                sleep(RENEWED).await;
                let renewal = [entries.scripts().lease(&ticket, LASTS, "")];
                let said = entries.kv().ask_patiently(Op::Lease, &renewal).await;
                if said.is_ok_and(|replies| replies.first() == Some(&Reply::Int(0))) {
                    return; // it is not ours any more
                }
            }
        }
    }

    fn give_back(&mut self, word: Word) {
        if let Some(ticket) = self.ticket.take() {
            self.entries.queue().note(Note::Release(ticket, word));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.give_back(Word::Free);
    }
}

impl Ticket {
    /// Gives the lease back with this word, if it is still the holder's.
    pub(super) fn release(&self, entries: &Entries, word: Word) -> Command {
        let millis = match word {
            Word::Free => 0,
            Word::Go | Word::NotStorable(_) | Word::Written => LINGERS,
        };
        entries.scripts().lease(self, millis, &word.write())
    }
}

/// What waiting comes to.
#[derive(Debug)]
pub enum Turn {
    /// The answer is there.
    Found(Box<Loaded>),
    /// It is ours to fetch, for all.
    Mine(Lease),
    /// It is ours to fetch, for ourselves.
    Alone,
    /// It is for nobody else; so for so many milliseconds.
    NotStorable(u64),
}

impl Entries {
    /// Takes the lease on what is asked for, or waits for who has it, no longer than `patience`. `looked`: what the last
    /// look said. What is found and not `wanted` is nothing.
    pub async fn turn(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        looked: Looked,
        patience: Duration,
        wanted: impl Fn(&Loaded) -> bool,
    ) -> Turn {
        let until = Instant::now() + patience;
        let mut variant = looked.variant;
        let mut pauses = PAUSES.iter().copied();
        let mut pause = PAUSES[0];
        let mut waited = false;
        let ticket = |place| Ticket {
            place,
            token: self.token(),
        };
        let mut mine = ticket(self.keys().lease(ask.url(), variant));
        loop {
            let Ok((word, looked)) = self.try_take(ask, &mine).await else {
                return Turn::Alone;
            };
            let found = looked.found.filter(|found| wanted(found));
            // Taken or not, the answer may have come before.
            let lease = (word == Holder::Me).then(|| Lease {
                entries: Arc::clone(self),
                ticket: Some(mine.clone()),
            });
            if let Some(found) = found {
                if waited {
                    count(&self.stats().leases_waited);
                }
                return Turn::Found(Box::new(found));
            }
            let ends = match word {
                Holder::Me => lease.map(Turn::Mine),
                Holder::Said(Word::NotStorable(millis)) => Some(Turn::NotStorable(millis)),
                Holder::Said(_) => Some(Turn::Alone),
                Holder::Another if Instant::now() >= until => Some(Turn::Alone),
                Holder::Another => None,
            };
            if let Some(turn) = ends {
                match turn {
                    Turn::Mine(_) => count(&self.stats().leases_won),
                    _ => count(&self.stats().leases_lost),
                }
                return turn;
            }
            waited = true;
            if looked.variant != variant {
                // By now it is known what answers vary by: who fetches another variant is not waited for.
                variant = looked.variant;
                mine = ticket(self.keys().lease(ask.url(), variant));
                continue;
            }
            pause = pauses.next().unwrap_or(pause);
            sleep(
                Duration::from_millis(pause).min(until.saturating_duration_since(Instant::now())),
            )
            .await;
        }
    }

    /// Takes the lease if nobody has it, and looks whether the answer is there.
    async fn try_take(&self, ask: &Ask<'_>, ticket: &Ticket) -> Result<(Holder, Looked), Fault> {
        let take = Command::new("SET").arg(&ticket.place).arg(&ticket.token);
        let take = take.arg("NX").arg("PX").arg(LASTS);
        let who = Command::new("GET").arg(&ticket.place);
        let left = Command::new("PTTL").arg(&ticket.place);
        let (replies, looked) = (self.look_behind(Op::Lease, vec![take, who, left], ask)).await?;
        Ok((Holder::of(&replies)?, looked))
    }
}

/// Who has a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Me,
    Another,
    /// Nobody any more.
    Said(Word),
}

impl Holder {
    /// Who has it, by the replies of [`Entries::try_take`].
    ///
    /// # Errors
    /// When nobody has it whom it would be worth waiting for: Redis gives no lease to anybody (it is full, or a replica), or
    /// what stands there is none of ours, or would never end.
    fn of(replies: &[Reply]) -> Result<Holder, Fault> {
        let foreign = || Fault::Broken("what stands in a lease's place is no lease".into());
        match replies {
            [Reply::Ok, ..] => Ok(Holder::Me),
            [Reply::Error(words), ..] => Err(Fault::Refused(words.clone())),
            // It was given back between the two.
            [Reply::Nil, Reply::Nil, Reply::Int(-2)] => Ok(Holder::Another),
            [Reply::Nil, Reply::Bytes(text), Reply::Int(left)] => {
                let ends = u64::try_from(*left).is_ok_and(|left| left <= LASTS) || *left == -2;
                match Word::read(text) {
                    _ if !ends => Err(foreign()),
                    Some(word) => Ok(Holder::Said(word)),
                    None if is_token(text) => Ok(Holder::Another),
                    None => Err(foreign()),
                }
            }
            _ => Err(foreign()),
        }
    }
}

/// Whether this is what a holder writes there: its id and a number.
fn is_token(text: &[u8]) -> bool {
    let mut parts = text.splitn(2, |byte| *byte == b'-');
    let (id, number) = (parts.next(), parts.next());
    id.is_some_and(|id| id.len() == 16 && id.iter().all(u8::is_ascii_hexdigit))
        && number.is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_it_was_written_and_a_token_is_none() {
        for word in [Word::Go, Word::NotStorable(60_000), Word::NotStorable(0)] {
            assert_eq!(Word::read(word.write().as_bytes()), Some(word));
        }
        let foreign: [&[u8]; 5] = [b"", b"00c0ffee-1", b"no:", b"no:x", b"no:-1"];
        for text in foreign {
            assert_eq!(Word::read(text), None);
        }
    }

    #[test]
    fn who_holds_a_lease_is_one_of_us_and_not_for_ever() {
        let bytes = |text: &'static str| Reply::Bytes(text.into());
        let of = |set, get, left| Holder::of(&[set, get, Reply::Int(left)]).ok();
        let token = || bytes("00112233445566ff-17");
        assert_eq!(of(Reply::Ok, token(), 1_000), Some(Holder::Me));
        assert_eq!(of(Reply::Nil, token(), 700), Some(Holder::Another));
        assert_eq!(of(Reply::Nil, Reply::Nil, -2), Some(Holder::Another));
        let word = of(Reply::Nil, bytes("go"), 100);
        assert_eq!(word, Some(Holder::Said(Word::Go)));
        for (set, get, left) in [
            (Reply::Nil, bytes("x"), 700),
            (Reply::Nil, token(), -1),
            (Reply::Nil, token(), 60_000),
            (Reply::Nil, Reply::Nil, -1),
            (Reply::Int(1), Reply::Int(1), 1),
            (Reply::Error("OOM".into()), Reply::Nil, -2),
        ] {
            assert_eq!(of(set.clone(), get.clone(), left), None, "{set:?} {get:?}");
        }
    }
}
