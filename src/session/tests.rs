//! What sessions do, step by step and without sockets; each of these was wrong once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Waker};
use std::time::Duration;

use ecow::eco_format;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Connection, End, Frame, Hub, Native, SessionConfig, Worker};
use crate::engine::EngineConfig;
use crate::protocol::Encoding;
use crate::topic::{Durability, TopicName, Uptime};

/// Runs jobs at once, and polls futures when it is told to.
#[derive(Default)]
struct Here(Mutex<Vec<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl Worker for Here {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }

    fn drive(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.lock().push(future);
    }
}

impl Here {
    /// Polls every future once, as an executor that survives panics; gives how many are left.
    fn poll(&self) -> usize {
        let futures = std::mem::take(&mut *self.0.lock());
        for mut future in futures {
            let poll = || future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll));
            if polled.is_ok_and(|polled| polled.is_pending()) {
                self.0.lock().push(future);
            }
        }
        self.0.lock().len()
    }
}

struct Server {
    hub: Arc<Hub>,
    worker: Arc<Here>,
    now: Uptime,
}

impl Server {
    fn new(durability: Durability) -> Server {
        Server::with(durability, |_| ())
    }

    fn with(durability: Durability, change: impl FnOnce(&mut SessionConfig)) -> Server {
        let worker = Arc::<Here>::default();
        let tokens = AtomicU64::new(0);
        let token = move || eco_format!("token{}", tokens.fetch_add(1, Relaxed));
        let mut config = SessionConfig::new(Arc::new(token), worker.clone());
        change(&mut config);
        let engine = EngineConfig { durability, ..EngineConfig::default() };
        let hub = Hub::begin(config, engine, Uptime(0)).unwrap();
        Server { hub, worker, now: Uptime(0) }
    }

    fn client(&self) -> Client {
        let peer = Native::new(Some(Encoding::Json));
        let mut client = Client(Connection::open(&self.hub, peer, self.now).unwrap());
        let hello = client.take();
        assert_eq!(hello[0]["type"], "hello");
        client
    }

    /// A connection that resumes the session of another one, which is still there.
    fn resumed(&self, client: &Client) -> Client {
        let mut newer = self.client();
        newer.tell(self, "resume", json!({"session": &**client.0.session().token()}));
        assert_eq!(newer.take()[0]["content"]["resumed"], true);
        newer
    }

    /// What was accepted is made durable, and published.
    fn settle(&self) {
        self.hub.engine().settle();
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.hub.handle_timeout(self.now);
    }

    fn subscribers(&self, topic: &str) -> usize {
        let topic = self.hub.engine().get(&TopicName::new(topic).unwrap());
        topic.map_or(0, |topic| topic.subscribers_len())
    }
}

struct Client(Connection<Native>);

impl Client {
    /// Sends messages in one frame; the server does not look at them yet.
    fn send(&mut self, messages: &[Value]) {
        let frame = Frame::Text(json!(messages).to_string().into());
        self.0.receive(frame).unwrap();
    }

    /// Sends a message, which is handled and published.
    fn tell(&mut self, server: &Server, message_type: &str, content: Value) {
        self.send(&[json!({"type": message_type, "content": content})]);
        self.handle(server);
    }

    fn handle(&mut self, server: &Server) {
        self.0.handle(server.now);
        self.0.publish();
    }

    /// All that waits for the client, as messages.
    fn take(&mut self) -> Vec<Value> {
        let mut messages = Vec::new();
        while let Some(frame) = self.0.poll_outgoing() {
            let Frame::Text(bytes) = frame else { panic!("a binary frame") };
            match serde_json::from_slice(&bytes).unwrap() {
                Value::Array(all) => messages.extend(all),
                one => messages.push(one),
            }
        }
        messages
    }

    /// As [`take`](Self::take): the types of the messages.
    fn take_types(&mut self) -> Vec<String> {
        let name = |message: &Value| message["type"].as_str().unwrap().to_owned();
        self.take().iter().map(name).collect()
    }
}

fn subscribe(topic: &str) -> Value {
    json!({"type": "subscribe", "content": {"topic_name": topic, "type": "int"}})
}

fn unsubscribe(topic: &str) -> Value {
    json!({"type": "unsubscribe", "content": {"topic_name": topic}})
}

fn add(topic: &str, id: &str) -> Value {
    let change = json!({"type": "add", "value": 1, "id": id});
    json!({"type": "update", "content": {"topic_name": topic, "change": change}})
}

