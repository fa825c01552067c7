//! The messages of topicsync 0.13, which the deployed clients speak: `{"type": T, "args": {…}}`, as
//! JSON, one a frame.
//!
//! They come in by [`read`], and go out by a function each. What they mean here is decided above.

use serde::Serialize;
use serde::de::{DeserializeSeed, IgnoredAny};
use thiserror::Error;

use crate::protocol::message::Hello;
use crate::topic::ClientId;
use crate::value::decode::ValueSeed;
use crate::value::wide::narrowed_text;
use crate::value::{Dict, Fields, Key, Value, limits};

/// How deep a frame nests: a value of a topic, and the message around it.
const NESTING_MAX: usize = limits::NESTING_MAX + 8;

/// What a client says. Ids are its own matter, and may be any value.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Subscribe {
        topic_name: Key,
    },
    Unsubscribe {
        topic_name: Key,
    },
    Action {
        commands: Vec<Dict>,
        action_id: Value,
    },
    /// An action that cannot be one, and why.
    BadAction {
        reason: String,
    },
    Request {
        service_name: Key,
        args: Value,
        request_id: Value,
    },
    /// Of another type, or with a field missing: nothing is to be done, and nothing said.
    Nothing,
}

/// A frame that is no message of the dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a message is a JSON object with \"type\" and \"args\"")]
pub struct NoMessage;

/// Whether the first frame of a client that named no vocabulary is of this one.
pub fn is_spoken(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Message {
        args: Option<IgnoredAny>,
        content: Option<IgnoredAny>,
    }
    let spoken = |message: Message| message.args.is_some() && message.content.is_none();
    let read = |text: &str| serde_json::from_str(text).is_ok_and(spoken);
    read(text) || mended(text).is_some_and(|text| read(&text))
}

/// Reads a frame.
///
/// # Errors
/// It is not JSON, or no object with `type` and `args`.
pub fn read(text: &str) -> Result<Said, NoMessage> {
    let (message, problem) = match parse(text) {
        Some(read) => read,
        None => {
            let mended = mended(text).ok_or(NoMessage)?;
            let (message, _) = parse(&mended).ok_or(NoMessage)?;
            (message, Some("half a character, or a number that is none".to_owned()))
        }
    };
    let Value::Dict(message) = message else { return Err(NoMessage) };
    let (Some(kind), Some(Value::Dict(args))) = (message.get("type"), message.get("args")) else {
        return Err(NoMessage);
    };
    let kind = kind.as_text().map(Key::from).unwrap_or_default();
    Ok(match (kind.as_str(), problem) {
        ("action", Some(reason)) => Said::BadAction { reason },
        ("action", None) => action(args),
        (kind, _) => other(kind, args).unwrap_or(Said::Nothing),
    })
}

/// The JSON of a frame, and the first limit that a value in it breaks.
fn parse(text: &str) -> Option<(Value, Option<String>)> {
    let (mut problem, text) = (None, narrowed_text(text));
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let seed = ValueSeed { problem: &mut problem, nesting: NESTING_MAX };
    let value = seed.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some((value, problem.map(|problem| problem.to_string())))
}

fn action(args: &Dict) -> Said {
    let bad = |reason: &str| Said::BadAction { reason: reason.into() };
    let (Some(commands), Some(action_id)) = (args.get("commands"), args.get("action_id")) else {
        return bad("an action has commands and an action_id");
    };
    let Value::List(commands) = commands else { return bad("commands are a list") };
    let mut dicts = Vec::with_capacity(commands.len());
    for command in commands {
        let Value::Dict(command) = command else { return bad("a command is an object") };
        dicts.push(command.clone());
    }
    Said::Action { commands: dicts, action_id: action_id.clone() }
}

fn other(kind: &str, args: &Dict) -> Option<Said> {
    let text = |field: &str| args.get(field).and_then(Value::as_text).map(Key::from);
    Some(match kind {
        "subscribe" => Said::Subscribe { topic_name: text("topic_name")? },
        "unsubscribe" => Said::Unsubscribe { topic_name: text("topic_name")? },
        "request" => Said::Request {
            service_name: text("service_name")?,
            args: args.get("args")?.clone(),
            request_id: args.get("request_id")?.clone(),
        },
        _ => return None,
    })
}

