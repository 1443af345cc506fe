//! Every way a request can end, by name.
//!
//! One vocabulary: the same word is the log's `end`, the metric's label and what the stats page shows. A new ending
//! gets a new name here; nobody reports "other".

use http::StatusCode;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Answered in full.
    Ok,
    /// The client left before it had its answer.
    ClientAbort,
    /// The client was too slow: its body stopped coming or it stopped reading.
    ClientTimeout,
    /// The client broke the protocol while its body was read.
    BadRequest,
    /// No connection to a node could be made.
    UpstreamConnect,
    /// TLS to a node failed: it is not who it should be, refuses us, or speaks something else.
    UpstreamTls,
    /// A node did not answer in time.
    UpstreamTimeout,
    /// A node closed or reset the connection before its answer was complete.
    UpstreamReset,
    /// A node's answer is not HTTP.
    UpstreamInvalid,
    /// A node's answer is not in the encoding that its head names, or more comes out of it than may.
    UpstreamEncoding,
    /// A node answered that it cannot serve now; another one was asked.
    UpstreamStatus,
    /// Several nodes were tried and each failed.
    RetryExhausted,
    /// No node could be used.
    NoNode,
    /// Every node was full, and so was the line before them.
    QueueFull,
    /// Every node was full for as long as it could wait.
    QueueTimeout,
    /// The breakers of all nodes that are left are open.
    BreakerOpen,
    /// The node's drain was over before the request was.
    DrainTimeout,
    /// Nothing passed through the tunnel for as long as it may be silent.
    TunnelIdle,
    /// The whole-request limit passed.
    RequestTimeout,
    /// The process stopped before the request was done.
    Stopped,
    /// A fault of the proxy itself, a panic for example.
    Internal,
    /// Not taken in.
    Refused(Refusal),
}

/// Why a request was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No route matches.
    NoRoute,
    /// Its head did not arrive in time.
    HeaderTimeout,
    /// Its head is larger than the front door reads.
    HeaderTooLarge,
    /// Its head is not HTTP, or can be read in two ways.
    BadRequest,
    /// Its method is none a reverse proxy carries (CONNECT, TRACE).
    Method,
    /// Its version of HTTP is none we speak.
    Version,
    /// Its target is longer than `limits.uri_bytes`.
    UriTooLong,
    /// Its body is larger than `limits.body`.
    BodyTooLarge,
    /// Its path could be read as another one (encoded dot segments, control characters).
    Path,
    /// Its transfer coding is not `chunked`.
    Coding,
    /// Its method is longer than any known one.
    LongMethod,
    /// It expects something other than 100-continue.
    Expectation,
    /// Too many connections are open.
    Connections,
    /// Its client has too many connections open.
    ConnectionsPerIp,
    /// Its client is not allowed here.
    Acl,
    /// Its client asks too often.
    RateLimit,
    /// It wants to purge and does not bring the token (`cache.purge_token_file`).
    PurgeToken,
    /// Its connection did not begin with a valid PROXY protocol prelude; nobody is told.
    Prelude,
}

impl Refusal {
    /// Every value, for metrics that exist from the start.
    pub const ALL: [Refusal; 18] = [
        Refusal::NoRoute,
        Refusal::HeaderTimeout,
        Refusal::HeaderTooLarge,
        Refusal::BadRequest,
        Refusal::Method,
        Refusal::Version,
        Refusal::UriTooLong,
        Refusal::BodyTooLarge,
        Refusal::Path,
        Refusal::Coding,
        Refusal::LongMethod,
        Refusal::Expectation,
        Refusal::Connections,
        Refusal::ConnectionsPerIp,
        Refusal::Acl,
        Refusal::RateLimit,
        Refusal::PurgeToken,
        Refusal::Prelude,
    ];

    /// The word of the metric and, behind `refused:`, of the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::NoRoute => "no_route",
            Refusal::HeaderTimeout => "header_timeout",
            Refusal::HeaderTooLarge => "header_too_large",
            Refusal::BadRequest => "bad_request",
            Refusal::Method => "method",
            Refusal::Version => "version",
            Refusal::UriTooLong => "uri_too_long",
            Refusal::BodyTooLarge => "body_too_large",
            Refusal::Path => "path",
            Refusal::Coding => "transfer_coding",
            Refusal::LongMethod => "method_too_long",
            Refusal::Expectation => "expectation",
            Refusal::Connections => "connections",
            Refusal::ConnectionsPerIp => "connections_per_ip",
            Refusal::Acl => "acl",
            Refusal::RateLimit => "rate_limit",
            Refusal::PurgeToken => "purge_token",
            Refusal::Prelude => "proxy_protocol",
        }
    }

    /// What the client is told.
    pub fn status(self) -> StatusCode {
        match self {
            Refusal::NoRoute => StatusCode::NOT_FOUND,
            Refusal::HeaderTimeout => StatusCode::REQUEST_TIMEOUT,
            Refusal::HeaderTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::BadRequest => StatusCode::BAD_REQUEST,
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Refusal::UriTooLong => StatusCode::URI_TOO_LONG,
            Refusal::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Path => StatusCode::BAD_REQUEST,
            Refusal::Coding => StatusCode::NOT_IMPLEMENTED,
            Refusal::LongMethod => StatusCode::NOT_IMPLEMENTED,
            Refusal::Expectation => StatusCode::EXPECTATION_FAILED,
            Refusal::Connections => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::ConnectionsPerIp => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Acl => StatusCode::FORBIDDEN,
            Refusal::RateLimit => StatusCode::TOO_MANY_REQUESTS,
            Refusal::PurgeToken => StatusCode::FORBIDDEN,
            Refusal::Prelude => StatusCode::BAD_REQUEST,
        }
    }
}

