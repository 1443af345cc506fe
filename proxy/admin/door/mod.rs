//! The door of the stats port: everything that comes in passes here, in this order.
//!
//! | asked | answered | file |
//! |---|---|---|
//! | does this address ask more than anybody needs? | 429 | here |
//! | is it us who are called? | 421 | `names` |
//! | who is it? | 401, 429 | `bearer` |
//! | may they? | 403 | `needs` |
//! | does a web page make a browser ask? | 403 | `names` |
//! | is the body one of ours, and does it come? | 408, 413, 415 | `body` |
//! | do they know what they change? | 412 | `generation` |
//!
//! Then the handler. Reading needs no more than the role `read` and changes nothing; whatever is refused here has
//! changed nothing either. Whatever is refused, and a wrong token, is in the audit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::caller::{Caller, Expected};
use super::deeds::{Deeds, Refusals};
use super::page::POLICY;
use super::problem::{Problem, Why};
use crate::base::role::Role;
use crate::config::checked::{RateKey, RateLimit, Scope};
use crate::guard::rate::{Rate, TooOften};
use crate::live::control::Control;

/// Whose token it is.
mod bearer;
/// What comes with a change.
mod body;
/// Which configuration a caller has seen.
mod generation;
/// What it is called, and which page asks.
mod names;
/// Which role it needs.
mod needs;
/// The door's part of the OpenAPI document.
mod told;

pub use bearer::is_still_known;
pub use told::tell;

/// Requests of one address, a second: more than any number of pages and scripts needs.
const RATE: u32 = 200;
/// Wrong tokens of one address that are looked at, at once.
const WRONG_AT_ONCE: u32 = 10;
/// After them, one in this time.
const WRONG_PER: Duration = Duration::from_secs(6);

/// What every answer says to browsers.
const FIELDS: [(HeaderName, &str); 7] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// The door.
#[derive(Debug)]
pub struct Door {
    control: Arc<Control>,
    refusals: Arc<Refusals>,
    /// All requests, by address.
    all: Rate,
    /// Wrong tokens, by address.
    wrong: Rate,
}

/// Why somebody is not let in.
struct Refusal {
    problem: Box<Problem>,
    /// Who it is, as far as that is known.
    caller: Caller,
    /// It was a wrong token: told of also where nothing was to be changed.
    wrong_token: bool,
}

impl Door {
    /// A door at which nobody has knocked yet.
    pub fn new(control: Arc<Control>) -> Self {
        let now = Instant::now();
        let limit = |requests, per, burst| RateLimit {
            key: RateKey::Ip,
            requests,
            per,
            burst,
            scope: Scope::Local,
            dry_run: false,
        };
        Door {
            control,
            refusals: Arc::default(),
            all: Rate::new(&limit(RATE, Duration::from_secs(1), RATE), 0, now),
            wrong: Rate::new(&limit(1, WRONG_PER, WRONG_AT_ONCE), 0, now),
        }
    }

    /// Tells the log what it was not told one by one.
    pub fn tell(&self, now: Instant) {
        self.refusals.tell(now);
    }

    /// Who may come in with this request; `None`: anybody may, and nobody knows who it is.
    fn admit(&self, peer: SocketAddr, request: &Request) -> Result<Option<Caller>, Refusal> {
        let (fields, now) = (request.headers(), Instant::now());
        let nobody = || Caller {
            addr: peer,
            name: None,
            role: Role::Read,
            key: None,
        };
        let refuse = |problem| Refusal {
            problem: Box::new(problem),
            caller: nobody(),
            wrong_token: false,
        };
        // Who asks whether we live must not be told no because of a busy neighbour.
        if !needs::PROBES.contains(&request.uri().path()) {
            let asked = self.all.ask(peer.ip(), &HeaderMap::new(), now);
            asked.map_err(|wait| {
                let detail = format!("more than {RATE} requests a second come from your address");
                refuse(wait_for(wait, detail))
            })?;
        }
        let snapshot = self.control.hold.load();
        let admin = self.control.admin(&snapshot.config);
        let hosts = admin.map_or(&[][..], |admin| &admin.hosts);
        let tokens = admin.map_or(&[][..], |admin| &admin.tokens);
        names::check_host(fields, hosts).map_err(refuse)?;
        let needed = needs::role(request.method(), request.uri().path());
        let caller = match (self.who(peer, fields, tokens, now), needed) {
            (Ok(caller), _) => caller,
            // A wrong token is told of wherever it is brought, and opens nothing more where none is needed.
            (Err(bearer::No { problem, wrong }), None) => {
                if wrong {
                    self.note_wrong(nobody(), request, &problem);
                }
                return Ok(None);
            }
            (Err(bearer::No { problem, wrong }), Some(_)) => {
                return Err(Refusal {
                    wrong_token: wrong,
                    ..refuse(problem)
                });
            }
        };
        let Some(needed) = needed else {
            return Ok(Some(caller)); // a link on another page may lead to ours
        };
        let refuse = |problem, caller: &Caller| Refusal {
            problem: Box::new(problem),
            caller: caller.clone(),
            wrong_token: false,
        };
        if caller.role < needed {
            return Err(refuse(needs::refuse(&caller, needed), &caller));
        }
        names::check_page(fields).map_err(|problem| refuse(problem, &caller))?;
        Ok(Some(caller))
    }

