//! Stories of the store: what is kept, what is shared, what is purged, and how much memory all of it takes.

mod adopted;
mod crowds;
mod fills;
mod forms;
mod hits;
mod keeping;
mod makings;
mod memory;
mod model;
mod purges;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::*;
use crate::base::cached::Why;
use crate::cache::policy::life::Source;

const MIB: u64 = 1024 * 1024;

fn rules(memory: u64, max_object: u64) -> Cache {
    Cache {
        memory,
        max_object,
        variants: 32,
        recompress: None,
        purge_token: None,
        redis: None,
    }
}

fn store() -> Store {
    Store::new(&rules(16 * MIB, MIB), 7)
}

fn url(store: &Store, path: &str) -> Arc<Key> {
    Arc::new(store.key(Target {
        scheme: "http",
        host: "a.example",
        path,
        query: None,
    }))
}

fn life(received: Millis) -> Life {
    Life {
        received,
        initial_age: 0,
        lifetime: 60_000,
        source: Source::MaxAge,
        stale_while_revalidate: 0,
        stale_if_error: None,
        no_cache: false,
        must_revalidate: false,
        has_validator: false,
    }
}

fn head(bytes: usize) -> Head {
    let value = vec![b'v'; bytes.saturating_sub(12)];
    Head::new(StatusCode::OK, [(&b"x-filler"[..], &value[..])])
}

/// The fields of a request of this variant.
fn wants(variant: &str) -> HeaderMap {
    let name = HeaderName::from_static("x-variant");
    let value = HeaderValue::from_str(variant).unwrap();
    HeaderMap::from_iter([(name, value)])
}

/// An answer for requests of this variant.
fn only(variant: &str) -> Selection {
    let vary = HeaderValue::from_static("x-variant");
    let answer = HeaderMap::from_iter([(http::header::VARY, vary)]);
    Selection::of(&answer, &wants(variant)).unwrap()
}

fn any() -> HeaderMap {
    HeaderMap::new()
}

#[track_caller]
fn lead(store: &Store, key: &Arc<Key>, request: &HeaderMap) -> Filler {
    match store.join(Arc::clone(key), request, None) {
        Joined::Lead(filler) => filler,
        Joined::Follow(_) => panic!("somebody else fetches {key}"),
    }
}

#[track_caller]
fn follow(store: &Store, key: &Arc<Key>, request: &HeaderMap) -> Reader {
    match store.join(Arc::clone(key), request, None) {
        Joined::Follow(reader) => reader,
        Joined::Lead(_) => panic!("nobody else fetches {key}"),
    }
}

/// Something that is not done yet when it is asked for must not be waited for.
fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let waker = std::task::Waker::noop();
    match future
        .as_mut()
        .poll(&mut std::task::Context::from_waker(waker))
    {
        std::task::Poll::Ready(done) => Some(done),
        std::task::Poll::Pending => None,
    }
}

/// An answer that is stored.
struct Answer<'a> {
    path: &'a str,
    variant: Option<&'a str>,
    tags: &'a [&'a str],
    received: Millis,
    head: usize,
    body: Bytes,
}

fn answer(path: &str, body: usize) -> Answer<'_> {
    Answer {
        path,
        variant: None,
        tags: &[],
        received: 1000,
        head: 100,
        body: vec![b'b'; body].into(),
    }
}

impl Answer<'_> {
    fn selection(&self) -> Selection {
        self.variant.map_or_else(Selection::default, only)
    }

    fn request(&self) -> HeaderMap {
        self.variant.map_or_else(any, wants)
    }

    fn begin(&self, store: &Store) -> Filler {
        let mut filler = lead(store, &url(store, self.path), &self.request());
        let tags = self.tags.iter().map(|tag| store.tag_hash(tag.as_bytes()));
        let what = (head(self.head), life(self.received));
        filler.begins(what, self.selection(), tags.collect(), None);
        filler
    }

    fn put(&self, store: &Store) -> Result<Arc<Entry>, Why> {
        let mut filler = self.begin(store);
        for piece in self.body.chunks(16 * 1024) {
            let piece = self.body.slice_ref(piece);
            now(filler.write(piece)).expect("nobody reads it, so nobody is waited for");
        }
        filler.finish()
    }
}

fn body_of(entry: &Entry) -> Vec<u8> {
    entry.body.pieces().concat()
}

fn stored(store: &Store, path: &str) -> Option<Arc<Entry>> {
    let found = store.find(&url(store, path), &any());
    found.entry.map(|(entry, _)| entry)
}

fn evicted(store: &Store, why: &str) -> u64 {
    let all = store.stats().evicted;
    all.iter().find(|(word, _)| *word == why).unwrap().1
}

async fn read(reader: &mut Reader) -> Result<Vec<u8>, Why> {
    let mut all = Vec::new();
    while let Some(piece) = reader.next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(all)
}
