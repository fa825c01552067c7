//! The connection: moves the replica's messages, and comes back after a loss.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::frames::{Wire, frames};
use super::shared::{Shared, Status};
use crate::protocol::Encoding;
use crate::protocol::decode::{Frame, FrameError, decode_binary, decode_text};

/// The largest message that is read: a snapshot of a large topic comes as one.
const READ_BYTES_MAX: usize = 1 << 30;
/// How long a close waits for the server's.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The session was resumed by another connection.
const RESUMED_ELSEWHERE: u16 = 4001;

/// How a client connects.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// `ws://host:port/`
    pub url: String,
    /// The encodings to offer, in the order of liking.
    pub encodings: Vec<Encoding>,
    /// How long to wait before the second attempt at most; each further wait is up to twice as long.
    pub retry_min: Duration,
    /// The longest wait between attempts.
    pub retry_max: Duration,
    /// A server that was silent for so long is gone.
    pub silence_max: Duration,
    /// How long to wait for an answer: to a request that has no timeout of its own, for a topic's first value, for
    /// the server to be there, for a service to be registered.
    pub request_timeout: Duration,
    /// How long a client that is told to close waits for answers.
    pub close_timeout: Duration,
}

/// What cannot be the address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is no address of a server, as ws://host:port/ would be: {reason}")]
pub struct AddressError {
    /// What was given.
    pub url: String,
    /// What is wrong with it.
    pub reason: String,
}

impl ClientConfig {
    /// The settings of a client of the server at `url`, as they are by default.
    pub fn new(url: impl Into<String>) -> ClientConfig {
        ClientConfig {
            url: url.into(),
            encodings: vec![Encoding::MessagePack, Encoding::Json],
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(10),
            silence_max: Duration::from_secs(60),
            request_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
        }
    }

    /// Whether the address can be one (R44).
    pub(super) fn check(&self) -> Result<(), AddressError> {
        let wrong = |reason: String| AddressError { url: self.url.clone(), reason };
        let request = self.url.as_str().into_client_request();
        let uri = request.map_err(|error| wrong(error.to_string()))?.uri().clone();
        match (uri.scheme_str(), uri.host()) {
            (Some("ws"), Some(host)) if !host.is_empty() => Ok(()),
            (Some("ws"), _) => Err(wrong("it names no host".to_owned())),
            (Some("wss"), _) => Err(wrong("this client has no TLS".to_owned())),
            (scheme, _) => Err(wrong(format!("its scheme is {:?}", scheme.unwrap_or_default()))),
        }
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a conversation ended.
#[derive(Debug)]
enum End {
    Lost,
    /// The client was closed, or must not come back.
    Over,
}

/// Connects, and connects again, until the client is closed.
pub(super) async fn run(shared: Arc<Shared>) {
    let config = &shared.config;
    let mut retry = Retry::new(config);
    let mut warned = false;
    loop {
        shared.status.send_replace(Status::Connecting);
        let connected = tokio::select! {
            connected = connect(config) => connected,
            () = shared.over() => break,
        };
        let end = match connected {
            Ok((socket, wire)) => converse(&shared, config, socket, wire).await,
            Err(error) => {
                // Once for each time that the server is away (R44).
                match std::mem::replace(&mut warned, true) {
                    false => tracing::warn!(%error, url = config.url, "cannot connect; trying on"),
                    true => tracing::debug!(%error, url = config.url, "cannot connect"),
                }
                End::Lost
            }
        };
        if matches!(end, End::Over) {
            break;
        }
        let was_online = *shared.status.borrow() == Status::Online;
        warned &= !was_online;
        shared.with(|state| state.replica.disconnected());
        shared.status.send_replace(Status::Offline);
        let wait = retry.wait(was_online);
        tokio::select! {
            () = sleep(wait) => {}
            () = shared.over() => break,
        }
    }
    shared.close();
}

async fn connect(config: &ClientConfig) -> Result<(Socket, Wire), Error> {
    let mut request = config.url.as_str().into_client_request()?;
    let offered: Vec<&str> = config.encodings.iter().map(|it| it.subprotocol()).collect();
    if !offered.is_empty() {
        let offered = HeaderValue::from_str(&offered.join(", ")).map_err(Error::from)?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offered);
    }
    let limits = WebSocketConfig::default()
        .max_message_size(Some(READ_BYTES_MAX))
        .max_frame_size(Some(READ_BYTES_MAX));
    let attempt = connect_async_with_config(request, Some(limits), true);
    let (socket, response) = timeout(config.silence_max, attempt)
        .await
        .map_err(|_| Error::Io(std::io::ErrorKind::TimedOut.into()))??;
    let chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
    let chosen = chosen.and_then(|it| Encoding::negotiate(it.to_str().ok()?));
    Ok((socket, Wire { encoding: chosen.unwrap_or(Encoding::Json), arrays: chosen.is_some() }))
}

/// Reads and writes until one of the two ends.
async fn converse(shared: &Shared, config: &ClientConfig, socket: Socket, wire: Wire) -> End {
    let (mut sink, mut stream) = socket.split();
    let end = tokio::select! {
        end = read(shared, &mut stream, config.silence_max) => end,
        end = write(shared, &mut sink, wire) => end,
    };
    if matches!(end, End::Over) {
        let gone = async {
            sink.close().await?;
            while let Some(Ok(_)) = stream.next().await {}
            Ok::<(), Error>(())
        };
        let _ = timeout(CLOSE_TIMEOUT, gone).await;
    }
    end
}

async fn read(shared: &Shared, stream: &mut SplitStream<Socket>, silence_max: Duration) -> End {
    loop {
        let frame = match timeout(silence_max, stream.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => decode_text(&text),
            Ok(Some(Ok(Message::Binary(bytes)))) => decode_binary(&bytes),
            Ok(Some(Ok(Message::Close(Some(close)))))
                if u16::from(close.code) == RESUMED_ELSEWHERE =>
            {
                return End::Over;
            }
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) | Err(_) => return End::Lost,
            Ok(Some(Ok(_))) => continue,
        };
        if let Err(error) = receive(shared, frame) {
            tracing::warn!(%error, "the server sent a frame that cannot be read");
            return End::Lost;
        }
        shared.keep_pace().await;
    }
}

