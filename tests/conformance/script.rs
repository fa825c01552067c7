//! Writes cases: a script says what happens, step by step, and what it leads to is noted as it plays.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::{Value as Json, json};
use topicsync::client::Replica;
use topicsync::protocol::ClientMessage;
use topicsync::protocol::ServerMessage;
use topicsync::topic::{ClientId, TopicOptions};
use topicsync::value::Value;

use super::player::{Expect, Player, fields};
use super::server::{Server, name};

/// The client whose case it is.
const ME: usize = 0;

/// A case in the making.
pub struct Script {
    case: String,
    player: Player,
    steps: Vec<String>,
    pub server: Server,
    /// On the way to the server.
    up: VecDeque<ClientMessage>,
}

impl Script {
    pub fn new(case: impl Into<String>) -> Script {
        let (player, server) = (Player::new(), Server::new());
        Script { case: case.into(), player, steps: Vec::new(), server, up: VecDeque::new() }
    }

    /// A client that is online and subscribed to topics given as name and type.
    pub fn online(case: impl Into<String>, topics: &[(&str, &str)]) -> Script {
        Script::starting_with(case, topics, &[])
    }

    /// As [`online`](Self::online), and somebody has set some of them before.
    pub fn starting_with(
        case: impl Into<String>,
        topics: &[(&str, &str)],
        values: &[(&str, Json)],
    ) -> Script {
        let mut script = Script::new(case);
        for (topic, kind) in topics {
            script.server.make(topic, kind, TopicOptions::default());
            script.subscribe(topic, kind);
        }
        for (topic, value) in values {
            script.somebody(topic, json!({"type": "set", "value": value}));
        }
        script.connect();
        script.exchange();
        script
    }

    /// The finished case, as a line of the file.
    pub fn line(self) -> String {
        let case = serde_json::to_string(&self.case).expect("a name is JSON");
        format!("{{\"case\":{case},\"steps\":[{}]}}", self.steps.join(","))
    }

    /// Plays a step, and notes it with what it led to.
    pub fn step(&mut self, kind: &str, argument: &impl Serialize) -> Expect {
        let argument = serde_json::to_string(argument).expect("an argument is JSON");
        let step = format!("{{\"{kind}\":{argument}}}");
        let json = serde_json::from_str(&step).expect("a step is JSON");
        let expect = self.player.play(&json).expect("the script's steps are sound");
        let expected = serde_json::to_string(&expect).expect("what is expected is JSON");
        let expected = if expected == "{}" { "" } else { &format!(",\"expect\":{expected}") };
        self.steps.push(format!("{{\"{kind}\":{argument}{expected}}}"));
        expect
    }

    pub fn subscribe(&mut self, topic: &str, kind: &str) {
        self.step("subscribe", &json!({"topic_name": topic, "type": kind}));
    }

    pub fn subscribe_with(&mut self, topic: &str, kind: &str, options: Json) {
        let argument = json!({"topic_name": topic, "type": kind, "options": options});
        self.step("subscribe", &argument);
    }

    pub fn unsubscribe(&mut self, topic: &str) {
        self.step("unsubscribe", &json!({"topic_name": topic}));
    }

    /// One change of one's own. Gives whether it was taken.
    pub fn local(&mut self, topic: &str, change: Json) -> bool {
        self.act(&[(topic, change)])
    }

    /// One change that shall simply win.
    pub fn overwrite(&mut self, topic: &str, change: Json) -> bool {
        let change = json!([{"topic_name": topic, "change": change, "overwriting": true}]);
        !self.step("local", &change).error
    }

    /// An action of one's own.
    pub fn act(&mut self, changes: &[(&str, Json)]) -> bool {
        let changes = changes.iter();
        let changes = changes.map(|(topic, it)| json!({"topic_name": topic, "change": it}));
        !self.step("local", &changes.collect::<Vec<_>>()).error
    }

    pub fn presence(&mut self, topic: &str, entry: Option<Json>) {
        self.step(
            "presence",
            &match entry {
                Some(entry) => json!({"topic_name": topic, "entry": entry}),
                None => json!({"topic_name": topic, "remove": true}),
            },
        );
    }

    pub fn request(&mut self, service: &str, args: Json) {
        self.step("request", &json!({"service_name": service, "args": args}));
    }

