//! The messages of topicsync 0.13: `{"type": T, "args": {…}}`, as JSON, one a frame.
//!
//! Messages of clients are read by [`read`], and each message to a client is written by a function of its
//! own. What a message leads to is not known here.

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

/// How many bytes an id of an action or change, or a name of a text, has at most: the ids of many changes
/// are kept.
pub(super) const ID_BYTES_MAX: usize = 512;

/// A message of a client. Its ids are what the client makes of them: any value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
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
    /// An action that cannot be read, and why.
    MalformedAction {
        reason: String,
    },
    Request {
        service_name: Key,
        args: Value,
        request_id: Value,
    },
    /// A message of another type, or with a field missing: nothing is done, and nothing answered.
    Ignored,
}

/// A frame that is no message of 0.13.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a message is a JSON object with \"type\" and \"args\"")]
pub(super) struct NoMessage;

/// Whether the first frame of a client that named no subprotocol is a message of 0.13.
pub(super) fn is_message(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Shape {
        args: Option<IgnoredAny>,
        content: Option<IgnoredAny>,
    }
    let is_ours = |shape: Shape| shape.args.is_some() && shape.content.is_none();
    let read = |text: &str| serde_json::from_str(text).is_ok_and(is_ours);
    read(text) || repaired(text).is_some_and(|text| read(&text))
}

