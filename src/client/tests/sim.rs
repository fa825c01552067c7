//! Replicas, a toy server, and the network between them, moved by hand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ecow::EcoString;

use super::toy::{SessionNumber, Toy};
use crate::client::event::{Event, Rejection, Ticket};
use crate::client::replica::{LocalChange, LocalError, Replica};
use crate::protocol::message::ClientMessage;
use crate::topic::{TopicName, TopicOptions};
use crate::types::{AnyValue, Registry, TypeRef};
use crate::value::{Fields, Value};

pub fn name(text: &str) -> TopicName {
    TopicName::new(text).unwrap()
}

pub fn kind(text: &str) -> TypeRef {
    Registry::default().get(text).unwrap()
}

/// A change, written as on the wire.
pub fn fields(json: serde_json::Value) -> Fields {
    Fields::from_serialize(&json).unwrap()
}

#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    Confirmed,
    Rejected(Rejection),
    Unknown,
}

#[derive(Default)]
pub struct Client {
    pub replica: Replica,
    session: SessionNumber,
    connected: bool,
    /// On the way to the server.
    up: VecDeque<ClientMessage>,
    pub fates: BTreeMap<Ticket, Fate>,
    pub tickets: Vec<Ticket>,
    /// The ids under which actions of this client were accepted, as it was told.
    accepted: BTreeSet<EcoString>,
    /// Each view as the events tell it.
    told: BTreeMap<TopicName, AnyValue>,
    pub events: Vec<Event>,
}

impl Client {
    /// Looks at what happened: every view is told in full, and every ticket has one fate.
    pub fn hear(&mut self) {
        for event in self.replica.events() {
            match &event {
                Event::Changed { topic_name, value, changes, .. } => {
                    let topic = self.replica.topic(topic_name).unwrap();
                    let told = self.told.entry(topic_name.clone());
                    let told = told.or_insert_with(|| topic.kind().initial());
                    for change in changes {
                        topic.kind().apply(told, change).unwrap();
                    }
                    if changes.is_empty() {
                        *told = value.clone();
                    }
                    assert_eq!(told, value);
                }
                Event::Confirmed { ticket, id } => {
                    self.accepted.extend(id.clone());
                    self.meet(*ticket, Fate::Confirmed);
                }
                Event::Rejected { ticket, rejection } => {
                    self.meet(*ticket, Fate::Rejected(rejection.clone()));
                }
                Event::Unknown { ticket } => self.meet(*ticket, Fate::Unknown),
                Event::Ready { .. } => {}
                Event::Error(error) => panic!("{error:?}"),
                _ => {}
            }
            self.events.push(event);
        }
    }

    fn meet(&mut self, ticket: Ticket, fate: Fate) {
        let before = self.fates.insert(ticket, fate);
        assert_eq!(before, None, "{ticket:?} met two fates");
    }

    pub fn view(&self, topic: &str) -> Value {
        let topic = self.replica.topic(&name(topic)).unwrap();
        topic.kind().encode_value(topic.view())
    }
}

pub struct Sim {
    pub toy: Toy,
    pub clients: Vec<Client>,
    pub topics: Vec<(TopicName, TypeRef)>,
    /// A topic lost its log, or a session was forgotten: what was accepted is not known to all.
    forgot: bool,
}

impl Sim {
    /// So many clients, connected and subscribed to topics given as name and type.
    pub fn new(clients: usize, topics: &[(&str, &str)]) -> Sim {
        let topics: Vec<_> = topics.iter().map(|(it, of)| (name(it), kind(of))).collect();
        let clients = (0..clients).map(|_| Client::default()).collect();
        let mut sim = Sim { toy: Toy::default(), clients, topics, forgot: false };
        for client in &mut sim.clients {
            for (topic_name, kind) in &sim.topics {
                client.replica.subscribe(topic_name, *kind, TopicOptions::default());
            }
        }
        for client in 0..sim.clients.len() {
            sim.connect(client);
        }
        sim.settle();
        sim
    }

    pub fn connect(&mut self, client: usize) {
        let client = &mut self.clients[client];
        if !client.connected {
            client.connected = true;
            client.session = self.toy.connect();
        }
    }

