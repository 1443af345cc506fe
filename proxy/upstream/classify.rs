//! The one definition of "this was a failure, of this kind, and it may be tried elsewhere".
//!
//! Logs, metrics, retries and node health all ask here; none of them looks at an error on its own.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use pingora::protocols::http::v2::client::PING_TIMEDOUT;
use pingora::{Error, ErrorSource, ErrorType};

use super::tls;
use super::tunnel::Silent;
use crate::base::reason::End;
use crate::config::checked::Retry;

/// What an error that ended an attempt or a request means.
pub fn ending(error: &Error) -> End {
    match error.esource() {
        ErrorSource::Upstream => node_failure(error),
        ErrorSource::Downstream => match error.etype() {
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => End::ClientTimeout,
            ErrorType::ReadError
            | ErrorType::WriteError
            | ErrorType::ConnectionClosed
            // a stream that its client reset
            | ErrorType::H2Error
            // pingora's name for bytes that follow a request before it is answered
            | ErrorType::ConnectError => End::ClientAbort,
            _ => End::BadRequest,
        },
        ErrorSource::Internal | ErrorSource::Unset => match error.etype() {
            // Writing to the client reports itself without a source.
            ErrorType::WriteTimedout => End::ClientTimeout,
            ErrorType::WriteError => End::ClientAbort,
            _ => End::Internal,
        },
    }
}

fn node_failure(error: &Error) -> End {
    if is_of_tls(error) {
        return End::UpstreamTls;
    }
    if is_no_answer(error) {
        return End::UpstreamInvalid;
    }
    let late = try_timed_out(error) || was_silent(error);
    if *error.etype() == ErrorType::ReadError && late {
        return End::UpstreamTimeout;
    }
    if *error.etype() != ErrorType::ReadTimedout
        && let Some(failure) = h2_failure(error)
    {
        return failure;
    }
    if is_cut_short(error) {
        return End::UpstreamReset;
    }
    match error.etype() {
        ErrorType::ConnectTimedout
        | ErrorType::ReadTimedout
        | ErrorType::WriteTimedout
        | ErrorType::TLSHandshakeTimedout => End::UpstreamTimeout,
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => {
            End::UpstreamReset
        }
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::H2Error => {
            End::UpstreamInvalid
        }
        _ => End::UpstreamConnect,
    }
}

/// Whether TLS failed: in the handshake, or, as when a node refuses our certificate (RFC 8446 §4.4.2.4), behind it.
fn is_of_tls(error: &Error) -> bool {
    let io = error.root_cause().downcast_ref::<io::Error>();
    *error.etype() == ErrorType::TLSHandshakeFailure
        || io.is_some_and(|e| tls::failure(e).is_some())
}

/// Whether `line` refused what the node sent: pingora calls that a failed read.
fn is_no_answer(error: &Error) -> bool {
    let io = error.root_cause().downcast_ref::<io::Error>();
    io.is_some_and(|e| e.kind() == io::ErrorKind::InvalidData)
}

/// Whether a status says that the node failed, where `failures` are the ranges that do.
pub fn is_failure(status: u16, failures: &[(u16, u16)]) -> bool {
    let within = |(low, high): &(u16, u16)| (*low..=*high).contains(&status);
    status >= 400 && failures.iter().any(within)
}

/// Whether an attempt that ended so speaks against its node. `was_old`: the connection had served before, and broke
/// before any answer: the node may well have closed it in good order at that moment.
pub fn speaks_against_the_node(failure: End, was_old: bool) -> bool {
    match failure {
        End::UpstreamReset | End::UpstreamTls => !was_old,
        End::UpstreamTimeout | End::UpstreamInvalid | End::UpstreamConnect => true,
        _ => false,
    }
}

/// What a request is, for the question whether it may be sent twice.
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Whether it carries an `Idempotency-Key`.
    pub has_key: bool,
    /// Whether what was sent of its body is still at hand.
    pub body_is_kept: bool,
}

impl Sent<'_> {
    /// Whether sending it twice does no harm: an idempotent method (RFC 9110 §9.2.2), or one that its client and the
    /// file say the app tells apart (draft-ietf-httpapi-idempotency-key-header).
    pub fn is_repeatable(&self, rules: &Retry) -> bool {
        let by_key = self.has_key && rules.idempotency_key;
        self.body_is_kept && (self.method.is_idempotent() || by_key)
    }

    /// Whether it may be sent again for that reason.
    pub fn may_go_again(&self, why: Again, rules: &Retry) -> bool {
        match why {
            Again::IfItDoesNoHarm => self.is_repeatable(rules),
            Again::Untouched | Again::AsItSaysItself => self.body_is_kept,
        }
    }
}

/// Why a request may be sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Because that does no harm.
    IfItDoesNoHarm,
    /// Because nobody has done anything about it: the node says so.
    Untouched,
    /// Because the answer of the call says so, and the file believes it.
    AsItSaysItself,
}

/// What pingora (whose release is pinned) says of a stream that could not even be begun: its connection was leaving.
const SENDING: &str = "while sending request";

/// Whether the node did nothing about a request, by its own word: it refused the stream, or closed its connection and said
/// that this was not among the last it has seen (RFC 9113 §8.7, §6.8).
pub fn is_untouched(error: &Error) -> bool {
    let context = error.context.as_ref().map(|words| words.as_str());
    if *error.etype() == ErrorType::H2Error && context == Some(SENDING) {
        return true; // the head never left
    }
    h2_error(error).is_some_and(|e| {
        let refused = e.is_reset() && e.reason() == Some(h2::Reason::REFUSED_STREAM);
        // The `h2` crate tells only those that are beyond the last of it.
        e.is_remote() && (refused || e.is_go_away())
    })
}

