//! Where a chunked body ends, and whether it is one (RFC 9112 §7.1).
//!
//! The data path's own parser takes an empty size line, or one that begins with a semicolon, for the last chunk: a
//! body that was cut then looks complete. What passes here reads the same to every parser. Nothing is repaired, kept
//! or copied: bytes in, a verdict out, the same however the bytes are cut into pieces.

/// Digits of a chunk's size: what fits 64 bits.
const DIGITS_AT_MOST: u8 = 16;
/// Bytes of one line with a chunk's size, its end included.
const LINE_AT_MOST: u32 = 8 * 1024;
/// Bytes of all chunk extensions of one body: nobody reads them, so more only costs.
const EXTENSIONS_AT_MOST: u32 = 64 * 1024;

/// What is wrong with a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// Where a chunk's size is expected stands something else.
    Size,
    /// A size of more than sixteen digits.
    SizeTooLarge,
    /// Not the grammar of an extension.
    Extension,
    /// A line with a chunk's size, or all extensions together, have no end.
    ExtensionsTooLong,
    /// A line that does not end in CRLF, or data longer or shorter than its size says.
    LineEnd,
    /// Not the grammar of a trailer field.
    Trailer,
    /// More trailer fields than are taken.
    TrailersTooLong,
}

impl Bad {
    /// The same in words, for the operator.
    pub fn in_words(self) -> &'static str {
        match self {
            Bad::Size => "a chunk without a size",
            Bad::SizeTooLarge => "a chunk size of more than sixteen digits",
            Bad::Extension => "a malformed chunk extension",
            Bad::ExtensionsTooLong => "chunk extensions without end",
            Bad::LineEnd => "a chunk that does not end where it should",
            Bad::Trailer => "a malformed trailer field",
            Bad::TrailersTooLong => "too many trailer fields",
        }
    }
}

/// How much of what was looked at belongs to the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned {
    /// So many bytes. Fewer than were given only when the body is over.
    pub used: usize,
    /// The last of them is the last byte of the body, or the body was over before.
    pub over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// After so many digits of a size.
    Size(u8),
    /// After `;`.
    NameBegin,
    Name,
    /// After `=`.
    ValueBegin,
    Value,
    Quoted,
    /// After `\` within quotes.
    Escaped,
    /// After the closing quote.
    QuotedOver,
    /// After the CR of a line with a size.
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerBegin,
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// After the CR of the line that ends it all.
    LastLf,
    Over,
    Broken(Bad),
}

/// One chunked body on its way.
#[derive(Debug)]
pub struct Chunks {
    at: At,
    /// The size being read, then what is left of the chunk.
    left: u64,
    /// Bytes of the line being read.
    line: u32,
    extensions: u32,
    trailers_left: u32,
    data: u64,
}

impl Chunks {
    /// A body that has not begun. Trailer fields, line ends included, may have `trailers_at_most` bytes.
    pub fn new(trailers_at_most: u32) -> Self {
        Chunks {
            at: At::Size(0),
            left: 0,
            line: 0,
            extensions: 0,
            trailers_left: trailers_at_most,
            data: 0,
        }
    }

    /// Bytes of data seen so far: what the body will be without its chunks.
    pub fn data(&self) -> u64 {
        self.data
    }

    /// The same, and what is still to come of the chunk under way.
    pub fn announced(&self) -> u64 {
        match self.at {
            At::Data => self.data.saturating_add(self.left),
            _ => self.data,
        }
    }

