//! What is counted of getting certificates.
//!
//! The label is the first name of a certificate in the file: what a client asks for is never one.

use super::family::{Counters, Families, FloatGauges, counters, float_gauges};

/// Metrics of certificates that are got from a CA.
#[derive(Debug)]
pub struct AcmeMetrics {
    orders: Counters,
    expiry: FloatGauges,
    renewal: FloatGauges,
}

impl AcmeMetrics {
    /// The result of an order that ended with a certificate.
    pub const ISSUED: &str = "issued";

    /// Every result of an order.
    pub const RESULTS: [&str; 4] = [AcmeMetrics::ISSUED, "away", "refused", "limited"];

    pub(super) fn new(f: &Families) -> Self {
        AcmeMetrics {
            orders: counters(
                f,
                "acme_orders_total",
                "Certificates ordered from the CA, by what became of it.",
                &["result"],
            ),
            expiry: float_gauges(
                f,
                "acme_certificate_expiry_timestamp_seconds",
                "Until when a certificate from the CA holds; 0 while there is none.",
                &["name"],
            ),
            renewal: float_gauges(
                f,
                "acme_certificate_renewal_timestamp_seconds",
                "When a certificate from the CA is to be renewed; 0 while there is none.",
                &["name"],
            ),
        }
    }

    /// There is something to order: all results are told from now on.
    pub fn begin(&self) {
        for result in AcmeMetrics::RESULTS {
            let _ = self.orders.with_label_values(&[result]);
        }
    }

    /// An order ended so; `result` is one of [`AcmeMetrics::RESULTS`].
    pub fn ended(&self, result: &str) {
        self.orders.with_label_values(&[result]).inc();
    }

    /// How long the certificate whose first name this is holds, and when it is to be renewed; seconds since 1970.
    pub fn holds(&self, name: &str, expiry: f64, renewal: f64) {
        self.expiry.with_label_values(&[name]).set(expiry);
        self.renewal.with_label_values(&[name]).set(renewal);
    }

    /// The file no longer asks for it.
    pub fn left(&self, name: &str) {
        self.expiry.remove_under(&[name]);
        self.renewal.remove_under(&[name]);
    }
}
