//! What the server's messages lead to.

use ecow::eco_format;

use super::Replica;
use super::outcome::Dropped;
use crate::client::event::{Event, Origin, Rejection};
use crate::client::pending::Order;
use crate::client::topic_replica::{Link, Moved, News, Taken};
use crate::protocol::message::{
    Action, ClientMessage, ErrorMessage, Part, RejectUpdate, ServerMessage, ServiceError,
    Subscribed, Update,
};
use crate::protocol::{ErrorCode, RejectCode, ServiceErrorCode};
use crate::topic::{ChangeId, ClientId, TopicName, Version};
use crate::value::{Fields, Invalid};

/// How many published changes in a row are worth composing.
const RUN_MIN: usize = 16;

/// A published change on its way to its topic.
struct Incoming {
    part: Part,
    author: Option<ClientId>,
    since: Option<Version>,
    snapshot: bool,
    /// The ids of all changes that it is made of.
    ids: Vec<ChangeId>,
}

impl Replica {
    /// Takes one message of the server. Whatever it holds, the replica stays sound: what makes no sense
    /// is told to the program, and the topic is asked for anew.
    pub fn receive(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Hello(hello) => self.hello(hello),
            ServerMessage::Subscribed(subscribed) => self.subscribed(&subscribed),
            ServerMessage::Update(update) => self.update(update),
            ServerMessage::Action(action) => self.action(action),
            ServerMessage::RejectUpdate(reject) => self.reject(reject),
            ServerMessage::Unsubscribed { topic_name } => self.unsubscribed(&topic_name),
            ServerMessage::Registered { service_name } => self.offer_answered(service_name, true),
            ServerMessage::Unregistered { service_name } => {
                self.offer_answered(service_name, false);
            }
            ServerMessage::Request { service_name, args, request_id, client_id } => {
                self.events.push(Event::Request { service_name, args, request_id, client_id });
            }
            ServerMessage::Response { request_id, outcome } => self.response(&request_id, outcome),
            ServerMessage::Error(error) => self.error(error),
        }
    }

    /// Takes the messages of one frame. Many published changes of others in a row on one topic are taken as
    /// one, where that costs less and comes to the same (R47).
    pub fn receive_frame(&mut self, messages: impl IntoIterator<Item = ServerMessage>) {
        let mut run: Vec<Update> = Vec::new();
        for message in messages {
            match message {
                ServerMessage::Update(update) if self.is_next_of(&run, &update) => run.push(update),
                other => {
                    self.receive_run(std::mem::take(&mut run));
                    match other {
                        ServerMessage::Update(update) if self.is_next_of(&[], &update) => {
                            run.push(update);
                        }
                        other => self.receive(other),
                    }
                }
            }
        }
        self.receive_run(run);
    }

    /// Whether an update can be taken together with those before it in a frame.
    fn is_next_of(&self, run: &[Update], update: &Update) -> bool {
        let name = &update.part.topic_name;
        let Some(topic) = self.topics.get(name).filter(|topic| topic.takes_runs()) else {
            return false;
        };
        let own = update.part.change.id.as_ref().is_some_and(|id| topic.holds(id));
        let plain = !update.snapshot && update.since.is_none() && update.ids.is_empty() && !own;
        plain && run.first().is_none_or(|first| first.part.topic_name == *name)
    }

    fn receive_run(&mut self, run: Vec<Update>) {
        let moved = match run.first() {
            Some(first) if run.len() >= RUN_MIN => {
                let changes: Vec<(Version, &Fields)> =
                    run.iter().map(|it| (it.part.version, &it.part.change.fields)).collect();
                let topic = self.topics.get_mut(&first.part.topic_name);
                topic.and_then(|topic| topic.take_run(&changes))
            }
            _ => None,
        };
        let Some(moved) = moved else {
            return run.into_iter().for_each(|update| self.update(update));
        };
        let Update { part, author, .. } = &run[0];
        let author = author.filter(|author| run.iter().all(|it| it.author == Some(*author)));
        self.dirty.insert(part.topic_name.clone());
        self.moved(&part.topic_name, moved, Origin::Remote { author });
        self.settle_orphan(&part.topic_name);
    }

    fn subscribed(&mut self, subscribed: &Subscribed) {
        let topic_name = &subscribed.topic_name;
        if self.leaving.contains_key(topic_name) {
            return;
        }
        let Some(topic) = self.topics.get_mut(topic_name) else { return };
        if topic.link != Link::Asked {
            return;
        }
        if *subscribed.topic_type != *topic.kind.name() {
            let reason = eco_format!("it is a {} topic", subscribed.topic_type);
            let error = ErrorMessage::new(ErrorCode::WrongType, "subscribe", reason);
            return self.close_topic(topic_name, error.topic(&**topic_name));
        }
        let new_life = topic.epoch.as_ref().is_some_and(|epoch| *epoch != subscribed.epoch);
        if new_life {
            self.end_life(topic_name);
        }
        if let Some(topic) = self.topics.get_mut(topic_name) {
            let was_ready = topic.is_ready();
            topic.subscribed(subscribed);
            if topic.is_ready() && !was_ready {
                self.events.push(Event::Ready { topic_name: topic_name.clone() });
            }
        }
        self.dirty.insert(topic_name.clone());
        self.settle_orphan(topic_name);
    }

    /// The topic begins a new life: what is pending belongs to the old one (R32).
    fn end_life(&mut self, topic_name: &TopicName) {
        self.drop_all(topic_name, RejectCode::Stale, "the topic has a new life");
        if let Some(topic) = self.topics.get_mut(topic_name) {
            topic.start_afresh();
            let whole = Moved { whole: true, ..Moved::default() };
            self.moved(topic_name, whole, Origin::Snapshot);
        }
    }

    /// Drops all that is pending on a topic. What was sent may have been accepted.
    fn drop_all(&mut self, topic_name: &TopicName, code: RejectCode, reason: &str) {
        let last = |replica: &Replica| Some(replica.topics.get(topic_name)?.pending.last()?.order);
        while let Some(order) = last(self) {
            match self.actions.get(&order).and_then(|action| action.batch) {
                Some(batch) => self.drop_batch(batch, Dropped::Unknown),
                None => {
                    self.drop_actions(vec![order], Dropped::rejected(topic_name, code, reason));
                }
            }
        }
    }

    fn close_topic(&mut self, topic_name: &TopicName, error: ErrorMessage) {
        self.drop_all(topic_name, as_reject(error.code), &error.reason);
        if self.topics.remove(topic_name).is_some() {
            let (topic_name, error) = (topic_name.clone(), Some(error));
            self.events.push(Event::Closed { topic_name, error });
        }
    }

    fn unsubscribed(&mut self, topic_name: &TopicName) {
        if let Some(left) = self.leaving.get_mut(topic_name) {
            *left -= 1;
            if *left == 0 {
                self.leaving.remove(topic_name);
            }
        } else if self.topics.get(topic_name).is_some_and(|topic| topic.link == Link::Live) {
            let reason = "the server ended the subscription";
            let error = ErrorMessage::new(ErrorCode::Forbidden, "subscribe", reason);
            self.close_topic(topic_name, error.topic(&**topic_name));
        }
    }

    fn update(&mut self, update: Update) {
        let Update { part, author, snapshot, since, mut ids, .. } = update;
        ids.extend(part.change.id.clone());
        self.incoming(Incoming { part, author, since, snapshot, ids });
    }

    fn action(&mut self, action: Action) {
        let Action { author, changes, .. } = action;
        for part in changes {
            let ids = part.change.id.iter().cloned().collect();
            let snapshot = false;
            self.incoming(Incoming { part, author, since: None, snapshot, ids });
        }
    }

    fn incoming(&mut self, incoming: Incoming) {
        let Incoming { part, author, since, snapshot, ids } = incoming;
        let Part { topic_name, version, change } = part;
        let Some(topic) = self.topics.get_mut(&topic_name) else { return };
        let own: Vec<ChangeId> = ids.into_iter().filter(|id| topic.holds(id)).collect();
        let confirmed: Vec<Order> = own.iter().filter_map(|id| topic.order_of(id)).collect();
        let was_ready = topic.is_ready();
        let taken = topic.take(News { version, since, snapshot, fields: change.fields, ids: &own });
        if topic.is_ready() && !was_ready {
            self.events.push(Event::Ready { topic_name: topic_name.clone() });
        }
        self.taken(&topic_name, taken, snapshot, author);
        for order in confirmed {
            if let Some(batch) = self.actions.get(&order).and_then(|action| action.batch) {
                self.confirm(batch);
            }
        }
        self.settle_orphan(&topic_name);
    }

    fn taken(
        &mut self,
        topic_name: &TopicName,
        taken: Result<Taken, Invalid>,
        snapshot: bool,
        author: Option<ClientId>,
    ) {
        let origin = if snapshot { Origin::Snapshot } else { Origin::Remote { author } };
        match taken {
            Ok(Taken::Moved(moved)) => {
                self.dirty.insert(topic_name.clone());
                self.moved(topic_name, moved, origin);
            }
            Ok(Taken::Known) => {}
            Ok(Taken::Gap) => self.ask_again(topic_name, true, "versions are missing"),
            Err(invalid) if snapshot => {
                let error =
                    ErrorMessage::new(ErrorCode::Malformed, "subscribe", eco_format!("{invalid}"));
                self.close_topic(topic_name, error.topic(&**topic_name));
            }
            Err(invalid) => self.ask_again(topic_name, false, &invalid.to_string()),
        }
    }

    /// Subscribes again, as what came does not fit what is here (R5).
    fn ask_again(&mut self, topic_name: &TopicName, continue_here: bool, reason: &str) {
        if let Some(topic) = self.topics.get_mut(topic_name) {
            topic.link = Link::Unasked { continue_here };
            self.dirty.insert(topic_name.clone());
            let error = ErrorMessage::new(ErrorCode::Malformed, "update", reason);
            self.events.push(Event::Error(error.topic(&**topic_name)));
        }
    }

    fn reject(&mut self, reject: RejectUpdate) {
        let Some(batch) = self.find_batch(&reject) else { return };
        if reject.code == RejectCode::Busy {
            self.busy.insert(batch);
            return self.events.push(Event::Busy);
        }
        let topics = self.in_flight.get(&batch).map(|it| it.topics.clone()).unwrap_or_default();
        for topic_name in topics {
            // A presence entry would be put there, and rejected, for ever (R37).
            if let Some(topic) = self.topics.get_mut(&topic_name).filter(|it| it.options.presence) {
                topic.presence = None;
            }
        }
        let RejectUpdate { topic_name, code, reason, change, .. } = reject;
        self.reject_batch(batch, change.id.as_ref(), Rejection { topic_name, code, reason });
    }

    /// The batch that a rejection is about.
    fn find_batch(&self, reject: &RejectUpdate) -> Option<Order> {
        let named = |message: &ClientMessage| match message {
            ClientMessage::Action { action_id, changes } => {
                let by_change = || changes.iter().any(|it| it.change.id == reject.change.id);
                reject.action_id.as_deref().map_or_else(by_change, |id| *id == **action_id)
            }
            ClientMessage::Update(update) => update.change.id == reject.change.id,
            _ => false,
        };
        let mut in_flight = self.in_flight.iter();
        in_flight.find(|(_, batch)| named(&batch.message)).map(|(id, _)| *id)
    }

    fn error(&mut self, error: ErrorMessage) {
        let to = error.to.as_deref().unwrap_or_default();
        let topic_name = error.topic_name.clone().and_then(|name| TopicName::new(name).ok());
        match (error.code, to, topic_name) {
            (ErrorCode::SessionUnknown, ..) => self.session_lost(),
            (ErrorCode::TopicRemoved, _, Some(name)) | (_, "subscribe", Some(name)) => {
                self.close_topic(&name, error);
            }
            (_, "register_service", _) => {
                self.offer_refused(error.service_name.as_deref().unwrap_or_default());
                self.events.push(Event::Error(error));
            }
            (_, "request", _) => {
                let failed = ServiceError::new(ServiceErrorCode::Failed, error.reason);
                self.response(&error.request_id.unwrap_or_default(), Err(failed));
            }
            _ => self.events.push(Event::Error(error)),
        }
    }
}

/// What a topic's end means to what waited for it.
fn as_reject(code: ErrorCode) -> RejectCode {
    match code {
        ErrorCode::UnknownTopic | ErrorCode::TopicRemoved => RejectCode::UnknownTopic,
        ErrorCode::WrongType => RejectCode::WrongType,
        ErrorCode::Forbidden => RejectCode::Forbidden,
        ErrorCode::Invalid | ErrorCode::Malformed => RejectCode::Invalid,
        _ => RejectCode::Unavailable,
    }
}
