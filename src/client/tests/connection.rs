//! Clients and a server over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::SinkExt;
use parking_lot::Mutex;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{CallError, Client, ClientConfig, LocalError, Refused, Status, WaitError};
use crate::engine::EngineConfig;
use crate::protocol::{Encoding, RejectCode};
use crate::server::{Server, ServerConfig};
use crate::topic::{Delivery, TopicOptions};
use crate::types::dict::{Dict as DictType, DictChange};
use crate::types::int::Int;
use crate::types::list::ListChange;
use crate::types::place::Place;
use crate::value::{Dict, Value};

const LOCAL: &str = "127.0.0.1:0";

/// A server of one's own, until it is dropped.
struct TestServer {
    address: SocketAddr,
    _shutdown: oneshot::Sender<()>,
}

impl TestServer {
    fn start() -> TestServer {
        let config = ServerConfig { listen: LOCAL.parse().unwrap(), ..ServerConfig::default() };
        let server = Server::bind(config, EngineConfig::default()).unwrap();
        let address = server.address().unwrap();
        let (shutdown, down) = oneshot::channel::<()>();
        tokio::spawn(server.run(async { drop(down.await) }));
        TestServer { address, _shutdown: shutdown }
    }

    fn client(&self) -> Client {
        Client::connect(url(self.address)).unwrap()
    }
}

fn url(address: SocketAddr) -> String {
    format!("ws://{address}/")
}

/// A way to a server that can be cut.
struct Cable {
    address: SocketAddr,
    plugged: watch::Sender<bool>,
}

impl Cable {
    async fn to(server: SocketAddr) -> Cable {
        let listener = TcpListener::bind(LOCAL).await.unwrap();
        let address = listener.local_addr().unwrap();
        let plugged = watch::Sender::new(true);
        let signal = plugged.clone();
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut signal = signal.subscribe();
                if !*signal.borrow_and_update() {
                    continue;
                }
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = signal.wait_for(|plugged| !plugged) => {}
                    }
                });
            }
        });
        Cable { address, plugged }
    }

    fn client(&self) -> Client {
        let retry_min = Duration::from_millis(5);
        let retry_max = Duration::from_millis(20);
        Client::with_config(ClientConfig {
            retry_min,
            retry_max,
            ..ClientConfig::new(url(self.address))
        })
        .unwrap()
    }

    async fn cut(&self, client: &Client) {
        self.plugged.send_replace(false);
        let offline = |status: &Status| *status != Status::Online;
        client.status().wait_for(offline).await.unwrap();
    }

    fn plug(&self) {
        self.plugged.send_replace(true);
    }
}

/// Waits for something that will be so in a moment.
async fn eventually(it_is_so: impl Fn() -> bool) {
    let wait = async {
        while !it_is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(10), wait).await.expect("it never became so");
}

fn dict(json: serde_json::Value) -> Dict {
    let Value::Dict(dict) = Value::from(json) else { panic!("no dict") };
    dict
}

#[tokio::test]
async fn clients_see_each_others_changes_in_every_encoding() {
    let server = TestServer::start();
    let mut clients = Vec::new();
    for encodings in [vec![Encoding::MessagePack], vec![Encoding::Json], vec![]] {
        let config = ClientConfig { encodings, ..ClientConfig::new(url(server.address)) };
        clients.push(Client::with_config(config).unwrap());
    }
    for (number, client) in clients.iter().enumerate() {
        let nodes = client.dict("nodes").unwrap();
        nodes.ready().await.unwrap();
        let id = nodes.add(format!("n{number}"), number as i64).unwrap().await.unwrap();
        assert!(id.unwrap().starts_with(&format!("{}_", client.id().unwrap())));
    }
    for client in &clients {
        let nodes = client.dict("nodes").unwrap();
        eventually(|| nodes.value() == dict(json!({"n0": 0, "n1": 1, "n2": 2}))).await;
    }
}

