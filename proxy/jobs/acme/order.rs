//! One order: names are proven to be ours, and the CA signs (RFC 8555 §7.4).
//!
//! The key is made here and leaves this process only for the folder of the state. Ends within its deadline, and takes
//! the answers to challenges away again, however it ends.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
};
use tokio::sync::watch;
use tokio::time::timeout;

use super::answers::{Answer, Answers};
use super::certificate::Certificate;
use super::plan::Setback;
use crate::config::checked::{Acme, AcmeKey, Challenge};
use crate::live::handover::Turn;

/// How long an order may take, all in all.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long the CA may take to look whether names are ours, or to sign.
const STEP: Duration = Duration::from_secs(120);
/// Letters of what the CA says that are kept.
const LONGEST: usize = 600;

/// Why there is no certificate.
#[derive(Debug)]
pub struct Failure {
    /// What that means for the next try.
    pub setback: Setback,
    /// In words, for people.
    pub words: String,
    /// The CA does not know our account any more.
    pub account_is_gone: bool,
}

impl Failure {
    /// A refusal in these words.
    pub fn refused(words: impl Into<String>) -> Failure {
        Failure {
            setback: Setback::Refused,
            words: words.into(),
            account_is_gone: false,
        }
    }
}

impl Failure {
    /// What came of the CA cannot be kept.
    pub fn of_folder(path: &Path, why: &io::Error) -> Failure {
        Failure::refused(format!(
            "cannot write to {}: {why} (`acme.state` names the folder; it must be ours alone)",
            path.display()
        ))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Api(problem) => problem.r#type.as_deref(),
            _ => None,
        };
        let kind = kind.and_then(|kind| kind.strip_prefix("urn:ietf:params:acme:error:"));
        let setback = match (&error, kind) {
            (Error::Api(_), Some("rateLimited")) => Setback::Limited,
            (Error::Api(_), Some("serverInternal" | "badNonce" | "accountDoesNotExist")) => {
                Setback::Away
            }
            (Error::Api(_) | Error::Unsupported(_) | Error::Crypto | Error::KeyRejected, _) => {
                Setback::Refused
            }
            // It saw our answers and did not finish: not at once again.
            (Error::Timeout(_), _) => Setback::Refused,
            _ => Setback::Away,
        };
        let words = error.to_string();
        let words = words.strip_prefix("API error: ").unwrap_or(&words);
        Failure {
            setback,
            words: one_line(words),
            account_is_gone: kind == Some("accountDoesNotExist"),
        }
    }
}

/// Orders a certificate for `names`. `old`: the one that it replaces, if the CA has said when (RFC 9773 §5). `None`: given
/// up because it is another process's `turn` to answer where the CA looks.
///
/// # Errors
/// When there is none, for whatever reason.
pub async fn order(
    account: &Account,
    names: &[String],
    acme: &Acme,
    old: Option<&Certificate>,
    answers: &Answers,
    mut turn: watch::Receiver<Turn>,
) -> Result<Option<Certificate>, Failure> {
    let mut put = Vec::with_capacity(names.len());
    let ordered = prove_and_sign(account, names, acme, old, answers, &mut put);
    let done = tokio::select! {
        done = timeout(PATIENCE, ordered) => Some(done),
        _ = turn.wait_for(|turn| *turn == Turn::Theirs) => None,
    };
    answers.take_away(&put).await;
    match done {
        None => Ok(None),
        Some(Ok(done)) => done.map(Some),
        Some(Err(_)) => Err(Failure::refused(format!(
            "the order was not done within {PATIENCE:?}"
        ))),
    }
}

