//! The tests' own reading of a request, by the letter of RFC 9112 and nothing beyond: who disagrees with it is wrong.
//!
//! The recording origin reads with it what the proxy forwards, and the differential test what a client sends. It
//! shares no line with the proxy. It repairs nothing and never looks further than one request.

/// A whole request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Target as it stands.
    pub target: String,
    /// 0 or 1 of `HTTP/1.`
    pub minor: u8,
    /// Names and values without the blanks around them.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Body without framing.
    pub body: Vec<u8>,
    /// Bytes of the head, the empty line included.
    pub head: usize,
    /// Bytes in all.
    pub length: usize,
}

impl Request {
    /// Values of a field.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let its = self
            .fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        its.map(|(_, v)| v.as_slice()).collect()
    }

    /// Value of a field that is there once.
    pub fn one(&self, name: &str) -> Option<String> {
        match self.all(name).as_slice() {
            [one] => Some(String::from_utf8_lossy(one).into_owned()),
            _ => None,
        }
    }

    /// Whether a list field has this word.
    pub fn names(&self, field: &str, word: &str) -> bool {
        self.all(field)
            .iter()
            .flat_map(|v| v.split(|b| *b == b','))
            .any(|w| w.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// Why no request was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Not {
    /// What is there could become a request.
    Yet,
    /// It never will.
    Ever(String),
}

type Read<T> = Result<T, Not>;

fn ever<T>(why: &str, what: &[u8]) -> Read<T> {
    let what = super::notation::show(what);
    Err(Not::Ever(format!("{why}: {what}")))
}

/// The request that `bytes` begin with.
pub fn read(bytes: &[u8]) -> Read<Request> {
    let mut request = head(bytes)?;
    let mut body = Body::of(&request);
    body.advance(&bytes[request.head..])?;
    request.length = request.head + body.at;
    request.body = body.data;
    Ok(request)
}

/// Its head only.
pub fn head(bytes: &[u8]) -> Read<Request> {
    let mut at = 0;
    let mut request = Request::default();
    let first = line(bytes, &mut at)?;
    let words: Vec<&[u8]> = first.split(|b| *b == b' ').collect();
    let [method, target, version] = words[..] else {
        return ever("not three words", first);
    };
    if method.is_empty() || !method.iter().all(|b| is_token(*b)) {
        return ever("method", method);
    }
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return ever("target", target);
    }
    request.minor = match version {
        b"HTTP/1.0" => 0,
        b"HTTP/1.1" => 1,
        _ => return ever("version", version),
    };
    request.method = text(method);
    request.target = text(target);
    loop {
        let next = line(bytes, &mut at)?;
        if next.is_empty() {
            break;
        }
        request.fields.push(field(next)?);
    }
    request.head = at;
    framing(&request)?;
    Ok(request)
}

/// One line that ends with CRLF and has no other CR or LF.
fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Read<&'a [u8]> {
    let rest = &bytes[*at..];
    let end = rest.iter().position(|b| matches!(b, b'\r' | b'\n'));
    match end {
        None => Err(Not::Yet),
        Some(end) if rest[end..].starts_with(b"\r\n") => {
            *at += end + 2;
            Ok(&rest[..end])
        }
        Some(end) if rest[end..] == *b"\r" => Err(Not::Yet),
        Some(end) => ever("line end", &rest[..(end + 2).min(rest.len())]),
    }
}

fn field(line: &[u8]) -> Read<(String, Vec<u8>)> {
    let Some(colon) = line.iter().position(|b| *b == b':') else {
        return ever("no colon", line);
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
        return ever("field name", line);
    }
    let may = |b: &u8| matches!(b, b'\t' | b' '..=b'~' | 0x80..);
    if !value.iter().all(may) {
        return ever("field value", line);
    }
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let from = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
    let to = value
        .iter()
        .rposition(|b| !blank(b))
        .map_or(from, |at| at + 1);
    Ok((text(name), value[from..to].to_vec()))
}

/// RFC 9110 §5.6.2.
pub fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// One framing, one host.
fn framing(request: &Request) -> Read<()> {
    let (lengths, codings) = (
        request.all("content-length"),
        request.all("transfer-encoding"),
    );
    let hosts = request.all("host");
    let number = |v: &[u8]| (1..=18).contains(&v.len()) && v.iter().all(u8::is_ascii_digit);
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => {}
        ([length], []) if number(length) => {}
        ([], [coding]) if request.minor == 1 && coding.eq_ignore_ascii_case(b"chunked") => {}
        _ => return Err(Not::Ever("framing".into())),
    }
    match hosts.as_slice() {
        [] if request.minor == 0 => Ok(()),
        [host] if is_host(host) => Ok(()),
        _ => Err(Not::Ever("host".into())),
    }
}

