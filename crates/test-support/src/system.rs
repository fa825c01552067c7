//! A server for one test, and a client that follows a script: connect, send, expect.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use topicsync::engine::EngineConfig;
pub use topicsync::protocol::Encoding;
use topicsync::server::{Server, ServerConfig};
use topicsync::session::Hub;
use topicsync::topic::Timestamp;

/// Longer than anything takes on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The topic of [`Client::stop_reading`].
pub const FILLER: &str = "filler";

/// A server on a port of its own, that ends with the test.
pub struct TestServer {
    pub address: SocketAddr,
    pub hub: Arc<Hub>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl TestServer {
    pub fn start() -> TestServer {
        TestServer::with(ServerConfig::default())
    }

    pub fn with(config: ServerConfig) -> TestServer {
        TestServer::with_engine(config, EngineConfig::default())
    }

    /// A server whose time runs a thousand times as fast, so that what topics need not keep is soon
    /// forgotten.
    pub fn forgetful(config: ServerConfig) -> TestServer {
        let began = Instant::now();
        let clock = Arc::new(move || Timestamp(began.elapsed().as_millis() as u64 * 1_000));
        TestServer::with_engine(config, EngineConfig { clock, ..EngineConfig::default() })
    }

    pub fn with_engine(config: ServerConfig, engine: EngineConfig) -> TestServer {
        let config = ServerConfig { listen: "127.0.0.1:0".parse().unwrap(), ..config };
        let server = Server::bind(config, engine).unwrap();
        let (address, hub) = (server.address().unwrap(), server.hub().clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async { drop(stopped.await) }));
        TestServer { address, hub, stop, running }
    }

    /// A client that speaks JSON, after its hello.
    pub async fn client(&self) -> Client {
        self.client_in(Encoding::Json).await
    }

    pub async fn client_in(&self, encoding: Encoding) -> Client {
        Client::connect(self.address, encoding).await
    }

    /// Two JSON clients.
    pub async fn two_clients(&self) -> (Client, Client) {
        (self.client().await, self.client().await)
    }

    /// A client whose sockets hold little.
    pub async fn slow_client(&self, encoding: Encoding) -> Client {
        let subprotocol = Some(encoding.subprotocol());
        Client::connect_with(self.address, encoding, subprotocol, Some(64 << 10)).await
    }

    /// Goes down and waits until it is.
    pub async fn stop(self) {
        drop(self.stop);
        within(self.running).await.unwrap();
    }

    /// Asks the server to go down, and gives what to wait for.
    pub fn stopping(self) -> JoinHandle<()> {
        drop(self.stop);
        self.running
    }
}

/// A WebSocket handshake but for its last line break.
pub const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Writes bytes to a port and reads until `enough`, or the end.
pub async fn raw_exchange(
    address: SocketAddr,
    bytes: &[u8],
    enough: impl Fn(&[u8]) -> bool,
) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may hang up before it has read all.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !enough(&answer) {
        match within(stream.read(&mut buffer)).await {
            Ok(0) | Err(_) => break,
            Ok(len) => answer.extend_from_slice(&buffer[..len]),
        }
    }
    answer
}

/// Waits for what has to come.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it did not come in time")
}

/// A WebSocket to `address` that offers `subprotocols`; sockets of a slow client hold little.
pub async fn open(
    address: SocketAddr,
    subprotocols: Option<&str>,
    receive_buffer: Option<u32>,
) -> (WebSocketStream<TcpStream>, Response) {
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes).unwrap();
    }
    let stream = within(socket.connect(address)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut request = format!("ws://{address}/").into_client_request().unwrap();
    if let Some(offered) = subprotocols {
        let offered = HeaderValue::from_str(offered).unwrap();
        request.headers_mut().insert("sec-websocket-protocol", offered);
    }
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let config = Some(config);
    let opening = tokio_tungstenite::client_async_with_config(request, stream, config);
    within(opening).await.expect("a handshake")
}

