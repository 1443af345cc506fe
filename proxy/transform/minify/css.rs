//! A style sheet without its comments and the whitespace that says nothing.
//!
//! Works on the tokens of CSS Syntax 3 alone and keeps each byte for byte: no value is read, so none is written in
//! another way, and what a browser does not know it still does not know. Values of custom properties stay as they are:
//! scripts read them. Never follows blocks deeper than [`MOST_DEEP`]: it descends into them.

use cssparser::{
    Delimiter, ParseError, Parser, ParserInput, Token, TokenSerializationType as Serialized,
};

/// Blocks within blocks that are followed; a style sheet with more goes out as it came.
const MOST_DEEP: usize = 64;

/// What makes a style sheet one that is left alone.
struct NotUnderstood;

/// The style sheet without what says nothing; `None`: it is not understood.
pub(super) fn minified(text: &str) -> Option<Vec<u8>> {
    // It is heeded as the very first bytes alone, so nothing may move it there.
    if text.contains("@charset") && !text.starts_with("@charset") {
        return None;
    }
    let mut input = ParserInput::new(text);
    let mut writer = Writer::new(text.len());
    block(&mut Parser::new(&mut input), &mut writer, Block::Sheet, 0).ok()?;
    Some(writer.text)
}

/// What kind of content is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    /// The sheet itself.
    Sheet,
    /// Between braces: declarations, rules.
    Braces,
    /// Between brackets or parentheses.
    Brackets,
}

/// What a token means for the whitespace around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Comment,
    /// Stays: `/*!` is a licence, `/*#` and `/*@` speak to tools.
    KeptComment,
    Opens(Block),
    Comma,
    Semicolon,
    Colon,
    /// `--name`.
    Custom,
    Other,
}

fn class(token: &Token<'_>) -> Result<Class, NotUnderstood> {
    Ok(match token {
        Token::WhiteSpace(_) => Class::Space,
        Token::Comment(text) if text.starts_with(['!', '#', '@']) => Class::KeptComment,
        Token::Comment(_) => Class::Comment,
        Token::CurlyBracketBlock => Class::Opens(Block::Braces),
        Token::Function(_) | Token::ParenthesisBlock | Token::SquareBracketBlock => {
            Class::Opens(Block::Brackets)
        }
        Token::Comma => Class::Comma,
        Token::Semicolon => Class::Semicolon,
        Token::Colon => Class::Colon,
        Token::Ident(name) if name.starts_with("--") => Class::Custom,
        Token::BadUrl(_)
        | Token::BadString(_)
        | Token::CDO
        | Token::CDC
        | Token::Delim('\\')
        | Token::CloseParenthesis
        | Token::CloseSquareBracket
        | Token::CloseCurlyBracket => return Err(NotUnderstood),
        _ => Class::Other,
    })
}

/// Where in a statement we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    /// Behind `--name` that begins it.
    Custom,
    Head,
    /// Behind its first colon.
    Colon,
    /// Later, and the space behind its first colon stands here in what was written.
    Value(Option<usize>),
}

