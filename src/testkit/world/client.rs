//! A client: a real replica, and the program behind it, which believes what it is told and counts.

use std::collections::{BTreeMap, HashMap, VecDeque};

use ecow::EcoString;

use super::link::{Link, Wire};
use super::past::Question;
use crate::client::{CallError, CallId, Event, Origin, Replica, Ticket};
use crate::protocol::ErrorCode;
use crate::protocol::message::{ErrorMessage, RequestId};
use crate::testkit::broken::{Breaks, Checked, Found, same};
use crate::testkit::law::Law;
use crate::topic::{ClientId, TopicName};
use crate::types::{AnyChange, AnyValue};
use crate::value::Value;

/// A client: its replica, and what its program was told.
pub struct Client {
    /// The real one.
    pub replica: Replica,
    /// How its messages are written.
    pub wire: Wire,
    /// Its connection.
    pub link: Option<Link>,
    /// Connections that it has lost, and whose loss the server has not noticed, the oldest first.
    pub older: VecDeque<Link>,
    /// The ids of its sessions, the present one last.
    pub ids: Vec<ClientId>,
    /// Each view as the events tell it.
    told: HashMap<TopicName, AnyValue>,
    /// What others emitted, in the order in which the program heard of it.
    pub heard: HashMap<TopicName, Vec<AnyChange>>,
    /// The outcome of each local action; `None` as long as it has none.
    outcomes: HashMap<Ticket, Option<Decision>>,
    /// The ids under which local actions were confirmed, in the order in which they were made.
    pub confirmed: BTreeMap<Ticket, EcoString>,
    /// How many outcomes were not to be known, their sessions or topics being over.
    pub unknown: usize,
    /// What it asked special services, and is not answered yet.
    pub questions: HashMap<CallId, Question>,
    /// What it was answered, and the program has not looked at yet.
    pub answers: Vec<(CallId, Result<Value, CallError>)>,
    /// Requests of others that wait for its answer.
    pub requests: VecDeque<(RequestId, Value)>,
    /// It sent messages of no replica's making, which may be answered by errors.
    pub has_said: bool,
    /// How many ids it has made for such messages.
    pub made_ids: u64,
}

/// What became of a local action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It was accepted.
    Confirmed,
    /// It came back.
    Rejected,
    /// Its session was over before that could be known.
    Unknown,
}

impl Client {
    /// A client that was never connected.
    pub fn new(wire: Wire) -> Client {
        Client {
            replica: Replica::new(),
            wire,
            link: None,
            older: VecDeque::new(),
            ids: Vec::new(),
            told: HashMap::new(),
            heard: HashMap::new(),
            outcomes: HashMap::new(),
            confirmed: BTreeMap::new(),
            unknown: 0,
            questions: HashMap::new(),
            answers: Vec::new(),
            requests: VecDeque::new(),
            has_said: false,
            made_ids: 0,
        }
    }

    /// A local action was made.
    pub fn made(&mut self, ticket: Ticket) -> Checked {
        self.outcomes.entry(ticket).or_insert(None);
        self.hear()
    }

    /// Listens to what happened: a view moves just as the events say, and every ticket has one outcome.
    pub fn hear(&mut self) -> Checked {
        for event in self.replica.events() {
            match event {
                Event::Changed { topic_name, value, changes, origin } => {
                    let told = self.check_told(topic_name, &value, changes, origin);
                    told.breaks(Law::ReplicasConverge)?;
                }
                Event::Confirmed { ticket, id } => {
                    self.confirmed.extend(id.map(|id| (ticket, id)));
                    self.decided(ticket, Decision::Confirmed)?;
                }
                Event::Rejected { ticket, .. } => self.decided(ticket, Decision::Rejected)?,
                Event::Unknown { ticket } => {
                    self.unknown += 1;
                    self.decided(ticket, Decision::Unknown)?;
                }
                Event::Online { client_id, .. } => {
                    if self.ids.last() != Some(&client_id) {
                        self.ids.push(client_id);
                    }
                }
                Event::Closed { topic_name, error } => {
                    self.told.remove(&topic_name);
                    error.map_or(Ok(()), |error| self.closed(&error))?;
                }
                Event::Error(error) => self.complaint(&error)?,
                Event::Request { request_id, args, .. } => {
                    self.requests.push_back((request_id, args));
                }
                Event::Response { call, outcome } => self.answers.push((call, outcome)),
                Event::Ready { .. }
                | Event::Registered { .. }
                | Event::Unregistered { .. }
                | Event::Unsent { .. }
                | Event::Busy => {}
            }
        }
        Ok(())
    }

    /// A topic may be removed, or not be made while the journal fails.
    fn closed(&self, error: &ErrorMessage) -> Checked {
        match error.code {
            ErrorCode::TopicRemoved | ErrorCode::Unavailable => Ok(()),
            // What its program said itself has ended it.
            ErrorCode::Forbidden if self.has_said => Ok(()),
            ErrorCode::Limit => {
                Err(format!("{error}, though there is room")).breaks(Law::NothingIsLeft)
            }
            _ => Err(format!("the replica complains: {error:?}").into()),
        }
    }

    /// A service may be another's, and an answer may come too late.
    fn complaint(&self, error: &ErrorMessage) -> Checked {
        let to = error.to.as_deref().unwrap_or_default();
        match error.code {
            ErrorCode::ServiceTaken => Ok(()),
            ErrorCode::Invalid if to == "response" => Ok(()),
            ErrorCode::Malformed => Err(format!("the replica complains: {error:?}").into()),
            _ if self.has_said => Ok(()),
            _ => Err(format!("the replica complains: {error:?}").into()),
        }
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

    fn decided(&mut self, ticket: Ticket, decision: Decision) -> Checked {
        let before = self.outcomes.insert(ticket, Some(decision)).flatten();
        let twice = |before| format!("{ticket:?} was {before:?} and is {decision:?}");
        before.map_or(Ok(()), |before| Err(twice(before))).breaks(Law::EverythingIsAnsweredOnce)
    }

    /// Law 10, at the client: every local action has its outcome.
    pub fn check_outcomes(&self) -> Found {
        match self.outcomes.iter().find(|(_, outcome)| outcome.is_none()) {
            None => Ok(()),
            Some((ticket, _)) => Err(format!("{ticket:?} has no outcome")),
        }
    }
}
