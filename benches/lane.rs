//! What a request costs in the express lane, from the bytes that came to the bytes that are sent, and what it costs to
//! find out that it is for the other one.
//!
//! The time of several that come together is that of all of them. Nothing here may measure the network or wait.

use std::time::Instant;

use criterion::{Criterion, Throughput};

use super::scenes::{Scene, Site};

/// Every scene, on one connection.
pub fn requests(c: &mut Criterion) {
    let site = Site::open();
    let mut group = c.benchmark_group("lane");
    for scene in Scene::all() {
        site.is_asked(&scene, 1);
        group.throughput(Throughput::Elements(scene.together));
        group.bench_function(scene.name, |b| {
            b.iter_custom(|times| {
                let begun = Instant::now();
                site.is_asked(&scene, times);
                begun.elapsed()
            });
        });
    }
    group.finish();
}