#[tokio::test]
async fn a_lost_connection_costs_nothing() {
    let server = TestServer::start();
    let cable = Cable::to(server.address).await;
    let (near, far) = (cable.client(), server.client());
    let (text, theirs) = (near.string("text").unwrap(), far.string("text").unwrap());
    text.insert(0, "world").unwrap().await.unwrap();
    theirs.ready().await.unwrap();
    let id = near.id();
    cable.cut(&near).await;
    text.append("!").unwrap();
    text.insert(5, ", again").unwrap();
    theirs.insert(0, "hello ").unwrap().await.unwrap();
    assert_eq!(text.value(), "world, again!");
    cable.plug();
    near.settled().await;
    eventually(|| text.value() == theirs.value()).await;
    assert_eq!(text.value(), "hello world, again!");
    assert_eq!(near.id(), id);
}

#[tokio::test]
async fn a_change_that_came_too_late_is_rejected_with_the_reason() {
    let server = TestServer::start();
    let cable = Cable::to(server.address).await;
    let (near, far) = (cable.client(), server.client());
    let (nodes, theirs) = (near.dict("nodes").unwrap(), far.dict("nodes").unwrap());
    nodes.ready().await.unwrap();
    cable.cut(&near).await;
    let mine = nodes.add("n1", 1).unwrap();
    theirs.add("n1", 2).unwrap().await.unwrap();
    cable.plug();
    let Err(Refused::Rejected(rejection)) = mine.await else { panic!("it was accepted") };
    assert_eq!(rejection.code, RejectCode::Stale);
    assert!(rejection.reason.contains("n1"), "{rejection}");
    assert_eq!(nodes.value(), dict(json!({"n1": 2})));
}

#[tokio::test]
async fn an_action_is_one_and_undone_as_one() {
    let server = TestServer::start();
    let client = server.client();
    let (nodes, edges) = (client.dict("nodes").unwrap(), client.list("edges").unwrap());
    let node = DictChange::Add { key: "n1".into(), value: 1.into() };
    let edge = ListChange::Insert { position: Place::At(0), item: "n1-n1".into() };
    let made = client.action([nodes.of(&node), edges.of(&edge)]).unwrap();
    // Undo waits for it by itself.
    let answer = client.undo().await.unwrap();
    let Value::Dict(answer) = answer else { panic!("{answer:?}") };
    assert_ne!(answer.get("action_id"), Some(&Value::Null));
    made.await.unwrap();
    eventually(|| nodes.value().is_empty() && edges.value().is_empty()).await;
    client.redo().await.unwrap();
    eventually(|| nodes.value().len() == 1 && edges.value().len() == 1).await;
}

#[tokio::test]
async fn services_answer_and_fail_across_clients() {
    let server = TestServer::start();
    let (provider, asker) = (server.client(), server.client());
    provider.register_service("double", |request| async move {
        let number = request.args.as_int().ok_or("no number")?;
        Ok(Value::from(number * 2))
    });
    provider.registered("double").await.unwrap();
    assert_eq!(asker.request("double", 21, None).await, Ok(Value::from(42)));
    let error = asker.request("double", "x", None).await.unwrap_err();
    assert_eq!(error.to_string(), "double: failed: no number");
    let error = asker.request("halve", 1, None).await.unwrap_err();
    assert_eq!(error.code(), "no_such_service");
}

#[tokio::test]
async fn callbacks_tell_what_led_to_the_value_and_stop_when_dropped() {
    let server = TestServer::start();
    let (here, there) = (server.client(), server.client());
    let (list, theirs) = (here.list("list").unwrap(), there.list("list").unwrap());
    list.ready().await.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let listening = list.on_change(move |changed| {
        heard.lock().extend(changed.changes.into_iter().cloned());
    });
    theirs.append("a").unwrap().await.unwrap();
    list.append("b").unwrap().await.unwrap();
    eventually(|| told.lock().len() == 2).await;
    drop(listening);
    list.append("c").unwrap().await.unwrap();
    here.close().await;
    let insert = |position, item: &str| ListChange::Insert {
        position: Place::At(position),
        item: item.into(),
    };
    assert_eq!(*told.lock(), [insert(0, "a"), insert(1, "b")]);
}

