//! The targets of `tests/fuzz/` under libFuzzer: what it keeps is what reaches new code.
//!
//! `TIDEGATE_FUZZ_TARGET` says which one; the kept seeds are put into the folder `TIDEGATE_FUZZ_SEEDS` first. It never
//! decides what is right: that is the targets' business.

#![no_main]

extern crate self as tidegate;

#[path = "../../../proxy/base/mod.rs"]
pub mod base;
#[path = "../../../proxy/cache"]
pub mod cache {
    pub mod entry {
        pub mod head;
        pub use head::Head;
    }
    pub mod policy;
    pub mod shared {
        pub mod chain;
        pub mod codec;
    }
    pub mod unkeyed;
}
#[path = "../../../proxy/config"]
pub mod config {
    pub mod checked;
    pub mod defaults;
}
#[path = "../mod.rs"]
mod fuzz;
#[path = "../../../proxy/guard"]
pub mod guard {
    pub mod client;
}
#[path = "../../support"]
mod support {
    pub mod cases;
    pub mod notation;
    pub mod policy;
    pub mod strict;
}
#[path = "../../../proxy/transform/mod.rs"]
pub mod transform;
#[path = "../../../proxy/wire/mod.rs"]
pub mod wire;

use std::path::Path;
use std::sync::LazyLock;

use fuzz::{TARGETS, Target, seeds};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("TIDEGATE_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|t| t.name == name);
    let names: Vec<_> = TARGETS.iter().map(|t| t.name).collect();
    let target = found.unwrap_or_else(|| panic!("TIDEGATE_FUZZ_TARGET is one of {names:?}"));
    if let Some(dir) = std::env::var_os("TIDEGATE_FUZZ_SEEDS") {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        for (name, bytes) in seeds(target.name, &root) {
            let file = Path::new(&dir).join(format!("seed-{name}"));
            std::fs::write(file, bytes).expect("a folder to write to");
        }
    }
    target
});

libfuzzer_sys::fuzz_target!(
    init: {
        LazyLock::force(&TARGET);
    },
    |bytes: &[u8]| (TARGET.run)(bytes)
);
