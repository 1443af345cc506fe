//! Tidegate: a Layer-7 load-balancing reverse proxy. The modules in the order a request and a reader meet them.
//!
//! `proxy/ARCHITECTURE.md` is the plan of the house; `tests/floors.rs` keeps it true.
#![forbid(unsafe_code)]

// -- floor 0: words
pub mod base;

// -- floor 1: the configuration
pub mod config;

// -- floor 1: the outside store
pub mod kv;

// -- floor 2: the stages of a request; siblings do not know each other
pub mod wire;

pub mod guard;

pub mod route;

pub mod cache;

pub mod balance;

pub mod upstream;

pub mod telemetry;

pub mod transform;

// -- floor 3: what is in use now
pub mod live;

// -- floor 4: the edges
pub mod gateway;

pub mod jobs;

pub mod admin;

// -- floor 5: assembly
pub mod app;
