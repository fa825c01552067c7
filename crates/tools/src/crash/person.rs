//! One who edits: a replica over real sockets, that comes back whenever its connection is lost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use topicsync::client::{Event, LocalChange, Replica};
use topicsync::protocol::Encoding;
use topicsync::protocol::decode_binary;
use topicsync::protocol::encode;
use topicsync::topic::{TopicName, TopicOptions, Version};
use topicsync::types::TypeRef;
use topicsync::value::Value;

use super::witness::{Checked, Witness};
use topicsync::testkit::choices::{Choices, Random};
use topicsync::testkit::world::kind;

/// What all persons are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Edit.
    Work,
    /// Edit nothing, and let what is pending arrive.
    Rest,
    Done,
}

/// Where a person stands: each topic's version and value.
pub type Stand = BTreeMap<TopicName, (Version, Value)>;

/// What persons and the bench share.
pub struct Shared {
    pub address: SocketAddr,
    pub topics: Vec<(TopicName, TypeRef)>,
    pub witness: Mutex<Witness>,
    /// Where each person stands; `None` while something is pending or it is away.
    pub stands: Mutex<Vec<Option<Stand>>>,
    /// The first thing that went wrong.
    pub broken: Mutex<Option<String>>,
}

pub struct Person {
    pub number: usize,
    shared: Arc<Shared>,
    replica: Replica,
    random: Random,
    /// Its session is in the journal: something of it was accepted.
    was_confirmed: bool,
}

type Socket = WebSocketStream<TcpStream>;

impl Person {
    pub fn new(number: usize, seed: u64, shared: Arc<Shared>) -> Person {
        let mut replica = Replica::new();
        for (name, kind) in &shared.topics {
            replica.subscribe(name, *kind, TopicOptions::default());
        }
        let random = Random(seed ^ (number as u64) << 32);
        Person { number, shared, replica, random, was_confirmed: false }
    }

    /// Edits, and comes back after every loss, until it is told to end.
    pub async fn live(mut self, mut phase: watch::Receiver<Phase>) {
        while *phase.borrow() != Phase::Done {
            if let Ok(socket) = connect(self.shared.address).await {
                let talked = self.talk(socket, &mut phase).await;
                self.replica.disconnected();
                self.shared.stands.lock()[self.number] = None;
                if let Err(what) = talked.and_then(|()| self.hear()) {
                    self.shared
                        .broken
                        .lock()
                        .get_or_insert(format!("client {}: {what}", self.number));
                    return;
                }
            }
            sleep(Duration::from_millis(3)).await;
        }
    }

    /// Talks with the server until the connection is lost.
    async fn talk(&mut self, mut socket: Socket, phase: &mut watch::Receiver<Phase>) -> Checked {
        while *phase.borrow() != Phase::Done {
            let choices: &mut dyn Choices = &mut self.random;
            let pause = Duration::from_millis(choices.below(6) as u64);
            match timeout(pause, socket.next()).await {
                Ok(Some(Ok(Message::Binary(bytes)))) => self.receive(&bytes)?,
                Ok(Some(Ok(_))) => {}
                Ok(_) => return Ok(()),
                Err(_) if *phase.borrow() == Phase::Work => self.edit()?,
                Err(_) => self.replica.resend_busy(),
            }
            self.hear()?;
            for message in self.replica.outbox() {
                let frame = Message::Binary(encode(&message, Encoding::MessagePack).into());
                if socket.feed(frame).await.is_err() {
                    return Ok(());
                }
            }
            if socket.flush().await.is_err() {
                return Ok(());
            }
            self.shared.stands.lock()[self.number] = self.stand();
        }
        Ok(())
    }

    fn receive(&mut self, bytes: &[u8]) -> Checked {
        for raw in decode_binary(bytes).map_err(|error| error.to_string())? {
            let message = raw.server().map_err(|malformed| format!("{malformed:?}"))?;
            self.shared.witness.lock().see(&message)?;
            self.replica.receive(message);
        }
        Ok(())
    }

    /// Makes a change, or a few as an action.
    fn edit(&mut self) -> Checked {
        let choices: &mut dyn Choices = &mut self.random;
        let changes = if choices.once_in(6) { 2 + choices.below(3) } else { 1 };
        let mut planned = Vec::with_capacity(changes);
        let mut views = BTreeMap::new();
        for _ in 0..changes {
            let (name, of) = choices.pick(&self.shared.topics);
            let Some(view) = self.replica.view(&name) else { continue };
            let view = views.entry(name.clone()).or_insert_with(|| view.clone());
            let change = kind(of.name()).and_then(|kind| kind.change(choices, view));
            let change = change.ok_or("a built-in type has changes for every value")?;
            of.apply(view, &change).map_err(|error| error.to_string())?;
            planned.push(LocalChange::new(name, of.encode_change(&change)));
        }
        if planned.is_empty() {
            return Ok(());
        }
        self.replica.local(planned).map(drop).map_err(|error| error.to_string())
    }

    fn hear(&mut self) -> Checked {
        for event in self.replica.events() {
            match event {
                Event::Confirmed { id, .. } => {
                    self.was_confirmed = true;
                    let mut witness = self.shared.witness.lock();
                    id.into_iter().for_each(|id| witness.confirm(id.into()));
                }
                // Nobody can know the fate of what was lost with a session that had nothing accepted.
                Event::Unknown { .. } if self.was_confirmed => {
                    return Err(
                        "a change of unknown fate, though its session is in the journal".into()
                    );
                }
                Event::Closed { error: Some(error), .. } => return Err(format!("{error:?}")),
                Event::Error(error) if error.code.as_str() != "session_unknown" => {
                    return Err(format!("{error:?}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn stand(&self) -> Option<Stand> {
        let topic = |(name, kind): &(TopicName, TypeRef)| {
            let replica = self.replica.topic(name)?;
            let is_quiet = replica.is_ready() && replica.pending_len() == 0;
            let value = kind.encode_value(replica.confirmed());
            is_quiet.then(|| (name.clone(), (replica.version(), value)))
        };
        self.shared.topics.iter().map(topic).collect()
    }
}

async fn connect(address: SocketAddr) -> Result<Socket, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{address}/").into_client_request()?;
    let subprotocol = HeaderValue::from_static("topicsync.v1.msgpack");
    request.headers_mut().insert("sec-websocket-protocol", subprotocol);
    let opening = tokio_tungstenite::client_async(request, stream);
    Ok(timeout(Duration::from_secs(2), opening).await??.0)
}
