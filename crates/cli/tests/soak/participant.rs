//! The Rust participant: a client in this process, and its random edits.

use std::time::Duration;

use serde_json::{Value as Json, json};
use topicsync::client::{Client, ClientConfig, LocalChange, Topic};
use topicsync::topic::TopicName;
use topicsync::types::Dict;
use topicsync::types::List;
use topicsync::types::Set;
use topicsync::types::String as Text;
use topicsync::value::{Fields, Value};

use crate::random::Random;

/// The topics that all edit; each is named after its type.
pub const TOPICS: [&str; 6] =
    ["soak/list", "soak/text", "soak/dict", "soak/set", "soak/int", "soak/float"];

const PIECES: [&str; 9] = ["a", "b", "xyz", " ", "é", "e\u{301}", "😀", "👩\u{200d}👧", "𝄞"];

pub struct RustClient {
    client: Client,
    random: Random,
    list: Topic<List>,
    text: Topic<Text>,
    dict: Topic<Dict>,
    set: Topic<Set>,
}

impl RustClient {
    pub fn start(url: &str, seed: u64) -> RustClient {
        let retry_min = Duration::from_millis(5);
        let retry_max = Duration::from_millis(50);
        let client =
            Client::with_config(ClientConfig { retry_min, retry_max, ..ClientConfig::new(url) })
                .expect("an address");
        let sound = "the names are sound";
        client.int("soak/int").expect(sound);
        client.float("soak/float").expect(sound);
        RustClient {
            list: client.list("soak/list").expect(sound),
            text: client.string("soak/text").expect(sound),
            dict: client.dict("soak/dict").expect(sound),
            set: client.set("soak/set").expect(sound),
            random: Random(seed),
            client,
        }
    }

    pub async fn edit(&mut self, count: usize) {
        for _ in 0..count {
            match self.random.below(24) {
                0 => self.reverse(true),
                1 => self.reverse(false),
                2..=5 => self.act(),
                _ => {
                    let (topic, change, overwriting) = self.change();
                    let change = local(topic, &change);
                    let change = if overwriting { change.overwriting() } else { change };
                    // The view may have moved since it was looked at.
                    let _ = self.client.action([change]);
                }
            }
            tokio::time::sleep(Duration::from_millis(self.random.below(6) as u64)).await;
        }
    }

    /// Asks for an undo or redo. Its outcome may be lost with the session, and nobody waits for it.
    fn reverse(&self, undo: bool) {
        let client = self.client.clone();
        tokio::spawn(async move {
            match undo {
                true => client.undo().await,
                false => client.redo().await,
            }
        });
    }

    /// Two or three changes at once. Should they not fit on top of each other, none happens.
    fn act(&mut self) {
        let changes = (0..2 + self.random.below(2)).map(|_| self.change());
        let changes: Vec<_> = changes.map(|(topic, change, _)| local(topic, &change)).collect();
        let _ = self.client.action(changes);
    }

    /// A topic, a change that fits it, and whether it shall simply win.
    fn change(&mut self) -> (&'static str, Json, bool) {
        let random = &mut self.random;
        let overwriting = random.once_in(6);
        match random.below(8) {
            0 | 1 => ("soak/list", list(random, self.list.value().len()), overwriting),
            2..=4 => ("soak/text", text(random, self.text.value().len_chars()), false),
            5 => {
                let key = random.pick(&["a", "b", "c", "é😀"]);
                let change = match self.dict.value().contains_key(key) {
                    false => json!({"type": "add", "key": key, "value": item(random)}),
                    true if random.once_in(3) => json!({"type": "remove", "key": key}),
                    true => json!({"type": "change_value", "key": key, "value": item(random)}),
                };
                ("soak/dict", change, overwriting)
            }
            6 => {
                let item = item(random);
                let there = self.set.value().contains(&Value::from(item.clone()));
                let change_type = if there { "remove" } else { "append" };
                ("soak/set", json!({"type": change_type, "item": item}), overwriting)
            }
            _ if random.once_in(2) => {
                ("soak/int", json!({"type": "add", "value": random.below(200) as i64 - 100}), true)
            }
            _ => {
                let value = random.below(4096) as f64 / 1024.0 - 2.0;
                ("soak/float", json!({"type": "add", "value": value}), overwriting)
            }
        }
    }

    pub async fn settle(&self) {
        self.client.online().await.expect("it is not closed");
        self.client.settled().await;
    }

    pub fn values(&self) -> Json {
        self.client.with_replica(|replica| {
            let value = |topic: &&str| {
                let topic = replica.topic(&TopicName::new(*topic).ok()?)?;
                Some(Json::from(&topic.kind().encode_value(topic.view())))
            };
            TOPICS.iter().map(|topic| ((*topic).to_owned(), json!(value(topic)))).collect()
        })
    }

    pub async fn quit(self) {
        self.client.close().await;
    }
}

fn local(topic: &str, change: &Json) -> LocalChange {
    let fields = Fields::from_serialize(change).expect("it is sound");
    LocalChange::new(TopicName::new(topic).expect("it is sound"), fields)
}

fn item(random: &mut Random) -> Json {
    match random.below(5) {
        0 => json!(random.pick(&PIECES)),
        1 => json!({"x": random.below(9)}),
        2 => json!([random.below(3) as f64]),
        _ => json!(random.below(9)),
    }
}

fn list(random: &mut Random, len: usize) -> Json {
    if len == 0 || (len < 12 && random.once_in(2)) {
        let position = if random.once_in(4) { -1 } else { random.below(len + 1) as i64 };
        return json!({"type": "insert", "position": position, "item": item(random)});
    }
    let position = random.below(len);
    match random.below(3) {
        0 => json!({"type": "pop", "position": position}),
        1 => json!({"type": "replace", "position": position, "item": item(random)}),
        _ => json!({"type": "move", "from": position, "to": random.below(len)}),
    }
}

fn text(random: &mut Random, len: usize) -> Json {
    let position = random.below(len + 1);
    let longest = (len - position).min(if len > 200 { 40 } else { 4 });
    if longest > 0 && random.once_in(3) {
        return json!({"type": "delete", "position": position, "length": 1 + random.below(longest)});
    }
    let insertion: String = (0..1 + random.below(3)).map(|_| random.pick(&PIECES)).collect();
    match random.below(8) {
        0 => json!({"type": "insert", "position": -1, "insertion": insertion}),
        _ => json!({"type": "insert", "position": position, "insertion": insertion}),
    }
}
