//! All topics of one client: what it made, what it sent, and what is still to be answered.
//!
//! [`Replica`] knows the local actions, in the order made, and the batches in which they go out; each
//! topic knows where their changes stand. `docs/replica.md` has the rules that the code cites (R1, R2, …).
//!
//! | module | holds |
//! |---|---|
//! | here | what the program does: subscribe, change |
//! | `queue` | the order in which local actions go out, and which go out together |
//! | `outbox` | what goes out, and when |
//! | `receive` | what the server's messages lead to |
//! | `outcome` | how actions end |
//! | `requests` | services, both ways |
//! | `session` | sessions, lost connections, the end |

mod outbox;
mod outcome;
mod queue;
mod receive;
mod requests;
mod session;

use std::collections::{BTreeMap, BTreeSet};

use ecow::EcoString;
use thiserror::Error;

use super::event::{Event, Origin, Ticket};
use super::pending::{Base, Order, Pending};
use super::topic_replica::{Link, TopicReplica};
use crate::protocol::message::{ClientMessage, Hello};
use crate::topic::{ChangeId, ClientId, TopicName, TopicOptions};
use crate::types::{AnyChange, AnyValue, TypeRef};
use crate::value::{Fields, Invalid, Value};

pub use requests::CallId;
pub use session::{Unfinished, UnfinishedAction};

/// One change of a local action.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalChange {
    /// The topic that is changed.
    pub topic_name: TopicName,
    /// The change, as on the wire.
    pub fields: Fields,
    /// What it is meant for.
    pub base: Base,
}

impl LocalChange {
    /// A change of what its author sees: it goes with a base, unless it names "the end".
    pub fn new(topic_name: TopicName, fields: Fields) -> LocalChange {
        LocalChange { topic_name, fields, base: Base::Seen }
    }

    /// The same, to simply win over whatever is there: it goes without a base.
    #[must_use]
    pub fn overwriting(self) -> LocalChange {
        LocalChange { base: Base::Latest, ..self }
    }
}

/// Why a local action was not taken. The replica is as it was.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum LocalError {
    /// There is nothing in it.
    #[error("an action has at least one change")]
    Empty,
    /// A topic of it is not subscribed.
    #[error("topic {topic_name:?} is not subscribed")]
    NotSubscribed {
        /// The topic.
        topic_name: TopicName,
    },
    /// A change does not fit the view.
    #[error("change {index}, of topic {topic_name:?}, does not fit: {reason}")]
    Invalid {
        /// The place of the change in the action, from 0.
        index: usize,
        /// Its topic.
        topic_name: TopicName,
        /// What is wrong with it.
        reason: Invalid,
    },
    /// The client was told to close.
    #[error("the client was closed")]
    Closed,
}

/// What the program made in one call and has no outcome yet, or several singles that were composed.
#[derive(Debug)]
struct LocalAction {
    /// Those to be told. Once it is confirmed there are none, though topics may still wait for their
    /// parts of it.
    tickets: Vec<Ticket>,
    /// Those on which it has changes, in name order.
    topics: Vec<TopicName>,
    /// Several changes that the program made as one: never joined with others.
    several: bool,
    /// That of a single.
    base: Base,
    /// The batch in flight that it is of.
    batch: Option<Order>,
}

/// A batch as it was sent. It is named by its first member.
#[derive(Debug)]
struct InFlight {
    /// Sent again just as it is.
    message: ClientMessage,
    /// The actions in it, in the order made: one, or the singles of a joined batch.
    members: Vec<Order>,
    topics: Vec<TopicName>,
    /// Its session is gone. It is not sent again; what its topics receive still shows its outcome.
    orphaned: bool,
}

/// Where the session stands.
#[derive(Debug)]
enum Phase {
    Offline,
    /// A new session was offered, and an old one asked for.
    Resuming {
        offered: Hello,
        asked: bool,
    },
    Online,
}