#[tokio::test]
async fn a_slider_hears_of_itself_once_a_tick() {
    let server = TestServer::start();
    let (here, there) = (server.client(), server.client());
    let options = TopicOptions { delivery: Delivery::Latest, ..TopicOptions::default() };
    let slider = here.topic::<Int>("slider", options.clone()).unwrap();
    let theirs = there.topic::<Int>("slider", options).unwrap();
    slider.ready().await.unwrap();
    theirs.ready().await.unwrap();
    for position in 1..=100 {
        slider.set(position).unwrap();
        assert_eq!(slider.value(), position);
        theirs.add(0).unwrap();
        tokio::task::yield_now().await;
    }
    here.settled().await;
    there.settled().await;
    eventually(|| slider.value() == 100 && theirs.value() == 100).await;
}

#[tokio::test]
async fn presence_follows_the_client_from_session_to_session() {
    let server = TestServer::start();
    let cable = Cable::to(server.address).await;
    let (here, there) = (cable.client(), server.client());
    let options = TopicOptions { presence: true, ..TopicOptions::default() };
    let cursors = here.topic::<DictType>("cursors", options.clone()).unwrap();
    let theirs = there.topic::<DictType>("cursors", options).unwrap();
    cursors.set_presence(Some(7.into()));
    eventually(|| theirs.value().values().eq([&Value::Int(7)])).await;
    cable.cut(&here).await;
    cursors.set_presence(Some(8.into()));
    cable.plug();
    eventually(|| theirs.value().values().eq([&Value::Int(8)])).await;
    here.close().await;
    eventually(|| theirs.value().is_empty()).await;
}

#[tokio::test]
async fn a_topic_of_another_type_is_told_to_who_waits() {
    let server = TestServer::start();
    server.client().int("it").unwrap().add(1).unwrap().await.unwrap();
    let client = server.client();
    let wrong = client.list("it").unwrap();
    let waiting = wrong.append(1).unwrap();
    let error = wrong.ready().await.unwrap_err();
    assert!(
        matches!(&error, WaitError::Refused { error, .. } if error.code.as_str() == "wrong_type"),
        "{error}"
    );
    let Err(Refused::Rejected(rejection)) = waiting.await else { panic!("it was accepted") };
    assert_eq!(rejection.code, RejectCode::WrongType);
    assert!(client.int("it").is_ok());
}

#[tokio::test]
async fn what_is_too_large_is_rejected_and_the_connection_stays() {
    let server = TestServer::start();
    let client = server.client();
    let text = client.string("text").unwrap();
    text.ready().await.unwrap();
    let id = client.id();
    let large = "x".repeat(5 << 20);
    let Err(Refused::Rejected(rejection)) = text.insert(0, large).unwrap().await else {
        panic!("it was accepted")
    };
    assert_eq!(rejection.code, RejectCode::TooLarge);
    text.insert(0, "small").unwrap().await.unwrap();
    assert_eq!(text.value(), "small");
    assert_eq!(client.id(), id);
}

/// A client of a server that is not there, which waits so long for an answer, and not long on a close.
fn alone(request_timeout: Duration) -> Client {
    let close_timeout = Duration::from_millis(50);
    let config = ClientConfig::new("ws://127.0.0.1:1/");
    Client::with_config(ClientConfig { request_timeout, close_timeout, ..config }).unwrap()
}

