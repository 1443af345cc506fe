//! How many connections the process can hold: what the system lets it open decides, whatever the file says.
//!
//! A proxy that runs out of descriptors can neither accept nor reach a node. So it never gets there: each client may
//! need two, one for itself and one for its node (in HTTP/2 one more for each further request), and some are set aside. Only ever raises the process's own limit.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::upstream::kept::IN_ALL;

/// Set aside for files, ports, the stats port and those who are turned away.
const ASIDE: usize = 64;
/// Probes of nodes under way at the same time, at least and at most.
const PROBES: (usize, usize) = (8, 1_024);
/// What a file without a limit on connections may well mean.
const WITHOUT_LIMIT: usize = 100_000;
/// So many clients are enough for most sites.
const MANY: usize = 4_000;
/// What is assumed where the system does not tell.
const USUAL: usize = 1_024;

/// What fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Descriptors.
    pub files: usize,
    /// Client connections.
    pub clients: usize,
    /// Idle connections to nodes.
    pub kept: usize,
    /// Probes of nodes at the same time.
    pub probes: usize,
}

impl Room {
    /// Raises the limit of this process as far as it may, and divides what it got.
    pub fn of_this_process() -> Self {
        let files = match getrlimit(Resource::RLIMIT_NOFILE) {
            Ok((soft, hard)) => match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
                Ok(()) => hard,
                Err(_) => soft,
            },
            Err(_) => USUAL as u64,
        };
        Room::divide(usize::try_from(files).unwrap_or(usize::MAX))
    }

    fn divide(files: usize) -> Self {
        let kept = (files / 8).min(IN_ALL);
        let probes = (files / 16).clamp(PROBES.0, PROBES.1);
        Room {
            files,
            clients: (files.saturating_sub(ASIDE + kept + probes) / 2).max(1),
            kept,
            probes,
        }
    }

    /// Says so when the file allows more than fits.
    pub fn tell(self, allowed: Option<usize>) {
        if allowed.unwrap_or(WITHOUT_LIMIT) > self.clients {
            let allowed = allowed.map_or("no limit".into(), |n| n.to_string());
            // Few clients fit: somebody may wait for an answer. Many: good to know.
            let seldom = self.clients >= MANY;
            let words = format!(
                "limits.connections is {allowed}, but this process may open {} files, enough for {} clients; \
                 raise it (`ulimit -n`, LimitNOFILE= of the systemd unit) or lower limits.connections",
                self.files, self.clients
            );
            match seldom {
                true => tracing::info!("{words}"),
                false => tracing::warn!("{words}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_can_have_its_node() {
        for files in [64, 256, 1_024, 65_536, 1 << 20] {
            let room = Room::divide(files);
            let used = 2 * room.clients + room.kept + room.probes;
            assert!(
                room.clients >= 1 && (used + ASIDE <= files || files <= 128),
                "{room:?}"
            );
        }
        assert_eq!(Room::divide(1 << 20).kept, IN_ALL);
    }
}
