//! Certificates from a CA that speaks ACME (RFC 8555): ordered, kept, renewed.
//!
//! On a thread of its own, one order at a time. A certificate in use stays in use whatever fails; a reload that changes
//! nothing here does not disturb an order. What is decided by time is in `plan`, which has no clock.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::{interval, sleep};

use crate::live::control::Control;
use crate::live::handover::Turn;
use crate::telemetry::metrics::AcmeMetrics;

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
use answers::Answers;
use board::Board;
use certificate::Certificate;
use folder::Folder;
use http::Client;
use order::{Failure, order};
use plan::Window;
use wanted::{Asked, Wanted};

/// The clock may be set meanwhile: it is looked at this often.
const LOOK: Duration = Duration::from_secs(60);
/// Where another process or proxy orders, what came of it is looked for this often.
const OTHERS: Duration = Duration::from_secs(3);
/// How often the CA is asked when it wants a renewal: not more often than hourly, whatever it says (RFC 9773 §4.3.2).
const WINDOW: (Duration, Duration) = (Duration::from_secs(3_600), Duration::from_secs(24 * 3_600));

/// Runs until the process ends.
pub async fn run(control: Arc<Control>) {
    tokio::join!(
        super::for_ever("getting certificates", &control, |c| async move {
            Orders::new(c).run().await
        }),
        super::for_ever("answering for others", &control, |c| async move {
            follow::run(&c).await
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
    generations: watch::Receiver<u64>,
    asked: Option<Asked>,
    wanted: Vec<Wanted>,
}

/// What an attempt came to that did not fail.
enum Came {
    /// There is a new certificate.
    New(Box<Certificate>),
    /// Another one orders it: a process or proxy that was first, or the process that takes over.
    Others,
}

impl Orders {
    fn new(control: Arc<Control>) -> Orders {
        Orders {
            generations: control.generations(),
            control,
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
                        () = sleep(wait.unwrap_or(LOOK).min(LOOK)) => {}
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
            Ok(client) => get(&control, wanted, asked, &client).await,
            Err(why) => Err(Failure::refused(why)),
        };
        let (now, names) = (SystemTime::now(), wanted.names.join(", "));
        match came {
            Ok(Came::New(is)) => {
                control.issued.install(&wanted.names, is.certified.clone());
                wanted.takes(*is, &asked.acme, now);
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

/// A certificate that another process or proxy has got meanwhile, or one from the CA.
async fn get(
    control: &Arc<Control>,
    wanted: &Wanted,
    asked: &Asked,
    client: &Client,
) -> Result<Came, Failure> {
    let (folder, acme, names) = (asked.folder(), &asked.acme, &wanted.names);
    let of_folder = |e| Failure::of_folder(folder.path(), &e);
    let Some(_lock) = folder.lock().map_err(of_folder)? else {
        return Ok(Came::Others);
    };
    if let Some(is) = stored_news(wanted, asked, &folder) {
        return Ok(Came::New(Box::new(is)));
    }
    let id = format!(
        "{:016x}",
        folder::id(names) ^ folder::id(&[acme.directory.clone()])
    );
    let board = board(control);
    if board.as_ref().is_some_and(Board::is_unknown) {
        return Ok(Came::Others);
    }
    let board = board.filter(Board::is_up);
    if let Some(board) = board.as_ref() {
        if acme.share
            && let Some(is) = board.certificate(&id, names).await
            && is_wanted(wanted, &is, asked)
        {
            keep(&folder, names, &is)?;
            tracing::info!(
                "acme: the certificate for {} comes from another proxy",
                names.join(", ")
            );
            return Ok(Came::New(Box::new(is)));
        }
        // One that cannot be asked does not hold us up.
        if let Ok(false) = board.take(&id).await {
            return Ok(Came::Others);
        }
    }
    let ordered = from_the_ca(control, wanted, asked, client, board.clone());
    let done = tokio::select! {
        done = ordered => done,
        () = lives(board.as_ref(), &id) => unreachable!("it says so for ever"),
    };
    if let (Ok(Came::New(is)), Some(board), true) = (&done, &board, acme.share)
        && let Err(fault) = board.leave(&id, is, SystemTime::now()).await
    {
        tracing::warn!(
            "acme: other proxies do not get the certificate for {}: {fault}",
            names.join(", ")
        );
    }
    if let Some(board) = &board {
        board.give_back(&id).await;
    }
    done
}

/// Says for ever that who has the right to order lives.
async fn lives(board: Option<&Board>, id: &str) {
    let mut ticks = interval(board::RENEWED);
    loop {
        ticks.tick().await;
        if let Some(board) = board {
            board.renew(id).await;
        }
    }
}

async fn from_the_ca(
    control: &Arc<Control>,
    wanted: &Wanted,
    asked: &Asked,
    client: &Client,
    board: Option<Board>,
) -> Result<Came, Failure> {
    let (folder, acme, names) = (asked.folder(), &asked.acme, &wanted.names);
    let account = account(acme, &folder, client).await?;
    let issued = control.issued.clone();
    // It has told when to renew, so it knows what is replaced.
    let old = wanted
        .certificate
        .as_ref()
        .filter(|_| wanted.window.is_some());
    let answers = Answers { issued, board };
    let turn = control.handover.turn();
    let Some(is) = order(&account, names, acme, old, &answers, turn).await? else {
        tracing::info!(
            "acme: the order for {} is given up: the process that takes over orders anew",
            names.join(", ")
        );
        return Ok(Came::Others);
    };
    keep(&folder, names, &is)?;
    control.metrics.acme.ended(AcmeMetrics::ISSUED);
    let left = is
        .life
        .until
        .duration_since(SystemTime::now())
        .unwrap_or_default();
    let said = format!(
        "acme: certificate for {} issued; it holds for {}",
        names.join(", "),
        crate::base::units::show_duration(Duration::from_secs(left.as_secs()))
    );
    tracing::info!("{said}");
    control.note_certificate(true, said);
    Ok(Came::New(Box::new(is)))
}

fn keep(folder: &Folder, names: &[String], is: &Certificate) -> Result<(), Failure> {
    let path = folder.certificate(names);
    folder::write(&path, is.pem()).map_err(|e| Failure::of_folder(&path, &e))
}

/// What another process has left in the folder since we looked.
fn stored_news(wanted: &Wanted, asked: &Asked, folder: &Folder) -> Option<Certificate> {
    let is = wanted::stored(folder, &wanted.names)?;
    is_wanted(wanted, &is, asked).then_some(is)
}

/// Whether a certificate is better than ours, and not due itself.
fn is_wanted(wanted: &Wanted, is: &Certificate, asked: &Asked) -> bool {
    let acme = &asked.acme;
    let renewal = plan::renewal(is.life, acme.renew_before, None, is.luck);
    wanted.is_news(is) && is.key == Some(acme.key) && renewal > SystemTime::now()
}
