//! All topics of one client: what it made, what it sent, and what is still to be answered.
//!
//! A *batch* is what meets one fate: one action of the program, or several single changes of one
//! topic that waited together and went out as one. [`Replica`] knows the batches; each topic knows
//! where their changes stand. At most one batch is in flight on a topic, and an action over several
//! topics is one batch that occupies all of them.
//!
//! | module | holds |
//! |---|---|
//! | here | what the program does: subscribe, change |
//! | `receive` | what the server's messages lead to |
//! | `outbox` | what goes out, and when |
//! | `fate` | how batches end |
//! | `calls` | services, both ways |
//! | `session` | sessions, lost connections |

mod calls;
mod fate;
mod outbox;
mod receive;
mod session;

use std::collections::{BTreeMap, BTreeSet};

use ecow::EcoString;
use thiserror::Error;

use super::event::{Event, Origin, Ticket};
use super::pending::{BatchId, Footing, Pending};
use super::topic_replica::{Link, TopicReplica};
use crate::protocol::message::{ClientMessage, Hello};
use crate::topic::{ChangeId, ClientId, TopicName, TopicOptions};
use crate::types::{AnyChange, AnyValue, TypeRef};
use crate::value::{Fields, Invalid, Value};

pub use calls::CallId;

/// One change of a local action.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalChange {
    pub topic_name: TopicName,
    /// The change, as on the wire.
    pub fields: Fields,
    pub footing: Footing,
}

impl LocalChange {
    /// A change of what its author sees: it goes with a base, unless it names "the end".
    pub fn new(topic_name: TopicName, fields: Fields) -> LocalChange {
        LocalChange { topic_name, fields, footing: Footing::Seen }
    }

    /// The same, to simply win over whatever is there: it goes without a base.
    #[must_use]
    pub fn overwriting(self) -> LocalChange {
        LocalChange { footing: Footing::Anything, ..self }
    }
}

/// Why a local action was not taken. The replica is as it was.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum LocalError {
    #[error("an action has at least one change")]
    Empty,
    #[error("topic {topic_name:?} is not subscribed")]
    NotSubscribed { topic_name: TopicName },
    #[error("change {index}, of topic {topic_name:?}, does not fit")]
    Invalid { index: usize, topic_name: TopicName, source: Invalid },
}

/// What meets one fate.
#[derive(Debug)]
struct Batch {
    /// Those to be told. Once it is confirmed there are none, though topics may still wait for their
    /// parts of it.
    tickets: Vec<Ticket>,
    /// Those on which it has changes.
    topics: Vec<TopicName>,
    /// Several changes that the program made as one: never joined with others.
    action: bool,
    flight: Option<Flight>,
}

/// A batch as it was sent.
#[derive(Debug)]
struct Flight {
    /// Sent again just as it is.
    message: ClientMessage,
    /// Its session is gone. It is not sent again; what its topics receive still shows its fate.
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
    batches_made: BatchId,
    /// Whether single changes that wait may go out together.
    composes: bool,
    topics: BTreeMap<TopicName, TopicReplica>,
    batches: BTreeMap<BatchId, Batch>,
    /// How often `unsubscribe` went out for a topic and is not answered. What comes for the topic until
    /// then is of an earlier subscription.
    leaving: BTreeMap<TopicName, usize>,
    /// Topics that may have something to send.
    stirred: BTreeSet<TopicName>,
    /// Batches in flight that are to be sent again.
    resend: BTreeSet<BatchId>,
    /// Batches in flight that the server had no room for.
    busy: BTreeSet<BatchId>,
    /// Messages to be sent once there is a session, and lost with it.
    queue: Vec<ClientMessage>,
    calls: calls::Calls,
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
    footing: Footing,
    view: AnyValue,
}

