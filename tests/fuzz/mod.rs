//! Bytes from outside, made up by the million: no parser of them panics, and what each promises holds for all.
//!
//! A target is a function that is shown bytes and panics when a promise is broken. The ordinary run shows it every
//! kept seed and some thousand mutations of them, the same on every machine; `scripts/fuzz.sh` shows it what
//! libFuzzer makes of them, for as long as asked (`engine/`). Whatever was found stays as a seed in the folder of its
//! target, named after what it broke. A target never tells a parser what is right by asking the parser.

mod accept;
mod answer;
mod chunks;
mod client;
mod coded;
mod control;
mod frames;
mod head;
#[cfg(test)]
mod mutate;
mod path;
mod prelude;
mod pseudo;
mod range;
mod seeds;
mod shared;
mod tags;

pub use seeds::seeds;

/// One parser, and what it promises.
pub struct Target {
    /// Its name; seeds are in the folder of this name.
    pub name: &'static str,
    /// Panics when a promise is broken.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "head",
        run: head::run,
    },
    Target {
        name: "path",
        run: path::run,
    },
    Target {
        name: "chunks",
        run: chunks::run,
    },
    Target {
        name: "answer",
        run: answer::run,
    },
    Target {
        name: "prelude",
        run: prelude::run,
    },
    Target {
        name: "pseudo",
        run: pseudo::run,
    },
    Target {
        name: "client",
        run: client::run,
    },
    Target {
        name: "range",
        run: range::run,
    },
    Target {
        name: "control",
        run: control::run,
    },
    Target {
        name: "tags",
        run: tags::run,
    },
    Target {
        name: "accept",
        run: accept::run,
    },
    Target {
        name: "coded",
        run: coded::run,
    },
    Target {
        name: "frames",
        run: frames::run,
    },
    Target {
        name: "shared",
        run: shared::run,
    },
];

/// The same bytes in pieces: whole, byte by byte, and cut at places that follow from the bytes.
fn cuts(bytes: &[u8]) -> [Vec<&[u8]>; 3] {
    let sum = bytes.iter().fold(7_u64, |sum, b| {
        sum.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*b)
    });
    let mut rng = fastrand::Rng::with_seed(sum);
    let (mut odd, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(rng.usize(1..=rest.len().min(40)));
        odd.push(piece);
        rest = later;
    }
    [vec![bytes], bytes.chunks(1).collect(), odd]
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::Path;

    use super::mutate::Mutator;
    use super::{TARGETS, seeds};
    use crate::support::notation::show;

    /// Mutations by default: about a second for each target without optimisation.
    const MANY: u64 = 50_000;
    /// Bytes of what is mutated; longer seeds are shown as they are.
    const LONG: usize = 4_096;

    /// Shows a target its seeds and mutations of them. `TIDEGATE_FUZZ=1000000` shows more, `TIDEGATE_SEED=7` others.
    fn holds(name: &str) {
        let number = |name: &str, otherwise| {
            let set = std::env::var(name).ok();
            set.map_or(otherwise, |n| n.parse().expect("a number"))
        };
        let target = TARGETS.iter().find(|t| t.name == name).expect("a target");
        let seeds = seeds(name, Path::new(env!("CARGO_MANIFEST_DIR")));
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let show = |from: &str, bytes: &[u8]| {
            let run = catch_unwind(AssertUnwindSafe(|| (target.run)(bytes)));
            assert!(run.is_ok(), "{name}, {from}: {}", show(bytes));
        };
        for (file, bytes) in &seeds {
            show(file, bytes);
        }
        let short: Vec<&[u8]> = seeds.iter().map(|s| &s.1[..]).collect();
        let short = short.into_iter().filter(|s| s.len() < LONG).collect();
        let mut mutator = Mutator::new(short, number("TIDEGATE_SEED", 2_026));
        for _ in 0..number("TIDEGATE_FUZZ", MANY) {
            show("made up", &mutator.make());
        }
    }

    #[test]
    fn request_heads_are_read_alike_and_written_in_one_form() {
        holds("head");
    }

    #[test]
    fn paths_have_one_form_that_hides_nothing() {
        holds("path");
    }

    #[test]
    fn chunked_bodies_end_in_one_place() {
        holds("chunks");
    }

    #[test]
    fn answers_end_where_their_heads_say() {
        holds("answer");
    }

    #[test]
    fn preludes_are_whole_or_none() {
        holds("prelude");
    }

    #[test]
    fn ranges_are_of_what_is_there() {
        holds("range");
    }

    #[test]
    fn cache_control_hears_every_directive() {
        holds("control");
    }

    #[test]
    fn entity_tags_are_found_among_others() {
        holds("tags");
    }

    #[test]
    fn what_a_client_refuses_is_not_sent() {
        holds("accept");
    }

    #[test]
    fn coded_bodies_are_whole_or_broken() {
        holds("coded");
    }

    #[test]
    fn frames_end_where_their_lengths_say() {
        holds("frames");
    }

    #[test]
    fn values_of_the_shared_tier_are_answers_that_were_written_or_none() {
        holds("shared");
    }

    #[test]
    fn requests_of_http_2_can_be_written_as_http_1() {
        holds("pseudo");
    }

    #[test]
    fn clients_are_peers_or_named() {
        holds("client");
    }
}
