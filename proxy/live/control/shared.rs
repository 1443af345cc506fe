//! What the metrics are told of the tier that proxies share: numbers that are counted where things happen, by name.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::cache::shared::purges_stats::PurgesStats;
use crate::cache::shared::stats::{DROPPED, REFUSED, Stats};
use crate::live::peers::Peers;
use crate::live::shared::Shared;
use crate::telemetry::metrics::{ClusterGauges, EntryGauges, TierGauges};

/// How the tier is now.
pub(super) fn gauges(shared: &Shared) -> TierGauges<'_> {
    TierGauges {
        up: shared.kv.is_up(),
        stats: shared.kv.stats(),
        entries: entries(shared.entries.stats()),
        cluster: cluster(shared.purges.stats(), &shared.peers, &shared.id),
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Relaxed)
}

/// What became of answers.
fn entries(stats: &Stats) -> EntryGauges {
    let named = |words: &[&'static str], counts: &[AtomicU64]| {
        let all = words.iter().copied().zip(counts.iter().map(read));
        all.collect::<Vec<_>>()
    };
    let refused = named(&REFUSED, &stats.refused);
    // What was refused is counted as missed, too; each look-up is to be in one place.
    let other: u64 = refused.iter().map(|(_, n)| n).sum();
    let missed = read(&stats.missed).saturating_sub(other);
    let mut looked_up = vec![("hit", read(&stats.found)), ("miss", missed)];
    looked_up.extend(refused);
    EntryGauges {
        looked_up,
        leases: vec![
            ("won", read(&stats.leases_won)),
            ("waited", read(&stats.leases_waited)),
            ("lost", read(&stats.leases_lost)),
        ],
        written: read(&stats.written),
        dropped: named(&DROPPED, &stats.dropped),
        waiting: read(&stats.queued),
        waiting_bytes: read(&stats.queued_bytes),
    }
}

/// What goes on between proxies; `id` is what the others know this one by.
fn cluster(stats: &PurgesStats, peers: &Peers, id: &str) -> ClusterGauges {
    let view = peers.view().map(|(view, _)| view);
    let drifted = view.as_ref().and_then(|view| {
        let own = view.peers.iter().find(|peer| peer.id == id)?;
        let differs = view.peers.iter().filter(|peer| peer.config != own.config);
        Some(differs.count() as u64)
    });
    ClusterGauges {
        purges: vec![
            ("sent", read(&stats.sent)),
            ("received", read(&stats.received)),
        ],
        waiting: read(&stats.queued),
        resyncs: read(&stats.resyncs),
        peers: view.map_or(0, |view| view.total as u64),
        drifted: drifted.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_look_up_is_in_one_place() {
        let stats = Stats::default();
        stats.found.fetch_add(5, Relaxed);
        stats.missed.fetch_add(4, Relaxed);
        stats.refused[1].fetch_add(3, Relaxed);
        let told = entries(&stats).looked_up;
        assert_eq!(told[..2], [("hit", 5), ("miss", 1)]);
        assert!(told.contains(&("purged", 3)), "{told:?}");
        assert_eq!(told.iter().map(|(_, n)| n).sum::<u64>(), 9);
    }
}