/// Reads a frame.
///
/// # Errors
/// It is not JSON, or no object with `type` and `args`.
pub(super) fn read(text: &str) -> Result<Message, NoMessage> {
    let (message, problem) = match parse(text) {
        Some(parsed) => parsed,
        None => {
            // Not JSON, but maybe what a browser or Python takes for JSON: then its author is told.
            let repaired = repaired(text).ok_or(NoMessage)?;
            let (message, _) = parse(&repaired).ok_or(NoMessage)?;
            (message, Some("half a character, or a number that is none".to_owned()))
        }
    };
    let Value::Dict(message) = message else { return Err(NoMessage) };
    let (Some(kind), Some(Value::Dict(args))) = (message.get("type"), message.get("args")) else {
        return Err(NoMessage);
    };
    let kind = kind.as_text().map(Key::from).unwrap_or_default();
    Ok(match (kind.as_str(), problem) {
        ("action", Some(reason)) => Message::MalformedAction { reason },
        ("action", None) => action(args),
        (kind, _) => other(kind, args).unwrap_or(Message::Ignored),
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

fn action(args: &Dict) -> Message {
    let malformed = |reason: &str| Message::MalformedAction { reason: reason.into() };
    let (Some(commands), Some(action_id)) = (args.get("commands"), args.get("action_id")) else {
        return malformed("an action has commands and an action_id");
    };
    if action_id.bytes_about() > ID_BYTES_MAX {
        return malformed(&format!("an id has at most {ID_BYTES_MAX} bytes"));
    }
    let Value::List(commands) = commands else { return malformed("commands are a list") };
    let mut dicts = Vec::with_capacity(commands.len());
    for command in commands {
        let Value::Dict(command) = command else { return malformed("a command is an object") };
        dicts.push(command.clone());
    }
    Message::Action { commands: dicts, action_id: action_id.clone() }
}

fn other(kind: &str, args: &Dict) -> Option<Message> {
    let text = |field: &str| args.get(field).and_then(Value::as_text).map(Key::from);
    Some(match kind {
        "subscribe" => Message::Subscribe { topic_name: text("topic_name")? },
        "unsubscribe" => Message::Unsubscribe { topic_name: text("topic_name")? },
        "request" => Message::Request {
            service_name: text("service_name")?,
            args: args.get("args")?.clone(),
            request_id: args.get("request_id")?.clone(),
        },
        _ => return None,
    })
}

/// JSON as browsers and Python write it and no strict reader takes it, made strict: halves of surrogate
/// pairs become U+FFFD; `NaN`, `Infinity` and numbers beyond every number become null. `None` if there are
/// none of these.
///
/// What such a message asks for cannot be done, but its sender can be told so.
fn repaired(text: &str) -> Option<String> {
    let mut repaired = String::with_capacity(text.len());
    let mut rest = text;
    let mut changed = false;
    while let Some(start) = rest.find(|char: char| char == '"' || is_of_number(char)) {
        repaired.push_str(&rest[..start]);
        rest = &rest[start..];
        let is_string = rest.starts_with('"');
        let len = if is_string {
            string_len(rest)
        } else {
            rest.find(|char: char| !is_of_number(char)).unwrap_or(rest.len())
        };
        let (token, behind) = rest.split_at(len);
        changed |= if is_string {
            repair_string(token, &mut repaired)
        } else {
            repair_number(token, &mut repaired)
        };
        rest = behind;
    }
    repaired.push_str(rest);
    changed.then_some(repaired)
}

/// Whether numbers, and words such as `NaN`, are made of this character.
fn is_of_number(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '-' | '+' | '.')
}

/// The length of the string literal that `text` begins with.
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

/// Appends a number or word to `into`; null in place of one that strict JSON does not have. Tells whether
/// that was so.
fn repair_number(token: &str, into: &mut String) -> bool {
    let is_word = matches!(token, "NaN" | "Infinity" | "-Infinity");
    let is_number = token.starts_with(|char: char| char == '-' || char.is_ascii_digit());
    let is_beyond = is_number && token.parse().is_ok_and(|number: f64| number.is_infinite());
    into.push_str(if is_word || is_beyond { "null" } else { token });
    is_word || is_beyond
}

/// Appends a string literal to `into`, with U+FFFD in place of each half of a surrogate pair that is
/// without its other half. Tells whether there was one.
fn repair_string(token: &str, into: &mut String) -> bool {
    // The UTF-16 unit that an escape at this place stands for.
    let unit = |at: usize| {
        let digits = token.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut changed, mut at) = (false, 0);
    while at < token.len() {
        let is_low = |unit: u16| (0xdc00..0xe000).contains(&unit);
        let len = match unit(at) {
            Some(0xd800..0xdc00) if unit(at + 6).is_some_and(is_low) => 12,
            Some(0xd800..0xe000) => {
                into.push_str("\\ufffd");
                (changed, at) = (true, at + 6);
                continue;
            }
            Some(_) => 6,
            // Another escape is two characters, so that an escaped backslash begins no escape.
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

/// What every message to a client looks like.
#[derive(Serialize)]
struct Envelope<A> {
    #[serde(rename = "type")]
    kind: &'static str,
    args: A,
}

fn encode(kind: &'static str, args: impl Serialize) -> String {
    // Every value can be JSON: keys are strings, and numbers finite.
    serde_json::to_string(&Envelope { kind, args }).unwrap_or_default()
}

/// The greeting of a client that named no subprotocol, in both vocabularies.
pub(super) fn hello(hello: &Hello) -> String {
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
pub(super) fn init(topic_name: &str, value: &Value, id: Option<&str>) -> String {
    #[derive(Serialize)]
    struct Args<'a> {
        topic_name: &'a str,
        value: &'a Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
    }
    encode("init", Args { topic_name, value, id })
}

/// The changes of one action.
pub(super) fn update(changes: &[Fields], action_id: &Value) -> String {
    #[derive(Serialize)]
    struct Args<'a> {
        changes: &'a [Fields],
        action_id: &'a Value,
    }
    encode("update", Args { changes, action_id })
}

/// Tells an author that an action of its was not done. 0.13 does not say which.
pub(super) fn reject(reason: &str) -> String {
    #[derive(Serialize)]
    struct Args<'a> {
        reason: &'a str,
    }
    encode("reject", Args { reason })
}

/// What a service answered.
pub(super) fn response(response: &Value, request_id: &Value) -> String {
    #[derive(Serialize)]
    struct Args<'a> {
        response: &'a Value,
        request_id: &'a Value,
    }
    encode("response", Args { response, request_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(text: &str) -> bool {
        let message =
            format!(r#"{{"type":"action","args":{{"action_id":"","commands":[{text}]}}}}"#);
        matches!(read(&message), Ok(Message::MalformedAction { .. }))
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
            let _ = (read(&text), is_message(&text));
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
            assert_eq!(read(text), Ok(Message::Ignored), "{text}");
        }
    }

    #[test]
    fn the_first_message_says_which_vocabulary_it_is_of() {
        assert!(is_message(r#"{"type":"subscribe","args":{"topic_name":"a"}}"#));
        assert!(is_message(r#"{"args":{"value":"\ud83d"},"type":"action"}"#));
        assert!(!is_message(r#"{"type":"subscribe","content":{"topic_name":"a"}}"#));
        assert!(!is_message(r#"{"type":"subscribe"}"#));
        assert!(!is_message("nonsense"));
    }
}
