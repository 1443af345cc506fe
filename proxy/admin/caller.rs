//! Who is calling: the door finds out once, and everything behind it goes by that.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::base::role::Role;

/// The generation on which a change was decided, if its caller says so: it is made in no other. Checked again under the
/// lock that each generation is made under.
#[derive(Debug, Clone, Copy)]
pub struct Expected(pub Option<u64>);

/// A caller that the door let in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Where it is.
    pub addr: SocketAddr,
    /// The name of its token; none: it needed none.
    pub name: Option<Arc<str>>,
    /// What it may do.
    pub role: Role,
    /// What tells its token from others; none: it needed none.
    pub key: Option<u64>,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.addr),
            None => self.addr.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_goes_by_the_name_of_its_token() {
        let mut caller = Caller {
            addr: "10.0.0.5:99".parse().expect("invariant: an address"),
            name: None,
            role: Role::Read,
            key: None,
        };
        assert_eq!(caller.to_string(), "10.0.0.5:99");
        caller.name = Some("deploy".into());
        assert_eq!(caller.to_string(), "deploy (10.0.0.5:99)");
    }
}