/// A2: what an older connection had unread does nothing once the session has a newer one.
#[test]
fn an_older_connection_does_nothing_for_a_session_that_was_resumed() {
    let mut server = Server::new(Durability::Memory);
    let mut older = server.client();
    older.tell(
        &server,
        "subscribe",
        json!({"topic_name": "cursors", "type": "dict", "options": {"presence": true}}),
    );
    let id = older.0.session().id();
    let entry = json!({"type": "add", "key": id.to_string(), "value": 1});
    // Subscribed, and not begun: the entry waits in the outbox.
    older.send(&[subscribe("notes")]);
    older.0.handle(server.now);
    older.send(&[
        json!({"type": "register_service", "content": {"service_name": "solve"}}),
        json!({"type": "update", "content": {"topic_name": "cursors", "change": entry}}),
        subscribe("more"),
    ]);
    let mut newer = server.resumed(&older);
    newer.send(&[subscribe("notes")]);
    newer.handle(&server);
    newer.take();
    older.handle(&server);
    assert!(older.0.poll_outgoing().is_none());
    assert_eq!(older.0.ending(), Some(End::Resumed));
    drop(older);
    // The newer connection gets the topic, and nothing else was done.
    let mut other = server.client();
    other.send(&[add("notes", &format!("{}_1", other.0.session().id()))]);
    other.handle(&server);
    assert_eq!(newer.take_types(), ["update"]);
    let register = json!({"type": "register_service", "content": {"service_name": "solve"}});
    other.take();
    other.send(&[register]);
    other.handle(&server);
    assert_eq!(other.take_types(), ["registered"]);
    assert_eq!(server.subscribers("more"), 0);
    newer.0.close(server.now, true);
    other.0.close(server.now, true);
    server.pass(Duration::from_secs(60));
    let cursors = server.hub.engine().get(&TopicName::new("cursors").unwrap()).unwrap();
    let left = cursors.kind().encode_value(&cursors.snapshot().value);
    assert_eq!(serde_json::to_value(&left).unwrap(), json!({}));
}

/// A3: a topic that is removed and made again is another one, to its subscribers and on the topic list.
#[test]
fn a_removed_topic_that_is_made_again_is_another_one() {
    let server = Server::new(Durability::Commit);
    let mut client = server.client();
    client.send(&[subscribe("a")]);
    client.handle(&server);
    server.settle();
    client.take();
    let remove = json!({"service_name": "_topicsync/remove_topic", "request_id": "r",
        "args": {"topic_name": "a"}});
    client.send(&[json!({"type": "request", "content": remove}), subscribe("a")]);
    client.handle(&server);
    server.settle();
    let messages = client.take();
    let is_error = |message: &&Value| message["type"] == "error";
    assert_eq!(messages.iter().find(is_error), None, "{messages:?}");
    let id = format!("{}_1", client.0.session().id());
    client.send(&[add("a", &id)]);
    client.handle(&server);
    server.settle();
    let confirmed = client.take();
    assert_eq!(confirmed[0]["content"]["change"]["id"], *id, "{confirmed:?}");
    client.tell(&server, "subscribe", json!({"topic_name": "_topicsync/topic_list"}));
    let list = &client.take()[1]["content"]["change"]["value"];
    let live = server.hub.engine().get(&TopicName::new("a").unwrap()).unwrap();
    assert_eq!(list["a"]["epoch"], **live.epoch(), "{list}");
}

/// A5: a first subscription and an own change in one go: the change is confirmed, however the two meet.
#[test]
fn a_change_made_with_the_first_subscription_is_confirmed() {
    for durability in [Durability::Memory, Durability::Commit] {
        // When the change becomes durable: before, between or after the client is written to.
        for settled in 0..3 {
            let server = Server::new(durability);
            let mut client = server.client();
            let mut maker = server.client();
            maker.send(&[subscribe("a")]);
            maker.handle(&server);
            server.settle();
            let id = format!("{}_1", client.0.session().id());
            client.send(&[subscribe("a"), add("a", &id)]);
            client.handle(&server);
            let mut messages = Vec::new();
            for step in 0..3 {
                if step == settled {
                    server.settle();
                }
                messages.extend(client.take());
            }
            let mine = messages.iter().filter(|it| it["content"]["change"]["id"] == *id).count();
            assert_eq!(mine, 1, "{durability:?}, {settled}: {messages:?}");
        }
    }
}

/// An own change between two subscriptions of one frame is confirmed once.
#[test]
fn a_change_amid_subscribing_unsubscribing_and_subscribing_is_confirmed() {
    for at in 0..4 {
        let server = Server::new(Durability::Memory);
        let mut client = server.client();
        server.client().tell(&server, "subscribe", json!({"topic_name": "a", "type": "int"}));
        let id = format!("{}_1", client.0.session().id());
        let mut messages = vec![subscribe("a"), unsubscribe("a"), subscribe("a")];
        messages.insert(at, add("a", &id));
        client.send(&messages);
        client.handle(&server);
        let got = client.take();
        let mine = got.iter().filter(|it| it["content"]["change"]["id"] == *id).count();
        assert_eq!(mine, 1, "{at}: {got:?}");
        client.send(&[unsubscribe("a")]);
        client.handle(&server);
        client.take();
        assert_eq!(server.subscribers("a"), 0);
    }
}

