//! Content codings (RFC 9110 §8.4), and why an answer is sent without one.
//!
//! One vocabulary for the file, negotiation, the store, metrics and the log. Never says anything a client chose.

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coding {
    /// As it is.
    Identity,
    /// `gzip` (RFC 1952); `x-gzip` is the same (RFC 9110 §8.4.1.3).
    Gzip,
    /// `deflate`: the zlib format (RFC 1950), whatever the name says.
    Deflate,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
}

impl Coding {
    /// Every value.
    pub const ALL: [Coding; 5] = [
        Coding::Identity,
        Coding::Gzip,
        Coding::Deflate,
        Coding::Brotli,
        Coding::Zstd,
    ];

    /// Its token, as fields, the file, metrics and the log have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// The coding with this token, in any letter case (RFC 9110 §8.4.1).
    pub fn of(token: &[u8]) -> Option<Coding> {
        let is = |name: &str| token.eq_ignore_ascii_case(name.as_bytes());
        if is("x-gzip") {
            return Some(Coding::Gzip);
        }
        Coding::ALL.into_iter().find(|coding| is(coding.as_str()))
    }

    /// The coding of a body with this `Content-Encoding`; `None`: one that is not known here, or several.
    pub fn of_content(value: Option<&[u8]>) -> Option<Coding> {
        match value.map(<[u8]>::trim_ascii) {
            None | Some(b"") => Some(Coding::Identity),
            Some(token) => Coding::of(token),
        }
    }
}

/// Whether a line of `Cache-Control` says that nobody may transform the body (RFC 9111 §5.2.1.6, §5.2.2.6). Heard within
/// quotes too: an answer that is left alone is never wrong.
pub fn forbids_transform(line: &[u8]) -> bool {
    line.split(|byte| *byte == b',').any(|member| {
        let name = member.split(|byte| *byte == b'=').next();
        name.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
    })
}

/// Something for every coding but identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PerCoding<T> {
    /// For `zstd`.
    pub zstd: T,
    /// For `br`.
    pub br: T,
    /// For `gzip`.
    pub gzip: T,
    /// For `deflate`.
    pub deflate: T,
}

impl<T> PerCoding<T> {
    /// What there is for this one.
    pub fn get(&self, coding: Coding) -> Option<&T> {
        match coding {
            Coding::Identity => None,
            Coding::Gzip => Some(&self.gzip),
            Coding::Deflate => Some(&self.deflate),
            Coding::Brotli => Some(&self.br),
            Coding::Zstd => Some(&self.zstd),
        }
    }
}

macro_rules! skipped {
    ($( $(#[doc = $doc:literal])+ $name:ident = $word:literal, )+) => {
        /// Why an answer of a route that compresses was not compressed for a request. The label `reason`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Skipped {
            $( $(#[doc = $doc])+ $name, )+
        }

        impl Skipped {
            /// Every value, for metrics that exist from the start.
            pub const ALL: &'static [Skipped] = &[ $( Skipped::$name, )+ ];

            /// The word of the metric.
            pub fn as_str(self) -> &'static str {
                match self {
                    $( Skipped::$name => $word, )+
                }
            }
        }
    };
}

skipped! {
    /// The client takes none of the route's encodings.
    NotAccepted = "not_accepted",
    /// It is smaller than `min_size`.
    Small = "small",
    /// Its media type is not among `types`, or it has none.
    Type = "type",
    /// Its media type is one whose parts must not wait for each other.
    EventStream = "event_stream",
    /// It is encoded already.
    Encoded = "encoded",
    /// It says that nobody may transform it (RFC 9111 §5.2.2.6).
    NoTransform = "no_transform",
    /// It is a part (206), or has no body.
    Status = "status",
    /// The client wants a part of it.
    Range = "range",
    /// It sets a cookie, and the route leaves those alone (`set_cookie: false`).
    SetCookie = "set_cookie",
    /// It is not stored, and the route compresses only what is (`dynamic: false`).
    Dynamic = "dynamic",
    /// The thread that would do it is busy (`max_cpu`).
    Busy = "busy",
    /// Compressed it is no smaller.
    NoGain = "no_gain",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_in_any_letter_case_and_told_in_one() {
        for coding in Coding::ALL {
            let token = coding.as_str().to_uppercase();
            assert_eq!(Coding::of(token.as_bytes()), Some(coding));
        }
        assert_eq!(Coding::of(b"x-gzip"), Some(Coding::Gzip));
        assert_eq!(Coding::of(b"compress"), None);
    }

    #[test]
    fn a_body_has_one_coding_that_is_known_or_none_that_is() {
        assert_eq!(Coding::of_content(None), Some(Coding::Identity));
        assert_eq!(Coding::of_content(Some(b" BR ")), Some(Coding::Brotli));
        assert_eq!(Coding::of_content(Some(b"gzip, br")), None);
        assert_eq!(Coding::of_content(Some(b"aes128gcm")), None);
    }
}
