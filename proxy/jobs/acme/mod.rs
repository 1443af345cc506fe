//! Certificates from a CA that speaks ACME (RFC 8555): ordered, kept, renewed.
//!
//! On a thread of its own, one order at a time. A certificate in use stays in use whatever fails; a reload that changes
//! nothing here does not disturb an order. What is decided by time is in `plan`, which has no clock.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::sleep;

use crate::live::control::Control;
use crate::live::handover::Turn;

/// Our account.
mod account;
/// Answers to challenges.
mod answers;
/// What proxies tell each other.
mod board;
/// A certificate with its key.
mod certificate;
/// Where they outlive the process.
mod folder;
/// Answers that other proxies wait for.
mod follow;
/// One certificate, from whoever has it.
mod get;
/// Requests to the CA.
mod http;
/// One order.
mod order;
/// When to do what.
mod plan;
/// What the file asks for.
mod wanted;

pub use wanted::load;

use account::account;
use answers::Own;
use board::Board;
use get::{Came, get, keep};
use http::Client;
use order::Failure;
use plan::Window;
use wanted::{Asked, Wanted};

/// The clock may be set meanwhile: it is looked at this often.
const LOOK: Duration = Duration::from_secs(60);
/// Where another process or proxy orders, what came of it is looked for this often.
const OTHERS: Duration = Duration::from_secs(3);
/// A certificate that could not be kept is tried to be again after this.
const KEPT_AGAIN: Duration = Duration::from_secs(5);
/// How often the CA is asked when it wants a renewal: not more often than hourly, whatever it says (RFC 9773 §4.3.2).
const WINDOW: (Duration, Duration) = (Duration::from_secs(3_600), Duration::from_secs(24 * 3_600));

/// Runs until the process ends.
pub async fn run(control: Arc<Control>) {
    let own = Arc::new(Own::default());
    tokio::join!(
        super::for_ever("getting certificates", &control, |c| {
            let own = own.clone();
            async move { Orders::new(c, own).run().await }
        }),
        super::for_ever("answering for others", &control, |c| {
            let own = own.clone();
            async move { follow::run(&c, &own).await }
        }),
    );
}

/// The board of the generation in use, if proxies share anything.
fn board(control: &Control) -> Option<Board> {
    let shared = control.hold.load().shared.clone()?;
    Some(Board::new(
        shared.kv.clone(),
        &shared.prefix,
        shared.id.clone(),
    ))
}

/// What the file asks for, and where it stands.
struct Orders {
    control: Arc<Control>,
    own: Arc<Own>,
    generations: watch::Receiver<u64>,
    asked: Option<Asked>,
    wanted: Vec<Wanted>,
}

impl Orders {
    fn new(control: Arc<Control>, own: Arc<Own>) -> Orders {
        Orders {
            generations: control.generations(),
            control,
            own,
            asked: None,
            wanted: Vec::new(),
        }
    }

    async fn run(mut self) {
        let mut turn = self.control.handover.turn();
        loop {
            // Orders are of who answers where the CA looks.
            let is_ours = *turn.borrow_and_update() == Turn::Ours;
            self.generations.borrow_and_update();
            self.follow_the_file();
            self.keep_again();
            let now = SystemTime::now();
            let next = self
                .wanted
                .iter()
                .enumerate()
                .min_by_key(|(_, w)| w.due.min(w.ask_window));
            let next = next.map(|(at, w)| (at, w.due, w.due.min(w.ask_window)));
            let next = next.filter(|_| is_ours);
            match (next, self.asked.clone()) {
                (Some((at, due, _)), Some(asked)) if due <= now => self.attempt(at, &asked).await,
                (Some((at, _, soon)), Some(asked)) if soon <= now => {
                    self.ask_window(at, &asked).await
                }
                (next, _) => {
                    let wait = next.and_then(|(_, _, soon)| soon.duration_since(now).ok());
                    tokio::select! {
                        () = sleep(wait.unwrap_or(LOOK).min(self.look())) => {}
                        changed = self.generations.changed() => if changed.is_err() { return },
                        changed = turn.changed() => if changed.is_err() { return },
                    }
                }
            }
            self.tell(None);
        }
    }

    /// Brings what is wanted to what the file says. What did not change goes on as it stands.
    fn follow_the_file(&mut self) {
        let asked = Asked::of(&self.control.hold.load().config);
        if asked == self.asked {
            return;
        }
        let now = SystemTime::now();
        let metrics = &self.control.metrics.acme;
        let mut wanted = Vec::new();
        if let Some(asked) = &asked {
            metrics.begin();
            wanted.extend(
                asked
                    .lists
                    .iter()
                    .map(|names| Wanted::load(names.clone(), asked, now)),
            );
        }
        let names: Vec<String> = wanted.iter().flat_map(|w| w.names.clone()).collect();
        self.control.issued.keep_only(&names);
        for wanted in &wanted {
            if let Some(is) = &wanted.certificate {
                self.control
                    .issued
                    .install(&wanted.names, is.certified.clone());
            }
        }
        for gone in &self.wanted {
            if !wanted.iter().any(|w| w.first() == gone.first()) {
                metrics.left(gone.first());
            }
        }
        (self.asked, self.wanted) = (asked, wanted);
        self.tell(None);
    }