/// One client and its connection.
pub struct Client {
    pub socket: WebSocketStream<TcpStream>,
    pub encoding: Encoding,
    /// The content of its hello.
    pub hello: Value,
    pub id: u64,
    /// The token by which it resumes.
    pub session: String,
    /// Received in an array, and not yet looked at.
    inbox: std::collections::VecDeque<Value>,
    counter: u64,
}

impl Client {
    pub async fn connect(address: SocketAddr, encoding: Encoding) -> Client {
        Client::connect_with(address, encoding, Some(encoding.subprotocol()), None).await
    }

    pub async fn connect_with(
        address: SocketAddr,
        encoding: Encoding,
        subprotocols: Option<&str>,
        receive_buffer: Option<u32>,
    ) -> Client {
        let (socket, response) = match subprotocols {
            // The library insists on an answer to what it offers.
            Some(offered) => open(address, Some(offered), receive_buffer).await,
            None => open(address, None, receive_buffer).await,
        };
        let chosen = response.headers().get("sec-websocket-protocol");
        let chosen = chosen.map(|it| it.to_str().unwrap());
        assert_eq!(chosen, subprotocols.map(|_| encoding.subprotocol()));
        let mut client = Client {
            socket,
            encoding,
            hello: Value::Null,
            id: 0,
            session: String::new(),
            inbox: Default::default(),
            counter: 0,
        };
        client.take_hello().await;
        client
    }

    /// Expects a hello and takes on what it says.
    pub async fn take_hello(&mut self) {
        self.hello = self.expect(json!({"type": "hello"})).await["content"].clone();
        self.id = self.hello["id"].as_u64().unwrap();
        self.session = self.hello["session"].as_str().unwrap().to_owned();
    }

    /// A new connection that takes this client's session back; the old one stays as it is.
    pub async fn resumed(&self, server: &TestServer) -> Client {
        let mut client = Client::connect(server.address, self.encoding).await;
        client.send("resume", json!({"session": self.session})).await;
        client.take_hello().await;
        assert_eq!((client.id, client.hello["resumed"].as_bool()), (self.id, Some(true)));
        client.counter = self.counter;
        client
    }

    pub async fn send(&mut self, message_type: &str, content: Value) {
        self.send_json(json!({"type": message_type, "content": content})).await;
    }

    /// Sends anything in a frame of its own.
    pub async fn send_json(&mut self, json: Value) {
        let frame = match self.encoding {
            Encoding::Json => Message::text(json.to_string()),
            Encoding::MessagePack => Message::binary(rmp_serde::to_vec_named(&json).unwrap()),
        };
        self.send_frame(frame).await;
    }

    pub async fn send_frame(&mut self, frame: Message) {
        within(self.socket.send(frame)).await.expect("the connection takes a frame");
    }

    /// The next message; pings are passed over.
    pub async fn receive(&mut self) -> Value {
        match self.receive_or_close().await {
            Ok(message) => message,
            Err(close) => panic!("closed: {close:?}"),
        }
    }

    /// The next message, or how the connection ended; 0 for an end without a code.
    async fn receive_or_close(&mut self) -> Result<Value, (u16, String)> {
        loop {
            if let Some(message) = self.inbox.pop_front() {
                return Ok(message);
            }
            let frame = match within(self.socket.next()).await {
                Some(Ok(Message::Close(frame))) => {
                    let frame =
                        frame.unwrap_or(CloseFrame { code: CloseCode::Status, reason: "".into() });
                    return Err((frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(Message::Text(text))) => {
                    assert_eq!(self.encoding, Encoding::Json);
                    serde_json::from_str(&text).unwrap()
                }
                Some(Ok(Message::Binary(bytes))) => {
                    assert_eq!(self.encoding, Encoding::MessagePack);
                    rmp_serde::from_slice(&bytes).unwrap()
                }
                Some(Ok(_)) => continue,
                Some(Err(Error::Io(_) | Error::Protocol(_))) | None => {
                    return Err((0, "gone".into()));
                }
                Some(Err(error)) => panic!("{error}"),
            };
            match frame {
                Value::Array(messages) => self.inbox.extend(messages),
                message => self.inbox.push_back(message),
            }
        }
    }

    /// The next message, which has to hold what `pattern` holds; see [`matches()`].
    #[track_caller]
    pub fn expect(&mut self, pattern: Value) -> impl Future<Output = Value> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            let message = self.receive().await;
            assert!(matches(&pattern, &message), "{caller}: expected {pattern}, got {message}");
            message
        }
    }

