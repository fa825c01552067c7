//! A client: a real replica, and the program behind it, which believes what it is told and counts.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::client::{Event, Origin, Replica, Ticket};
use crate::protocol::decode::{RawMessage, decode_binary, decode_text};
use crate::protocol::encode::encode;
use crate::protocol::message::ClientMessage;
use crate::protocol::{Encoding, ServerMessage};
use crate::topic::{ClientId, TopicName};
use crate::types::{AnyChange, AnyValue};

use crate::testkit::broken::{Breaks, Checked, Found, same};
use crate::testkit::law::Law;

/// A client: its replica, and what its program was told.
pub struct Client {
    /// The real one.
    pub replica: Replica,
    /// It has a connection.
    pub connected: bool,
    /// On the way to the server.
    pub up: VecDeque<ClientMessage>,
    /// The ids of its sessions, the present one last.
    pub ids: Vec<ClientId>,
    /// How its messages are written; as data, if in no encoding.
    pub encoding: Option<Encoding>,
    /// Each view as the events tell it.
    told: HashMap<TopicName, AnyValue>,
    /// What others emitted, in the order in which the program heard of it.
    pub heard: HashMap<TopicName, Vec<AnyChange>>,
    /// The fate of each local action; `None` as long as it has none.
    fates: HashMap<Ticket, Option<Fate>>,
    /// The ids under which local actions were confirmed.
    pub confirmed: BTreeSet<ecow::EcoString>,
    /// How many fates were not to be known, their sessions being over.
    pub unknown: usize,
}

/// What became of a local action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was accepted.
    Confirmed,
    /// It came back.
    Rejected,
    /// Its session was over before that could be known.
    Unknown,
}

impl Client {
    /// A client that was never connected.
    pub fn new(encoding: Option<Encoding>) -> Client {
        Client {
            replica: Replica::new(),
            connected: false,
            up: VecDeque::new(),
            ids: Vec::new(),
            encoding,
            told: HashMap::new(),
            heard: HashMap::new(),
            fates: HashMap::new(),
            confirmed: BTreeSet::new(),
            unknown: 0,
        }
    }

    /// A local action was made.
    pub fn made(&mut self, ticket: Ticket) -> Checked {
        self.fates.entry(ticket).or_insert(None);
        self.hear()
    }

    /// Listens to what happened: a view moves just as the events say, and every ticket has one fate.
    pub fn hear(&mut self) -> Checked {
        for event in self.replica.events() {
            match event {
                Event::Changed { topic_name, value, changes, origin } => {
                    let told = self.check_told(topic_name, &value, changes, origin);
                    told.breaks(Law::ReplicasConverge)?;
                }
                Event::Confirmed { ticket, id } => {
                    self.confirmed.extend(id);
                    self.meet(ticket, Fate::Confirmed)?;
                }
                Event::Rejected { ticket, .. } => self.meet(ticket, Fate::Rejected)?,
                Event::Unknown { ticket } => {
                    self.unknown += 1;
                    self.meet(ticket, Fate::Unknown)?;
                }
                Event::Online { client_id, .. } => {
                    if self.ids.last() != Some(&client_id) {
                        self.ids.push(client_id);
                    }
                }
                Event::Closed { topic_name, error: None } => {
                    self.told.remove(&topic_name);
                }
                Event::Closed { error: Some(error), .. } | Event::Error(error) => {
                    return Err(format!("the replica complains: {error:?}").into());
                }
                Event::Ready { .. }
                | Event::Request { .. }
                | Event::Response { .. }
                | Event::Registered { .. }
                | Event::Unregistered { .. }
                | Event::Unsent { .. }
                | Event::Busy => {}
            }
        }
        Ok(())
    }

    fn check_told(
        &mut self,
        topic_name: TopicName,
        value: &AnyValue,
        changes: Vec<AnyChange>,
        origin: Origin,
    ) -> Found {
        let Some(topic) = self.replica.topic(&topic_name) else {
            // It was closed with the same message.
            return Ok(());
        };
        let kind = topic.kind();
        if !kind.stateful() && origin != Origin::Local {
            self.heard.entry(topic_name).or_default().extend(changes);
            return Ok(());
        }
        let told = self.told.entry(topic_name).or_insert_with(|| kind.initial());
        for change in &changes {
            kind.apply(told, change).map_err(|error| format!("told {change:?}: {error}"))?;
        }
        if changes.is_empty() {
            *told = value.clone();
        }
        same(format_args!("the view as told by {changes:?} and as it is"), told, value)
    }

    fn meet(&mut self, ticket: Ticket, fate: Fate) -> Found {
        match self.fates.insert(ticket, Some(fate)).flatten() {
            None => Ok(()),
            Some(before) => Err(format!("{ticket:?} was {before:?} and is {fate:?}")),
        }
    }

    /// Law 8, at the client: every local action has met its fate.
    pub fn check_fates(&self) -> Found {
        match self.fates.iter().find(|(_, fate)| fate.is_none()) {
            None => Ok(()),
            Some((ticket, _)) => Err(format!("{ticket:?} has met no fate")),
        }
    }

    /// A message to this client as it comes out of its encoding.
    pub fn decoded(&self, message: ServerMessage) -> Found<ServerMessage> {
        let Some(encoding) = self.encoding else { return Ok(message) };
        let decoded = raw(&encode(&message, encoding), encoding)?.server();
        decoded.map_err(|malformed| format!("{message:?}: {malformed:?}"))
    }

    /// A message from this client as it comes out of its encoding.
    pub fn encoded(&self, message: ClientMessage) -> Found<ClientMessage> {
        let Some(encoding) = self.encoding else { return Ok(message) };
        let decoded = raw(&encode(&message, encoding), encoding)?.client();
        decoded.map_err(|malformed| format!("{message:?}: {malformed:?}"))
    }
}

fn raw(bytes: &[u8], encoding: Encoding) -> Found<RawMessage> {
    let frame = match encoding {
        Encoding::Json => decode_text(std::str::from_utf8(bytes).map_err(|it| it.to_string())?),
        Encoding::MessagePack => decode_binary(bytes),
    };
    let frame = frame.map_err(|error| error.to_string())?;
    frame.into_iter().next().ok_or_else(|| "an empty frame".into())
}