/// All topics of one client. It does no I/O: a connection feeds it with [`receive`](Self::receive)
/// and sends what [`outbox`](Self::outbox) gives. A program changes it with [`local`](Self::local),
/// and is told by [`events`](Self::events).
#[derive(Debug)]
pub struct Replica {
    phase: Phase,
    client_id: Option<ClientId>,
    /// The token of the session in force.
    session: Option<EcoString>,
    /// The newest hello's `message_bytes`.
    message_bytes_max: Option<usize>,
    /// The last number of an id; ids of all kinds share it.
    counter: u64,
    tickets: u64,
    actions_made: Order,
    /// Whether single changes that wait may go out together.
    composes: bool,
    /// The program was told that no more is taken.
    closed: bool,
    topics: BTreeMap<TopicName, TopicReplica>,
    /// Those without an outcome, and confirmed ones of which a topic waits for its part.
    actions: BTreeMap<Order, LocalAction>,
    /// Those of logged topics that are not sent: the queue (R12).
    waiting: queue::Queue,
    /// From first to last, what has to go out as one batch, as a change was composed past others (R10).
    bound: BTreeMap<Order, Order>,
    /// By their first member.
    in_flight: BTreeMap<Order, InFlight>,
    /// The joined batch in flight: nothing of logged topics goes out behind it (R15).
    joined: Option<Order>,
    /// How often `unsubscribe` went out for a topic and is not answered. What comes for the topic until
    /// then is of an earlier subscription.
    leaving: BTreeMap<TopicName, usize>,
    /// Topics that may have something to send.
    dirty: BTreeSet<TopicName>,
    /// Batches in flight that are to be sent again.
    resend: BTreeSet<Order>,
    /// Batches in flight that the server had no room for.
    busy: BTreeSet<Order>,
    /// Messages to be sent once there is a session, and lost with it.
    messages: Vec<ClientMessage>,
    requests: requests::Requests,
    events: Vec<Event>,
}

impl Default for Replica {
    fn default() -> Replica {
        Replica::new()
    }
}

/// A change of a planned action, and the view that it leaves.
struct Planned {
    topic_name: TopicName,
    made: AnyChange,
    form: AnyChange,
    base: Base,
    view: AnyValue,
}

impl Replica {
    /// A replica of nothing, which was never online.
    pub fn new() -> Replica {
        Replica {
            phase: Phase::Offline,
            client_id: None,
            session: None,
            message_bytes_max: None,
            counter: 0,
            tickets: 0,
            actions_made: 0,
            composes: true,
            closed: false,
            topics: BTreeMap::new(),
            actions: BTreeMap::new(),
            waiting: queue::Queue::default(),
            bound: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            joined: None,
            leaving: BTreeMap::new(),
            dirty: BTreeSet::new(),
            resend: BTreeSet::new(),
            busy: BTreeSet::new(),
            messages: Vec::new(),
            requests: requests::Requests::default(),
            events: Vec::new(),
        }
    }

    /// The id of the session in force; `None` before the first.
    pub fn client_id(&self) -> Option<ClientId> {
        self.client_id
    }

    /// How long a message may be, in bytes, as the server said.
    pub fn message_bytes_max(&self) -> Option<usize> {
        self.message_bytes_max
    }

    /// A topic, if it is subscribed.
    pub fn topic(&self, topic_name: &TopicName) -> Option<&TopicReplica> {
        self.topics.get(topic_name)
    }

    /// A topic's view: confirmed and pending.
    pub fn view(&self, topic_name: &TopicName) -> Option<&AnyValue> {
        self.topics.get(topic_name).map(TopicReplica::view)
    }

    /// How many local actions have no outcome yet. Those composed into one count as one.
    pub fn pending_len(&self) -> usize {
        self.actions.len()
    }

    /// What has happened since this was last asked, in order.
    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Whether single changes that wait are composed and sent together; they are, unless this is called.
    /// If not, each goes out in a message of its own once the one before it is answered: every keystroke
    /// becomes a version, at the price of a round trip. Changes that wait already stay as they are.
    pub fn set_composes(&mut self, composes: bool) {
        self.composes = composes;
    }

