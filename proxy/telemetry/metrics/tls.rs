//! What is counted of TLS on data ports.
//!
//! Labels are ports, versions, named failures and certificates of the file: nothing that a client chose.

use prometheus::{Histogram, IntCounter};

use super::BUCKETS;
use super::family::{Counters, Families, Histograms, Mirror, Sample, counters, histograms, label};

/// Why a handshake failed: the label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// It took longer than it may.
    Timeout,
    /// The client left before it was over.
    Gone,
    /// What came is no TLS.
    NotTls,
    /// It is HTTP in the clear.
    PlainHttp,
    /// More began in this second than may.
    TooMany,
    /// No certificate is for the name, and that is refused.
    UnknownName,
    /// There is no certificate at all yet.
    NoCertificate,
    /// No version, suite or signature in common.
    Incompatible,
    /// No protocol in common (ALPN).
    Alpn,
    /// The client has no certificate, or none that is believed.
    ClientCertificate,
    /// The client refused, in most cases our certificate.
    RefusedByClient,
    /// The client broke the protocol.
    Protocol,
}

impl Failed {
    /// Every value, for metrics that exist from the start.
    pub const ALL: [Failed; 12] = [
        Failed::Timeout,
        Failed::Gone,
        Failed::NotTls,
        Failed::PlainHttp,
        Failed::TooMany,
        Failed::UnknownName,
        Failed::NoCertificate,
        Failed::Incompatible,
        Failed::Alpn,
        Failed::ClientCertificate,
        Failed::RefusedByClient,
        Failed::Protocol,
    ];

    /// The word of the metric and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Failed::Timeout => "timeout",
            Failed::Gone => "gone",
            Failed::NotTls => "not_tls",
            Failed::PlainHttp => "plain_http",
            Failed::TooMany => "too_many",
            Failed::UnknownName => "unknown_name",
            Failed::NoCertificate => "no_certificate",
            Failed::Incompatible => "incompatible",
            Failed::Alpn => "alpn",
            Failed::ClientCertificate => "client_certificate",
            Failed::RefusedByClient => "refused_by_client",
            Failed::Protocol => "protocol",
        }
    }
}

#[derive(Debug)]
pub(super) struct TlsFamilies {
    handshakes: Counters,
    errors: Counters,
    duration: Histograms,
    expiry: Mirror,
}

/// The handshakes of one data port.
#[derive(Debug)]
pub struct TlsMetrics {
    /// By version (1.2, 1.3), and of each those that began anew and those that went on.
    handshakes: [[IntCounter; 2]; 2],
    errors: Vec<IntCounter>,
    /// Time from the first byte to the last of a handshake.
    pub duration: Histogram,
}

/// Until when a certificate of the file holds.
#[derive(Debug, Clone)]
pub struct ExpiryGauge<'a> {
    /// The first name it is for.
    pub name: &'a str,
    /// The file it is in.
    pub file: String,
    /// Seconds since 1970.
    pub until: u64,
}

impl TlsMetrics {
    /// Counts a handshake that went well. `is_13`: of TLS 1.3; `resumed`: an earlier session went on.
    pub fn succeeded(&self, is_13: bool, resumed: bool) {
        self.handshakes[usize::from(is_13)][usize::from(resumed)].inc();
    }

    /// Counts one that failed.
    pub fn failed(&self, why: Failed) {
        self.errors[why as usize].inc();
    }
}

impl TlsFamilies {
    pub(super) fn new(f: &Families) -> Self {
        TlsFamilies {
            handshakes: counters(
                f,
                "tls_handshakes_total",
                "TLS handshakes with clients.",
                &["listener", "version", "resumed"],
            ),
            errors: counters(
                f,
                "tls_handshake_errors_total",
                "TLS handshakes with clients that failed.",
                &["listener", "reason"],
            ),
            duration: histograms(
                f,
                (
                    "tls_handshake_duration_seconds",
                    "Time from the first byte of a handshake to its end.",
                ),
                &BUCKETS,
                &["listener"],
            ),
            expiry: Mirror::gauge(
                "tls_certificate_expiry_timestamp_seconds",
                "When a certificate of the file expires, in seconds since 1970.",
            ),
        }
    }

    pub(super) fn handles(&self, listener: &str) -> TlsMetrics {
        let of = |version| {
            ["no", "yes"]
                .map(|resumed| (self.handshakes).with_label_values(&[listener, version, resumed]))
        };
        TlsMetrics {
            handshakes: ["1.2", "1.3"].map(of),
            errors: Failed::ALL
                .iter()
                .map(|why| self.errors.with_label_values(&[listener, why.as_str()]))
                .collect(),
            duration: self.duration.with_label_values(&[listener]),
        }
    }

    /// Adds until when certificates hold.
    pub(super) fn write_state(&self, certificates: &[ExpiryGauge<'_>], text: &mut String) {
        if certificates.is_empty() {
            return;
        }
        self.expiry.begin(text);
        for certificate in certificates {
            let (name, file) = (
                label("name", certificate.name),
                label("file", &certificate.file),
            );
            let until = Sample::Whole(certificate.until);
            self.expiry.sample(&[&name, &file], until, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_place() {
        for (at, why) in Failed::ALL.iter().enumerate() {
            assert_eq!(*why as usize, at, "{}", why.as_str());
        }
    }
}