    /// How often it is looked at what is to be done.
    fn look(&self) -> Duration {
        match self.wanted.iter().any(|wanted| wanted.unkept.is_some()) {
            true => KEPT_AGAIN,
            false => LOOK,
        }
    }

    /// Keeps what could not be kept when it came.
    fn keep_again(&mut self) {
        let Some(folder) = self.asked.as_ref().map(Asked::folder) else {
            return;
        };
        let now = SystemTime::now();
        for wanted in &mut self.wanted {
            let is_due = |(_, at): &(String, SystemTime)| *at <= now;
            let Some(is) = wanted.certificate.as_ref() else {
                continue;
            };
            if !wanted.unkept.as_ref().is_some_and(is_due) {
                continue;
            }
            wanted.unkept = match keep(&folder, &wanted.names, is) {
                Some(failure) => Some((failure.words, now + KEPT_AGAIN)),
                None => {
                    let said = format!(
                        "acme: the certificate for {} is kept now",
                        wanted.names.join(", ")
                    );
                    tracing::info!("{said}");
                    self.control.note_certificate(true, said);
                    None
                }
            };
        }
        // Nothing else may happen for long.
        self.tell(None);
    }

    /// Gets a certificate for one list of names, from whoever has one.
    async fn attempt(&mut self, at: usize, asked: &Asked) {
        let control = self.control.clone();
        let Some(_work) = control.handover.begin() else {
            return;
        };
        self.tell(Some(at));
        let client = Client::new(asked.acme.ca.as_ref());
        let asks_to_wait = client.as_ref().map(Client::asked).unwrap_or_default();
        let wanted = &mut self.wanted[at];
        let came = match client {
            Ok(client) => get(&control, wanted, asked, &client, &self.own).await,
            Err(why) => Err(Failure::refused(why)),
        };
        let (now, names) = (SystemTime::now(), wanted.names.join(", "));
        match came {
            Ok(Came::New(is, unkept)) => {
                control.issued.install(&wanted.names, is.certified.clone());
                wanted.takes(*is, &asked.acme, now);
                wanted.unkept = unkept.map(|failure| {
                    let said = format!(
                        "acme: the certificate for {names} is used, and a restart loses it: {}",
                        failure.words
                    );
                    tracing::error!("{said}");
                    control.note_certificate(false, said);
                    (failure.words, now + KEPT_AGAIN)
                });
            }
            Ok(Came::Others) => wanted.again(now, OTHERS),
            Err(failure) => {
                wanted.failures = wanted.failures.saturating_add(1);
                let luck = fastrand::f64();
                let pause =
                    plan::pause(failure.setback, wanted.failures, asks_to_wait.take(), luck);
                wanted.again(now, pause);
                control.metrics.acme.ended(failure.setback.as_str());
                let said = format!(
                    "acme: no certificate for {names}: {}; tried again in {}",
                    failure.words,
                    crate::base::units::show_duration(Duration::from_secs(pause.as_secs()))
                );
                tracing::error!("{said}");
                control.note_certificate(false, said);
                wanted.failure = Some(failure.words);
                if failure.account_is_gone {
                    account::forget(&asked.folder());
                }
            }
        }
    }

    /// Asks the CA when it wants a certificate to be renewed. That it does not say is no failure.
    async fn ask_window(&mut self, at: usize, asked: &Asked) {
        let (now, wanted) = (SystemTime::now(), &mut self.wanted[at]);
        wanted.ask_window = now + WINDOW.0;
        let id = wanted.certificate.as_ref().and_then(|c| c.id.clone());
        let (Some(id), Ok(client)) = (id, Client::new(asked.acme.ca.as_ref())) else {
            return;
        };
        let Ok(account) = account(&asked.acme, &asked.folder(), &client).await else {
            return;
        };
        match account.renewal_info(&id).await {
            Ok((info, again)) => {
                let window = info.suggested_window;
                wanted.window = Some(Window {
                    start: window.start.into(),
                    end: window.end.into(),
                });
                wanted.ask_window = now + again.clamp(WINDOW.0, WINDOW.1);
                if wanted.failures == 0 {
                    wanted.plan(&asked.acme, now);
                }
            }
            Err(_) => wanted.ask_window = now + WINDOW.1,
        }
    }

    /// Tells people how it stands; `ordered`: what is being ordered.
    fn tell(&self, ordered: Option<usize>) {
        let all = self.wanted.iter().enumerate();
        let all = all.map(|(at, wanted)| wanted.told(ordered == Some(at)));
        self.control.acme.set(all.collect());
        let unix = |time: SystemTime| {
            time.duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_secs_f64()
        };
        for wanted in &self.wanted {
            let planned = self
                .asked
                .as_ref()
                .and_then(|asked| wanted.planned(&asked.acme));
            let expiry = wanted.certificate.as_ref().map(|c| unix(c.life.until));
            let (expiry, planned) = (expiry.unwrap_or(0.0), planned.map_or(0.0, unix));
            self.control
                .metrics
                .acme
                .holds(wanted.first(), expiry, planned);
        }
    }
}