    fn note_refusal(
        &self,
        from: Caller,
        method: &Method,
        uri: &Uri,
        status: StatusCode,
        why: &str,
    ) {
        let deeds = Deeds::of(&self.control, &self.refusals, from, method, uri);
        deeds.answered(status, why);
    }

    fn note_wrong(&self, caller: Caller, request: &Request, problem: &Problem) {
        let (method, uri) = (request.method(), request.uri());
        let deeds = Deeds::of(&self.control, &self.refusals, caller, method, uri);
        deeds.wrong_token(method, uri);
        deeds.answered(problem.status(), problem.detail());
    }

    /// What goes on behind the door, and is noted.
    async fn serve(&self, mut request: Request, next: Next, caller: Option<Caller>) -> Response {
        let generation = self.control.hold.load().generation;
        let Some(caller) = caller else {
            return next.run(request).await;
        };
        request.extensions_mut().insert(caller.clone());
        if !needs::changes(request.method()) {
            let tagged = generation::is_tagged(request.uri().path());
            let (method, uri) = (request.method().clone(), request.uri().clone());
            let mut response = next.run(request).await;
            if tagged && response.status() == StatusCode::OK {
                generation::tag(&mut response, generation);
            }
            if response.status() == StatusCode::METHOD_NOT_ALLOWED {
                self.note_refusal(
                    caller,
                    &method,
                    &uri,
                    response.status(),
                    "a change is no GET",
                );
            }
            return response;
        }
        let (method, uri) = (request.method(), request.uri());
        let deeds = Deeds::of(&self.control, &self.refusals, caller, method, uri);
        request.extensions_mut().insert(deeds.clone());
        let response = match body::whole(request).await {
            Err(problem) => problem.into_response(),
            Ok(mut request) => {
                // Asked once more where the change is made, under its lock: a reload may come between.
                let generation = self.control.hold.load().generation;
                match generation::check(request.headers(), generation) {
                    Err(problem) => problem.into_response(),
                    Ok(says_so) => {
                        let expected = Expected(says_so.then_some(generation));
                        request.extensions_mut().insert(expected);
                        next.run(request).await
                    }
                }
            }
        };
        let why = response.extensions().get::<Why>();
        deeds.answered(response.status(), why.map_or("", |why| why.0.as_str()));
        response
    }
}

/// Lets in who may come in.
pub async fn guard(
    State(door): State<Arc<Door>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match door.admit(peer, &request) {
        Ok(caller) => door.serve(request, next, caller).await,
        Err(refusal) => {
            if refusal.wrong_token {
                door.note_wrong(refusal.caller, &request, &refusal.problem);
            } else {
                let (method, uri) = (request.method(), request.uri());
                let (status, why) = (refusal.problem.status(), refusal.problem.detail());
                door.note_refusal(refusal.caller, method, uri, status, why);
            }
            (*refusal.problem).into_response()
        }
    };
    if response.status() == StatusCode::BAD_REQUEST && !is_problem(&response) {
        let detail =
            "the path cannot be read: names in it are UTF-8, escaped where they have to be";
        response = Problem::new(StatusCode::BAD_REQUEST, detail).into_response();
    }
    let headers = response.headers_mut();
    for (name, value) in FIELDS {
        // The page says of itself that it may be kept.
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether an answer is in the words of ours; the framework's own refusals of a path are not.
fn is_problem(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem"))
}

/// 429, and when to come again.
fn wait_for(TooOften(wait): TooOften, detail: String) -> Problem {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let detail = format!("{detail}; come again in {seconds} s");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
        .with_field(header::RETRY_AFTER, seconds.into())
}
