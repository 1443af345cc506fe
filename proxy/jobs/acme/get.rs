//! One certificate: what another process or proxy has got meanwhile, or one from the CA.
//!
//! One process on a folder and one proxy on a board order at a time. What the CA has given is never thrown away: where it
//! cannot be kept, it is used all the same.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::interval;

use super::account::account;
use super::answers::{Answers, Own};
use super::board::{self, Board};
use super::certificate::Certificate;
use super::folder::{self, Folder};
use super::http::Client;
use super::order::{Failure, order};
use super::plan;
use super::wanted::{self, Asked, Wanted};
use crate::live::control::Control;
use crate::telemetry::metrics::AcmeMetrics;

/// What an attempt came to that did not fail.
pub enum Came {
    /// There is a new certificate; and, where it could not be kept, why.
    New(Box<Certificate>, Option<Failure>),
    /// Another one orders it: a process or proxy that was first, or the process that takes over.
    Others,
}

/// A certificate that another process or proxy has got meanwhile, or one from the CA.
///
/// # Errors
/// When there is none, for whatever reason.
pub async fn get(
    control: &Arc<Control>,
    wanted: &Wanted,
    asked: &Asked,
    client: &Client,
    own: &Arc<Own>,
) -> Result<Came, Failure> {
    let (folder, acme, names) = (asked.folder(), &asked.acme, &wanted.names);
    let of_folder = |e| Failure::of_folder(folder.path(), &e);
    let Some(_lock) = folder.lock().map_err(of_folder)? else {
        return Ok(Came::Others);
    };
    if let Some(is) = stored_news(wanted, asked, &folder) {
        return Ok(Came::New(Box::new(is), None));
    }
    folder.try_to_write().map_err(of_folder)?;
    let id = format!(
        "{:016x}",
        folder::id(names) ^ folder::id(std::slice::from_ref(&acme.directory))
    );
    let board = super::board(control);
    if board.as_ref().is_some_and(Board::is_unknown) {
        return Ok(Came::Others);
    }
    let board = board.filter(Board::is_up);
    if let Some(board) = board.as_ref() {
        if let Some(came) = from_another(board, &id, wanted, asked).await {
            return Ok(came);
        }
        // One that cannot be asked does not hold us up.
        if let Ok(false) = board.take(&id).await {
            return Ok(Came::Others);
        }
        // Who had that right until now may have left one since we looked.
        if let Some(came) = from_another(board, &id, wanted, asked).await {
            board.give_back(&id).await;
            return Ok(came);
        }
    }
    let answers = Answers {
        issued: control.issued.clone(),
        own: own.clone(),
        board: board.clone(),
    };
    let ordered = from_the_ca(control, wanted, asked, client, &answers);
    let done = tokio::select! {
        done = ordered => done,
        () = lives(board.as_ref(), &id) => unreachable!("it says so for ever"),
    };
    if let (Ok(Came::New(is, _)), Some(board), true) = (&done, &board, acme.share)
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
    answers: &Answers,
) -> Result<Came, Failure> {
    let (folder, acme, names) = (asked.folder(), &asked.acme, &wanted.names);
    let account = account(acme, &folder, client).await?;
    // It has told when to renew, so it knows what is replaced.
    let old = wanted
        .certificate
        .as_ref()
        .filter(|_| wanted.window.is_some());
    let turn = control.handover.turn();
    let Some(is) = order(&account, names, acme, old, answers, turn).await? else {
        tracing::info!(
            "acme: the order for {} is given up: the process that takes over orders anew",
            names.join(", ")
        );
        return Ok(Came::Others);
    };
    let unkept = keep(&folder, names, &is);
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
    Ok(Came::New(Box::new(is), unkept))
}

/// The certificate that another proxy has left, where proxies share them and it is what we want.
async fn from_another(board: &Board, id: &str, wanted: &Wanted, asked: &Asked) -> Option<Came> {
    if !asked.acme.share {
        return None;
    }
    let is = board.certificate(id, &wanted.names).await?;
    if !is_wanted(wanted, &is, asked) {
        return None;
    }
    tracing::info!(
        "acme: the certificate for {} comes from another proxy",
        wanted.names.join(", ")
    );
    let unkept = keep(&asked.folder(), &wanted.names, &is);
    Some(Came::New(Box::new(is), unkept))
}

/// Keeps it; where that fails, why: it can be used all the same.
pub fn keep(folder: &Folder, names: &[String], is: &Certificate) -> Option<Failure> {
    let path = folder.certificate(names);
    let written = folder::write(&path, is.pem());
    written.err().map(|e| Failure::of_folder(&path, &e))
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
