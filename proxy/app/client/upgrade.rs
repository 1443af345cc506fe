//! `tidegate upgrade`: another process takes over from the running one.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::{Proxy, ended};
use crate::app::cli::{Output, UpgradeArgs};
use crate::app::say;
use crate::base::units::show_duration;

/// How much longer than the next process the answer may take.
const A_LITTLE: Duration = Duration::from_secs(10);

/// `tidegate upgrade`
pub fn upgrade(args: &UpgradeArgs) -> ExitCode {
    let proxy = Proxy::patiently_at(&args.admin, args.wait + A_LITTLE);
    let body = json!({ "wait": show_duration(args.wait) });
    ended(proxy.post("/api/v1/upgrade", Some(&body)).map(|answer| {
        match args.admin.output {
            Output::Json => say::line(format_args!("{answer:#}")),
            Output::Text => say::line(format_args!(
                "process {} (version {}) serves; process {} finishes what it has",
                answer["pid"],
                answer["version"].as_str().unwrap_or_default(),
                answer["was"]
            )),
        }
        ExitCode::SUCCESS
    }))
}
