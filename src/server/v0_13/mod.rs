//! The dialect of topicsync 0.13: deployed clients connect to this server unchanged.
//!
//! A connection that names no subprotocol is greeted in both vocabularies, and its first message says
//! which one it speaks. What a client of the dialect wants becomes submissions to the engine, and what
//! the engine publishes becomes what the dialect has for it; neither engine nor protocol knows more of it.
//!
//! ```text
//!  frame ─► protocol::dialect::read ─► plan: commands to changes, on the values as they are ─► Engine
//!  frame ◄─ mirror: changes to updates, on the value that was told last ◄─ Outbox ◄─ Publication
//!                        names: what clients call texts, changes and actions
//! ```
//!
//! | module | holds |
//! |---|---|
//! | here | one client's side of it, and what a connection does with it |
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

use std::collections::HashSet;
use std::sync::Arc;

use ecow::eco_format;
use foldhash::HashMap;
use parking_lot::{Mutex, MutexGuard};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::connection::{Connection, Over};
use super::outbox::Outgoing;
use super::special;
use crate::engine::{Publication, TopicCell};
use crate::protocol::dialect::{self as wire, Said};
use crate::protocol::message::{Hello, RequestId};
use crate::protocol::{RejectCode, ServerMessage};
use crate::topic::{ActionId, Delivery, TopicName};
use crate::value::{Dict, Fields, Key, Value};
use mirror::Mirror;
use names::Names;

/// How long a service has: there, nothing ends a request.
const REQUEST_TIMEOUT_MS: u64 = 3_600_000;

/// What all connections that speak the dialect share.
#[derive(Default)]
pub struct Shared {
    names: Mutex<Names>,
    /// Topics whose making or removal is not for the server to list: an action of the dialect does.
    quiet: Mutex<HashSet<TopicName>>,
}

impl Shared {
    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock()
    }

    /// Makes or removes a topic that the caller lists itself.
    fn quietly<R>(&self, topic: &TopicName, act: impl FnOnce() -> R) -> R {
        self.quiet.lock().insert(topic.clone());
        let result = act();
        self.quiet.lock().remove(topic);
        result
    }

    /// Whether somebody else lists a topic that is made or removed just now.
    pub fn lists(&self, topic: &TopicName) -> bool {
        self.quiet.lock().contains(topic)
    }
}

/// One client's side.
#[derive(Default)]
pub struct Speaker {
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
struct Told {
    /// An `update` for each action.
    updates: Vec<String>,
    /// Topics of which it missed something.
    lost: Vec<TopicName>,
    /// Topics that it subscribed to before they were removed, and that are made again.
    back: Vec<TopicName>,
}

fn frame(text: String) -> Message {
    Message::Text(text.into())
}

impl Speaker {
    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The topics that it subscribes to.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicCell>> {
        self.mirrors.values().map(|mirror| &mirror.topic)
    }

    /// What the server says to a client, if the dialect has a word for it.
    fn said(&mut self, message: ServerMessage) -> Option<String> {
        match message {
            ServerMessage::Response { request_id, outcome } => {
                let request_id = self.requests.remove(&request_id)?;
                let response = outcome.unwrap_or_else(|_| "request failed".into());
                Some(wire::response(&response, &request_id))
            }
            // An accepted action that could not be made durable.
            ServerMessage::RejectUpdate(reject) => Some(wire::reject(&reject.reason)),
            _ => None,
        }
    }

