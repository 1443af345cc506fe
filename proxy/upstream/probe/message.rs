//! The two messages of the gRPC health protocol, in protobuf and in gRPC's frame.
//!
//! `HealthCheckRequest { string service = 1 }` and `HealthCheckResponse { ServingStatus status = 1 }`: too little for a
//! generator and its build step. Fields that a later protocol may add are skipped; what is no protobuf is refused.

/// What a node says of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::enum_variant_names, reason = "the words of the protocol")]
pub enum Serving {
    /// Nothing.
    Unknown,
    /// It is well.
    Serving,
    /// It is not.
    NotServing,
    /// There is no such service.
    ServiceUnknown,
    /// A word of a later protocol.
    Other(u64),
}

impl Serving {
    /// The word of the protocol.
    pub fn in_words(self) -> String {
        match self {
            Serving::Unknown => "UNKNOWN".into(),
            Serving::Serving => "SERVING".into(),
            Serving::NotServing => "NOT_SERVING".into(),
            Serving::ServiceUnknown => "SERVICE_UNKNOWN".into(),
            Serving::Other(n) => format!("status {n}"),
        }
    }
}

/// A request for `service`, with gRPC's frame.
pub fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    // A field that has its default is left out.
    if !service.is_empty() {
        message.push(1 << 3 | 2);
        varint(service.len() as u64, &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame
}

/// The answer in `frame`, which must hold one message and nothing else.
///
/// # Errors
/// What is wrong with it, in words for the operator.
pub fn answer(frame: &[u8]) -> Result<Serving, &'static str> {
    let Some((prefix, message)) = frame.split_first_chunk::<5>() else {
        return Err("an answer without a message");
    };
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 {
        return Err("a compressed answer, which was not asked for");
    }
    if u32::from_be_bytes(length) as usize != message.len() {
        return Err("an answer that is not one whole message");
    }
    status(message).ok_or("an answer that is not protobuf")
}

fn status(mut message: &[u8]) -> Option<Serving> {
    let mut status = 0;
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        match (tag >> 3, tag & 7) {
            (0, _) => return None,
            (1, 0) => status = take_varint(&mut message)?,
            (1, _) => return None,
            (_, 0) => drop(take_varint(&mut message)?),
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(match status {
        0 => Serving::Unknown,
        1 => Serving::Serving,
        2 => Serving::NotServing,
        3 => Serving::ServiceUnknown,
        other => Serving::Other(other),
    })
}

fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut n = 0_u64;
    for place in 0..10 {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if place == 9 && bits > 1 {
            return None;
        }
        n |= bits << (7 * place);
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut frame = vec![0];
        frame.extend((message.len() as u32).to_be_bytes());
        frame.extend(message);
        frame
    }

    #[test]
    fn a_request_is_what_protoc_makes_of_it() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = request(&"x".repeat(200));
        assert_eq!(long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
    }

    #[test]
    fn each_status_has_its_word() {
        for (message, word) in [
            (&[][..], "UNKNOWN"),
            (&[8, 0], "UNKNOWN"),
            (&[8, 1], "SERVING"),
            (&[8, 2], "NOT_SERVING"),
            (&[8, 3], "SERVICE_UNKNOWN"),
            (&[8, 77], "status 77"),
            // A later protocol with a field of each kind.
            (
                &[
                    16, 5, 26, 1, b'x', 37, 0, 0, 0, 0, 41, 0, 0, 0, 0, 0, 0, 0, 0, 8, 1,
                ],
                "SERVING",
            ),
        ] {
            let got = answer(&framed(message)).map(Serving::in_words);
            assert_eq!(got, Ok(word.to_owned()), "{message:?}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bad in [
            &[][..],
            &[0, 0, 0],
            &[1, 0, 0, 0, 0],
            &[0, 0, 0, 0, 2, 8],
            &[0, 0, 0, 0, 0, 8],
        ] {
            assert!(answer(bad).is_err(), "{bad:?}");
        }
        for bad in [
            &[8][..],
            &[8, 0x80],
            &[10, 1, b'x'],
            &[0, 1],
            &[11],
            &[18, 9],
            &[0xff; 11],
        ] {
            let refused = answer(&framed(bad));
            assert_eq!(refused, Err("an answer that is not protobuf"), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = answer(&bytes);
            let _ = answer(&framed(&bytes));
        }

        #[test]
        fn a_number_comes_back_as_it_went(n: u64) {
            let mut bytes = Vec::new();
            varint(n, &mut bytes);
            prop_assert_eq!(take_varint(&mut &bytes[..]), Some(n));
        }
    }
}