#[tokio::test]
async fn a_closed_client_answers_who_waits() {
    let client = alone(Duration::from_secs(30));
    let number = client.int("number").unwrap();
    let waiting = number.add(1).unwrap();
    let (ready, undone) = (number.clone(), client.clone());
    let ready = tokio::spawn(async move { ready.ready().await });
    let undone = tokio::spawn(async move { undone.undo().await });
    tokio::task::yield_now().await;
    let unfinished = client.close().await;
    assert_eq!(unfinished.actions.len(), 1);
    assert_eq!(unfinished.actions[0].topic_names, [number.name().clone()]);
    assert!(!unfinished.actions[0].sent);
    assert_eq!(unfinished.requests, ["_topicsync/undo"]);
    assert_eq!(waiting.await, Err(Refused::Unsent));
    assert!(ready.await.unwrap().is_err());
    assert!(undone.await.unwrap().is_err());
    // What is asked of it later ends at once.
    assert!(matches!(number.add(1), Err(LocalError::Closed)));
    assert!(matches!(number.ready().await, Err(WaitError::Closed { .. })));
    assert!(matches!(client.online().await, Err(WaitError::Closed { .. })));
    assert!(matches!(client.redo().await, Err(CallError::Closed { .. })));
    client.settled().await;
    assert_eq!(client.close().await, unfinished);
}

#[tokio::test]
async fn nothing_waits_for_ever() {
    let client = alone(Duration::from_millis(50));
    let number = client.int("number").unwrap();
    let error = client.request("sum", 1, None).await.unwrap_err();
    assert_eq!(error.to_string(), "sum: no answer within 50ms");
    let error = number.ready().await.unwrap_err();
    assert_eq!(error.to_string(), "topic \"number\": it did not come within 50ms");
    assert!(matches!(client.online().await, Err(WaitError::TimedOut { .. })));
    client.register_service("sum", |_| async { Ok(Value::Null) });
    assert!(matches!(client.registered("sum").await, Err(WaitError::TimedOut { .. })));
}

