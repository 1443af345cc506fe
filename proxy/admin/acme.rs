//! Certificates that are got from a CA, as the stats port tells them.
//!
//! The names are a contract with tools outside; fields are added, never renamed. Nothing of a key is here.

use std::time::SystemTime;

use serde::Serialize;
use utoipa::ToSchema;

use super::views::stamp;
use crate::live::acme::{State, Wanted};
use crate::live::control::Control;

/// A certificate that the file asks for.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcmeView {
    /// The names it is for.
    names: Vec<String>,
    /// `missing` (handshakes for its names are refused), `ordering`, `valid` or `expired`.
    state: &'static str,
    /// Until when it holds; none: there is none.
    expires_at: Option<String>,
    /// When it is ordered next.
    next_order_at: Option<String>,
    /// Orders that failed since one succeeded.
    failures: u32,
    /// Why the last one failed.
    failure: Option<String>,
}

impl AcmeView {
    /// Those that somebody should look at.
    pub fn troubled(control: &Control) -> Vec<AcmeView> {
        let mut all = AcmeView::all(control);
        all.retain(|view| view.failures > 0 || view.state != State::Valid.as_str());
        all
    }

    /// All of them, in the order of the file.
    pub fn all(control: &Control) -> Vec<AcmeView> {
        let now = SystemTime::now();
        let view = |wanted: Wanted| AcmeView {
            state: wanted.state(now).as_str(),
            names: wanted.names,
            expires_at: wanted.until.map(stamp),
            next_order_at: wanted.next.map(stamp),
            failures: wanted.failures,
            failure: wanted.failure,
        };
        control.acme.all().into_iter().map(view).collect()
    }
}
