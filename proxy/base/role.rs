//! What a caller of the stats port may do: a word of the file and of the API.
//!
//! Ordered: who may do more may do all that comes before it.

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look.
    Read,
    /// Change what runs: nodes, purges, reloads.
    Ops,
    /// Also what outlives the process: the configuration file.
    Admin,
}

impl Role {
    /// All of them, the smallest first.
    pub const ALL: [Role; 3] = [Role::Read, Role::Ops, Role::Admin];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Ops => "ops",
            Role::Admin => "admin",
        }
    }

    /// The role of this word.
    pub fn from_word(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_do_more_may_do_all_that_comes_before_it() {
        assert!(Role::Admin > Role::Ops && Role::Ops > Role::Read);
        for role in Role::ALL {
            assert_eq!(Role::from_word(role.as_str()), Some(role));
        }
        assert_eq!(Role::from_word("root"), None);
    }
}