    /// The next message of this type, which has to hold this content.
    #[track_caller]
    pub fn expect_type(
        &mut self,
        message_type: &str,
        content: Value,
    ) -> impl Future<Output = Value> + '_ {
        let expected = self.expect(json!({"type": message_type, "content": content}));
        async move { expected.await["content"].clone() }
    }

    /// The next message that holds `pattern`; others are passed over.
    pub async fn skip_to(&mut self, pattern: Value) -> Value {
        loop {
            let message = self.receive().await;
            if matches(&pattern, &message) {
                return message;
            }
        }
    }

    /// All messages that came by now: those before the answer to a question asked now.
    pub async fn drain(&mut self) -> Vec<Value> {
        self.counter += 1;
        let request_id = format!("drain {}", self.counter);
        self.send("request", json!({"service_name": "nobody's", "request_id": request_id})).await;
        let mut before = Vec::new();
        loop {
            let message = self.receive().await;
            if message["content"]["request_id"] == request_id.as_str() {
                return before;
            }
            before.push(message);
        }
    }

    /// Nothing has come by now.
    #[track_caller]
    pub fn expect_nothing(&mut self) -> impl Future<Output = ()> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            let came = self.drain().await;
            assert!(came.is_empty(), "{caller}: expected nothing, got {came:?}");
        }
    }

    /// The close frame, after whatever comes before it.
    pub async fn expect_close(&mut self) -> (u16, String) {
        loop {
            if let Err(close) = self.receive_or_close().await {
                return close;
            }
        }
    }

    /// Subscribes, making the topic if there is none, and gives the `subscribed` and the snapshot.
    pub async fn subscribe(&mut self, topic_name: &str, topic_type: &str) -> (Value, Value) {
        let content = json!({"topic_name": topic_name, "type": topic_type});
        self.subscribe_with(content).await
    }

    pub async fn subscribe_with(&mut self, content: Value) -> (Value, Value) {
        let topic_name = content["topic_name"].clone();
        self.send("subscribe", content).await;
        let subscribed = self.expect_type("subscribed", json!({"topic_name": topic_name})).await;
        let same =
            json!({"topic_name": topic_name, "snapshot": true, "version": subscribed["version"]});
        let update = self.expect_type("update", same).await;
        (subscribed, update["change"]["value"].clone())
    }

    /// The value that a fresh subscription sees.
    pub async fn value(&mut self, topic_name: &str) -> Value {
        self.subscribe_with(json!({"topic_name": topic_name})).await.1
    }

    pub fn next_id(&mut self) -> String {
        self.counter += 1;
        format!("{}_{}", self.id, self.counter)
    }

    /// Sends a change under a new id, which it gives.
    pub async fn change(&mut self, topic_name: &str, change: Value) -> String {
        let id = self.next_id();
        let change = with(change, json!({"id": id}));
        self.send("update", json!({"topic_name": topic_name, "change": change})).await;
        id
    }

    /// Makes a change and waits for its confirmation, which it gives.
    pub async fn changed(&mut self, topic_name: &str, change: Value) -> Value {
        let id = self.change(topic_name, change).await;
        let own = json!({"topic_name": topic_name, "author": self.id, "change": {"id": id}});
        self.expect_type("update", own).await
    }

    /// Makes a change and reads until it is confirmed, whatever comes before.
    pub async fn changed_among_others(&mut self, topic_name: &str, change: Value) {
        let id = self.change(topic_name, change).await;
        self.skip_to(json!({"content": {"change": {"id": id}}})).await;
    }

    /// Adds 1 to a `latest` topic and waits for the update that names the change.
    pub async fn changed_latest(&mut self, topic_name: &str) -> Value {
        let id = self.change(topic_name, json!({"type": "add", "value": 1})).await;
        self.expect_type("update", json!({"topic_name": topic_name, "ids": [id]})).await
    }

    /// Makes a change that has to be rejected with this code.
    pub async fn rejected(&mut self, topic_name: &str, change: Value, code: &str) -> Value {
        let id = self.change(topic_name, change).await;
        let why = json!({"topic_name": topic_name, "code": code, "change": {"id": id}});
        self.expect_type("reject_update", why).await
    }

    /// What a service answers; other messages that come before are passed over.
    pub async fn call(&mut self, service_name: &str, args: Value) -> Value {
        self.counter += 1;
        let request_id = format!("r{}", self.counter);
        let content = json!({"service_name": service_name, "args": args, "request_id": request_id});
        self.send("request", content).await;
        let answer = json!({"type": "response", "content": {"request_id": request_id}});
        self.skip_to(answer).await["content"].clone()
    }

    /// What a service answers that has to succeed.
    pub async fn ask(&mut self, service_name: &str, args: Value) -> Value {
        let answer = self.call(service_name, args).await;
        assert!(answer.get("error").is_none(), "{answer}");
        answer["response"].clone()
    }

    /// Asks for more than the sockets between a server and a slow client hold, and reads none of it:
    /// what comes later waits behind it. `other` makes what is asked for.
    pub async fn stop_reading(&mut self, other: &mut Client) {
        other.subscribe(FILLER, "string").await;
        other.changed(FILLER, json!({"type": "set", "value": "x".repeat(1 << 20)})).await;
        other.send("unsubscribe", json!({"topic_name": FILLER})).await;
        other.expect_type("unsubscribed", json!({"topic_name": FILLER})).await;
        let asks = json!({"type": "subscribe", "content": {"topic_name": FILLER}});
        self.send_json(json!(vec![asks; 10])).await;
    }

    /// Drops the connection without a word.
    pub fn vanish(self) -> Gone {
        Gone { session: self.session, id: self.id, counter: self.counter }
    }

    pub async fn close(&mut self, code: CloseCode) {
        let frame = CloseFrame { code, reason: "".into() };
        within(self.socket.close(Some(frame))).await.unwrap();
        while let Some(Ok(_)) = within(self.socket.next()).await {}
    }

    /// Makes sure that this session works: its changes are taken and confirmed.
    pub async fn check_works(&mut self) {
        let topic_name = format!("still here {}", self.id);
        self.subscribe(&topic_name, "int").await;
        self.changed(&topic_name, json!({"type": "add", "value": 1})).await;
    }
}