    /// Whether the last byte of the body was seen.
    pub fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// When they do not continue a chunked body; from then on always.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Scanned, Bad> {
        let mut used = 0;
        while let Some(byte) = bytes.get(used) {
            match self.at {
                At::Data => {
                    let here = self.left.min((bytes.len() - used) as u64);
                    used += here as usize;
                    self.data = self.data.saturating_add(here);
                    self.left -= here;
                    if self.left == 0 {
                        self.at = At::DataCr;
                    }
                    continue;
                }
                At::Over => break,
                _ => {}
            }
            self.at = self.after(*byte).unwrap_or_else(At::Broken);
            used += 1;
            if let At::Broken(bad) = self.at {
                return Err(bad);
            }
        }
        let over = self.is_over();
        Ok(Scanned { used, over })
    }

    fn after(&mut self, byte: u8) -> Result<At, Bad> {
        match self.at {
            At::Size(digits) => {
                self.on_line()?;
                self.size(digits, byte)
            }
            At::NameBegin
            | At::Name
            | At::ValueBegin
            | At::Value
            | At::Quoted
            | At::Escaped
            | At::QuotedOver => {
                self.on_line()?;
                self.extensions += 1;
                if self.extensions > EXTENSIONS_AT_MOST {
                    return Err(Bad::ExtensionsTooLong);
                }
                self.extension(byte)
            }
            At::SizeLf => {
                self.line = 0;
                let next = if self.left == 0 {
                    At::TrailerBegin
                } else {
                    At::Data
                };
                line_end(byte, b'\n', next)
            }
            At::DataCr => line_end(byte, b'\r', At::DataLf),
            At::DataLf => line_end(byte, b'\n', At::Size(0)),
            At::TrailerBegin if byte == b'\r' => Ok(At::LastLf),
            At::TrailerBegin | At::TrailerName | At::TrailerValue | At::TrailerLf => {
                let left = self.trailers_left.checked_sub(1);
                self.trailers_left = left.ok_or(Bad::TrailersTooLong)?;
                self.trailer(byte)
            }
            At::LastLf => line_end(byte, b'\n', At::Over),
            At::Data | At::Over => Ok(self.at), // not asked
            At::Broken(bad) => Err(bad),
        }
    }

    /// One more byte of a line with a size. Its CRLF counts.
    fn on_line(&mut self) -> Result<(), Bad> {
        self.line += 1;
        if self.line >= LINE_AT_MOST {
            return Err(Bad::ExtensionsTooLong);
        }
        Ok(())
    }

    fn size(&mut self, digits: u8, byte: u8) -> Result<At, Bad> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if digits > 0 => return Ok(At::SizeLf),
            b';' if digits > 0 => return Ok(At::NameBegin),
            _ => return Err(Bad::Size),
        };
        if digits == DIGITS_AT_MOST {
            return Err(Bad::SizeTooLarge);
        }
        // Nothing is lost: sixteen digits are 64 bits. What was left of the chunk before is 0.
        self.left = self.left << 4 | u64::from(digit);
        Ok(At::Size(digits + 1))
    }

    fn extension(&self, byte: u8) -> Result<At, Bad> {
        match (self.at, byte) {
            (At::NameBegin | At::Name, _) if is_token(byte) => Ok(At::Name),
            (At::Name, b'=') => Ok(At::ValueBegin),
            (At::ValueBegin, b'"') => Ok(At::Quoted),
            (At::ValueBegin | At::Value, _) if is_token(byte) => Ok(At::Value),
            (At::Quoted, b'"') => Ok(At::QuotedOver),
            (At::Quoted, b'\\') => Ok(At::Escaped),
            (At::Quoted | At::Escaped, _) if is_text(byte) => Ok(At::Quoted),
            (At::Name | At::Value | At::QuotedOver, b';') => Ok(At::NameBegin),
            (At::Name | At::Value | At::QuotedOver, b'\r') => Ok(At::SizeLf),
            _ => Err(Bad::Extension),
        }
    }

    fn trailer(&self, byte: u8) -> Result<At, Bad> {
        match (self.at, byte) {
            (At::TrailerBegin | At::TrailerName, _) if is_token(byte) => Ok(At::TrailerName),
            (At::TrailerName, b':') => Ok(At::TrailerValue),
            (At::TrailerValue, b'\r') => Ok(At::TrailerLf),
            (At::TrailerValue, _) if is_text(byte) => Ok(At::TrailerValue),
            (At::TrailerLf, _) => line_end(byte, b'\n', At::TrailerBegin),
            _ => Err(Bad::Trailer),
        }
    }
}

fn line_end(byte: u8, expected: u8, next: At) -> Result<At, Bad> {
    if byte == expected {
        Ok(next)
    } else {
        Err(Bad::LineEnd)
    }
}

/// A letter of a token (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A byte of a field value or a quoted string: no controls but the tab.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests;
