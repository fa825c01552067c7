//! The deployed client's own logic: what it shows ahead of the server, and what it makes of messages.
//!
//! It shows its changes at once, in a queue. A change in an `update` with the ids of the queue's first
//! entry confirms that; any other takes back all that is shown ahead, and so does a `reject`. A text's
//! edit that does not begin at the version it has is a fault, which here ends the test.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value as Json, json};
use tokio_tungstenite::tungstenite::Message;

use crate::common::TestServer;
use crate::old::{Old, is};

/// A topic's value, and a text's version.
#[derive(Debug, Clone, PartialEq)]
pub struct Topic {
    pub kind: &'static str,
    pub value: Json,
    pub version: String,
}

pub struct Model {
    pub old: Old,
    /// As the server told it last.
    base: BTreeMap<String, Topic>,
    /// With what is shown ahead.
    pub shown: BTreeMap<String, Topic>,
    /// Shown ahead: the action's id, and the command.
    previews: VecDeque<(String, Json)>,
    /// How many actions are not answered, by an update or a rejection.
    pub unanswered: usize,
    pub rejects: usize,
}

impl Model {
    pub async fn on(server: &TestServer, topics: &[(&str, &'static str)]) -> Model {
        let mut old = Old::connect(server).await;
        let mut base = BTreeMap::new();
        for (name, kind) in topics {
            let init = old.subscribe(name).await;
            let version = init["id"].as_str().unwrap_or_default().to_owned();
            let topic = Topic { kind, value: init["value"].clone(), version };
            base.insert((*name).to_owned(), topic);
        }
        Model {
            old,
            shown: base.clone(),
            base,
            previews: VecDeque::new(),
            unanswered: 0,
            rejects: 0,
        }
    }

    /// A command on what is shown, under an id of its own.
    pub fn command(&mut self, topic: &str, change: Json) -> Json {
        let kind = self.shown[topic].kind;
        let mut command = self.old.command(topic, kind, change);
        if matches!(command["type"].as_str(), Some("insert" | "delete")) && kind == "string" {
            command["topic_version"] = json!(self.shown[topic].version);
            command["result_topic_version"] = json!(self.old.next_id());
        }
        command
    }

    /// Shows a command of the action in the making, for those after it to stand on.
    pub fn show(&mut self, command: &Json) {
        let topic = command["topic_name"].as_str().unwrap();
        apply(self.shown.get_mut(topic).unwrap(), command);
    }

    /// Sends what was shown as one action.
    pub async fn send(&mut self, commands: Vec<Json>) {
        let action_id = self.old.act(json!(commands)).await;
        self.unanswered += 1;
        self.previews.extend(commands.into_iter().map(|it| (action_id.clone(), it)));
    }

    /// Takes up to so many messages, of those that are there.
    pub async fn read(&mut self, most: usize) {
        for _ in 0..most {
            let frame = tokio::time::timeout(Duration::from_millis(1), self.old.socket.next());
            match frame.await {
                Err(_) => return,
                Ok(Some(Ok(Message::Text(text)))) => {
                    self.take(&serde_json::from_str(&text).unwrap());
                }
                Ok(other) => panic!("{other:?}"),
            }
        }
    }

    /// Takes what the server has to say until each action is answered. After a rejection, an `init` may
    /// answer several.
    pub async fn read_answers(&mut self) {
        while self.unanswered > 0 {
            let message = self.old.receive().await;
            self.take(&message);
        }
    }

    /// Takes everything that the server has to say by now.
    pub async fn read_all(&mut self) {
        let id = self.old.next_id();
        let args = json!({"service_name": "nobody's", "args": {}, "request_id": id});
        self.old.send("request", args).await;
        loop {
            let message = self.old.receive().await;
            if message["type"] == "response" {
                return;
            }
            self.take(&message);
        }
    }

    fn take(&mut self, message: &Json) {
        let args = &message["args"];
        match message["type"].as_str().unwrap() {
            "update" => self.update(args),
            "reject" => {
                self.rejects += 1;
                self.unanswered -= 1;
                self.take_back();
            }
            "init" => {
                let name = args["topic_name"].as_str().unwrap();
                let topic = self.base.get_mut(name).unwrap();
                topic.value = args["value"].clone();
                topic.version = args["id"].as_str().unwrap_or_default().to_owned();
                self.show_again();
            }
            other => panic!("the deployed client throws at {other}"),
        }
    }

    fn update(&mut self, args: &Json) {
        let action_id = args["action_id"].as_str().unwrap();
        // It subscribes to all topics: each action comes back as one update.
        self.unanswered -= usize::from(action_id.starts_with(&format!("{}_", self.old.id)));
        for change in args["changes"].as_array().unwrap() {
            let first = self.previews.front();
            let confirms =
                first.is_some_and(|(id, it)| id == action_id && it["id"] == change["id"]);
            if confirms {
                let (_, preview) = self.previews.pop_front().unwrap();
                let topic = preview["topic_name"].as_str().unwrap().to_owned();
                apply(self.base.get_mut(&topic).unwrap(), &preview);
                self.check_confirmed(change, &topic);
                continue;
            }
            self.take_back();
            let topic = change["topic_name"].as_str().unwrap();
            let topic = self.base.get_mut(topic).unwrap();
            apply(topic, change);
            self.shown = self.base.clone();
        }
        if self.previews.front().is_some_and(|(id, _)| id == action_id) {
            self.take_back();
        }
    }

    /// What confirms a preview does what the preview did.
    fn check_confirmed(&self, change: &Json, topic: &str) {
        if self.base[topic].kind == "string" && change["type"] != "set" {
            assert_eq!(change["result_topic_version"], json!(self.base[topic].version));
        }
    }

    fn take_back(&mut self) {
        self.previews.clear();
        self.shown = self.base.clone();
    }

    fn show_again(&mut self) {
        self.shown = self.base.clone();
        for (_, command) in self.previews.clone() {
            self.show(&command);
        }
    }

    /// All is quiet: nothing is shown ahead.
    pub fn check_settled(&self) {
        assert_eq!(self.previews, []);
        assert_eq!(self.shown, self.base);
    }
}

fn apply(topic: &mut Topic, change: &Json) {
    let field = |name: &str| change[name].clone();
    let at = || change["position"].as_i64().unwrap();
    match (topic.kind, change["type"].as_str().unwrap(), &mut topic.value) {
        (kind, "set", value) => {
            if let Some(old) = change.get("old_value") {
                assert!(is(old, value), "it was {value}, says {change}");
            }
            *value = field("value");
            if kind == "string" {
                topic.version = change["id"].as_str().unwrap().to_owned();
            }
        }
        (_, "add", Json::Number(value)) => {
            topic.value = json!(value.as_i64().unwrap() + change["value"].as_i64().unwrap());
        }
        ("string", edit, Json::String(text)) => {
            assert_eq!(change["topic_version"], json!(topic.version), "the deployed client throws");
            let of = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
            let (mut units, at) = (of(text), at() as usize);
            if edit == "insert" {
                units.splice(at..at, of(change["insertion"].as_str().unwrap()));
            } else {
                let deletion = of(change["deletion"].as_str().unwrap());
                assert_eq!(units[at..at + deletion.len()], deletion, "{change}");
                units.drain(at..at + deletion.len());
            }
            *text = String::from_utf16(&units).unwrap();
            topic.version = change["result_topic_version"].as_str().unwrap().to_owned();
        }
        ("list", "insert", Json::Array(items)) => {
            let len = items.len() as i64;
            let at = if at() < 0 { len + at() + 1 } else { at() };
            items.insert(at as usize, field("item"));
        }
        ("list", "pop", Json::Array(items)) => {
            let len = items.len() as i64;
            let at = if at() < 0 { len + at() } else { at() };
            items.remove(at as usize);
        }
        ("set", "append", Json::Array(items)) => items.push(field("item")),
        ("set", "remove", Json::Array(items)) => items.retain(|it| !is(it, &change["item"])),
        ("dict", "pop", Json::Object(entries)) => {
            entries.remove(change["key"].as_str().unwrap()).expect("it is there");
        }
        ("dict", _, Json::Object(entries)) => {
            entries.insert(change["key"].as_str().unwrap().to_owned(), field("value"));
        }
        (kind, ..) => panic!("a {kind} topic has no {change}"),
    }
}
