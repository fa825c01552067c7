//! A client of topicsync 0.13, as the wire sees it.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use topicsync::value::Value;

use crate::common::{TestServer, open, within};

/// In an expected message: anything may stand here.
pub const ANY: &str = "*";

pub struct Old {
    pub socket: WebSocketStream<TcpStream>,
    pub id: u64,
    counter: u64,
}

impl Old {
    pub async fn connect(server: &TestServer) -> Old {
        Old::connect_to(server.address).await
    }

    pub async fn connect_to(address: SocketAddr) -> Old {
        let (socket, response) = open(address, None, None).await;
        assert!(response.headers().get("sec-websocket-protocol").is_none());
        let mut old = Old { socket, id: 0, counter: 0 };
        let hello = old.receive().await;
        assert_eq!(hello["type"], "hello");
        old.id = hello["args"]["id"].as_u64().unwrap();
        old
    }

    /// One that subscribes to these topics, after their `init`s.
    pub async fn on(server: &TestServer, topics: &[&str]) -> Old {
        let mut old = Old::connect(server).await;
        for topic in topics {
            old.subscribe(topic).await;
        }
        old
    }

    pub async fn send_text(&mut self, text: &str) {
        within(self.socket.send(Message::text(text))).await.unwrap();
    }

    pub async fn send(&mut self, kind: &str, args: Json) {
        self.send_text(&json!({"type": kind, "args": args}).to_string()).await;
    }

    pub async fn receive(&mut self) -> Json {
        loop {
            match within(self.socket.next()).await.expect("a frame").expect("a frame") {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next message has to be just this one.
    #[track_caller]
    pub fn expect(&mut self, kind: &str, args: Json) -> impl Future<Output = Json> + '_ {
        let caller = std::panic::Location::caller();
        let expected = json!({"type": kind, "args": args});
        async move {
            let message = self.receive().await;
            assert!(is(&expected, &message), "{caller}: expected\n{expected}\ngot\n{message}");
            message["args"].clone()
        }
    }

    /// Nothing has come by now.
    #[track_caller]
    pub fn expect_nothing(&mut self) -> impl Future<Output = ()> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            let id = self.next_id();
            let args = json!({"service_name": "nobody's", "args": {}, "request_id": id});
            self.send("request", args).await;
            let message = self.receive().await;
            let answer = json!({"response": "request failed", "request_id": id});
            assert!(
                is(&json!({"type": "response", "args": answer}), &message),
                "{caller}: {message}"
            );
        }
    }

    pub async fn expect_close(&mut self) -> u16 {
        loop {
            match within(self.socket.next()).await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(Message::Text(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Subscribes, and gives what `init` says.
    pub async fn subscribe(&mut self, topic: &str) -> Json {
        self.send("subscribe", json!({"topic_name": topic})).await;
        let message = self.receive().await;
        assert_eq!(
            (&message["type"], &message["args"]["topic_name"]),
            (&json!("init"), &json!(topic))
        );
        message["args"].clone()
    }

    pub async fn value(&mut self, topic: &str) -> Json {
        self.subscribe(topic).await["value"].clone()
    }

    pub fn next_id(&mut self) -> String {
        self.counter += 1;
        format!("{}_{}", self.id, self.counter)
    }

    /// Sends an action, and gives the id that it was given.
    pub async fn act(&mut self, commands: Json) -> String {
        let action_id = self.next_id();
        self.send("action", json!({"action_id": action_id, "commands": commands})).await;
        action_id
    }

    /// One change of a topic, under an id of its own.
    pub fn command(&mut self, topic: &str, kind: &str, change: Json) -> Json {
        let mut command = json!({"topic_name": topic, "topic_type": kind, "id": self.next_id()});
        for (field, value) in change.as_object().unwrap() {
            command[field] = value.clone();
        }
        command
    }

    /// Makes one change, and gives the change as everybody is told of it.
    pub async fn change(&mut self, topic: &str, kind: &str, change: Json) -> Json {
        let command = self.command(topic, kind, change);
        let action_id = self.act(json!([command])).await;
        let update = self.expect("update", json!({"action_id": action_id, "changes": [ANY]})).await;
        update["changes"][0].clone()
    }

    /// Makes a change that has to be rejected.
    pub async fn rejected(&mut self, topic: &str, kind: &str, change: Json) -> String {
        let command = self.command(topic, kind, change);
        self.act(json!([command])).await;
        let reject = self.expect("reject", json!({"reason": ANY})).await;
        reject["reason"].as_str().unwrap().to_owned()
    }

    /// Makes a topic by way of the topic list, which is not subscribed.
    pub async fn make(&mut self, topic: &str, entry: Json) {
        let add = json!({"type": "add", "key": topic, "value": entry});
        let command = self.command("_topicsync/topic_list", "dict", add);
        self.act(json!([command])).await;
        self.expect_nothing().await;
    }
}

/// An entry of the topic list.
pub fn entry(kind: &str, boundary: Json) -> Json {
    json!({"type": kind, "boundary_value": boundary, "is_stateful": true, "order_strict": true})
}

/// Whether a message is as expected, numbers by value.
pub fn is(expected: &Json, found: &Json) -> bool {
    match (expected, found) {
        (Json::String(any), _) if any == ANY => true,
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, it)| b.get(key).is_some_and(|b| is(it, b)))
        }
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is(a, b))
        }
        (a, b) => Value::from(a.clone()) == Value::from(b.clone()),
    }
}