/// JSON as browsers and Python write it and no strict reader takes it: halves of surrogate pairs become
/// U+FFFD, and numbers that are none, or beyond every number, null. `None` if there are none of these.
///
/// What such a message wants cannot be done, but its sender can be told so.
fn mended(text: &str) -> Option<String> {
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    let mut changed = false;
    while let Some(start) = rest.find(|it: char| it == '"' || is_of_number(it)) {
        mended.push_str(&rest[..start]);
        rest = &rest[start..];
        let len = match rest.starts_with('"') {
            true => string_len(rest),
            false => rest.find(|it: char| !is_of_number(it)).unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at(len);
        match token.starts_with('"') {
            true => changed |= mend_string(token, &mut mended),
            false => changed |= mend_number(token, &mut mended),
        }
        rest = behind;
    }
    mended.push_str(rest);
    changed.then_some(mended)
}

/// What numbers and words are made of.
fn is_of_number(it: char) -> bool {
    it.is_ascii_alphanumeric() || matches!(it, '-' | '+' | '.')
}

/// How long the string literal is that `text` begins with.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return index + 1,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

fn mend_number(token: &str, into: &mut String) -> bool {
    let none = matches!(token, "NaN" | "Infinity" | "-Infinity");
    let is_number = token.starts_with(|it: char| it == '-' || it.is_ascii_digit());
    let beyond = is_number && token.parse().is_ok_and(|it: f64| it.is_infinite());
    into.push_str(if none || beyond { "null" } else { token });
    none || beyond
}

fn mend_string(token: &str, into: &mut String) -> bool {
    let unit = |at: usize| {
        let digits = token.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut changed, mut at) = (false, 0);
    while at < token.len() {
        let (high, low) = (unit(at), unit(at + 6));
        let is_low = |unit: u16| (0xdc00..0xe000).contains(&unit);
        let len = match high {
            Some(0xd800..0xdc00) if low.is_some_and(is_low) => 12,
            Some(0xd800..0xe000) => {
                into.push_str("\\ufffd");
                (changed, at) = (true, at + 6);
                continue;
            }
            Some(_) => 6,
            None if token[at..].starts_with('\\') => {
                1 + token[at + 1..].chars().next().map_or(0, char::len_utf8)
            }
            None => token[at..].chars().next().map_or(1, char::len_utf8),
        };
        into.push_str(&token[at..at + len]);
        at += len;
    }
    changed
}

#[derive(Serialize)]
struct Message<A> {
    #[serde(rename = "type")]
    kind: &'static str,
    args: A,
}

fn written(kind: &'static str, args: impl Serialize) -> String {
    // Values are JSON whatever they are: keys are strings, and numbers finite.
    serde_json::to_string(&Message { kind, args }).unwrap_or_default()
}

/// The greeting of a client that named no vocabulary: it bears both.
pub fn hello(hello: &Hello) -> String {
    #[derive(Serialize)]
    struct Args {
        id: ClientId,
    }
    #[derive(Serialize)]
    struct Both<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        content: &'a Hello,
        args: Args,
    }
    let both = Both { kind: "hello", content: hello, args: Args { id: hello.id } };
    serde_json::to_string(&both).unwrap_or_default()
}

/// A topic's whole value; of a text, with its version.
pub fn init(topic_name: &str, value: &Value, id: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Args<'a> {
        topic_name: &'a str,
        value: &'a Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
    }
    written("init", Args { topic_name, value, id })
}

/// The changes of one action.
pub fn update(changes: &[Fields], action_id: &Value) -> String {
    #[derive(Serialize)]
    struct Args<'a> {
        changes: &'a [Fields],
        action_id: &'a Value,
    }
    written("update", Args { changes, action_id })
}

/// An action of the client's was not done.
pub fn reject(reason: &str) -> String {
    #[derive(Serialize)]
    struct Args<'a> {
        reason: &'a str,
    }
    written("reject", Args { reason })
}

/// What a service answered.
pub fn response(response: &Value, request_id: &Value) -> String {
    #[derive(Serialize)]
    struct Args<'a> {
        response: &'a Value,
        request_id: &'a Value,
    }
    written("response", Args { response, request_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(text: &str) -> bool {
        let message =
            format!(r#"{{"type":"action","args":{{"action_id":"","commands":[{text}]}}}}"#);
        matches!(read(&message), Ok(Said::BadAction { .. }))
    }

    #[test]
    fn what_strict_json_does_not_know_makes_a_bad_action_and_not_a_broken_frame() {
        for text in [
            r#"{"value":"\ud83d"}"#,
            r#"{"value":"a\ude00b"}"#,
            r#"{"value":"\ud83d\ud83d"}"#,
            r#"{"value":NaN}"#,
            r#"{"value":-Infinity}"#,
            r#"{"value":1e999}"#,
            r#"{"value":9007199254740993}"#,
        ] {
            assert!(bad(text), "{text}");
        }
        assert!(!bad(r#"{"value":"\ud83d\ude00 \\ud83d NaN \" 1e999"}"#));
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(
            text in r#"(\\u(d83d|de00|0041)|["\\{}\[\]:,]|NaN|-?1e999|"type"|"args"|😀| ){0,24}"#
        ) {
            let _ = (read(&text), is_spoken(&text));
            let value = format!(r#"{{"type":"x","args":{{"v":{text}}}}}"#);
            let _ = read(&value);
        }
    }

    #[test]
    fn frames_that_hold_no_message_are_told_apart_from_those_to_be_passed_over() {
        for text in ["", "{", "7", "[]", r#"{"type":"action"}"#, r#"{"type":"x","args":[]}"#] {
            assert_eq!(read(text), Err(NoMessage), "{text}");
        }
        for text in [r#"{"type":"dance","args":{}}"#, r#"{"type":"subscribe","args":{}}"#] {
            assert_eq!(read(text), Ok(Said::Nothing), "{text}");
        }
    }

    #[test]
    fn the_first_message_says_which_vocabulary_it_is_of() {
        assert!(is_spoken(r#"{"type":"subscribe","args":{"topic_name":"a"}}"#));
        assert!(is_spoken(r#"{"args":{"value":"\ud83d"},"type":"action"}"#));
        assert!(!is_spoken(r#"{"type":"subscribe","content":{"topic_name":"a"}}"#));
        assert!(!is_spoken(r#"{"type":"subscribe"}"#));
        assert!(!is_spoken("nonsense"));
    }
}