/// A13: a subscription that ended takes no place.
#[test]
fn subscriptions_that_ended_take_no_place() {
    let server = Server::with(Durability::Memory, |config| config.subscriptions_max = 2);
    let mut client = server.client();
    for number in 0..10 {
        let topic = format!("t{number}");
        client.send(&[subscribe(&topic), unsubscribe(&topic)]);
        client.handle(&server);
        assert_eq!(client.take_types(), ["subscribed", "update", "unsubscribed"], "{topic}");
        assert_eq!((client.0.subscriptions_len(), server.subscribers(&topic)), (0, 0));
    }
}

/// A17: of two connections that come and go, `_topicsync/clients` has the last word of the session.
#[test]
fn clients_are_listed_as_connected_while_they_are() {
    let server = Server::new(Durability::Memory);
    let older = server.client();
    let newer = server.resumed(&older);
    // The older connection is found to be gone after the newer one came.
    older.0.close(server.now, false);
    let mut watcher = server.client();
    watcher.tell(&server, "subscribe", json!({"topic_name": "_topicsync/clients"}));
    let list = watcher.take()[1]["content"]["change"]["value"].clone();
    let id = newer.0.session().id().to_string();
    assert_eq!(list[id.as_str()]["connected"], true, "{list}");
}

/// A22: the service of a client that is away is taken over, with the requests that wait.
#[test]
fn the_service_of_a_client_that_is_away_is_taken_over() {
    let server = Server::new(Durability::Memory);
    let (mut first, mut second, mut asker) = (server.client(), server.client(), server.client());
    let register = json!({"type": "register_service", "content": {"service_name": "solve"}});
    first.send(std::slice::from_ref(&register));
    first.handle(&server);
    second.send(std::slice::from_ref(&register));
    second.handle(&server);
    assert_eq!(second.take_types(), ["error"]);
    let token = first.0.session().token().clone();
    first.0.close(server.now, false);
    let request = json!({"service_name": "solve", "args": {"n": 1}, "request_id": "r"});
    asker.tell(&server, "request", request);
    second.send(&[register]);
    second.handle(&server);
    let asked = second.take();
    assert_eq!((&asked[0]["type"], &asked[1]["type"]), (&json!("request"), &json!("registered")));
    let request_id = &asked[0]["content"]["request_id"];
    second.tell(&server, "response", json!({"request_id": request_id, "response": 7}));
    assert_eq!(asker.take()[0]["content"], json!({"request_id": "r", "response": 7}));
    // The first one learns of it, should it come back.
    let mut back = server.client();
    back.tell(&server, "resume", json!({"session": &*token}));
    let types = back.take();
    assert!(types.iter().any(|it| it["content"]["code"] == "service_taken"), "{types:?}");
    assert_eq!(server.hub.services_and_requests(), (1, 0));
}

/// A11: a service of the host's that panics, or never answers, has failed.
#[test]
fn a_service_of_the_host_ends_with_its_request() {
    let mut server = Server::new(Durability::Memory);
    let panics = |_, _| Box::pin(std::future::poll_fn(|_| panic!("on purpose"))) as super::Answer;
    assert!(server.hub.offer_service("panics", Arc::new(panics)));
    let at_once = |_, _| -> super::Answer { panic!("on purpose") };
    assert!(server.hub.offer_service("panics at once", Arc::new(at_once)));
    let never = |_, _| Box::pin(std::future::pending()) as super::Answer;
    assert!(server.hub.offer_service("never", Arc::new(never)));
    let mut client = server.client();
    for service in ["panics", "panics at once", "never"] {
        client.tell(&server, "request", json!({"service_name": service, "request_id": service}));
    }
    assert_eq!(server.worker.poll(), 1);
    let failed = client.take();
    assert_eq!(failed.len(), 2);
    assert!(failed.iter().all(|it| it["content"]["error"]["code"] == "failed"), "{failed:?}");
    server.pass(Duration::from_secs(30));
    assert_eq!(client.take()[0]["content"]["error"]["code"], "timeout");
    // Nothing runs on for a request that has its outcome.
    assert_eq!(server.worker.poll(), 0);
    assert_eq!(server.hub.services_and_requests().1, 0);
}

/// A session whose connection is dropped without a word, as by a panic, is away, and ends in its time.
#[test]
fn a_connection_that_is_dropped_is_a_lost_one() {
    let mut server = Server::new(Durability::Memory);
    let client = server.client();
    let id = client.0.session().id();
    drop(client);
    assert!(server.hub.sessions().get(id).is_some_and(|session| !session.is_connected()));
    assert_eq!(server.hub.away_len(), 1);
    server.pass(Duration::from_secs(60));
    assert!(server.hub.sessions().is_empty());
    assert_eq!(server.hub.away_len(), 0);
}