impl End {
    /// Every value but the refusals, which [`Refusal::ALL`] has.
    pub const TAKEN_IN: [End; 21] = [
        End::Ok,
        End::ClientAbort,
        End::ClientTimeout,
        End::BadRequest,
        End::UpstreamConnect,
        End::UpstreamTls,
        End::UpstreamTimeout,
        End::UpstreamReset,
        End::UpstreamInvalid,
        End::UpstreamEncoding,
        End::UpstreamStatus,
        End::RetryExhausted,
        End::NoNode,
        End::QueueFull,
        End::QueueTimeout,
        End::BreakerOpen,
        End::DrainTimeout,
        End::TunnelIdle,
        End::RequestTimeout,
        End::Stopped,
        End::Internal,
    ];

    /// The word of the log and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            End::Ok => "ok",
            End::ClientAbort => "client_abort",
            End::ClientTimeout => "client_timeout",
            End::BadRequest => "bad_request",
            End::UpstreamConnect => "upstream_connect",
            End::UpstreamTls => "upstream_tls",
            End::UpstreamTimeout => "upstream_timeout",
            End::UpstreamReset => "upstream_reset",
            End::UpstreamInvalid => "upstream_invalid",
            End::UpstreamEncoding => "upstream_encoding",
            End::UpstreamStatus => "upstream_status",
            End::RetryExhausted => "retry_exhausted",
            End::QueueFull => "queue_full",
            End::QueueTimeout => "queue_timeout",
            End::BreakerOpen => "breaker_open",
            End::NoNode => "no_node",
            End::DrainTimeout => "drain_timeout",
            End::TunnelIdle => "tunnel_idle",
            End::RequestTimeout => "request_timeout",
            End::Stopped => "stopped",
            End::Internal => "internal",
            End::Refused(Refusal::NoRoute) => "refused:no_route",
            End::Refused(Refusal::HeaderTimeout) => "refused:header_timeout",
            End::Refused(Refusal::HeaderTooLarge) => "refused:header_too_large",
            End::Refused(Refusal::BadRequest) => "refused:bad_request",
            End::Refused(Refusal::Method) => "refused:method",
            End::Refused(Refusal::Version) => "refused:version",
            End::Refused(Refusal::UriTooLong) => "refused:uri_too_long",
            End::Refused(Refusal::BodyTooLarge) => "refused:body_too_large",
            End::Refused(Refusal::Path) => "refused:path",
            End::Refused(Refusal::Coding) => "refused:transfer_coding",
            End::Refused(Refusal::LongMethod) => "refused:method_too_long",
            End::Refused(Refusal::Expectation) => "refused:expectation",
            End::Refused(Refusal::Connections) => "refused:connections",
            End::Refused(Refusal::ConnectionsPerIp) => "refused:connections_per_ip",
            End::Refused(Refusal::Acl) => "refused:acl",
            End::Refused(Refusal::RateLimit) => "refused:rate_limit",
            End::Refused(Refusal::PurgeToken) => "refused:purge_token",
            End::Refused(Refusal::Prelude) => "refused:proxy_protocol",
        }
    }

    /// The answer that belongs to this ending when nothing has been sent yet. `None`: nobody is there to read one.
    pub fn status(self) -> Option<StatusCode> {
        Some(match self {
            End::Ok | End::ClientAbort | End::TunnelIdle => return None,
            End::ClientTimeout => StatusCode::REQUEST_TIMEOUT,
            End::BadRequest => StatusCode::BAD_REQUEST,
            End::UpstreamTls
            | End::UpstreamReset
            | End::UpstreamInvalid
            | End::UpstreamEncoding
            | End::UpstreamStatus
            | End::RetryExhausted => StatusCode::BAD_GATEWAY,
            End::UpstreamTimeout | End::RequestTimeout => StatusCode::GATEWAY_TIMEOUT,
            // Nobody was sent anything: it may come again.
            End::UpstreamConnect
            | End::NoNode
            | End::QueueFull
            | End::QueueTimeout
            | End::BreakerOpen
            | End::DrainTimeout
            | End::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            End::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            End::Refused(why) => why.status(),
        })
    }

    /// Whether the log tells it whatever the sampling says.
    pub fn always_told(self) -> bool {
        self != End::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_504_a_broken_node_502_and_no_node_503() {
        assert_eq!(
            End::UpstreamTimeout.status(),
            Some(StatusCode::GATEWAY_TIMEOUT)
        );
        assert_eq!(End::UpstreamReset.status(), Some(StatusCode::BAD_GATEWAY));
        assert_eq!(End::NoNode.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(End::ClientAbort.status(), None);
    }

    #[test]
    fn a_refusal_reads_the_same_in_the_log_and_the_metric() {
        for why in Refusal::ALL {
            let end = End::Refused(why);
            assert_eq!(end.as_str().strip_prefix("refused:"), Some(why.as_str()));
            assert_eq!(end.status(), Some(why.status()));
        }
    }
}
