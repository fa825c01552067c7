//! The part of the protocol that the load speaks: what it sends, built once and patched, and what it receives, counted
//! by markers in the bytes.
//!
//! Never decodes a message while something is being measured: a delivery must cost the load far less than the server.

use std::sync::LazyLock;

use clap::ValueEnum;
use memchr::memmem::Finder;
use serde::Serialize;
use serde_json::Value;

use crate::Result;

/// How messages are encoded on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Encoding {
    Json,
    Msgpack,
}

/// How a writer sends changes when several may be sent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Framing {
    /// One frame with an array of them, as a client of this protocol does.
    Array,
    /// A frame for each.
    Single,
}

/// A message to the server. `type` comes first, which the relay counts on.
#[derive(Serialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
pub enum Outgoing<'a> {
    Subscribe {
        topic_name: &'a str,
        #[serde(rename = "type")]
        topic_type: &'a str,
    },
    Update {
        topic_name: &'a str,
        change: Change<'a>,
    },
}

/// A change as its author sends it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(clippy::enum_variant_names, reason = "the names are the wire's")]
pub enum Change<'a> {
    Set { value: &'a [String], id: &'a str },
    Add { key: &'a str, value: &'a str, id: &'a str },
    ChangeValue { key: &'a str, value: &'a str, id: &'a str },
    Insert { position: usize, item: &'a str, id: &'a str, base: u64 },
    Pop { position: usize, id: &'a str, base: u64 },
}

/// The bytes to look for in one encoding.
pub struct Markers {
    /// `type` and what stands between it and the first letter of its value.
    type_key: Finder<'static>,
    type_gap: usize,
    update: Finder<'static>,
    version_key: Finder<'static>,
    subscribe_start: &'static [u8],
}

static JSON: LazyLock<Markers> = LazyLock::new(|| Markers {
    type_key: Finder::new(br#""type":""#),
    type_gap: 0,
    update: Finder::new(br#""type":"update""#),
    version_key: Finder::new(br#""version":"#),
    subscribe_start: br#"{"type":"subscribe""#,
});

static MSGPACK: LazyLock<Markers> = LazyLock::new(|| Markers {
    type_key: Finder::new(b"\xa4type"),
    type_gap: 1,
    update: Finder::new(b"\xa4type\xa6update"),
    version_key: Finder::new(b"\xa7version"),
    subscribe_start: b"\x82\xa4type\xa9subscribe",
});

impl Markers {
    /// How many `update` messages a frame holds. No value that the load writes contains the marker.
    pub fn count_updates(&self, payload: &[u8]) -> u64 {
        self.update.find_iter(payload).count() as u64
    }

    /// The first letters of the values of every `type` in a frame: of its messages and of their changes.
    pub fn kinds<'a>(&'a self, payload: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + 'a {
        let skipped = self.type_key.needle().len() + self.type_gap;
        self.type_key
            .find_iter(payload)
            .map(move |at| payload.get(at + skipped..).unwrap_or_default())
    }

    /// Whether a frame from a client is a `subscribe`, given that its type comes first.
    pub fn is_subscribe(&self, payload: &[u8]) -> bool {
        payload.starts_with(self.subscribe_start)
    }
}

impl Encoding {
    pub fn subprotocol(self) -> &'static str {
        match self {
            Encoding::Json => "topicsync.v1.json",
            Encoding::Msgpack => "topicsync.v1.msgpack",
        }
    }

    pub fn is_binary(self) -> bool {
        self == Encoding::Msgpack
    }

    pub fn markers(self) -> &'static Markers {
        match self {
            Encoding::Json => &JSON,
            Encoding::Msgpack => &MSGPACK,
        }
    }

    pub fn encode(self, message: &impl Serialize) -> Result<Vec<u8>> {
        Ok(match self {
            Encoding::Json => serde_json::to_vec(message)?,
            Encoding::Msgpack => rmp_serde::to_vec_named(message)?,
        })
    }

    /// The messages of a frame, be it one or an array. For what is outside the measured stretch, or rare.
    pub fn decode(self, payload: &[u8]) -> Result<Vec<Value>> {
        let value = match self {
            Encoding::Json => serde_json::from_slice(payload)?,
            Encoding::Msgpack => rmp_serde::from_slice(payload)?,
        };
        Ok(match value {
            Value::Array(messages) => messages,
            message => vec![message],
        })
    }

    /// The version in the last message of a frame.
    pub fn last_version(self, payload: &[u8]) -> Option<u64> {
        let key = &self.markers().version_key;
        let at = memchr::memmem::rfind(payload, key.needle())? + key.needle().len();
        let value = &payload[at..];
        match self {
            Encoding::Json => {
                let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
                std::str::from_utf8(&value[..digits]).ok()?.parse().ok()
            }
            Encoding::Msgpack => read_unsigned(value),
        }
    }

    /// What the ids of a client's changes begin with in the bytes of a change, the key included.
    pub fn own_id_marker(self, client_id: u64) -> Vec<u8> {
        let start = format!("{client_id}_");
        let mut marker = match self {
            Encoding::Json => br#""id":""#.to_vec(),
            Encoding::Msgpack => {
                let length = start.len() + COUNTER_DIGITS;
                vec![
                    0xa2,
                    b'i',
                    b'd',
                    0xa0 | u8::try_from(length).expect("an id here is under 32 bytes"),
                ]
            }
        };
        marker.extend_from_slice(start.as_bytes());
        marker
    }

    /// Writes the opening of an array of `count` messages, `count` under 65,536.
    fn open_array(self, count: usize, out: &mut Vec<u8>) {
        match self {
            Encoding::Json => out.push(b'['),
            Encoding::Msgpack => {
                out.push(0xdc);
                out.extend_from_slice(
                    &u16::try_from(count).expect("a window is under 65,536").to_be_bytes(),
                );
            }
        }
    }

    fn separate(self, out: &mut Vec<u8>) {
        if self == Encoding::Json {
            out.push(b',');
        }
    }

    fn close_array(self, out: &mut Vec<u8>) {
        if self == Encoding::Json {
            out.push(b']');
        }
    }
}

fn read_unsigned(bytes: &[u8]) -> Option<u64> {
    let (&tag, rest) = bytes.split_first()?;
    let width = match tag {
        0..=0x7f => return Some(u64::from(tag)),
        0xcc => 1,
        0xcd => 2,
        0xce => 4,
        0xcf => 8,
        _ => return None,
    };
    Some(rest.get(..width)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// The counters of change ids begin here, so that all have as many digits and none a leading zero.
pub const COUNTER_START: u64 = 1_000_000_000;
const COUNTER_DIGITS: usize = 10;
const STAMP_DIGITS: usize = 13;
const STAMP_MARK: &[u8] = b"at:";
/// Stands in the value of the last change of a run.
pub const LAST_MARK: &[u8] = b"the-last-of-them";
/// The key that all changes of a dict topic go to.
pub const KEY: &str = "k";

/// A `change_value` without a base, encoded once; sending one is a copy with new digits in two places.
pub struct Template {
    encoding: Encoding,
    bytes: Vec<u8>,
    counter_at: usize,
    stamp_at: usize,
}

impl Template {
    /// A change to `topic_name` by `client_id` with a value of `value_bytes`, or a few more if they do not hold the
    /// stamp and `mark`.
    pub fn new(
        encoding: Encoding,
        topic_name: &str,
        client_id: u64,
        value_bytes: usize,
        mark: &[u8],
    ) -> Result<Self> {
        let value = value_text(0, value_bytes, mark);
        let id = format!("{client_id}_{COUNTER_START}");
        let change = Change::ChangeValue { key: KEY, value: &value, id: &id };
        let bytes = encoding.encode(&Outgoing::Update { topic_name, change })?;
        let id_at = memchr::memmem::rfind(&bytes, id.as_bytes())
            .ok_or("the id is not in its own change")?;
        let counter_at = id_at + id.len() - COUNTER_DIGITS;
        let stamp_at = memchr::memmem::find(&bytes, value.as_bytes())
            .ok_or("the value is not in its own change")?
            + STAMP_MARK.len();
        Ok(Template { encoding, bytes, counter_at, stamp_at })
    }

    /// Bytes of one message.
    pub fn message_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Appends one message.
    fn write(&self, counter: u64, stamp: u64, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        write_digits(&mut out[start + self.counter_at..][..COUNTER_DIGITS], counter);
        write_digits(&mut out[start + self.stamp_at..][..STAMP_DIGITS], stamp);
    }

    /// Replaces `out` by the payload of a frame with `count` changes, whose counters go up from `counter`.
    pub fn write_many(&self, counter: u64, count: usize, stamp: u64, out: &mut Vec<u8>) {
        out.clear();
        if count == 1 {
            return self.write(counter, stamp, out);
        }
        self.encoding.open_array(count, out);
        for nth in 0..count {
            if nth > 0 {
                self.encoding.separate(out);
            }
            self.write(counter + nth as u64, stamp, out);
        }
        self.encoding.close_array(out);
    }
}

/// A value of `bytes` ASCII characters that bears a stamp and a mark.
pub fn value_text(stamp: u64, bytes: usize, mark: &[u8]) -> String {
    let mut value = format!("at:{stamp:013} {}", String::from_utf8_lossy(mark));
    while value.len() < bytes {
        value.push('.');
    }
    value
}

/// The stamps of all values in a frame.
pub fn stamps(payload: &[u8]) -> impl Iterator<Item = u64> + '_ {
    memchr::memmem::find_iter(payload, STAMP_MARK).filter_map(|at| {
        let digits = payload.get(at + STAMP_MARK.len()..)?.get(..STAMP_DIGITS)?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    })
}

fn write_digits(slot: &mut [u8], mut number: u64) {
    for digit in slot.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The items of the list that is joined: `count` short strings, all different.
pub fn list_items(count: usize) -> Vec<String> {
    (0..count).map(|nth| format!("item {nth:06}")).collect()
}

/// Appends a frame as a client sends it. The mask is zero: it is allowed to be anything, and so costs the load nothing.
pub fn write_client_frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    const FIN: u8 = 0x80;
    const MASKED: u8 = 0x80;
    out.push(FIN | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(MASKED | length as u8),
        length @ 126..=0xffff => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_template(encoding: Encoding, count: usize) {
        let template = Template::new(encoding, "t", 7, 48, b"").expect("it can be encoded");
        let mut payload = Vec::new();
        template.write_many(COUNTER_START + 16, count, 123_456, &mut payload);

        let messages = encoding.decode(&payload).expect("it can be decoded");
        assert_eq!(messages.len(), count);
        for (nth, message) in messages.iter().enumerate() {
            let change = &message["content"]["change"];
            assert_eq!(change["id"], format!("7_{}", COUNTER_START + 16 + nth as u64));
            assert_eq!(change["value"], value_text(123_456, 48, b""));
        }
        let markers = encoding.markers();
        assert_eq!(markers.count_updates(&payload), count as u64);
        assert_eq!(
            markers.kinds(&payload).filter(|kind| kind.starts_with(b"change_value")).count(),
            count
        );
        assert!(stamps(&payload).eq(std::iter::repeat_n(123_456, count)));
        assert_eq!(memchr::memmem::find_iter(&payload, &encoding.own_id_marker(7)).count(), count);
    }

    #[test]
    fn a_patched_template_is_the_change_it_stands_for() {
        for encoding in [Encoding::Json, Encoding::Msgpack] {
            for count in [1, 2, 64] {
                check_template(encoding, count);
            }
        }
    }

    #[test]
    fn the_last_version_of_a_frame_is_found() {
        for encoding in [Encoding::Json, Encoding::Msgpack] {
            for version in [0, 127, 128, 65_536, 1 << 40] {
                let messages = serde_json::json!([{"content": {"version": 3}}, {"content": {"version": version}}]);
                let payload = encoding.encode(&messages).expect("it can be encoded");
                assert_eq!(encoding.last_version(&payload), Some(version), "{encoding:?}");
            }
        }
    }
}
