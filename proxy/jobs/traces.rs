//! Sends spans to the collector: OTLP over HTTP, in protobuf.
//!
//! On a thread of its own, which may wait as long as the file allows: nobody else does. What cannot be delivered is tried
//! a few times, with pauses, and then counted and let go, so that a collector that is away costs spans and no memory.
//! Follows the generations: each try goes where the file says then. Of what the collector asks for nothing is logged.

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::base::backoff;
use crate::config::checked::Otlp;
use crate::live::control::Control;
use crate::live::peers;
use crate::telemetry::traces::otlp::{self, Sender, Taken};

/// How long spans are gathered before they go together.
const GATHER: Duration = Duration::from_secs(1);
/// Times that a batch is tried.
const TRIES: u32 = 5;
/// The first pause after a failure; each further one is about twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that a collector may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read.
const ANSWER: u64 = 64 * 1024;
/// Bytes of what a collector says that are logged.
const SAID: usize = 256;

/// What became of one try.
enum Tried {
    /// It has them, but for those that it did not want.
    Taken(Taken),
    /// It may have them later, after this pause where it named one.
    Later(String, Option<Duration>),
    /// It does not want them.
    Refused(String),
}

/// Sends what comes until the process ends. For a thread of its own: it blocks.
pub fn run(control: &Arc<Control>) {
    let mut sending = Sending::default();
    let instance = format!("{:016x}", fastrand::u64(..));
    loop {
        let spans = control.spans.take(GATHER);
        let count = spans.len() as u64;
        let service = control.hold.load().config.tracing.service.clone();
        let sender = Sender {
            service,
            host: peers::hostname(),
            instance: instance.clone(),
            version: env!("CARGO_PKG_VERSION"),
        };
        let body = otlp::encode(&sender, &spans);
        drop(spans);
        sending.send(control, &body, count);
        control.spans.done();
    }
}

/// The connection to the collector, and how it went lately.
#[derive(Default)]
struct Sending {
    /// The client, and what it was made for.
    client: Option<(Otlp, Agent)>,
    /// Nothing could be delivered lately, which was told.
    is_down: bool,
    /// Some were not wanted, which was told.
    is_unwanted: bool,
}

impl Sending {
    /// Sends a batch of `count` spans, or gives it up.
    fn send(&mut self, control: &Control, body: &[u8], count: u64) {
        let mut why = String::new();
        for tries in 1..=TRIES {
            let config = control.hold.load().config.clone();
            let Some(otlp) = &config.tracing.otlp else {
                // Nobody collects spans any more.
                return control.metrics.spans.undelivered(count);
            };
            let asked = match self.try_once(otlp, body) {
                Tried::Taken(taken) => return self.is_taken(control, count, &taken),
                Tried::Refused(why) => {
                    control.metrics.spans.undelivered(count);
                    return self.fails(otlp, &why);
                }
                Tried::Later(said, asked) => {
                    why = said;
                    asked
                }
            };
            self.fails(otlp, &why);
            let own = backoff::pause(PAUSE, tries, fastrand::u64(..));
            let pause = asked.unwrap_or(own).min(LONGEST_PAUSE);
            if tries == TRIES || control.spans.pause(pause) {
                break;
            }
        }
        control.metrics.spans.undelivered(count);
        tracing::debug!("{count} spans were given up: {why}");
    }

    fn is_taken(&mut self, control: &Control, count: u64, taken: &Taken) {
        let rejected = taken.rejected.min(count);
        control.metrics.spans.exported(count - rejected);
        control.metrics.spans.rejected(rejected);
        if std::mem::take(&mut self.is_down) {
            tracing::info!("spans reach the collector again");
        }
        if rejected == 0 && taken.message.is_empty() {
            self.is_unwanted = false;
        } else if !std::mem::replace(&mut self.is_unwanted, true) {
            tracing::warn!(
                "the collector rejected {rejected} of {count} spans: {}",
                shown(&taken.message)
            );
        }
    }

    /// Says once that nothing is delivered, until something is again.
    fn fails(&mut self, otlp: &Otlp, why: &str) {
        self.client = None; // the next try begins anew, whatever state the last one left
        if !std::mem::replace(&mut self.is_down, true) {
            tracing::error!(
                "spans cannot be delivered to {}: {why}; tried again for a while, then dropped and counted in \
                 tidegate_spans_dropped_total. Requests are served as before; look at the collector, or at \
                 `tracing.otlp`",
                otlp.endpoint
            );
        }
    }

    fn try_once(&mut self, otlp: &Otlp, body: &[u8]) -> Tried {
        let fits = |(made_for, _): &(Otlp, Agent)| made_for == otlp;
        if !self.client.as_ref().is_some_and(fits) {
            match client(otlp) {
                Ok(agent) => self.client = Some((otlp.clone(), agent)),
                Err(why) => return Tried::Later(why, None),
            }
        }
        let Some((_, agent)) = &self.client else {
            return Tried::Later("there is no client".into(), None);
        };
        let mut request = agent
            .post(&otlp.endpoint)
            .content_type("application/x-protobuf");
        for (name, value) in &otlp.headers {
            request = request.header(name, value);
        }
        match request.send(body) {
            Ok(mut answer) => {
                let status = answer.status().as_u16();
                let after = answer.headers().get("retry-after");
                let after = after.and_then(|after| after.to_str().ok()?.parse().ok());
                let read = answer.body_mut().with_config().limit(ANSWER).read_to_vec();
                let said = read.unwrap_or_default();
                judged(status, after.map(Duration::from_secs), &said)
            }
            Err(why) => Tried::Later(why.to_string(), None),
        }
    }
}

/// What a collector's answer means (OTLP, "OTLP/HTTP Response").
fn judged(status: u16, after: Option<Duration>, said: &[u8]) -> Tried {
    match status {
        200..=299 => Tried::Taken(otlp::taken(said)),
        429 | 502..=504 => Tried::Later(format!("it answers {status}"), after),
        401 | 403 => Tried::Refused(format!(
            "it answers {status}: it wants to know who asks (`headers_file`)"
        )),
        404 => {
            Tried::Refused("it answers 404: the path of the endpoint is not that of OTLP".into())
        }
        _ => Tried::Refused(format!("it answers {status}")),
    }
}

/// A client for one collector. Proxies of the environment are for people, not for daemons.
fn client(otlp: &Otlp) -> Result<Agent, String> {
    let mut config = Agent::config_builder()
        .timeout_global(Some(otlp.timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")));
    if otlp.endpoint.starts_with("https:") {
        let roots = rustls_native_certs::load_native_certs()
            .map_err(|e| format!("whom the system trusts cannot be read: {e}"))?;
        let roots = roots
            .iter()
            .map(|der| Certificate::from_der(der).to_owned());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::from(roots.collect::<Vec<_>>()))
            .unversioned_rustls_crypto_provider(Arc::new(
                tokio_rustls::rustls::crypto::ring::default_provider(),
            ));
        config = config.tls_config(tls.build());
    }
    Ok(config.build().into())
}

/// What somebody else said, fit for a line of the log.
fn shown(message: &str) -> String {
    let line = message.chars().filter(|c| !c.is_control());
    let line: String = line.take(SAID).collect();
    match line.is_empty() {
        true => "it does not say why".into(),
        false => line,
    }
}
