//! How long an answer is fresh, and how old it is on arrival (RFC 9111 §4.2).
