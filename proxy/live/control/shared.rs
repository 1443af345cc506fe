//! What the metrics are told of the tier that proxies share: numbers that are counted where things happen, by name.

use crate::live::shared::Shared;
use crate::telemetry::metrics::{ClusterGauges, EntryGauges, TierGauges};

/// How the tier is now.
pub(super) fn gauges(shared: &Shared) -> TierGauges<'_> {
    TierGauges {
        up: shared.kv.is_up(),
        stats: shared.kv.stats(),
        entries: EntryGauges::default(),
        cluster: ClusterGauges::default(),
    }
}