    /// Subscribes to a topic, and has it made if there is none. A topic that is subscribed stays so,
    /// with the type that it has; the answer tells whether that is `kind`.
    ///
    /// Until its value comes it has the type's initial one, and can be changed already.
    pub fn subscribe(
        &mut self,
        topic_name: &TopicName,
        kind: TypeRef,
        options: TopicOptions,
    ) -> bool {
        self.dirty.insert(topic_name.clone());
        let topic = self
            .topics
            .entry(topic_name.clone())
            .or_insert_with(|| TopicReplica::new(kind, options));
        topic.closing = false;
        topic.kind == kind
    }

    /// Ends a subscription, once what is pending on the topic is answered.
    pub fn unsubscribe(&mut self, topic_name: &TopicName) {
        if let Some(topic) = self.topics.get_mut(topic_name) {
            topic.closing = true;
            topic.presence = None;
            self.dirty.insert(topic_name.clone());
        }
    }

    /// Makes changes that take effect together or not at all, each on top of those before it. They
    /// show at once, and the ticket names them in the event that tells their outcome (R25).
    ///
    /// One change alone may be composed, or sent together, with its neighbours in time. Of an action,
    /// the changes of one topic all go with a base if one of them does.
    ///
    /// # Errors
    /// A change does not fit the view; then none happened.
    pub fn local(&mut self, changes: Vec<LocalChange>) -> Result<Ticket, LocalError> {
        match self.closed {
            true => Err(LocalError::Closed),
            false => self.make(changes),
        }
    }

    fn make(&mut self, changes: Vec<LocalChange>) -> Result<Ticket, LocalError> {
        let several = changes.len() > 1;
        let planned = self.plan(changes)?;
        self.actions_made += 1;
        self.tickets += 1;
        let (order, ticket) = (self.actions_made, Ticket(self.tickets));
        let mut topics: Vec<TopicName> = planned.iter().map(|it| it.topic_name.clone()).collect();
        topics.sort_unstable();
        topics.dedup();
        let logged = !self.is_presence(&topics);
        let base = planned.first().map(|it| it.base).unwrap_or_default();
        let action = LocalAction { tickets: vec![ticket], topics, several, base, batch: None };
        // What it is composed with is looked for among those made before.
        let joined =
            planned.into_iter().fold(None, |_, planned| self.push(order, &action, planned));
        match joined {
            Some((into, topic_name)) => self.merge(action, order, into, &topic_name),
            None => {
                self.actions.insert(order, action);
                if logged {
                    self.waiting.insert(order);
                }
            }
        }
        Ok(ticket)
    }

    /// Whether topics are all presence: such a change stands in no queue (R17).
    fn is_presence(&self, topics: &[TopicName]) -> bool {
        let presence = |name| self.topics.get(name).is_some_and(|it| it.options.presence);
        topics.iter().all(presence)
    }

    fn plan(&self, changes: Vec<LocalChange>) -> Result<Vec<Planned>, LocalError> {
        let mut views = BTreeMap::new();
        let mut planned: Vec<Planned> = Vec::with_capacity(changes.len());
        for (index, change) in changes.into_iter().enumerate() {
            let LocalChange { topic_name, fields, base } = change;
            let Some(topic) = self.topics.get(&topic_name) else {
                return Err(LocalError::NotSubscribed { topic_name });
            };
            let view = views.entry(topic_name.clone()).or_insert_with(|| topic.view().clone());
            let (made, form) = plan_one(topic.kind, fields, view).map_err(|reason| {
                LocalError::Invalid { index, topic_name: topic_name.clone(), reason }
            })?;
            let takes_base = base == Base::Seen && topic.kind.takes_base(&made);
            let base = if takes_base { Base::Seen } else { Base::Latest };
            planned.push(Planned { topic_name, made, form, base, view: view.clone() });
        }
        match planned.is_empty() {
            true => Err(LocalError::Empty),
            false => Ok(with_one_base(planned)),
        }
    }