/// Writes what is in a block, to its end.
fn block<'i>(
    parser: &mut Parser<'i, '_>,
    writer: &mut Writer,
    kind: Block,
    depth: usize,
) -> Result<(), ParseError<'i, ()>> {
    let mut at = At::Start;
    loop {
        let from = parser.position();
        let Ok(token) = parser.next_including_whitespace_and_comments() else {
            break;
        };
        let serialized = token.serialization_type();
        let Ok(class) = class(token) else {
            return Err(parser.new_custom_error(()));
        };
        let text = parser.slice_from(from);
        let space = match class {
            Class::Space => {
                writer.gap = Gap::Space;
                continue;
            }
            Class::Comment => {
                writer.gap = writer.gap.max(Gap::Comment);
                continue;
            }
            Class::Opens(Block::Braces) | Class::Comma | Class::Semicolon => {
                writer.put(text, serialized, Sides::BOTH)
            }
            Class::Opens(_) => writer.put(text, serialized, Sides::BEHIND),
            _ => writer.put(text, serialized, Sides::NONE),
        };
        at = match (class, at) {
            (Class::Opens(inner), _) => {
                if depth == MOST_DEEP {
                    return Err(parser.new_custom_error(()));
                }
                let end = parser.parse_nested_block(|nested| {
                    block(nested, writer, inner, depth + 1).map(|()| nested.position())
                })?;
                writer.close(parser.slice_from(end), inner);
                match (inner, at) {
                    (Block::Braces, _) => At::Start,
                    (_, At::Colon) => At::Value(space),
                    (_, At::Start | At::Custom) => At::Head,
                    (_, at) => at,
                }
            }
            (Class::KeptComment, at) => at,
            (Class::Semicolon, at) => {
                writer.forget_space(at, kind);
                At::Start
            }
            (Class::Custom, At::Start) => At::Custom,
            (Class::Colon, At::Custom) => {
                as_it_is(parser, writer)?;
                At::Start
            }
            (Class::Colon, At::Start | At::Head) => At::Colon,
            (_, At::Start | At::Custom) => At::Head,
            (_, At::Colon) => At::Value(space),
            (_, at) => at,
        };
    }
    writer.forget_space(at, kind);
    Ok(())
}

/// The value of a custom property, to the end of its declaration.
fn as_it_is<'i>(
    parser: &mut Parser<'i, '_>,
    writer: &mut Writer,
) -> Result<(), ParseError<'i, ()>> {
    let from = parser.position();
    parser.parse_until_before(Delimiter::Semicolon, |value| {
        while let Ok(token) = value.next_including_whitespace_and_comments() {
            if class(token).is_err() {
                return Err(value.new_custom_error(()));
            }
        }
        Ok(())
    })?;
    writer
        .text
        .extend_from_slice(parser.slice_from(from).as_bytes());
    Ok(())
}

/// What stands between two tokens, the weightier the later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    /// It parts tokens, but is no whitespace.
    Comment,
    Space,
}

/// On which sides of a token whitespace says nothing.
#[derive(Clone, Copy)]
struct Sides {
    before: bool,
    behind: bool,
}

impl Sides {
    const NONE: Sides = Sides {
        before: false,
        behind: false,
    };
    const BEHIND: Sides = Sides {
        before: false,
        behind: true,
    };
    const BOTH: Sides = Sides {
        before: true,
        behind: true,
    };
}

/// Puts tokens one behind the other.
struct Writer {
    text: Vec<u8>,
    gap: Gap,
    last: Serialized,
    /// Whether whitespace behind the last token says nothing.
    is_tight: bool,
}

impl Writer {
    fn new(most: usize) -> Writer {
        Writer {
            text: Vec::with_capacity(most),
            gap: Gap::None,
            last: Serialized::default(),
            is_tight: true,
        }
    }

    /// Returns where the space before it stands, if it needs one.
    fn put(&mut self, token: &str, kind: Serialized, sides: Sides) -> Option<usize> {
        let at = self.text.len();
        let mut space = None;
        match self.gap {
            Gap::Space if !self.is_tight && !sides.before => {
                self.text.push(b' ');
                space = Some(at);
            }
            Gap::Comment if self.last.needs_separator_when_before(kind) => {
                self.text.extend_from_slice(b"/**/");
            }
            _ => {}
        }
        self.text.extend_from_slice(token.as_bytes());
        self.gap = Gap::None;
        self.last = kind;
        self.is_tight = sides.behind;
        space
    }

    /// The end of a block, if somebody wrote it.
    fn close(&mut self, end: &str, kind: Block) {
        let sides = Sides {
            before: true,
            behind: kind == Block::Braces,
        };
        self.put(end, Serialized::default(), sides);
    }

    /// A declaration is over: the space behind its colon says nothing. Only here is it sure that it was one, not the
    /// selector of a nested rule.
    fn forget_space(&mut self, at: At, kind: Block) {
        if let (At::Value(Some(space)), Block::Braces) = (at, kind) {
            self.text.remove(space);
        }
    }
}

#[cfg(test)]
mod tests;
