//! In which form a client gets its answer: as it is, compressed, or decoded.
//!
//! | moment | file |
//! |---|---|
//! | arrives: what the client takes, what the nodes are asked for | `asks` |
//! | an answer that is handed on: its head, its body piece by piece | `live` |
//! | a stored answer, or one on its way into the store: which form | `choice` |
//! | its head says so: `Content-Encoding`, `ETag`, `Vary` | `dress` |
//! | a form is made, once for all who want it | `make` |
//! | how busy this thread is | `busy` |
//!
//! What may be done is decided in `transform` alone. Never sends a client an encoding that it refused, unless the answer
//! came in it and nobody may change it.

pub mod asks;
pub mod busy;
pub mod choice;
pub mod dress;
pub mod live;
pub mod make;
