//! The vocabulary of topicsync 0.13: deployed clients connect to this server unchanged.
//!
//! A connection that names no subprotocol is greeted in both vocabularies, and its first frame says which
//! one its client speaks. What a client of 0.13 wants becomes submissions to the engine, and what the
//! engine publishes becomes updates of 0.13. Engine and session know nothing of 0.13, and this module
//! knows nothing of sockets, or of the vocabulary of `docs/protocol.md`.
//!
//! ```text
//!  frame ─► wire::read ─► plan: commands to changes, on the values as they are ─► Engine
//!  frame ◄─ mirror: changes to updates, on the value that was told last ◄─ session ◄─ Publication
//!                        names: what clients call texts, changes and actions
//! ```
//!
//! | module | holds |
//! |---|---|
//! | here | [`V0_13`]: one client's side |
//! | `wire` | the messages |
//! | `command`, `plan` | from commands to an action of the engine's |
//! | `mirror` | from publications to updates |
//! | `names` | the versions of texts, and edits made ahead of the server's answers |
//! | `text` | UTF-16 positions, edits one at a time |
//! | `list`, `kind` | the topic list; the types |

mod command;
mod kind;
mod list;
mod mirror;
mod names;
mod plan;
mod text;
mod wire;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use ecow::eco_format;
use foldhash::HashMap;

use crate::engine::policy::Operation;
use crate::engine::{CatchUp, Item, Publication, TopicCell};
use crate::protocol::message::{Hello, RejectUpdate, RequestId};
use crate::protocol::{Encoding, ErrorCode, RejectCode, ServerMessage};
use crate::session::{
    Attachment, Connection, Frame, Frames, Hub, Outgoing, Peer, Refused, Request,
};
use crate::topic::{Delivery, TopicName, Uptime};
use crate::value::{Dict, Fields, Key, Value};
use list::TOPIC_LIST;
use mirror::Mirror;
use names::Names;
pub(super) use wire::Message;

/// How long a service has to answer, in milliseconds. In 0.13 nothing ends a request.
const REQUEST_TIMEOUT_MS: u64 = 3_600_000;

/// What all clients of topicsync 0.13 that one server has share.
#[derive(Default)]
pub struct Clients {
    names: Names,
}

impl Clients {
    /// A connection whose client is known to speak 0.13.
    pub fn connect(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        now: Uptime,
    ) -> Option<Connection<impl Peer<Message: Send> + use<>>> {
        Connection::open(hub, V0_13::new(self.clone()), now)
    }
}

/// One client of topicsync 0.13.
pub(super) struct V0_13 {
    clients: Arc<Clients>,
    /// The topics that the client subscribes to, as it was told of them.
    mirrors: HashMap<TopicName, Mirror>,
    /// Topics that were removed while the client subscribed to them. In 0.13 the subscription goes on when
    /// the topic is made again.
    removed: HashSet<TopicName>,
    /// The client's own names of requests that wait for an answer.
    requests: HashMap<RequestId, Value>,
    /// Counts the client's actions and requests.
    counter: u64,
}

/// What a publication is to a client.
#[derive(Default)]
struct Updates {
    /// An `update` for each action.
    texts: Vec<String>,
    /// Topics of which the client missed something.
    missed: Vec<TopicName>,
    /// Topics that the client had in an earlier life, and that are on the topic list again.
    made_again: Vec<TopicName>,
}

fn frame(text: String) -> Frame {
    Frame::Text(Bytes::from(text))
}

/// The text of a frame, whatever its kind; `None` if it is not UTF-8.
fn text_of(frame: &Frame) -> Option<&str> {
    let (Frame::Text(bytes) | Frame::Binary(bytes)) = frame;
    std::str::from_utf8(bytes).ok()
}

/// The greeting of a client that names no subprotocol: in both vocabularies.
pub(super) fn hello(hello: &Hello) -> Frame {
    frame(wire::hello(hello))
}

/// Whether the first frame of a client that named no subprotocol is a message of 0.13.
pub(super) fn is_message(frame: &Frame) -> bool {
    text_of(frame).is_some_and(wire::is_message)
}

impl Peer for V0_13 {
    type Message = Message;

    fn encoding(&self) -> Encoding {
        Encoding::Json
    }

    /// What is no message at all ends the connection, as it does in 0.13.
    fn read(
        &mut self,
        _: &Attachment,
        frame: Frame,
        inbox: &mut VecDeque<Message>,
    ) -> Result<(), Refused> {
        let message = text_of(&frame).and_then(|text| wire::read(text).ok());
        inbox.push_back(message.ok_or(Refused::NoMessage)?);
        Ok(())
    }