    pub fn undo(&mut self) {
        self.request("_topicsync/undo", Json::Null);
    }

    pub fn redo(&mut self) {
        self.request("_topicsync/redo", Json::Null);
    }

    /// Somebody else makes a change, on whatever is there.
    pub fn somebody(&mut self, topic: &str, change: Json) {
        self.somebody_acts(&[(topic, change)]);
    }

    pub fn somebody_acts(&mut self, changes: &[(&str, Json)]) {
        let fields = |change| fields(change).expect("the script's changes are sound");
        let changes = changes.iter().map(|(topic, change)| (name(topic), fields(change)));
        self.server.somebody(changes.collect());
    }

    /// What the client has to say goes on its way.
    pub fn send(&mut self) -> usize {
        let sent = self.step("send", &json!({})).sent.unwrap_or_default();
        let count = sent.len();
        self.up.extend(sent);
        count
    }

    /// The server takes the next message that is on its way; `false` if there is none.
    pub fn serve_one(&mut self) -> bool {
        let message = self.up.pop_front();
        let any = message.is_some();
        message.into_iter().for_each(|it| self.server.receive(ME, it));
        any
    }

    /// The server takes everything that is on its way.
    pub fn serve(&mut self) {
        while self.serve_one() {}
        self.server.publish();
    }

    /// Up to so many messages arrive, in one frame. Gives how many did.
    pub fn deliver_some(&mut self, most: usize) -> usize {
        let next = || self.server.next_for(ME);
        let messages: Vec<ServerMessage> = std::iter::from_fn(next).take(most).collect();
        if !messages.is_empty() {
            self.step("receive", &messages);
        }
        messages.len()
    }

    /// Everything that is there for the client arrives, in one frame.
    pub fn deliver(&mut self) -> bool {
        self.deliver_some(usize::MAX) > 0
    }

    /// Messages arrive that no server of ours sent.
    pub fn receive(&mut self, messages: Json) {
        self.step("receive", &messages);
    }

    /// A socket is there.
    pub fn connect(&mut self) {
        self.server.connect(ME);
        self.deliver();
    }

    /// The connection is lost, and with it what is on its way.
    pub fn cut(&mut self) {
        self.up.clear();
        self.server.disconnect(ME);
        self.step("disconnect", &json!({}));
    }

    /// The server gives up the session; the client is away.
    pub fn forget_session(&mut self) {
        let id = self.player.replica.client_id().unwrap_or(ClientId(0));
        self.server.forget(id);
    }

    pub fn jump(&mut self, topic: &str) {
        self.server.jump(ME, topic);
    }

    /// What has to be said is said and answered, until there is nothing more.
    pub fn exchange(&mut self) {
        for _ in 0..100 {
            let sent = self.send();
            if sent == 0 {
                // A step that says nothing need not be in the case.
                self.steps.pop_if(|step| step == r#"{"send":{},"expect":{"sent":[]}}"#);
            }
            self.serve();
            self.server.tick();
            if !self.deliver() && sent == 0 {
                return;
            }
        }
        panic!("{}: it never becomes quiet", self.case);
    }

    /// Comes back with the session, or without if that is gone.
    pub fn reconnect(&mut self) {
        self.connect();
        self.exchange();
    }

    /// The case ends with nothing pending, and with the server's value.
    pub fn converged(mut self) -> String {
        self.exchange();
        self.check();
        self.line()
    }

    fn check(&self) {
        assert_eq!(self.player.replica.pending_len(), 0, "{}: something is pending", self.case);
        for (topic_name, kind) in self.player.topics() {
            let Some(topic) = self.player.replica.topic(topic_name) else { continue };
            let held = kind.encode_value(topic.view());
            assert_eq!(held, self.server.value(topic_name), "{}: {topic_name}", self.case);
        }
    }

    pub fn view(&self, topic: &str) -> Value {
        let topic = self.player.replica.topic(&name(topic)).expect("a topic of the script");
        topic.kind().encode_value(topic.view())
    }

    /// The replica, for what no case shows.
    pub fn replica(&mut self) -> &mut Replica {
        &mut self.player.replica
    }

    pub fn is_connected(&self) -> bool {
        self.server.is_connected(ME)
    }
}
