//! The stats port as its users meet it: the API and its document, the roles, the page, the figures over time.
//!
//! Every story runs the real program and speaks to its stats port over a socket.
mod besieged;
mod changes;
mod document;
mod door;
mod events;
mod following;
mod guarded;
mod history;
mod saving;
mod stream;
mod top;
mod words;
