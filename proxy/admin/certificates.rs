//! The certificates that clients are shown, and how long they still hold.
//!
//! The names are a contract with tools outside; fields are added, never renamed. Nothing of a key is here.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::views::stamp;
use crate::live::certificates::{self, From, Shown};
use crate::live::control::Control;

/// What this file answers.
pub fn routes() -> OpenApiRouter<Arc<Control>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// `GET /api/v1/certificates`
#[derive(Debug, Serialize, ToSchema)]
pub struct CertificateList {
    /// Generation in use.
    pub generation: u64,
    /// Each certificate once: those of the file in its order, then those that a CA gave.
    pub certificates: Vec<CertificateView>,
}

/// A certificate that clients are shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct CertificateView {
    /// The names and addresses it is for.
    pub names: Vec<String>,
    /// Where it is from: `file` or `acme`.
    pub source: &'static str,
    /// The file; none: a CA gave it.
    pub file: Option<String>,
    /// Who signed it (RFC 4514).
    pub issuer: String,
    /// From when it holds.
    pub not_before: String,
    /// Until when it holds.
    pub not_after: String,
    /// Whole days until then; below zero: it has expired.
    pub days_left: i64,
    /// `ok`, `soon` (less than two weeks; of one from a CA also: the last fifth of its life) or `expired`.
    pub state: &'static str,
    /// The ports that show it, as the file names them.
    pub ports: Vec<String>,
}

impl CertificateView {
    /// All of them.
    pub fn all(control: &Control) -> Vec<CertificateView> {
        CertificateView::those(control, |_| true)
    }

    /// Those that somebody should look at.
    pub fn ending(control: &Control) -> Vec<CertificateView> {
        CertificateView::those(control, |state| state != certificates::State::Ok)
    }

    fn those(control: &Control, of: fn(certificates::State) -> bool) -> Vec<CertificateView> {
        let now = SystemTime::now();
        let all = control.certificates().into_iter();
        let some = all.filter(|shown| of(shown.state(now)));
        some.map(|shown| view(shown, now)).collect()
    }
}

fn view(shown: Shown, now: SystemTime) -> CertificateView {
    let (source, file) = match &shown.from {
        From::File(path) => ("file", Some(path.display().to_string())),
        From::Acme => ("acme", None),
    };
    CertificateView {
        source,
        file,
        not_before: stamp(shown.not_before),
        not_after: stamp(shown.not_after),
        days_left: shown.days_left(now),
        state: shown.state(now).as_str(),
        ports: shown.ports.iter().map(ToString::to_string).collect(),
        names: shown.names,
        issuer: shown.issuer,
    }
}

/// `GET /api/v1/certificates`
#[utoipa::path(
    get, path = "/api/v1/certificates", tag = "read",
    responses((status = 200, body = CertificateList))
)]
pub async fn list(State(control): State<Arc<Control>>) -> Json<CertificateList> {
    Json(CertificateList {
        generation: control.hold.load().generation,
        certificates: CertificateView::all(&control),
    })
}
