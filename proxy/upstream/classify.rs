//! The one definition of "this was a failure, of this kind, and it may be tried elsewhere".
//!
//! Logs, metrics, retries and node health all ask here; none of them looks at an error on its own.

use std::io;

use http::Method;
use pingora::{Error, ErrorSource, ErrorType};

use crate::base::reason::End;

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
    if is_no_answer(error) {
        return End::UpstreamInvalid;
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

/// Whether `line` refused what the node sent: pingora calls that a failed read.
fn is_no_answer(error: &Error) -> bool {
    let io = error.root_cause().downcast_ref::<io::Error>();
    io.is_some_and(|e| e.kind() == io::ErrorKind::InvalidData)
}

/// Whether a request that met `failure` after it was sent may be sent again.
///
/// Only an idempotent method (RFC 9110 §9.2.2) whose body can be replayed, and only a connection that broke: a node
/// that is slow or answers nonsense would be as slow again, and twice as loaded.
pub fn may_send_again(failure: End, method: &Method, body_is_kept: bool) -> bool {
    failure == End::UpstreamReset && body_is_kept && method.is_idempotent()
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
pub fn connect_failure_in_words(error: &Error) -> &'static str {
    match error.etype() {
        ErrorType::ConnectRefused => "connection refused",
        ErrorType::ConnectTimedout => "connection timed out",
        ErrorType::ConnectNoRoute => "no route to host",
        _ => "cannot connect",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(kind: ErrorType) -> End {
        ending(&Error::new_up(kind))
    }

    #[test]
    fn each_kind_of_node_failure_has_its_name() {
        assert_eq!(upstream(ErrorType::ConnectRefused), End::UpstreamConnect);
        assert_eq!(upstream(ErrorType::ConnectTimedout), End::UpstreamTimeout);
        assert_eq!(upstream(ErrorType::ReadTimedout), End::UpstreamTimeout);
        assert_eq!(upstream(ErrorType::ConnectionClosed), End::UpstreamReset);
        assert_eq!(upstream(ErrorType::InvalidHTTPHeader), End::UpstreamInvalid);
        let read = |kind: io::ErrorKind| {
            let cause = Error::because(ErrorType::ReadError, "reading", io::Error::from(kind));
            ending(&Error::because(ErrorType::ReadError, "head", cause).into_up())
        };
        assert_eq!(read(io::ErrorKind::InvalidData), End::UpstreamInvalid);
        assert_eq!(read(io::ErrorKind::ConnectionReset), End::UpstreamReset);
        assert_eq!(read(io::ErrorKind::UnexpectedEof), End::UpstreamReset);
    }

    #[test]
    fn a_client_that_leaves_is_not_a_client_that_is_slow() {
        assert_eq!(
            ending(&Error::new_down(ErrorType::ConnectionClosed)),
            End::ClientAbort
        );
        assert_eq!(
            ending(&Error::new_down(ErrorType::H2Error)),
            End::ClientAbort
        );
        assert_eq!(
            ending(&Error::new_down(ErrorType::ReadTimedout)),
            End::ClientTimeout
        );
    }

    #[test]
    fn only_idempotent_requests_with_their_body_at_hand_are_sent_again() {
        assert!(may_send_again(End::UpstreamReset, &Method::GET, true));
        assert!(may_send_again(End::UpstreamReset, &Method::PUT, true));
        assert!(!may_send_again(End::UpstreamReset, &Method::PUT, false));
        assert!(!may_send_again(End::UpstreamReset, &Method::POST, true));
        assert!(!may_send_again(End::UpstreamTimeout, &Method::GET, true));
    }
}