async fn prove_and_sign(
    account: &Account,
    names: &[String],
    acme: &Acme,
    old: Option<&Certificate>,
    answers: &Answers,
    put: &mut Vec<Answer>,
) -> Result<Certificate, Failure> {
    let mut order = begin(account, names, acme, old).await?;
    let kind = match acme.challenge {
        Challenge::Http01 => ChallengeType::Http01,
        Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
    };
    let mut pending = Vec::new();
    let mut all = order.authorizations();
    while let Some(next) = all.next().await {
        let mut authorization = next?;
        let name = authorization.identifier().to_string();
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            other => return Err(Failure::refused(format!("{name}: its proof is {other:?}"))),
        }
        let Some(challenge) = authorization.challenge(kind.clone()) else {
            return Err(Failure::refused(format!(
                "{name}: the CA does not offer the challenge {}",
                word(acme.challenge)
            )));
        };
        let proof = challenge.key_authorization();
        let answer = match acme.challenge {
            Challenge::Http01 => Answer::token(&challenge.token, proof.as_str()),
            Challenge::TlsAlpn01 => Answer::handshake(&name, proof.digest().as_ref()),
        };
        put.push(answer.map_err(|why| Failure::refused(format!("{name}: {why}")))?);
        pending.push(name);
    }
    answers.put(put).await;
    ask_to_look(&mut order, &kind).await?;
    let policy = RetryPolicy::new().backoff(1.4).timeout(STEP);
    let looked = order.poll_ready(&policy).await;
    if !matches!(looked, Ok(OrderStatus::Ready)) {
        return Err(match why_invalid(&mut order, acme.challenge).await {
            Some(said) => Failure::refused(said),
            None => match looked {
                Err(error) => error.into(),
                Ok(_) => Failure::refused(format!("{}: not proven", pending.join(", "))),
            },
        });
    }
    let (key, csr) = signing_request(names, acme.key)
        .map_err(|e| Failure::refused(format!("the signing request cannot be made: {e}")))?;
    order.finalize_csr(&csr).await?;
    let chain = order.poll_certificate(&policy).await?;
    let pem = format!("{}{chain}", key.serialize_pem());
    let is = Certificate::read(&pem, names)
        .map_err(|why| Failure::refused(format!("what the CA signed cannot be used: {why}")))?;
    match is.life.until > SystemTime::now() {
        true => Ok(is),
        false => Err(Failure::refused(
            "what the CA signed has expired already: is the clock of this machine right?",
        )),
    }
}

async fn begin(
    account: &Account,
    names: &[String],
    acme: &Acme,
    old: Option<&Certificate>,
) -> Result<Order, Failure> {
    let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
    let plain = || {
        let order = NewOrder::new(&identifiers);
        match &acme.profile {
            Some(profile) => order.profile(profile),
            None => order,
        }
    };
    if let Some(id) = old.and_then(|old| old.id.as_ref()) {
        match account.new_order(&plain().replaces(id.clone())).await {
            Ok(order) => return Ok(order),
            // It was replaced already, or by another account: then it is simply an order.
            Err(Error::Api(problem)) if is_about_replacing(problem.r#type.as_deref()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(account.new_order(&plain()).await?)
}

fn is_about_replacing(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| {
        ["alreadyReplaced", "malformed", "unauthorized"]
            .iter()
            .any(|word| kind.ends_with(word))
    })
}

/// Every answer is in its place: the CA may look.
async fn ask_to_look(order: &mut Order, kind: &ChallengeType) -> Result<(), Error> {
    let mut all = order.authorizations();
    while let Some(next) = all.next().await {
        let mut authorization = next?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        if let Some(mut challenge) = authorization.challenge(kind.clone()) {
            challenge.set_ready().await?;
        }
    }
    Ok(())
}

/// What the CA saw in place of our answers, name by name.
async fn why_invalid(order: &mut Order, challenge: Challenge) -> Option<String> {
    let mut said = Vec::new();
    let mut all = order.authorizations();
    while let Some(Ok(mut authorization)) = all.next().await {
        let Ok(state) = authorization.refresh().await else {
            break;
        };
        let name = state.identifier().to_string();
        let errors = state.challenges.iter().filter_map(|c| c.error.as_ref());
        said.extend(
            errors
                .filter_map(|e| e.detail.as_ref())
                .map(|d| format!("{name}: {d}")),
        );
    }
    if said.is_empty() {
        return None;
    }
    let where_it_looked = match challenge {
        Challenge::Http01 => "it asked on port 80 for /.well-known/acme-challenge/",
        Challenge::TlsAlpn01 => "it began a handshake on port 443",
    };
    let said = one_line(&said.join("; "));
    Some(format!(
        "the CA could not see that the names are ours ({where_it_looked}): {said}"
    ))
}

/// A new key, and the request to sign for it (DER).
fn signing_request(names: &[String], kind: AcmeKey) -> Result<(KeyPair, Vec<u8>), rcgen::Error> {
    let key = KeyPair::generate_for(match kind {
        AcmeKey::EcdsaP256 => &PKCS_ECDSA_P256_SHA256,
        AcmeKey::EcdsaP384 => &PKCS_ECDSA_P384_SHA384,
    })?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = DistinguishedName::new();
    let csr = params.serialize_request(&key)?;
    Ok((key, csr.der().to_vec()))
}

/// The word of the file.
fn word(challenge: Challenge) -> &'static str {
    match challenge {
        Challenge::Http01 => "http-01",
        Challenge::TlsAlpn01 => "tls-alpn-01",
    }
}

/// What somebody else says, fit for one line of the log.
fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(LONGEST).map(clean).collect()
}
