//! The limit to measure up to: a relay that keeps no state and sends each frame to all connections on the same path.
//!
//! Never looks into a frame, but for whether it is a `subscribe`, which it answers with a constant. Each connection's
//! queue is drained before its socket is flushed, so that what a frame costs is not a write to the socket.
//!
//! ```text
//!  reader ──frame──▶ room (all on this path) ──▶ queue of each member ──▶ its writer: feed, feed, feed, flush
//! ```

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::Result;
use crate::wire::{Encoding, list_items};

const SUBPROTOCOL_HEADER: &str = "sec-websocket-protocol";
/// A member with more frames queued than this holds up those who write to it.
const QUEUE_FRAMES_MAX: usize = 1024;
const MESSAGE_BYTES_MAX: usize = 64 << 20;

#[derive(Debug, Clone, clap::Args)]
pub struct RelayArgs {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8766")]
    pub listen: SocketAddr,
    /// How many short strings the list holds that answers a subscription.
    #[arg(long, default_value_t = 0)]
    pub snapshot_items: usize,
    /// Bytes of each connection's read buffer.
    #[arg(long, default_value_t = 16 * 1024)]
    pub read_buffer: usize,
}

type Room = Rc<RefCell<Vec<Rc<Member>>>>;
type Socket = WebSocketStream<TcpStream>;

/// What waits to be sent on one connection.
#[derive(Default)]
struct Member {
    queue: RefCell<Vec<Message>>,
    queued: Notify,
    drained: Notify,
    gone: Cell<bool>,
}

impl Member {
    fn push(&self, message: Message) {
        if self.gone.get() {
            return;
        }
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() {
            self.queued.notify_one();
        }
        queue.push(message);
    }

    fn is_full(&self) -> bool {
        !self.gone.get() && self.queue.borrow().len() > QUEUE_FRAMES_MAX
    }

    fn leave(&self) {
        self.gone.set(true);
        self.queued.notify_one();
        self.drained.notify_waiters();
    }
}

struct Relay {
    args: RelayArgs,
    rooms: RefCell<HashMap<String, Room>>,
    ids_given: Cell<u64>,
    json_snapshot: Message,
    msgpack_snapshot: Message,
}

/// Serves until it is killed. Needs a `LocalSet` around it.
pub async fn serve(args: RelayArgs) -> Result<()> {
    let listener = TcpListener::bind(args.listen).await?;
    let snapshot = snapshot(args.snapshot_items);
    let relay = Rc::new(Relay {
        args,
        rooms: RefCell::default(),
        ids_given: Cell::new(0),
        json_snapshot: to_message(Encoding::Json, &snapshot)?,
        msgpack_snapshot: to_message(Encoding::Msgpack, &snapshot)?,
    });
    loop {
        let (stream, _) = listener.accept().await?;
        let relay = Rc::clone(&relay);
        spawn_local(async move {
            if let Err(error) = serve_connection(relay, stream).await {
                eprintln!("relay: {error}");
            }
        });
    }
}

async fn serve_connection(relay: Rc<Relay>, stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let (socket, path, encoding) = accept(&relay, stream).await?;
    let (sink, source) = socket.split();
    let member = Rc::new(Member::default());
    let id = relay.ids_given.get() + 1;
    relay.ids_given.set(id);
    member.push(to_message(encoding, &hello(id))?);

    let room = Rc::clone(relay.rooms.borrow_mut().entry(path).or_default());
    room.borrow_mut().push(Rc::clone(&member));
    spawn_local(write_queue(Rc::clone(&member), sink));
    let read = read_frames(&relay, &room, &member, source, encoding).await;
    room.borrow_mut().retain(|other| !Rc::ptr_eq(other, &member));
    member.leave();
    read
}

/// Upgrades, and learns the path and the encoding that the client asked for.
async fn accept(relay: &Relay, stream: TcpStream) -> Result<(Socket, String, Encoding)> {
    let mut path = String::new();
    let mut encoding = Encoding::Json;
    let config = WebSocketConfig::default()
        .read_buffer_size(relay.args.read_buffer)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    // The type of the error is tungstenite's.
    #[allow(clippy::result_large_err)]
    let on_upgrade = |request: &Request,
                      mut response: Response|
     -> std::result::Result<Response, ErrorResponse> {
        path = request.uri().path().to_owned();
        let offered = request.headers().get(SUBPROTOCOL_HEADER).map(HeaderValue::as_bytes);
        if offered == Some(Encoding::Msgpack.subprotocol().as_bytes()) {
            encoding = Encoding::Msgpack;
        }
        let chosen = HeaderValue::from_static(encoding.subprotocol());
        response.headers_mut().insert(SUBPROTOCOL_HEADER, chosen);
        Ok(response)
    };
    let socket = accept_hdr_async_with_config(stream, on_upgrade, Some(config)).await?;
    Ok((socket, path, encoding))
}

async fn read_frames(
    relay: &Relay,
    room: &Room,
    member: &Member,
    mut source: SplitStream<Socket>,
    encoding: Encoding,
) -> Result<()> {
    let markers = encoding.markers();
    while let Some(message) = source.next().await {
        let payload: &[u8] = match &message {
            Ok(Message::Text(text)) => text.as_bytes(),
            Ok(Message::Binary(bytes)) => bytes,
            Ok(Message::Close(_)) => break,
            Ok(_) => continue,
            // The load closes without a word when it has measured.
            Err(_) => break,
        };
        if markers.is_subscribe(payload) {
            member.push(match encoding {
                Encoding::Json => relay.json_snapshot.clone(),
                Encoding::Msgpack => relay.msgpack_snapshot.clone(),
            });
        } else {
            relay_frame(room, &message?).await;
        }
    }
    Ok(())
}

/// Queues a frame for all in the room, and waits while one of them has too much queued.
async fn relay_frame(room: &Room, message: &Message) {
    let mut full = None;
    for member in room.borrow().iter() {
        member.push(message.clone());
        if member.is_full() {
            full = Some(Rc::clone(member));
        }
    }
    if let Some(member) = full {
        while member.is_full() {
            member.drained.notified().await;
        }
    }
}

async fn write_queue(member: Rc<Member>, mut sink: SplitSink<Socket, Message>) {
    let mut batch = Vec::new();
    while !member.gone.get() {
        member.queued.notified().await;
        std::mem::swap(&mut batch, &mut *member.queue.borrow_mut());
        member.drained.notify_waiters();
        if send_all(&mut sink, &mut batch).await.is_err() {
            member.leave();
        }
    }
}

async fn send_all(sink: &mut SplitSink<Socket, Message>, batch: &mut Vec<Message>) -> Result<()> {
    for message in batch.drain(..) {
        sink.feed(message).await?;
    }
    Ok(sink.flush().await?)
}

fn to_message(encoding: Encoding, message: &impl Serialize) -> Result<Message> {
    let bytes = encoding.encode(message)?;
    Ok(match encoding {
        Encoding::Json => Message::text(String::from_utf8(bytes)?),
        Encoding::Msgpack => Message::binary(bytes),
    })
}

fn hello(id: u64) -> serde_json::Value {
    serde_json::json!({"type": "hello", "content": {"id": id, "server": "relay"}})
}

fn snapshot(items: usize) -> serde_json::Value {
    let change = serde_json::json!({"type": "set", "value": list_items(items)});
    serde_json::json!({"type": "update", "content": {"version": 0, "snapshot": true, "change": change}})
}