/// `host[:port]` of letters that every part of the world agrees on.
pub fn is_host(value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else {
        return false;
    };
    let (host, port) = match value.strip_prefix('[') {
        Some(rest) => {
            let Some((inner, after)) = rest.split_once(']') else {
                return false;
            };
            if inner.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match after.strip_prefix(':') {
                Some(port) => ("ip", port),
                None if after.is_empty() => ("ip", ""),
                None => return false,
            }
        }
        None => value.split_once(':').unwrap_or((value, "")),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    !host.is_empty()
        && host.bytes().all(plain)
        && port.bytes().all(|b| b.is_ascii_digit())
        && (port.is_empty() || port.parse::<u16>().is_ok())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A body as far as it came.
#[derive(Debug, Default)]
pub struct Body {
    /// `None`: by chunks.
    left: Option<usize>,
    /// Bytes used so far, framing included.
    pub at: usize,
    /// Bytes of it without framing.
    pub data: Vec<u8>,
    /// Bytes of size lines so far, less the shortest way to write them.
    beside: usize,
}

/// More than this in one size line, in all of them, or in trailers, is nobody's honest message.
const MOST_OF_A_LINE: usize = 8 * 1024;
const MOST_BESIDE: usize = 64 * 1024;

impl Body {
    /// The body that follows this head.
    pub fn of(head: &Request) -> Self {
        let length = head
            .one("content-length")
            .map_or(0, |l| l.parse().expect("digits, as `framing` has seen"));
        let chunked = !head.all("transfer-encoding").is_empty();
        Body {
            left: (!chunked).then_some(length),
            ..Body::default()
        }
    }

    /// Reads on in `bytes`, everything there is after the head; `Ok` at its end.
    pub fn advance(&mut self, bytes: &[u8]) -> Read<()> {
        if let Some(left) = self.left {
            let now = left.min(bytes.len() - self.at);
            self.data.extend(&bytes[self.at..self.at + now]);
            self.at += now;
            self.left = Some(left - now);
            return if left == now { Ok(()) } else { Err(Not::Yet) };
        }
        loop {
            let mut at = self.at;
            let line_of_size = line(bytes, &mut at)?;
            let size = size(line_of_size)?;
            let beside = self.beside + line_of_size.iter().skip(16).count();
            if line_of_size.len() > MOST_OF_A_LINE || beside > MOST_BESIDE {
                return ever("too much in extensions", b"");
            }
            if size == 0 {
                // No trailers are expected of the proxy, but a client may send them.
                let trailers = at;
                loop {
                    if at - trailers > MOST_BESIDE {
                        return ever("too many trailers", b"");
                    }
                    let trailer = line(bytes, &mut at)?;
                    if trailer.is_empty() {
                        self.at = at;
                        return Ok(());
                    }
                    field(trailer)?;
                }
            }
            let rest = bytes.len() - at;
            let end = usize::try_from(size)
                .ok()
                .and_then(|size| size.checked_add(at));
            match end {
                Some(end) if rest as u64 >= size => match &bytes[end..] {
                    [b'\r', b'\n', ..] => {
                        self.data.extend(&bytes[at..end]);
                        self.at = end + 2;
                        self.beside = beside;
                    }
                    [] | [b'\r'] => return Err(Not::Yet),
                    other => return ever("after a chunk", &other[..other.len().min(8)]),
                },
                _ => return Err(Not::Yet),
            }
        }
    }
}

/// The size line of a chunk with its extensions (RFC 9112 §7.1), blanks nowhere.
fn size(line: &[u8]) -> Read<u64> {
    let digits = line
        .iter()
        .position(|b| !b.is_ascii_hexdigit())
        .unwrap_or(line.len());
    if !(1..=16).contains(&digits) {
        return ever("chunk size", line);
    }
    let mut rest = &line[digits..];
    while let Some(after) = rest.strip_prefix(b";") {
        rest = after;
        if token(&mut rest) == 0 {
            return ever("extension name", line);
        }
        if let Some(value) = rest.strip_prefix(b"=") {
            rest = value;
            let good = match rest.strip_prefix(b"\"") {
                Some(quoted) => quoted_end(quoted)
                    .map(|end| rest = &quoted[end..])
                    .is_some(),
                None => token(&mut rest) > 0,
            };
            if !good {
                return ever("extension value", line);
            }
        }
    }
    if !rest.is_empty() {
        return ever("chunk size line", line);
    }
    let number = std::str::from_utf8(&line[..digits]).expect("digits");
    Ok(u64::from_str_radix(number, 16).expect("at most 16 digits"))
}

fn token(rest: &mut &[u8]) -> usize {
    let n = rest.iter().take_while(|b| is_token(**b)).count();
    *rest = &rest[n..];
    n
}

/// Position after the closing quote (RFC 9110 §5.6.4).
fn quoted_end(quoted: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match quoted.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => {
                let pair = quoted.get(at + 1)?;
                if !matches!(pair, b'\t' | b' '..=b'~' | 0x80..) {
                    return None;
                }
                at += 2;
            }
            b'\t' | b' '..=b'~' | 0x80.. => at += 1,
            _ => return None,
        }
    }
}
