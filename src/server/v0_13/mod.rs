//! The vocabulary of topicsync 0.13: deployed clients connect to this server unchanged.
//!
//! A connection that names no subprotocol is greeted in both vocabularies, and its first frame says which
//! one its client speaks. What a client of 0.13 wants becomes submissions to the engine, and what the
//! engine publishes becomes updates of 0.13; neither engine nor session knows more of it.
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
//! | `command`, `plan` | from commands to an action of ours |
//! | `mirror` | from publications to updates |
//! | `names` | the versions of texts, and edits made ahead of the server's answers |
//! | `text` | UTF-16 positions, edits as single steps |
//! | `list`, `kind` | the topic list; the types |

mod command;
mod kind;
mod list;
mod mirror;
mod names;
mod plan;
mod text;
pub(super) mod wire;

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use ecow::eco_format;
use foldhash::HashMap;
use parking_lot::{Mutex, MutexGuard};

use crate::engine::policy::Operation;
use crate::engine::{CatchUp, Publication, TopicCell};
use crate::protocol::message::{Hello, RequestId};
use crate::protocol::{RejectCode, ServerMessage};
use crate::session::{Attachment, Frame, Frames, Outgoing, Refused, Request};
use crate::topic::{ActionId, Delivery, TopicName, Uptime};
use crate::value::{Dict, Fields, Key, Value};
use mirror::Mirror;
use names::Names;
use wire::Said;

/// How long a service has, in milliseconds: in 0.13, nothing ends a request.
const REQUEST_TIMEOUT_MS: u64 = 3_600_000;

/// What all connections that speak this vocabulary share.
#[derive(Default)]
pub struct Shared {
    names: Mutex<Names>,
}

impl Shared {
    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock()
    }
}

/// One client of topicsync 0.13.
pub(super) struct V0_13 {
    shared: Arc<Shared>,
    /// The topics that it subscribes to, as it was told of them.
    mirrors: HashMap<TopicName, Mirror>,
    /// Those that were removed. It is told of them again should they come back.
    gone: HashSet<TopicName>,
    /// Its own names of requests that wait for an answer.
    requests: HashMap<RequestId, Value>,
    counter: u64,
}

/// What a publication is to a client.
#[derive(Default)]
struct Updates {
    /// An `update` for each action.
    texts: Vec<String>,
    /// Topics of which it missed something.
    lost: Vec<TopicName>,
    /// Topics that it subscribed to before they were removed, and that are made again.
    back: Vec<TopicName>,
}

fn frame(text: String) -> Frame {
    Frame::Text(Bytes::from(text))
}

/// The text of a frame, if it is text.
fn text_of(frame: &Frame) -> Option<&str> {
    let (Frame::Text(bytes) | Frame::Binary(bytes)) = frame;
    std::str::from_utf8(bytes).ok()
}

/// The greeting of a client that names no subprotocol: in both vocabularies.
pub(super) fn hello(hello: &Hello) -> Frame {
    frame(wire::hello(hello))
}

/// Whether the first frame of a client that named no subprotocol is of this vocabulary.
pub(super) fn is_spoken(frame: &Frame) -> bool {
    text_of(frame).is_some_and(wire::is_spoken)
}