    fn handle(&mut self, attachment: &mut Attachment, now: Uptime, message: Message) {
        let session = attachment.session().clone();
        // If the session has a newer connection by now, the message does nothing.
        let Some(_acting) = session.act(attachment.number()) else { return };
        match message {
            Message::Subscribe { topic_name } => self.subscribe(attachment, topic_name),
            Message::Unsubscribe { topic_name } => {
                if let Ok(name) = TopicName::new(topic_name) {
                    self.removed.remove(&name);
                    attachment.unsubscribe(name);
                }
            }
            Message::Action { commands, action_id } => {
                self.act(attachment, &commands, &action_id);
            }
            Message::MalformedAction { reason } => {
                reject(attachment, &command::type_error(&reason));
            }
            Message::Request { service_name, args, request_id } => {
                let id_here: RequestId = eco_format!("d{}", self.next_number());
                self.requests.insert(id_here.clone(), request_id);
                let timeout_ms = Some(REQUEST_TIMEOUT_MS);
                let request = Request { service_name, args, request_id: id_here, timeout_ms };
                attachment.request(now, request);
            }
            Message::Ignored => {}
        }
    }

    fn write(&mut self, attachment: &mut Attachment, outgoing: Outgoing, frames: &mut Frames) {
        match outgoing {
            Outgoing::Message(message) => self.write_message(attachment, message, frames),
            Outgoing::Changes(publication) => {
                self.write_changes(attachment, &publication, frames);
            }
            // In 0.13 a client is told of the topics that it subscribes to, and of no other.
            Outgoing::Confirmation(_) => {}
            Outgoing::Begin { topic, catch_up, own, .. } => {
                self.write_init(attachment, topic, &catch_up, frames);
                self.write_answers(&own, frames);
            }
            Outgoing::CaughtUp { topic, .. } | Outgoing::Again(topic) => {
                self.write_reset(&[topic.name().clone()], frames);
            }
            Outgoing::Unsubscribed(name) => drop(self.mirrors.remove(&name)),
            Outgoing::Removed(topic) => self.topic_removed(attachment, topic.name()),
        }
    }

    /// In 0.13 a client that lost its connection begins anew.
    fn can_resume(&self) -> bool {
        false
    }
}

impl V0_13 {
    pub(super) fn new(clients: Arc<Clients>) -> V0_13 {
        V0_13 {
            clients,
            mirrors: HashMap::default(),
            removed: HashSet::new(),
            requests: HashMap::default(),
            counter: 0,
        }
    }

    fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Subscribes to a topic. If there is none, nothing is answered, and nothing is remembered.
    fn subscribe(&mut self, attachment: &mut Attachment, topic_name: Key) {
        let Ok(name) = TopicName::new(topic_name) else { return };
        if !may_subscribe(attachment, &name) {
            return;
        }
        if let Some(topic) = attachment.hub().engine().get(&name) {
            // This life is told once: because the client asked for it, not because it had an earlier one.
            self.removed.remove(&name);
            // What the client did before is told before, the making of the topic perhaps: once it is
            // durable.
            attachment.subscribe_when_durable(topic);
        }
    }

    /// Goes on with a topic that the client had in an earlier life, if there is a present one, and the
    /// client's topic list shows it. Else the topic is awaited.
    fn subscribe_again(&mut self, attachment: &mut Attachment, name: TopicName) {
        if !may_subscribe(attachment, &name) {
            self.removed.remove(&name);
            return;
        }
        // A client drops what it is told of a topic that it does not have on its list yet.
        let list = TopicName::new(TOPIC_LIST).ok().and_then(|name| self.mirrors.get(&name));
        let is_shown = |topic: &Arc<TopicCell>| {
            list.is_none_or(|list| list.listed_life(&name).as_ref() == Some(topic.epoch()))
        };
        match attachment.hub().engine().get(&name).filter(is_shown) {
            Some(topic) => {
                self.removed.remove(&name);
                // The client may have asked for this life by itself.
                if !attachment.is_asked(&topic) {
                    attachment.subscribe(topic, None);
                }
            }
            None if self.removed.len() < attachment.hub().config().subscriptions_max => {
                self.removed.insert(name);
            }
            None => {}
        }
    }

    fn topic_removed(&mut self, attachment: &mut Attachment, name: &TopicName) {
        self.mirrors.remove(name);
        // The topic may be there again by now, and the list may have told so before.
        self.subscribe_again(attachment, name.clone());
    }

    fn act(&mut self, attachment: &mut Attachment, commands: &[Dict], action_id: &Value) {
        let (hub, session) = (attachment.hub().clone(), attachment.session().clone());
        let number = self.next_number();
        let action = plan::Action { session: &session, commands, action_id, number };
        match plan::act(&hub, &self.clients.names, &action, attachment.group()) {
            Ok(count) => hub.counters().changes.add(count as u64),
            Err(rejected) => {
                // What the client did before is told before.
                attachment.publish();
                reject(attachment, &rejected.reason);
                rejected.texts.into_iter().for_each(|topic| attachment.tell_again(topic));
            }
        }
    }

