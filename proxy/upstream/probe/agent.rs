//! What a node says of itself in the answer to a probe: `X-Tidegate-State`.
//!
//! The words are those of HAProxy's agent checks, so that an app that speaks to both says the same. Unlike there, a
//! word holds only as long as the node repeats it. A word nobody knows is never an error: an app may be newer than
//! its proxy.

/// The field.
pub const FIELD: &str = "x-tidegate-state";

/// What the words of one answer come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// It is down, whatever the rest of the answer says.
    pub down: bool,
    /// It wants no new requests.
    drain: bool,
    /// The share of its weight that it wants, in percent.
    weight: Option<u32>,
    /// The first word that is none, shortened.
    pub unknown: Option<String>,
}

/// The longest part of an unknown word that is told.
const SHOWN: usize = 32;

impl Said {
    /// Reads one field; several are read as one after the other.
    pub fn read(&mut self, value: &[u8]) {
        for word in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            match word.to_ascii_lowercase().as_slice() {
                b"" | b"up" | b"ready" => {}
                b"down" => self.down = true,
                b"drain" => self.drain = true,
                other => match weight(other) {
                    Some(share) => self.weight = Some(share),
                    None if self.unknown.is_none() => {
                        let shown = &word[..word.len().min(SHOWN)];
                        self.unknown = Some(String::from_utf8_lossy(shown).into_owned());
                    }
                    None => {}
                },
            }
        }
    }

    /// The share of its weight that the node wants, in percent.
    pub fn share(&self) -> u32 {
        match self.drain {
            true => 0,
            false => self.weight.unwrap_or(100),
        }
    }

    /// Whether it wants anything but what the file says.
    pub fn is_plain(&self) -> bool {
        !self.down && self.share() == 100
    }
}

/// `weight=50` or `weight=50%`: percent of the configured weight.
fn weight(word: &[u8]) -> Option<u32> {
    let number = word.strip_prefix(b"weight=")?;
    let digits = number.strip_suffix(b"%").unwrap_or(number);
    let fine = (1..=3).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let value = |n: u32, digit: &u8| n * 10 + u32::from(digit - b'0');
    let share = fine.then(|| digits.iter().fold(0, value))?;
    (share <= 100).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(value: &str) -> Said {
        let mut said = Said::default();
        said.read(value.as_bytes());
        said
    }

    #[test]
    fn words_come_alone_or_in_a_list() {
        for (value, down, share) in [
            ("", false, 100),
            ("up", false, 100),
            ("ready", false, 100),
            ("Drain", false, 0),
            ("down", true, 100),
            ("weight=50", false, 50),
            ("weight=50%", false, 50),
            ("weight=0", false, 0),
            ("weight=100%", false, 100),
            ("up, weight=7", false, 7),
            ("weight=50, drain", false, 0),
            (" up ,, ready", false, 100),
        ] {
            let said = said(value);
            assert_eq!((said.down, said.share()), (down, share), "{value}");
            assert_eq!(said.unknown, None, "{value}");
            assert_eq!(said.is_plain(), !down && share == 100);
        }
    }

    #[test]
    fn a_word_nobody_knows_is_told_and_the_others_count() {
        for value in [
            "stopped",
            "weight=101",
            "weight=",
            "weight=+5",
            "weight=5x",
            "50%",
        ] {
            let said = said(&format!("{value}, drain, again"));
            assert_eq!(said.unknown.as_deref(), Some(value));
            assert_eq!(said.share(), 0);
        }
        let long = said(&"x".repeat(5_000)).unknown.unwrap();
        assert_eq!(long.len(), SHOWN);
    }
}