    /// Puts a planned change behind what is pending on its topic. Gives the earlier action that it was composed
    /// into, if it was.
    fn push(
        &mut self,
        order: Order,
        action: &LocalAction,
        planned: Planned,
    ) -> Option<(Order, TopicName)> {
        let Planned { topic_name, made, form, base, view } = planned;
        let mut topic = self.topics.remove(&topic_name)?;
        let pending = Pending::new(order, base, made, Some(form.clone()));
        let joined = topic.push(pending, view.clone(), |earlier| self.may_join(action, earlier));
        self.topics.insert(topic_name.clone(), topic);
        self.dirty.insert(topic_name.clone());
        self.events.push(Event::Changed {
            topic_name: topic_name.clone(),
            value: view,
            changes: vec![form],
            origin: Origin::Local,
        });
        joined.map(|joined| (joined, topic_name))
    }

    /// Makes one action of two singles that were composed: they share their outcome (R8).
    fn merge(&mut self, action: LocalAction, order: Order, into: Order, topic_name: &TopicName) {
        if let Some(into) = self.actions.get_mut(&into) {
            into.tickets.extend(action.tickets);
        }
        if !self.holds(topic_name, into) {
            // It took itself back.
            self.confirm_unsent(into);
        } else if self.waiting.contains(into) && self.has_others_behind(into, topic_name) {
            self.bind(into, order);
        }
    }

    /// Whether a topic has pending changes of an action.
    fn holds(&self, topic_name: &TopicName, order: Order) -> bool {
        let topic = self.topics.get(topic_name);
        topic.is_some_and(|topic| !topic.of_action(order).is_empty())
    }

    /// Wants this client's entry in a presence topic to be `entry`, or not to be (R37). It is put there
    /// again whenever the session or the topic begins a new life. The topic has to be subscribed.
    pub fn set_presence(&mut self, topic_name: &TopicName, entry: Option<Value>) {
        if let Some(topic) = self.topics.get_mut(topic_name) {
            topic.presence = entry;
            self.dirty.insert(topic_name.clone());
            self.tend_presence(topic_name);
        }
    }

    /// Brings this client's entry in a presence topic to what the program wants.
    fn tend_presence(&mut self, topic_name: &TopicName) {
        let Some((client_id, topic)) = self.client_id.zip(self.topics.get(topic_name)) else {
            return;
        };
        if topic.link != Link::Live || !topic.options.presence {
            return;
        }
        let key: EcoString = ecow::eco_format!("{client_id}");
        let Value::Dict(entries) = topic.kind.encode_value(topic.view()) else { return };
        let fields = |change_type| Fields::of_type(change_type).with("key", key.clone());
        let fields = match (entries.get(&key), topic.presence.clone()) {
            (None, Some(entry)) => fields("add").with("value", entry),
            (Some(old), Some(entry)) if *old != entry => {
                fields("change_value").with("value", entry)
            }
            (Some(_), None) => fields("remove"),
            _ => return,
        };
        // What does not fit is wrong in itself, so it is not wanted a second time.
        if self.make(vec![LocalChange::new(topic_name.clone(), fields).overwriting()]).is_err()
            && let Some(topic) = self.topics.get_mut(topic_name)
        {
            topic.presence = None;
        }
    }

    fn next_id(&mut self, client_id: ClientId) -> ChangeId {
        self.counter += 1;
        ChangeId::of(client_id, self.counter)
    }
}

/// Reads a change, and applies it to `view`: gives it as it was made, and in its exact form.
fn plan_one(
    kind: TypeRef,
    fields: Fields,
    view: &mut AnyValue,
) -> Result<(AnyChange, AnyChange), Invalid> {
    fields.iter().try_for_each(|(_, value)| value.check())?;
    let made = kind.decode_change(&fields)?;
    let form = kind.resolve(made.clone(), view)?;
    kind.apply(view, &form)?;
    Ok((made, form))
}

/// Of one topic all changes bear a base, or none does (R4): an action is as careful as its most careful
/// change. In its exact form every change takes a base.
fn with_one_base(mut planned: Vec<Planned>) -> Vec<Planned> {
    let careful: BTreeSet<TopicName> =
        planned.iter().filter(|it| it.base == Base::Seen).map(|it| it.topic_name.clone()).collect();
    for it in &mut planned {
        if careful.contains(&it.topic_name) {
            it.base = Base::Seen;
        }
    }
    planned
}
