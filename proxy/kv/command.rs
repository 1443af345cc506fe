//! What is asked and what is answered, without the words of the crate behind it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use redis::{Cmd, ToRedisArgs, Value};

use super::fault::Fault;

/// A script that runs inside of Redis, known there by its hash.
#[derive(Debug)]
pub struct Script {
    script: redis::Script,
    text: &'static str,
}

impl Script {
    /// A script with this text. One that begins with `#!lua flags=allow-oom` runs in a Redis that is full, too (Redis 7).
    pub fn new(text: &'static str) -> Script {
        Script {
            script: redis::Script::new(text),
            text,
        }
    }
}

/// A command.
#[derive(Clone)]
pub struct Command {
    pub(super) cmd: Cmd,
    /// The script's text, should Redis not know its hash.
    text: Option<&'static str>,
}

impl Command {
    /// A command of this name, without arguments.
    pub fn new(name: &str) -> Command {
        Command {
            cmd: redis::cmd(name),
            text: None,
        }
    }

    /// Runs a script with these keys and arguments.
    pub fn script(script: &Script, keys: &[&[u8]], args: &[&[u8]]) -> Command {
        let size = keys.iter().chain(args).map(|arg| arg.len()).sum::<usize>();
        let mut cmd = Cmd::with_capacity(keys.len() + args.len() + 3, size + 64);
        cmd.arg("EVALSHA")
            .arg(script.script.get_hash())
            .arg(keys.len());
        keys.iter().chain(args).for_each(|arg| {
            cmd.arg(*arg);
        });
        Command {
            cmd,
            text: Some(script.text),
        }
    }

    /// The same with the script's text in place of its hash; `None`: it runs none.
    pub(super) fn whole(&self) -> Option<Cmd> {
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(self.text?);
        self.cmd.args_iter().skip(2).for_each(|arg| {
            if let redis::Arg::Simple(bytes) = arg {
                cmd.arg(bytes);
            }
        });
        Some(cmd)
    }

    /// The same with one more argument: bytes, text or a number.
    #[must_use]
    pub fn arg(mut self, arg: impl ToRedisArgs) -> Command {
        self.cmd.arg(arg);
        self
    }

    /// Bytes that its arguments have.
    pub(super) fn size(&self) -> u64 {
        let args = self.cmd.args_iter();
        args.map(|arg| match arg {
            redis::Arg::Simple(bytes) => bytes.len() as u64,
            _ => 0,
        })
        .sum()
    }
}

impl fmt::Debug for Command {
    /// Its name alone: keys and values may be somebody's secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Command")
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// There is nothing.
    Nil,
    /// It is done.
    Ok,
    /// A number.
    Int(i64),
    /// Bytes, or text.
    Bytes(Bytes),
    /// Several.
    List(Vec<Reply>),
    /// An error, in the words of Redis.
    Error(Arc<str>),
}

impl Reply {
    /// What is behind the seam's back.
    pub(super) fn of(value: Value) -> Reply {
        match value {
            Value::Nil => Reply::Nil,
            Value::Okay => Reply::Ok,
            Value::Int(n) => Reply::Int(n),
            Value::Boolean(yes) => Reply::Int(yes.into()),
            Value::BulkString(bytes) => Reply::Bytes(bytes.into()),
            Value::SimpleString(text) | Value::VerbatimString { text, .. } => {
                Reply::Bytes(text.into())
            }
            Value::Double(n) => Reply::Bytes(n.to_string().into()),
            Value::Array(all) | Value::Set(all) | Value::Push { data: all, .. } => {
                Reply::List(all.into_iter().map(Reply::of).collect())
            }
            Value::Map(pairs) => {
                let flat = pairs.into_iter().flat_map(|(key, value)| [key, value]);
                Reply::List(flat.map(Reply::of).collect())
            }
            Value::Attribute { data, .. } => Reply::of(*data),
            Value::ServerError(error) => Reply::Error(words(&error)),
            other => Reply::Error(format!("not understood: {other:?}").into()),
        }
    }

    /// The bytes, if it is some.
    pub fn bytes(&self) -> Option<&Bytes> {
        match self {
            Reply::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The number, if it is one or the digits of one.
    pub fn int(&self) -> Option<i64> {
        match self {
            Reply::Int(n) => Some(*n),
            Reply::Bytes(digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// Its members, if it is a list.
    pub fn list(&self) -> Option<&[Reply]> {
        match self {
            Reply::List(all) => Some(all),
            _ => None,
        }
    }

    /// Bytes it has.
    pub(super) fn size(&self) -> u64 {
        match self {
            Reply::Bytes(bytes) => bytes.len() as u64,
            Reply::List(all) => all.iter().map(Reply::size).sum(),
            Reply::Nil | Reply::Ok | Reply::Int(_) | Reply::Error(_) => 0,
        }
    }
}

/// An error as Redis words it: its code and what follows.
fn words(error: &redis::ServerError) -> Arc<str> {
    match error.details() {
        Some(more) => format!("{} {more}", error.code()).into(),
        None => error.code().into(),
    }
}

/// Whether a reply says that a script is not known there.
pub(super) fn is_unknown_script(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(words) if words.starts_with("NOSCRIPT"))
}

/// The replies, unless they are errors every one.
pub(super) fn not_only_errors(replies: Vec<Reply>) -> Result<Vec<Reply>, Fault> {
    let is_error = |reply: &Reply| matches!(reply, Reply::Error(_));
    match replies.first() {
        Some(Reply::Error(words)) if replies.iter().all(is_error) => {
            Err(Fault::Refused(words.clone()))
        }
        _ => Ok(replies),
    }
}