    pub fn disconnect(&mut self, client: usize) {
        let client = &mut self.clients[client];
        if client.connected {
            client.connected = false;
            client.up.clear();
            self.toy.disconnect(client.session);
            client.replica.disconnected();
            client.hear();
        }
    }

    /// The server forgets the session of a client that is not connected.
    pub fn forget_session(&mut self, client: usize) {
        let client = &self.clients[client];
        if !client.connected {
            self.forgot = true;
            self.toy.sessions.remove(&client.session);
        }
    }

    /// The server loses all of a topic.
    pub fn new_life(&mut self, topic: &str) {
        self.forgot = true;
        self.toy.new_life(&name(topic));
    }

    pub fn lag(&mut self, client: usize) {
        let session = self.clients[client].session;
        self.toy.lag(session);
    }

    pub fn act(&mut self, client: usize, changes: Vec<LocalChange>) -> Result<Ticket, LocalError> {
        let client = &mut self.clients[client];
        let ticket = client.replica.local(changes)?;
        client.tickets.push(ticket);
        client.hear();
        Ok(ticket)
    }

    /// One change, written as on the wire; `"overwriting": true` in it sends it without a base.
    pub fn change(&mut self, client: usize, topic: &str, json: serde_json::Value) -> Ticket {
        let overwriting = json.get("overwriting").is_some();
        let change = LocalChange::new(name(topic), fields(json));
        let change = if overwriting { change.overwriting() } else { change };
        self.act(client, vec![change]).unwrap()
    }

    /// The client puts on the wire what it has to send.
    pub fn send(&mut self, client: usize) {
        let client = &mut self.clients[client];
        let messages = client.replica.outbox();
        client.hear();
        if client.connected {
            client.up.extend(messages);
        }
    }

    /// The server takes one message of a client.
    pub fn serve(&mut self, client: usize) -> bool {
        let client = &mut self.clients[client];
        let message = client.up.pop_front();
        let any = message.is_some();
        message.into_iter().for_each(|it| self.toy.receive(&mut client.session, it));
        any
    }

    /// The client takes one message of the server.
    pub fn deliver(&mut self, client: usize) -> bool {
        let client = &mut self.clients[client];
        let session = self.toy.sessions.get_mut(&client.session).filter(|_| client.connected);
        let message = session.and_then(|session| session.out.pop_front());
        let any = message.is_some();
        message.into_iter().for_each(|it| client.replica.receive(it));
        client.hear();
        any
    }

    /// Lets everything that is under way arrive.
    pub fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "the network never becomes quiet");
            let mut any = false;
            for client in 0..self.clients.len() {
                self.clients[client].replica.resend_busy();
                self.send(client);
                while self.serve(client) || self.deliver(client) {
                    any = true;
                }
            }
            if !any && self.clients.iter().all(|client| client.up.is_empty()) {
                return;
            }
        }
    }

    /// Laws 7 and 8: all hold one value, and every change has met one fate.
    pub fn check_converged(&mut self) {
        for client in 0..self.clients.len() {
            self.connect(client);
        }
        self.settle();
        for (number, client) in self.clients.iter().enumerate() {
            for (topic_name, kind) in &self.topics {
                let topic = client.replica.topic(topic_name).unwrap();
                let published = kind.encode_value(&self.toy.topics[topic_name].value);
                assert_eq!(kind.encode_value(topic.confirmed()), published, "client {number}");
                assert_eq!(kind.encode_value(topic.view()), published, "client {number}");
                assert_eq!(topic.pending_len(), 0);
            }
            assert_eq!(client.replica.pending_len(), 0);
            for ticket in &client.tickets {
                assert!(client.fates.contains_key(ticket), "client {number}: {ticket:?}");
            }
        }
        for topic in self.toy.topics.values() {
            let mut ids: Vec<_> = topic.log.iter().map(|entry| &entry.id).collect();
            ids.sort_unstable();
            assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "accepted twice");
        }
        if !self.forgot {
            let entries = self.toy.topics.values().flat_map(|topic| &topic.log);
            let accepted = entries.map(|it| match &it.action_id {
                Some(action_id) => action_id.clone().into(),
                None => it.id.clone().into(),
            });
            let told = self.clients.iter().flat_map(|client| client.accepted.iter().cloned());
            assert_eq!(told.collect::<BTreeSet<EcoString>>(), accepted.collect());
        }
    }
}
