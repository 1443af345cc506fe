//! What a browser does with cookies, as far as a story needs it.

use super::client::{Answer, Request};

/// The `Set-Cookie` of this name among an answer's, whole.
pub fn set_field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let all = answer.head.all("set-cookie").into_iter();
    let mut ours = all.filter(|field| field.split('=').next() == Some(name));
    let found = ours.next();
    assert_eq!(ours.next(), None, "{name} is set twice");
    found
}

/// The value that an answer sets for a cookie.
pub fn set(answer: &Answer, name: &str) -> Option<String> {
    let field = set_field(answer, name)?;
    let pair = field.split(';').next().unwrap_or_default();
    pair.split_once('=').map(|(_, value)| value.to_owned())
}

/// A GET with a `Cookie` field.
pub fn get_with(cookie: &str) -> Request {
    Request::get("/").field("Cookie", cookie)
}