#[tokio::test]
async fn a_request_ends_whatever_happens_to_the_line() {
    let server = TestServer::start();
    let cable = Cable::to(server.address).await;
    let (near, far) = (cable.client(), server.client());
    far.register_service("never", |_| std::future::pending());
    far.registered("never").await.unwrap();
    near.online().await.unwrap();
    let asking = near.clone();
    let asked = tokio::spawn(async move { asking.request("never", 1, None).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    cable.cut(&near).await;
    assert!(matches!(asked.await.unwrap(), Err(CallError::Lost { .. })));
    // What was not sent yet goes out in the next connection.
    let asking = near.clone();
    let asked = tokio::spawn(async move { asking.undo().await });
    tokio::task::yield_now().await;
    cable.plug();
    asked.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_undo_that_timed_out_is_not_done_later() {
    let server = TestServer::start();
    let cable = Cable::to(server.address).await;
    let config = ClientConfig {
        retry_min: Duration::from_millis(5),
        request_timeout: Duration::from_millis(50),
        ..ClientConfig::new(url(cable.address))
    };
    let client = Client::with_config(config).unwrap();
    let number = client.int("number").unwrap();
    number.add(1).unwrap().await.unwrap();
    cable.cut(&client).await;
    assert!(matches!(client.undo().await, Err(CallError::TimedOut { .. })));
    cable.plug();
    number.add(1).unwrap().await.unwrap();
    assert_eq!(number.value(), 2);
}

#[tokio::test]
async fn nothing_is_lost_on_a_close() {
    let server = TestServer::start();
    let (client, other) = (server.client(), server.client());
    let (nodes, theirs) = (client.dict("nodes").unwrap(), other.dict("nodes").unwrap());
    for number in 0..20 {
        nodes.add(format!("n{number}"), number).unwrap();
    }
    assert!(client.close().await.is_empty());
    theirs.ready().await.unwrap();
    assert_eq!(theirs.value().len(), 20);
    // To drop the last handle is to close.
    let client = server.client();
    client.dict("nodes").unwrap().add("last", 1).unwrap();
    drop(client);
    eventually(|| theirs.value().len() == 21).await;
}

#[tokio::test]
async fn a_frozen_line_does_not_keep_a_client_from_closing() {
    // It takes what is said and says nothing.
    let listener = TcpListener::bind(LOCAL).await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = ClientConfig {
        encodings: vec![],
        close_timeout: Duration::from_millis(50),
        ..ClientConfig::new(url(address))
    };
    let client = Client::with_config(config).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = accept_async(stream).await.unwrap();
    let hello = r#"{"type":"hello","content":{"id":1,"session":"s"}}"#;
    socket.send(Message::text(hello)).await.unwrap();
    client.online().await.unwrap();
    let text = client.string("text").unwrap();
    text.insert(0, "x").unwrap();
    let closed = timeout(Duration::from_secs(3), client.close()).await.expect("it ends");
    assert_eq!(closed.actions.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_an_address_is_an_error_at_once() {
    for (address, why) in [
        ("localhost:9101", "scheme"),
        ("", "empty"),
        ("http://localhost/", "scheme"),
        ("wss://localhost/", "TLS"),
        ("ws://", "empty"),
    ] {
        let Err(error) = Client::connect(address) else { panic!("{address:?} is taken") };
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_service_that_another_has_is_refused_to_who_waits() {
    let server = TestServer::start();
    let (first, second) = (server.client(), server.client());
    first.register_service("solve", |_| async { Ok(Value::Null) });
    first.registered("solve").await.unwrap();
    second.register_service("solve", |_| async { Ok(Value::Null) });
    let refused = second.registered("solve").await;
    let is_taken = |error: &WaitError| error.to_string().contains("service_taken");
    assert!(refused.as_ref().is_err_and(is_taken), "{refused:?}");
    // It is settled, and stays refused.
    second.settled().await;
    assert_eq!(second.registered("solve").await, refused);
    assert!(matches!(second.registered("other").await, Err(WaitError::Closed { .. })));
}

#[tokio::test]
async fn what_a_client_makes_in_turn_is_undone_from_the_last_on() {
    let server = TestServer::start();
    let client = server.client();
    let (nodes, edges) = (client.dict("nodes").unwrap(), client.list("edges").unwrap());
    nodes.add("n", 0).unwrap().await.unwrap();
    edges.ready().await.unwrap();
    nodes.change_value("n", 1).unwrap();
    nodes.change_value("n", 2).unwrap();
    edges.append("n-n").unwrap();
    client.undo().await.unwrap();
    eventually(|| edges.value().is_empty()).await;
    assert_eq!(nodes.value(), dict(json!({"n": 2})));
}

#[tokio::test]
async fn garbage_is_survived() {
    let listener = TcpListener::bind(LOCAL).await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = ClientConfig {
        encodings: vec![],
        retry_min: Duration::from_millis(1),
        ..ClientConfig::new(url(address))
    };
    let client = Client::with_config(config).unwrap();
    let number = client.int("number").unwrap();
    let hello = r#"{"type":"hello","content":{"id":1,"session":"s","resumed":true}}"#;
    let update = r#"{"type":"update","content":{"topic_name":"number","version":1,"commit":1,
        "since":99,"snapshot":true,"change":{"type":"set","value":"no number"}}}"#;
    let subscribed = r#"{"type":"subscribed","content":{"topic_name":"number","type":"int",
        "epoch":"e","version":3,"options":{}}}"#;
    for frames in [vec!["{"], vec![hello, "[]", "7"], vec![hello, subscribed, update, update]] {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        for frame in frames {
            // The client may have left by then.
            let _ = socket.send(Message::text(frame)).await;
        }
        let _ = socket.send(Message::binary(vec![0xc1, 0xff])).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(number.value(), 0);
    assert_ne!(*client.status().borrow(), Status::Closed);
    client.close().await;
}