impl V0_13 {
    pub fn new(shared: Arc<Shared>) -> V0_13 {
        V0_13 {
            shared,
            mirrors: HashMap::default(),
            gone: HashSet::new(),
            requests: HashMap::default(),
            counter: 0,
        }
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// What a frame says.
    ///
    /// # Errors
    /// The connection is over: what is no message ends it, as it does in 0.13.
    pub fn read_frame(&self, frame: &Frame) -> Result<Said, Refused> {
        text_of(frame).and_then(|text| wire::read(text).ok()).ok_or(Refused::NoMessage)
    }

    /// Does what the client says. If its session has a newer connection by now, nothing is done.
    pub fn handle(&mut self, attachment: &mut Attachment, now: Uptime, said: Said) {
        let session = attachment.session().clone();
        let Some(_acting) = session.act(attachment.number()) else { return };
        match said {
            Said::Subscribe { topic_name } => self.subscribe(attachment, topic_name),
            Said::Unsubscribe { topic_name } => {
                if let Ok(name) = TopicName::new(topic_name) {
                    self.gone.remove(&name);
                    attachment.unsubscribe(name);
                }
            }
            Said::Action { commands, action_id } => self.act(attachment, &commands, &action_id),
            Said::BadAction { reason } => reject(attachment, &command::type_error(&reason)),
            Said::Request { service_name, args, request_id } => {
                let ours: RequestId = eco_format!("d{}", self.next());
                self.requests.insert(ours.clone(), request_id);
                let timeout_ms = Some(REQUEST_TIMEOUT_MS);
                attachment
                    .request(now, Request { service_name, args, request_id: ours, timeout_ms });
            }
            Said::Nothing => {}
        }
    }

    /// A topic that is not there: no answer, and nothing is remembered.
    fn subscribe(&mut self, attachment: &mut Attachment, topic_name: Key) {
        let Ok(name) = TopicName::new(topic_name) else { return };
        let hub = attachment.hub().clone();
        if !attachment.has_room_for(&name)
            || attachment.authorize(&Operation::Read { topic: &name }).is_err()
        {
            return;
        }
        if let Some(topic) = hub.engine().get(&name) {
            // What the client did before is told before, the making of the topic perhaps: once it is
            // durable.
            attachment.subscribe_when_durable(topic);
        }
    }

    fn act(&mut self, attachment: &mut Attachment, commands: &[Dict], action_id: &Value) {
        let (hub, session) = (attachment.hub().clone(), attachment.session().clone());
        let Ok(name) = ActionId::new(eco_format!("{}_d{}", session.id(), self.next())) else {
            return;
        };
        let action = plan::Action { session: &session, commands, action_id, name };
        match plan::act(&hub, &self.shared, &action, attachment.group()) {
            Ok(count) => hub.counters().changes.add(count as u64),
            Err(refusal) => {
                // What it did before is told before.
                attachment.publish();
                reject(attachment, &refusal.reason);
                refusal.texts.into_iter().for_each(|topic| attachment.tell_again(topic));
            }
        }
    }

    /// Puts what the session has for the client into frames.
    pub fn write(&mut self, attachment: &mut Attachment, outgoing: Outgoing, frames: &mut Frames) {
        match outgoing {
            Outgoing::Message(message) => self.message(message, frames),
            Outgoing::Changes(publication) => self.changes(attachment, &publication, frames),
            // It is told of the topics that it subscribes to, and of no other.
            Outgoing::Confirmation(_) => {}
            Outgoing::Begin { topic, catch_up, .. } => {
                self.begin(attachment, topic, &catch_up, frames)
            }
            Outgoing::CaughtUp { topic, .. } | Outgoing::Again(topic) => {
                self.tell_again(&[topic.name().clone()], frames);
            }
            Outgoing::Unsubscribed(name) => drop(self.mirrors.remove(&name)),
            Outgoing::Removed(topic) => {
                self.mirrors.remove(topic.name());
                // It may be there again by now: then the list has told so before.
                match attachment.hub().engine().get(topic.name()) {
                    Some(next) => attachment.subscribe(next, None),
                    None => drop(self.gone.insert(topic.name().clone())),
                }
            }
        }
    }

    /// A message for this client alone, if the vocabulary has a word for it.
    fn message(&mut self, message: ServerMessage, frames: &mut Frames) {
        match message {
            ServerMessage::Response { request_id, outcome } => {
                let Some(request_id) = self.requests.remove(&request_id) else { return };
                let response = outcome.unwrap_or_else(|_| "request failed".into());
                frames.push_back(frame(wire::response(&response, &request_id)));
            }
            ServerMessage::RejectUpdate(reject) => {
                frames.push_back(frame(wire::reject(&reject.reason)));
                if reject.code == RejectCode::Unavailable {
                    // An accepted action that could not be made durable: versions that the client was
                    // never told of are to be made a second time.
                    let mut names = self.shared.names();
                    self.mirrors.keys().for_each(|name| names.forget(name));
                    drop(names);
                    let all: Vec<TopicName> = self.mirrors.keys().cloned().collect();
                    self.tell_again(&all, frames);
                }
            }
            _ => {}
        }
    }

    fn changes(
        &mut self,
        attachment: &mut Attachment,
        publication: &Publication,
        frames: &mut Frames,
    ) {
        let shared = self.shared.clone();
        let updates = self.updates(&shared.names(), publication);
        frames.extend(updates.texts.into_iter().map(frame));
        self.tell_again(&updates.lost, frames);
        for name in updates.back {
            self.gone.remove(&name);
            if let Some(topic) = attachment.hub().engine().get(&name) {
                attachment.subscribe(topic, None);
            }
        }
    }

    /// What a publication is to this client.
    fn updates(&mut self, names: &Names, publication: &Publication) -> Updates {
        let mut updates = Updates::default();
        for item in &publication.items {
            let (mut changes, mut action_id) = (Vec::new(), None);
            for part in &item.parts {
                let mirror = self.mirrors.get_mut(part.topic.name());
                let mirror = mirror.filter(|it| Arc::ptr_eq(&it.topic, &part.topic));
                let Some(mirror) = mirror.filter(|it| it.version < part.version) else { continue };
                if !mirror.follows(item, part) {
                    updates.lost.push(part.topic.name().clone());
                    continue;
                }
                action_id.get_or_insert_with(|| mirror::action_id(names, item, part));
                changes.extend(mirror.tell(names, part));
                if **part.topic.name() == *list::TOPIC_LIST {
                    let listed = Mirror::listed_by(part).into_iter();
                    let listed = listed.filter_map(|name| TopicName::new(name).ok());
                    updates.back.extend(listed.filter(|name| self.gone.contains(name)));
                }
            }
            if let Some(action_id) = action_id.filter(|_| !changes.is_empty()) {
                updates.texts.push(wire::update(&changes, &action_id));
            }
        }
        updates
    }

    /// Tells a topic's whole value, and all that comes after it from here on.
    fn begin(
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
        let names = self.shared.names();
        let Some(mirror) = Mirror::new(&names, topic.clone(), catch_up) else { return };
        frames.push_back(frame(mirror.init(&names)));
        self.mirrors.insert(topic.name().clone(), mirror);
    }

    /// Tells the values of topics as they are by now, in one update.
    fn tell_again(&mut self, topics: &[TopicName], frames: &mut Frames) {
        let names = self.shared.names();
        let told = |name: &TopicName| self.mirrors.get_mut(name)?.tell_anew(&names);
        let changes: Vec<Fields> = topics.iter().filter_map(told).collect();
        if !changes.is_empty() {
            frames.push_back(frame(wire::update(&changes, &"".into())));
        }
    }
}

fn reject(attachment: &Attachment, reason: &str) {
    attachment.reject(
        // An action names no topic of ours, and what it says of its changes stays its own.
        crate::protocol::message::RejectUpdate {
            topic_name: Default::default(),
            code: RejectCode::Invalid,
            reason: reason.into(),
            version: None,
            action_id: None,
            change: Default::default(),
        },
    );
}