/// Whether the node ended this stream and kept its connection, and not because it had not looked at it: so a living node
/// speaks (RFC 9113 §6.4), however old the connection is.
pub fn is_refusal_of_stream(error: &Error) -> bool {
    let reset = |e: &h2::Error| e.is_reset() && e.is_remote();
    h2_error(error).is_some_and(reset) && !is_untouched(error)
}

/// Whether an attempt over HTTP/2 failed because its connection did, and not by a limit or a word of the node.
pub fn is_of_connection(error: &Error) -> bool {
    let late = matches!(
        error.etype(),
        ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout
    );
    !late && h2_error(error).is_none_or(h2::Error::is_io)
}

/// Whether we ended a connection because small pieces that no client takes were too many (see `h2`): it is not the node's
/// fault.
pub fn is_our_flood(error: &Error) -> bool {
    h2_error(error).is_some_and(|e| {
        let calm = e.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM);
        calm && e.is_go_away() && e.is_library()
    })
}

/// What pingora says of a stream that its node ended before the body was on its way.
const NO_CAPACITY: &str = "cannot reserve capacity";

/// Whether a node of HTTP/2 ended the stream before the body of a request that was sent again. It may have answered: one
/// that has no use for the body may say so and end the stream (RFC 9113 §8.1). pingora bears that while it reads a body,
/// but not while it sends what it kept of one, and the answer is lost. So it is no fault of the node, and nobody knows what it did.
pub fn is_cut_short(error: &Error) -> bool {
    let context = error.context.as_ref().map(|words| words.as_str());
    *error.etype() == ErrorType::H2Error && context == Some(NO_CAPACITY)
}

fn h2_error(error: &Error) -> Option<&h2::Error> {
    error.root_cause().downcast_ref()
}

/// What the end of a stream of HTTP/2 means.
fn h2_failure(error: &Error) -> Option<End> {
    if matches!(error.etype(), ErrorType::H2Downgrade | ErrorType::InvalidH2) {
        return Some(End::UpstreamInvalid);
    }
    if *error.etype() == PING_TIMEDOUT {
        return Some(End::UpstreamTimeout);
    }
    let e = h2_error(error)?;
    Some(match e.is_library() && !is_our_flood(error) {
        // What came is no HTTP/2, or not what its head says.
        true => End::UpstreamInvalid,
        false => End::UpstreamReset,
    })
}

/// Whether the file wants another try after this failure. `try_timed_out`: it took longer than a try may.
pub fn asks_for_another(failure: End, try_timed_out: bool, rules: &Retry) -> bool {
    match failure {
        End::UpstreamReset | End::UpstreamTls => rules.on.reset,
        End::UpstreamTimeout => rules.on.timeout || try_timed_out,
        // Nonsense would be nonsense again; a connection that could not be made is asked of elsewhere.
        _ => false,
    }
}

/// Whether `line` gave up waiting for the beginning of the answer.
pub fn try_timed_out(error: &Error) -> bool {
    let io = error.root_cause().downcast_ref::<io::Error>();
    io.is_some_and(|e| e.kind() == io::ErrorKind::TimedOut) && !was_silent(error)
}

/// Whether the node of a request for a tunnel took longer than a node may: nobody looked for another one.
fn was_silent(error: &Error) -> bool {
    let io = error.root_cause().downcast_ref::<io::Error>();
    io.and_then(io::Error::get_ref)
        .is_some_and(|inner| inner.is::<Silent>())
}

/// The longest pause that is believed, in seconds.
const LONGEST_PAUSE: u64 = 3_600;

/// How long a node asks to be left alone: `Retry-After` in seconds (RFC 9110 §10.2.3). A date is not read: it would take
/// a clock that agrees with the node's.
pub fn asked_pause(status: StatusCode, retry_after: Option<&HeaderValue>) -> Option<Duration> {
    if status != StatusCode::SERVICE_UNAVAILABLE {
        return None; // 429 is about one client
    }
    let seconds = retry_after?.to_str().ok()?.trim();
    let digits = !seconds.is_empty() && seconds.bytes().all(|b| b.is_ascii_digit());
    // More than any number is a long time.
    let seconds = digits.then(|| seconds.parse().unwrap_or(LONGEST_PAUSE))?;
    (seconds > 0).then(|| Duration::from_secs(seconds.min(LONGEST_PAUSE)))
}

/// Whether a connection that could not be made speaks against the node. Running out of our own descriptors or ports
/// does not.
pub fn is_nodes_fault(error: &Error) -> bool {
    !matches!(
        error.etype(),
        ErrorType::SocketError | ErrorType::BindError | ErrorType::InternalError
    )
}

/// What went wrong while connecting, in words for the operator.
pub fn connect_failure_in_words(error: &Error) -> Cow<'static, str> {
    let words = match error.etype() {
        ErrorType::TLSHandshakeFailure => {
            let io = error.root_cause().downcast_ref::<io::Error>();
            return io.map_or("TLS handshake failed".into(), |e| {
                tls::of_handshake(e).into()
            });
        }
        ErrorType::ConnectRefused => "connection refused",
        ErrorType::ConnectTimedout => "connection timed out",
        ErrorType::ConnectNoRoute => "no route to host",
        _ => "cannot connect",
    };
    words.into()
}

#[cfg(test)]
mod tests;
