//! The configuration file: schema → parse → validate → checked.

pub mod checked;