/// A client whose connection is lost.
pub struct Gone {
    pub session: String,
    pub id: u64,
    counter: u64,
}

impl Gone {
    pub async fn resumed(&self, server: &TestServer) -> Client {
        let mut client = server.client().await;
        client.send("resume", json!({"session": self.session})).await;
        client.take_hello().await;
        assert_eq!((client.id, client.hello["resumed"].as_bool()), (self.id, Some(true)));
        client.counter = self.counter;
        client
    }
}

/// `object` with the entries of `more`.
pub fn with(mut object: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more} is no object") };
    object.as_object_mut().expect("an object").extend(more);
    object
}

/// Whether `value` holds what `pattern` holds: of a dict, the keys that stand there (null: none such);
/// anything else is to be equal, numbers by value.
pub fn matches(pattern: &Value, value: &Value) -> bool {
    match (pattern, value) {
        (Value::Object(pattern), Value::Object(value)) => pattern
            .iter()
            .all(|(key, pattern)| matches(pattern, value.get(key).unwrap_or(&Value::Null))),
        (Value::Array(pattern), Value::Array(value)) => {
            pattern.len() == value.len()
                && pattern.iter().zip(value).all(|(pattern, value)| matches(pattern, value))
        }
        (Value::Number(pattern), Value::Number(value)) => pattern.as_f64() == value.as_f64(),
        _ => pattern == value,
    }
}

/// Asks again until `condition` holds of the answer.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "it did not come to pass: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