    /// What a publication is to this client.
    fn told(&mut self, names: &Names, publication: &Publication) -> Told {
        let mut told = Told::default();
        for item in &publication.items {
            let (mut changes, mut action_id) = (Vec::new(), None);
            for part in &item.parts {
                let mirror = self.mirrors.get_mut(part.topic.name());
                let mirror = mirror.filter(|it| Arc::ptr_eq(&it.topic, &part.topic));
                let Some(mirror) = mirror.filter(|it| it.version < part.version) else { continue };
                if !mirror.follows(item, part) {
                    told.lost.push(part.topic.name().clone());
                    continue;
                }
                action_id.get_or_insert_with(|| mirror::action_id(names, item, part));
                changes.extend(mirror.tell(names, part));
                if **part.topic.name() == *list::TOPIC_LIST {
                    let listed = Mirror::listed_by(part).into_iter();
                    let listed = listed.filter_map(|name| TopicName::new(name).ok());
                    told.back.extend(listed.filter(|name| self.gone.contains(name)));
                }
            }
            if let Some(action_id) = action_id.filter(|_| !changes.is_empty()) {
                told.updates.push(wire::update(&changes, &action_id));
            }
        }
        told
    }
}

/// The greeting of a client that names no subprotocol: in both vocabularies.
pub fn hello(hello: &Hello) -> Message {
    frame(wire::hello(hello))
}

/// Whether the first frame of a client that named no subprotocol is of the dialect.
pub fn is_spoken(message: &Message) -> bool {
    match message {
        Message::Text(text) => wire::is_spoken(text),
        Message::Binary(bytes) => std::str::from_utf8(bytes).is_ok_and(wire::is_spoken),
        _ => false,
    }
}

/// What a frame says.
///
/// # Errors
/// The connection is over: what is no message of the dialect ends it, as there.
pub(super) fn read(message: &Message) -> Result<Said, Over> {
    let over = Over::Close(CloseCode::Normal, "a message is an object with type and args");
    let text = match message {
        Message::Text(text) => Some(text.as_str()),
        Message::Binary(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    };
    text.and_then(|text| wire::read(text).ok()).ok_or(over)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Does what a client of the dialect says.
    pub(super) fn handle_said(&mut self, said: Said) {
        self.hub.metrics.messages_in.inc();
        self.started = true;
        match said {
            Said::Subscribe { topic_name } => self.subscribe_there(topic_name),
            Said::Unsubscribe { topic_name } => {
                if let Ok(name) = TopicName::new(topic_name) {
                    self.subscribed.remove(&name);
                    if let Some(speaker) = &mut self.speaker {
                        speaker.gone.remove(&name);
                    }
                    self.outbox.push(Outgoing::Unsubscribe(name));
                }
            }
            Said::Action { commands, action_id } => self.act_there(&commands, &action_id),
            Said::BadAction { reason } => self.reject_there(&command::type_error(&reason)),
            Said::Request { service_name, args, request_id } => {
                self.request_there(service_name, args, request_id);
            }
            Said::Nothing => {}
        }
    }

    /// A topic that is not there: no answer, and nothing is remembered.
    fn subscribe_there(&mut self, topic_name: Key) {
        let Ok(name) = TopicName::new(topic_name) else { return };
        let max = self.hub.config.subscriptions_max;
        let full = self.subscribed.len() >= max && !self.subscribed.contains(&name);
        if full || !special::may_read(self.session.id, &name) {
            return;
        }
        if let Some(topic) = self.hub.engine.get(&name) {
            self.subscribed.insert(name);
            // What the client did before is told before, the making of the topic perhaps: once it is
            // durable.
            self.hub.engine.publish(&mut self.group);
            let outbox = self.outbox.clone();
            let begin = move |_| outbox.push(Outgoing::CatchUp { topic, since: None });
            match self.hub.engine.unavailable() {
                None => self.hub.engine.after_commit(Box::new(begin)),
                // What is there can be read all the same.
                Some(_) => begin(Ok(())),
            }
        }
    }

    fn reject_there(&self, reason: &str) {
        self.hub.metrics.rejects.with_label_values(&[RejectCode::Invalid.as_str()]).inc();
        tracing::debug!(client = %self.session.id, %reason, "action rejected");
        self.outbox.push(Outgoing::Answer(frame(wire::reject(reason))));
    }

    fn act_there(&mut self, commands: &[Dict], action_id: &Value) {
        let number = self.speaker.as_mut().map_or(0, |speaker| speaker.next());
        let Ok(name) = ActionId::new(eco_format!("{}_d{number}", self.session.id)) else { return };
        let action = plan::Action { session: &self.session, commands, action_id, name };
        match plan::act(&self.hub, &action, &mut self.group) {
            Ok(count) => self.hub.metrics.changes.inc_by(count as u64),
            Err(refusal) => {
                // What it did before is told before.
                self.hub.engine.publish(&mut self.group);
                self.reject_there(&refusal.reason);
                for topic in refusal.texts {
                    self.outbox.push(Outgoing::Missed(topic));
                }
            }
        }
    }

    fn request_there(&mut self, service_name: Key, args: Value, request_id: Value) {
        let Some(speaker) = &mut self.speaker else { return };
        let ours: RequestId = eco_format!("d{}", speaker.next());
        speaker.requests.insert(ours.clone(), request_id);
        self.request(service_name, args, ours, Some(REQUEST_TIMEOUT_MS));
    }

    /// Writes what waits for a client of the dialect.
    pub(super) fn write_there(&mut self, outgoing: Outgoing) -> Result<(), Over> {
        let Some(mut speaker) = self.speaker.take() else { return Ok(()) };
        let written = self.write_by(&mut speaker, outgoing);
        self.speaker = Some(speaker);
        written
    }

    fn write_by(&mut self, speaker: &mut Speaker, outgoing: Outgoing) -> Result<(), Over> {
        match outgoing {
            Outgoing::Answer(message) => self.send(message),
            Outgoing::Said(message) => {
                let failed = matches!(*message, ServerMessage::RejectUpdate(_));
                if let Some(text) = speaker.said(*message) {
                    self.send(frame(text))?;
                }
                if failed {
                    // Versions that it was never told of are to be made a second time.
                    let mut names = self.hub.dialect.names();
                    speaker.topics().for_each(|topic| names.forget(topic.name()));
                    drop(names);
                    self.tell_all_anew(speaker)?;
                }
                Ok(())
            }
            Outgoing::Published(publication, _) => {
                let hub = self.hub.clone();
                let told = speaker.told(&hub.dialect.names(), &publication);
                told.updates.into_iter().try_for_each(|update| self.send(frame(update)))?;
                self.tell_anew(speaker, &told.lost)?;
                for name in told.back {
                    speaker.gone.remove(&name);
                    if let Some(topic) = hub.engine.get(&name) {
                        self.begin_there(speaker, topic)?;
                    }
                }
                Ok(())
            }
            Outgoing::CatchUp { topic, .. } => match self.subscribed.contains(topic.name()) {
                true => self.begin_there(speaker, topic),
                false => Ok(()),
            },
            Outgoing::Missed(topic) => self.tell_anew(speaker, &[topic.name().clone()]),
            Outgoing::Unsubscribe(name) => {
                if let Some(mirror) = speaker.mirrors.remove(&name) {
                    mirror.topic.detach(&*self.outbox);
                }
                Ok(())
            }
            Outgoing::Removed(topic) => {
                speaker.mirrors.remove(topic.name());
                if self.subscribed.contains(topic.name()) {
                    speaker.gone.insert(topic.name().clone());
                }
                Ok(())
            }
            // Frames of ours are for those who speak as we do.
            Outgoing::Changes(_) => Ok(()),
        }
    }

    /// Tells a topic's whole value, and all that comes after it from here on.
    fn begin_there(&mut self, speaker: &mut Speaker, topic: Arc<TopicCell>) -> Result<(), Over> {
        topic.attach(self.outbox.clone());
        let hub = self.hub.clone();
        if topic.options().delivery == Delivery::Latest {
            // What waits for the tick goes out before, as the value has it.
            hub.engine.tick();
        }
        let names = hub.dialect.names();
        let Some(mirror) = Mirror::new(&names, topic.clone()) else {
            topic.detach(&*self.outbox);
            return Ok(());
        };
        let init = mirror.init(&names);
        drop(names);
        speaker.mirrors.insert(topic.name().clone(), mirror);
        if topic.is_removed() {
            // It went between the decision and now, and told those it knew.
            return self.write_by(speaker, Outgoing::Removed(topic));
        }
        self.send(frame(init))
    }

    /// Changes were thrown away: tells everything anew.
    pub(super) fn catch_up_there(&mut self) -> Result<(), Over> {
        let Some(mut speaker) = self.speaker.take() else { return Ok(()) };
        let written = self.tell_all_anew(&mut speaker);
        self.speaker = Some(speaker);
        written
    }

    fn tell_all_anew(&mut self, speaker: &mut Speaker) -> Result<(), Over> {
        let topics: Vec<_> = speaker.mirrors.keys().cloned().collect();
        self.tell_anew(speaker, &topics)
    }

    /// Tells the values of topics as they are by now, in one update.
    fn tell_anew(&mut self, speaker: &mut Speaker, topics: &[TopicName]) -> Result<(), Over> {
        let hub = self.hub.clone();
        let names = hub.dialect.names();
        let told = |name: &TopicName| speaker.mirrors.get_mut(name)?.tell_anew(&names);
        let changes: Vec<Fields> = topics.iter().filter_map(told).collect();
        drop(names);
        match changes.is_empty() {
            true => Ok(()),
            false => self.send(frame(wire::update(&changes, &"".into()))),
        }
    }
}
