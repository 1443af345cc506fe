//! Tidegate: a Layer-7 load-balancing reverse proxy. The modules in the order a request and a reader meet them.
#![forbid(unsafe_code)]

pub mod base;
pub mod config;
pub mod route;
pub mod balance;