fn receive(shared: &Shared, frame: Result<Frame, FrameError>) -> Result<(), FrameError> {
    let frame = frame?;
    let online = shared.act(|state| {
        let messages = frame.into_iter().filter_map(|message| match message.server() {
            Ok(message) => Some(message),
            // Of a later version of the protocol, or else a version will be missed.
            Err(malformed) => {
                tracing::debug!(?malformed, "a message was not understood");
                None
            }
        });
        state.replica.receive_frame(messages);
        state.replica.is_online()
    });
    if online {
        let is_news =
            |status: &mut Status| std::mem::replace(status, Status::Online) != Status::Online;
        shared.status.send_if_modified(is_news);
    }
    Ok(())
}

async fn write(shared: &Shared, sink: &mut SplitSink<Socket, Message>, wire: Wire) -> End {
    let over = shared.over();
    tokio::pin!(over);
    loop {
        // A line that is frozen takes nothing, and must not keep a client from closing.
        let sent = tokio::select! {
            biased;
            sent = send_all(shared, sink, wire) => sent,
            () = &mut over => break,
        };
        if sent.is_err() {
            return End::Lost;
        }
        tokio::select! {
            biased;
            () = wait_for_work(shared) => {}
            () = &mut over => break,
        }
    }
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let _ = timeout(CLOSE_TIMEOUT, sink.send(Message::Close(Some(frame)))).await;
    End::Over
}

async fn send_all(
    shared: &Shared,
    sink: &mut SplitSink<Socket, Message>,
    wire: Wire,
) -> Result<(), Error> {
    let frames = shared.with(|state| {
        if state.busy_until.is_some_and(|until| until <= Instant::now()) {
            state.busy_until = None;
            state.replica.resend_busy();
        }
        frames(&mut state.replica, wire)
    });
    for frame in frames {
        sink.feed(frame).await?;
    }
    sink.flush().await
}

async fn wait_for_work(shared: &Shared) {
    let busy_until = shared.with(|state| state.busy_until);
    let no_longer_busy = async {
        match busy_until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = shared.outgoing.notified() => {}
        () = no_longer_busy => {}
    }
}

/// How long to wait between attempts: up to twice as long each time, and never in step with others.
struct Retry {
    min: Duration,
    max: Duration,
    next: Duration,
    /// A generator of George Marsaglia's ("Xorshift RNGs", 2003): it only has to differ.
    random: u64,
}

impl Retry {
    fn new(config: &ClientConfig) -> Retry {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Two clients of one process start at one time, and stand at two places.
        let place = std::ptr::from_ref(config) as u64;
        let random = (since_1970.as_nanos() as u64 ^ place.rotate_left(32)) | 1;
        Retry { min: config.retry_min, max: config.retry_max, next: config.retry_min, random }
    }

    fn wait(&mut self, was_online: bool) -> Duration {
        if was_online {
            self.next = self.min;
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        let wait = self.next.mul_f64(0.5 + share / 2.0);
        self.next = (self.next * 2).min(self.max);
        wait
    }
}
