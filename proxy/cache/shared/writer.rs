//! Writes answers behind the requests, a few at a time.
//!
//! An answer becomes a value when it is its turn, so that its age is right; that happens on no thread that serves
//! requests or drives sockets. What Redis does not take is not tried again: the next fetch is the next try.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::task::spawn_blocking;

use super::codec::{self, ANSWER, Answer, Encoded};
use super::entries::Entries;
use super::keys::url_hash;
use super::lease::Word;
use super::queue::{Job, Note};
use super::scripts::Put;
use super::stats::{Dropped, count};
use crate::cache::entry::Entry;
use crate::cache::policy::life::Millis;
use crate::kv::{Command, Link, Op, Reply};

/// What of a stored answer is written.
pub(super) fn answer(entry: &Entry) -> Answer<'_> {
    Answer {
        key: entry.key.bytes(),
        life: entry.life,
        head: &entry.head,
        body: entry.body.pieces(),
        selection: &entry.selection,
    }
}

impl Entries {
    /// Writes what is offered, for as long as it runs.
    pub async fn write(self: Arc<Self>, now: impl Fn() -> Millis + Clone + Send + 'static) {
        let mut link = None;
        loop {
            self.queue().news().await;
            let (notes, jobs) = self.queue().take(self.stats());
            if !self.is_up() {
                self.stats().dropped(Dropped::Down, jobs.len());
                continue;
            }
            self.tell(&notes).await;
            if !jobs.is_empty() {
                self.write_some(jobs, &mut link, now.clone()).await;
            }
        }
    }

    /// Tells who waits. A word that does not arrive is not missed for long: leases end by themselves.
    async fn tell(&self, notes: &[Note]) {
        let command = |note: &Note| match note {
            Note::Release(ticket, word) => ticket.release(self, *word),
            Note::Forget(place) => self.scripts().forget(place),
        };
        let commands: Vec<Command> = notes.iter().map(command).collect();
        if !commands.is_empty() {
            let _ = self.kv().ask_patiently(Op::Lease, &commands).await;
        }
    }

    async fn write_some(
        &self,
        jobs: Vec<Job>,
        link: &mut Option<Link>,
        now: impl Fn() -> Millis + Send + 'static,
    ) {
        let many = jobs.len();
        let encoded = spawn_blocking(move || {
            let all = jobs.into_iter().map(|job| {
                let is_good = job.entry.expired_at().is_none();
                let encoded = is_good
                    .then(|| codec::encode(&answer(&job.entry), job.position, now(), job.ttl_max))
                    .flatten();
                (job, encoded)
            });
            all.collect::<Vec<_>>()
        });
        let Ok(encoded) = encoded.await else {
            return self.stats().dropped(Dropped::Over, many); // it panicked; the hook told it
        };
        let mut notes = Vec::new();
        let mut ends = |job: Job, word| notes.extend(job.lease.map(|t| Note::Release(t, word)));
        let (mut commands, mut sent) = (Vec::new(), Vec::new());
        for (job, encoded) in encoded {
            match encoded {
                Some(encoded) => {
                    commands.push(self.put(&job, &encoded));
                    sent.push((job, encoded.answer.len() as u64));
                }
                None => {
                    self.stats().dropped(Dropped::Over, 1);
                    ends(job, Word::Go);
                }
            }
        }
        let replies = match commands.is_empty() {
            true => Vec::new(),
            false => {
                let asked = self.kv().ask_aside(link, Op::Write, &commands).await;
                asked.unwrap_or_default()
            }
        };
        // Who waits for one that Redis did not take would wait for nothing.
        let none = std::iter::repeat(Reply::Nil);
        for ((job, bytes), reply) in sent.into_iter().zip(replies.into_iter().chain(none)) {
            let refused = match reply {
                Reply::Int(1) => None,
                Reply::Int(0) => Some(Dropped::Purged),
                Reply::Int(_) => Some(Dropped::Lineage),
                _ => Some(Dropped::Fault),
            };
            match refused {
                None => {
                    count(&self.stats().written);
                    self.stats().written_bytes.fetch_add(bytes, Relaxed);
                    ends(job, Word::Written);
                }
                Some(why) => {
                    self.stats().dropped(why, 1);
                    ends(job, Word::Go);
                }
            }
        }
        self.tell(&notes).await;
    }

    /// Puts an answer where it is looked for.
    fn put(&self, job: &Job, encoded: &Encoded) -> Command {
        let url = url_hash(&job.entry.key);
        let place = self.keys().place(url);
        // In a cluster the chain is on another node; who reads asks it.
        let head = (!self.kv().address().cluster).then(|| self.keys().head());
        let Encoded {
            answer,
            variant,
            useful,
        } = encoded;
        let variant = variant.as_ref().map(|(hash, index)| {
            let mut value = codec::front(ANSWER, 0, *useful);
            value.extend_from_slice(answer);
            (self.keys().variant(url, *hash), value, index)
        });
        self.scripts().put(&Put {
            place: &place,
            head,
            position: job.position,
            millis: *useful,
            value: variant.as_ref().map_or(&answer[..], |(_, _, index)| index),
            variant: (variant.as_ref()).map(|(place, value, _)| (place.as_str(), &value[..])),
        })
    }
}
