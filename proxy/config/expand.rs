//! `${VAR}` and `${VAR:-default}` in values.
//!
//! Runs on values after parsing, so that what a variable holds can never become structure. Nothing here may read
//! the environment itself: the caller passes it in, and tests pass their own.

/// The environment as the configuration sees it.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Expands a value. The error says what is wrong and what to do.
pub fn expand(text: &str, env: Env<'_>) -> Result<String, (String, String)> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        rest = match from.as_bytes().get(1) {
            Some(b'$') => {
                out.push('$');
                &from[2..]
            }
            Some(b'{') => {
                let (inner, after) = from[2..].split_once('}').ok_or_else(|| {
                    let what = "`${` is not closed".to_string();
                    (
                        what,
                        "write ${NAME}; a `$` itself is written `$$`".to_string(),
                    )
                })?;
                out.push_str(&variable(inner, env)?);
                after
            }
            // A `$` before anything else is itself: regular expressions end with one.
            _ => {
                out.push('$');
                &from[1..]
            }
        };
    }
    out.push_str(rest);
    Ok(out)
}

/// The value of what stands between the braces.
fn variable(inner: &str, env: Env<'_>) -> Result<String, (String, String)> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(word)
    {
        return Err((
            format!("`${{{inner}}}` does not name an environment variable"),
            "write ${NAME} or ${NAME:-default}; a `$` itself is written `$$`".into(),
        ));
    }
    match (env(name), default) {
        // As in a shell, `:-` also stands in for a variable that is set to nothing.
        (Some(value), Some(default)) if value.is_empty() => Ok(default.into()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.into()),
        (None, None) => Err((
            format!("the environment variable `{name}` is not set"),
            format!("set it, or give a default: ${{{name}:-value}}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "PORT" => Some("8080".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_defaults_and_dollars_are_told_apart() {
        for (text, expected) in [
            ("127.0.0.1:${PORT}", "127.0.0.1:8080"),
            ("${NONE:-a}-${EMPTY:-b}-${EMPTY}", "a-b-"),
            ("^/x$", "^/x$"),
            ("$$${PORT}$", "$8080$"),
            ("$${PORT}", "${PORT}"),
            ("${NONE:-}", ""),
        ] {
            assert_eq!(expand(text, &env).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_expanded_is_refused() {
        for text in ["${NONE}", "${PORT", "${}", "${1}", "${A B}"] {
            assert!(expand(text, &env).is_err(), "{text}");
        }
    }
}