impl Replica {
    pub fn new() -> Replica {
        Replica {
            phase: Phase::Offline,
            client_id: None,
            session: None,
            message_bytes_max: None,
            counter: 0,
            tickets: 0,
            batches_made: 0,
            composes: true,
            topics: BTreeMap::new(),
            batches: BTreeMap::new(),
            leaving: BTreeMap::new(),
            stirred: BTreeSet::new(),
            resend: BTreeSet::new(),
            busy: BTreeSet::new(),
            queue: Vec::new(),
            calls: calls::Calls::default(),
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

    /// How many local actions wait for their fate. Those joined into one batch count as one.
    pub fn pending_len(&self) -> usize {
        self.batches.len()
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
        self.stirred.insert(topic_name.clone());
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
            self.stirred.insert(topic_name.clone());
        }
    }

    /// Makes changes that take effect together or not at all, each on top of those before it. They
    /// show at once, and the ticket names them in the event that tells their fate.
    ///
    /// One change alone may be composed, or sent together, with its neighbours in time. Of an action,
    /// the changes of one topic all go with a base if one of them does.
    ///
    /// # Errors
    /// A change does not fit the view; then none happened.
    pub fn local(&mut self, changes: Vec<LocalChange>) -> Result<Ticket, LocalError> {
        let action = changes.len() > 1;
        let planned = self.plan(changes)?;
        self.batches_made += 1;
        self.tickets += 1;
        let (batch, ticket) = (self.batches_made, Ticket(self.tickets));
        let mut topics: Vec<TopicName> = planned.iter().map(|it| it.topic_name.clone()).collect();
        topics.sort_unstable();
        topics.dedup();
        self.batches.insert(batch, Batch { tickets: vec![ticket], topics, action, flight: None });
        for planned in planned {
            self.push(batch, planned);
        }
        Ok(ticket)
    }

    fn plan(&self, changes: Vec<LocalChange>) -> Result<Vec<Planned>, LocalError> {
        let mut views = BTreeMap::new();
        let mut planned: Vec<Planned> = Vec::with_capacity(changes.len());
        for (index, change) in changes.into_iter().enumerate() {
            let LocalChange { topic_name, fields, footing } = change;
            let Some(topic) = self.topics.get(&topic_name) else {
                return Err(LocalError::NotSubscribed { topic_name });
            };
            let view = views.entry(topic_name.clone()).or_insert_with(|| topic.view().clone());
            let (made, form) = plan_one(topic.kind, fields, view).map_err(|source| {
                LocalError::Invalid { index, topic_name: topic_name.clone(), source }
            })?;
            let takes_base = footing == Footing::Seen && topic.kind.takes_base(&made);
            let footing = if takes_base { Footing::Seen } else { Footing::Anything };
            planned.push(Planned { topic_name, made, form, footing, view: view.clone() });
        }
        match planned.is_empty() {
            true => Err(LocalError::Empty),
            false => Ok(with_one_footing(planned)),
        }
    }

    fn push(&mut self, batch: BatchId, planned: Planned) {
        let Planned { topic_name, made, form, footing, view } = planned;
        let Some(topic) = self.topics.get_mut(&topic_name) else { return };
        let pending =
            Pending { batch, id: None, footing, made, form: Some(form.clone()), hidden: false };
        let (composes, batches) = (self.composes, &self.batches);
        let single = |batch| batches.get(&batch).is_some_and(|it: &Batch| !it.action);
        let joined = topic.push(pending, view.clone(), |batch| composes && single(batch));
        self.stirred.insert(topic_name.clone());
        self.events.push(Event::Changed {
            topic_name: topic_name.clone(),
            value: view,
            changes: vec![form],
            origin: Origin::Local,
        });
        if let Some(joined) = joined {
            self.merge(batch, joined, &topic_name);
        }
    }

    /// Makes one batch of two that wait on one topic.
    fn merge(&mut self, batch: BatchId, into: BatchId, topic_name: &TopicName) {
        let Some(batch) = self.batches.remove(&batch) else { return };
        if let Some(into) = self.batches.get_mut(&into) {
            into.tickets.extend(batch.tickets);
        }
        if !self.holds(topic_name, into) {
            self.confirm(into);
        }
    }

    /// Whether a topic has pending changes of a batch.
    fn holds(&self, topic_name: &TopicName, batch: BatchId) -> bool {
        let topic = self.topics.get(topic_name);
        topic.is_some_and(|topic| topic.pending.iter().any(|pending| pending.batch == batch))
    }

    /// Wants this client's entry in a presence topic to be `entry`, or not to be. It is put there
    /// again whenever the session or the topic begins a new life. The topic has to be subscribed.
    pub fn set_presence(&mut self, topic_name: &TopicName, entry: Option<Value>) {
        if let Some(topic) = self.topics.get_mut(topic_name) {
            topic.presence = entry;
            self.stirred.insert(topic_name.clone());
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
        if self.local(vec![LocalChange::new(topic_name.clone(), fields).overwriting()]).is_err()
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

/// Of one topic all changes bear a base, or none does: an action is as careful as its most careful
/// change. In its exact form every change takes a base.
fn with_one_footing(mut planned: Vec<Planned>) -> Vec<Planned> {
    let careful: BTreeSet<TopicName> = planned
        .iter()
        .filter(|it| it.footing == Footing::Seen)
        .map(|it| it.topic_name.clone())
        .collect();
    for it in &mut planned {
        if careful.contains(&it.topic_name) {
            it.footing = Footing::Seen;
        }
    }
    planned
}