    /// A message for this client alone, if 0.13 has one like it.
    fn write_message(
        &mut self,
        attachment: &mut Attachment,
        message: ServerMessage,
        frames: &mut Frames,
    ) {
        match message {
            ServerMessage::Hello(message) => frames.push_back(hello(&message)),
            ServerMessage::Response { request_id, outcome } => {
                let Some(request_id) = self.requests.remove(&request_id) else { return };
                let response = outcome.unwrap_or_else(|_| "request failed".into());
                frames.push_back(frame(wire::response(&response, &request_id)));
            }
            ServerMessage::RejectUpdate(reject) => {
                frames.push_back(frame(wire::reject(&reject.reason)));
                if reject.code == RejectCode::Unavailable {
                    // An accepted action could not be made durable. Later actions of the client's may have
                    // been made on it: it is to show what is there, and nothing else.
                    let all: Vec<TopicName> = self.mirrors.keys().cloned().collect();
                    self.write_reset(&all, frames);
                }
            }
            ServerMessage::Error(error) if error.code == ErrorCode::TopicRemoved => {
                // The topic was there when the client asked for it, and removed before it was told.
                if let Some(Ok(name)) = error.topic_name.map(TopicName::new) {
                    self.topic_removed(attachment, &name);
                }
            }
            _ => {}
        }
    }

    fn write_changes(
        &mut self,
        attachment: &mut Attachment,
        publication: &Publication,
        frames: &mut Frames,
    ) {
        let updates = self.updates(attachment, publication);
        frames.extend(updates.texts.into_iter().map(frame));
        self.write_reset(&updates.missed, frames);
        for name in updates.made_again {
            self.subscribe_again(attachment, name);
        }
    }

    /// What a publication is to this client.
    fn updates(&mut self, attachment: &Attachment, publication: &Publication) -> Updates {
        let clients = self.clients.clone();
        let names = &clients.names;
        let mut updates = Updates::default();
        for item in &publication.items {
            let (mut changes, mut action) = (Vec::new(), None);
            for part in &item.parts {
                let mirror = self.mirrors.get_mut(part.topic.name());
                // A topic in another life is another topic.
                let mirror = mirror.filter(|mirror| Arc::ptr_eq(&mirror.topic, &part.topic));
                let Some(mirror) = mirror else { continue };
                action.get_or_insert_with(|| mirror::action_name(names, item, part));
                if mirror.version >= part.version {
                    // The value that the client was told last has this change in it.
                    continue;
                }
                if !mirror.is_followed_by(item, part) {
                    updates.missed.push(part.topic.name().clone());
                    continue;
                }
                changes.extend(mirror.advance(names, item, part));
                if **part.topic.name() == *TOPIC_LIST {
                    let listed = Mirror::listed_by(part).into_iter();
                    let listed = listed.filter_map(|name| TopicName::new(name).ok());
                    let made_again = listed.filter(|name| self.removed.contains(name));
                    updates.made_again.extend(made_again);
                }
            }
            let Some(action) = action else { continue };
            // An author is answered also if nothing is left to tell of its changes: it still shows them.
            if !changes.is_empty() || action.author == Some(attachment.session().id()) {
                updates.texts.push(wire::update(&changes, &action.id));
            }
        }
        updates
    }

    /// Tells a topic's whole value. What is published of the topic is told from there on.
    fn write_init(
        &mut self,
        attachment: &mut Attachment,
        topic: Arc<TopicCell>,
        catch_up: &CatchUp,
        frames: &mut Frames,
    ) {
        if topic.options().delivery == Delivery::Latest {
            // What waits for the tick goes out before the next change, as what follows on this value.
            attachment.hub().engine().tick();
        }
        let names = &self.clients.names;
        let Some(mirror) = Mirror::new(names, topic.clone(), catch_up) else { return };
        let (value, text_name) = mirror.init(names);
        frames.push_back(frame(wire::init(topic.name(), &value, text_name)));
        self.mirrors.insert(topic.name().clone(), mirror);
    }

    /// Answers the client's own actions that are in the value which it was just told. An `init` leaves the
    /// client showing them on top of that value.
    fn write_answers(&self, own: &[Item], frames: &mut Frames) {
        for item in own {
            let Some(part) = item.parts.first() else { continue };
            let action = mirror::action_name(&self.clients.names, item, part);
            if action.author.is_some() {
                frames.push_back(frame(wire::update(&[], &action.id)));
            }
        }
    }

    /// Tells the values of topics as they are by now, in one update.
    fn write_reset(&mut self, topics: &[TopicName], frames: &mut Frames) {
        let names = &self.clients.names;
        let reset = |name: &TopicName| self.mirrors.get_mut(name)?.reset(names);
        let changes: Vec<Fields> = topics.iter().filter_map(reset).collect();
        if !changes.is_empty() {
            frames.push_back(frame(wire::update(&changes, &"".into())));
        }
    }
}

/// Whether the client may subscribe to a topic of this name.
fn may_subscribe(attachment: &Attachment, name: &TopicName) -> bool {
    attachment.has_room_for(name) && attachment.authorize(&Operation::Read { topic: name }).is_ok()
}

/// Rejects an action. In 0.13 a rejection names no topic, no action and no change.
fn reject(attachment: &Attachment, reason: &str) {
    attachment.reject(RejectUpdate {
        topic_name: Default::default(),
        code: RejectCode::Invalid,
        reason: reason.into(),
        version: None,
        action_id: None,
        change: Default::default(),
    });
}
