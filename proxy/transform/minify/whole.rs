//! What can only be minified as a whole: collects a body and hands it to the one who knows its language.
//!
//! The last word of safety for code of other people: too long, not UTF-8, a panic, a result that is no smaller, and the
//! original goes out. Never holds more than [`MOST`] bytes.

use std::panic::catch_unwind;

use super::Minifier;

/// Minifies a whole text; `None`: it is not understood.
pub(super) type Minify = fn(&str) -> Option<Vec<u8>>;

/// Bytes of the largest body that is minified as a whole.
pub(super) const MOST: usize = 1024 * 1024;

/// See the module.
pub(super) struct Whole {
    minify: Minify,
    /// What came so far; `None`: it is too long, and goes through.
    body: Option<Vec<u8>>,
}

impl Whole {
    pub(super) fn new(minify: Minify) -> Whole {
        Whole {
            minify,
            body: Some(Vec::new()),
        }
    }
}

impl Minifier for Whole {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match &mut self.body {
            Some(body) if body.len() + piece.len() <= MOST => body.extend_from_slice(piece),
            Some(body) => {
                out.append(body);
                out.extend_from_slice(piece);
                self.body = None;
            }
            None => out.extend_from_slice(piece),
        }
    }

    fn finish(self: Box<Self>, out: &mut Vec<u8>) {
        let Some(body) = self.body else { return };
        match smaller(self.minify, &body) {
            Some(minified) => out.extend_from_slice(&minified),
            None => out.extend_from_slice(&body),
        }
    }
}

/// The body minified, if that worked and is worth it.
fn smaller(minify: Minify, body: &[u8]) -> Option<Vec<u8>> {
    let text = str::from_utf8(body).ok()?;
    // A parser meets texts here that its authors never saw. A panic in one must cost this body its minification, not
    // a client its answer. Nothing outlives the call that a panic could leave half done: a text goes in, bytes come out.
    let minified = catch_unwind(|| minify(text)).ok().flatten()?;
    (minified.len() < body.len()).then_some(minified)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out, whatever the pieces.
    fn through(minify: Minify, body: &[u8], piece: usize) -> Vec<u8> {
        let (mut whole, mut out) = (Box::new(Whole::new(minify)), Vec::new());
        for piece in body.chunks(piece) {
            whole.write(piece, &mut out);
        }
        whole.finish(&mut out);
        out
    }

    fn without_spaces(text: &str) -> Option<Vec<u8>> {
        Some(text.replace(' ', "").into_bytes())
    }

    #[test]
    fn a_body_in_pieces_is_minified_as_one() {
        for piece in 1..6 {
            assert_eq!(through(without_spaces, b"a b c", piece), b"abc");
        }
        assert_eq!(through(without_spaces, b"", 1), b"");
    }

    #[test]
    fn what_panics_is_not_understood_grows_or_is_not_text_goes_out_as_it_came() {
        let body = b"a b";
        assert_eq!(through(|_| panic!("a bug of somebody"), body, 1), body);
        assert_eq!(through(|_| None, body, 1), body);
        assert_eq!(through(|_| Some(b"much more".to_vec()), body, 1), body);
        assert_eq!(through(without_spaces, b"a \xff b", 1), b"a \xff b");
    }

    #[test]
    fn a_body_beyond_the_bound_goes_through_from_there_on_and_is_not_held() {
        let body = vec![b' '; MOST + 1];
        assert_eq!(through(without_spaces, &body[..MOST], 4096), b"");
        assert_eq!(through(without_spaces, &body, 4096), body);

        let (mut whole, mut out) = (Whole::new(without_spaces), Vec::new());
        whole.write(&body, &mut out);
        assert_eq!(out.len(), body.len());
        assert!(whole.body.is_none());
    }
}
