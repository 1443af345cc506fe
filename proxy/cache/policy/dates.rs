//! Points in time as HTTP writes them (RFC 9110 §5.6.7).

use super::life::Millis;

/// Milliseconds since the Unix epoch, before it too; `None`: no date. `now` says which century `-94` is in.
pub fn parse(value: &[u8], now: Millis) -> Option<i64> {
    let _ = (value, now);
    None
}
