//! A replica and a real engine, at random. Law 11: what a client makes in one order on logged topics is accepted
//! and published in that order, whatever happens to its line. Laws 7 and 8: whatever else happens, it ends
//! with the server's value, each action has one outcome, and its program can follow what it is told.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use topicsync::client::{Event, LocalChange, Replica, Ticket};
use topicsync::protocol::ClientMessage;
use topicsync::protocol::ServerMessage;
use topicsync::topic::{TopicName, TopicOptions};
use topicsync::types::{AnyValue, Registry};
use topicsync::value::Value;

use super::player::fields;
use super::server::{Server, name};

const TOPICS: [(&str, &str); 4] =
    [("count", "int"), ("edges", "list"), ("nodes", "dict"), ("text", "string")];

#[derive(Debug, Clone)]
enum Step {
    /// Changes of so many topics, from one on: one change, or an action.
    Make {
        topic: usize,
        changes: usize,
        overwriting: bool,
    },
    Others(usize),
    Send,
    Serve(usize),
    Deliver(usize),
    Cut,
    Connect,
    Undo,
    /// What may change the order of acceptance, or leave an outcome unknown.
    Fault(Fault),
}

#[derive(Debug, Clone)]
enum Fault {
    Jump(usize),
    ForgetSession,
    Forgetful(bool),
    Busy,
    Refuse,
    NewLife(usize),
}

fn fault() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        (0..4_usize).prop_map(Fault::Jump),
        Just(Fault::ForgetSession),
        any::<bool>().prop_map(Fault::Forgetful),
        Just(Fault::Busy),
        Just(Fault::Refuse),
        (0..4_usize).prop_map(Fault::NewLife),
    ];
    prop_oneof![4 => step(), 1 => fault.prop_map(Step::Fault)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0..4_usize, prop_oneof![6 => Just(1_usize), 1 => Just(2)], any::<bool>()).prop_map(
            |(topic, changes, overwriting)| Step::Make { topic, changes, overwriting }),
        3 => (0..4_usize).prop_map(Step::Others),
        5 => Just(Step::Send),
        5 => (1..4_usize).prop_map(Step::Serve),
        5 => (1..4_usize).prop_map(Step::Deliver),
        1 => Just(Step::Cut),
        2 => Just(Step::Connect),
        1 => Just(Step::Undo),
    ]
}

/// The client, its server, and somebody who hears everything.
struct Run {
    replica: Replica,
    server: Server,
    up: Vec<ClientMessage>,
    made: usize,
    tickets: usize,
    /// Those that have an outcome, and the id that they were confirmed under.
    outcomes: BTreeMap<Ticket, Option<String>>,
    /// The views as they are told.
    told: BTreeMap<TopicName, AnyValue>,
    /// When the client's actions were accepted and published: by their ids, the commit and the place.
    published: BTreeMap<String, (u64, u64)>,
}

impl Run {
    fn new() -> Run {
        let mut replica = Replica::new();
        let mut server = Server::new();
        server.connect(1);
        for (topic, kind) in TOPICS {
            let kind = Registry::default().get(kind).expect("a built-in type");
            replica.subscribe(&name(topic), kind, TopicOptions::default());
            server.make(topic, kind.name(), TopicOptions::default());
        }
        let mut observer = Replica::new();
        for (topic, kind) in TOPICS {
            let kind = Registry::default().get(kind).expect("a built-in type");
            observer.subscribe(&name(topic), kind, TopicOptions::default());
        }
        while let Some(message) = server.next_for(1) {
            observer.receive(message);
        }
        observer.outbox().into_iter().for_each(|message| server.receive(1, message));
        let (outcomes, told, published) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let up = Vec::new();
        Run { replica, server, up, made: 0, tickets: 0, outcomes, told, published }
    }

    fn change(&mut self, topic: usize, overwriting: bool) -> LocalChange {
        self.made += 1;
        let number = self.made;
        let (topic, kind) = TOPICS[topic % TOPICS.len()];
        let change = match kind {
            "int" => json!({"type": "add", "value": number}),
            "list" => json!({"type": "insert", "position": 0, "item": number}),
            // Keys that others add too, so that some are rejected.
            "dict" if !number.is_multiple_of(3) => {
                json!({"type": "add", "key": format!("k{}", number % 9), "value": 1})
            }
            "dict" => json!({"type": "set", "value": {"all": number}}),
            _ => json!({"type": "insert", "position": 0, "insertion": format!("{number} ")}),
        };
        let change = LocalChange::new(name(topic), fields(&change).expect("an object"));
        if overwriting { change.overwriting() } else { change }
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Make { topic, changes, overwriting } => {
                let make = |at| self.change(topic + at, overwriting);
                let changes = (0..changes).map(make).collect();
                self.tickets += usize::from(self.replica.local(changes).is_ok());
            }
            Step::Others(topic) => {
                let change = self.change(topic, true);
                if let Some(Value::String(key)) = change.fields.get("key")
                    && let Value::Dict(nodes) = self.server.value(&change.topic_name)
                    && nodes.contains_key(&key.to_string())
                {
                    return;
                }
                // It is the client that is to be refused.
                self.server.refuse(0);
                self.server.somebody(vec![(change.topic_name, change.fields)]);
            }
            Step::Send => self.up.extend(self.replica.outbox()),
            Step::Serve(most) => {
                let most = most.min(self.up.len());
                for message in self.up.drain(..most) {
                    self.server.receive(0, message);
                }
                self.server.publish();
            }
            Step::Deliver(most) => {
                let next = || self.server.next_for(0);
                let messages: Vec<ServerMessage> = std::iter::from_fn(next).take(most).collect();
                self.replica.receive_frame(messages);
            }
            Step::Cut if self.server.is_connected(0) => {
                self.up.clear();
                self.server.disconnect(0);
                self.replica.disconnected();
            }
            Step::Connect if !self.server.is_connected(0) => self.server.connect(0),
            Step::Undo => drop(self.replica.undo()),
            Step::Fault(fault) => self.fail(fault),
            Step::Cut | Step::Connect => {}
        }
        self.hear();
    }

    fn fail(&mut self, fault: Fault) {
        match fault {
            Fault::Jump(topic) => self.server.jump(0, TOPICS[topic].0),
            Fault::ForgetSession if !self.server.is_connected(0) => {
                let id = self.replica.client_id().unwrap_or_default();
                self.server.forget(id);
            }
            Fault::Forgetful(forgetful) => self.server.forgetful = forgetful,
            Fault::Busy => self.server.busy += 1,
            Fault::Refuse => self.server.refuse(1),
            Fault::NewLife(topic) if !self.server.is_connected(0) => {
                self.server.disconnect(1);
                self.server.new_life(TOPICS[topic].0);
            }
            Fault::ForgetSession | Fault::NewLife(_) => {}
        }
    }

    fn meet(&mut self, ticket: Ticket, id: Option<String>) {
        let before = self.outcomes.insert(ticket, id);
        assert!(before.is_none(), "{ticket:?} has a second outcome");
    }

    fn hear(&mut self) {
        for event in self.replica.events() {
            match event {
                Event::Confirmed { ticket, id } => self.meet(ticket, id.map(Into::into)),
                Event::Rejected { ticket, .. } | Event::Unknown { ticket } => {
                    self.meet(ticket, None);
                }
                Event::Changed { topic_name, value, changes, .. } => {
                    let kind = self.replica.topic(&topic_name).expect("it is subscribed").kind();
                    let told = self.told.entry(topic_name).or_insert_with(|| kind.initial());
                    for change in &changes {
                        kind.apply(told, change).expect("what is told applies");
                    }
                    if changes.is_empty() {
                        told.clone_from(&value);
                    }
                    assert_eq!(*told, value, "what is told does not lead to the view");
                }
                _ => {}
            }
        }
        while let Some(message) = self.server.next_for(1) {
            let place = self.published.len() as u64;
            let (id, commit) = match message {
                ServerMessage::Update(update) => {
                    (update.part.change.id.map(|id| id.to_string()), update.commit)
                }
                ServerMessage::Action(action) => {
                    (Some(action.action_id.to_string()), action.commit)
                }
                _ => continue,
            };
            if let Some(id) = id {
                self.published.entry(id).or_insert((commit.0, place));
            }
        }
    }

    /// Says and hears all.
    fn settle(&mut self) {
        self.server.busy = 0;
        self.server.refuse(0);
        self.play(Step::Connect);
        for _ in 0..100 {
            self.replica.resend_busy();
            for step in [Step::Send, Step::Serve(usize::MAX), Step::Deliver(usize::MAX)] {
                self.play(step);
            }
            self.server.tick();
        }
        assert!(self.replica.is_settled(), "something has no outcome");
        assert_eq!(self.outcomes.len(), self.tickets);
        for (topic, kind) in TOPICS {
            let kind = Registry::default().get(kind).expect("a built-in type");
            let topic: TopicName = name(topic);
            let view = self.replica.view(&topic).expect("it is subscribed");
            assert_eq!(kind.encode_value(view), self.server.value(&topic), "{topic}");
        }
    }

    /// Checks the order of what was made; `place` is what orders what was published.
    fn check_order(&self, place: impl Fn(&(u64, u64)) -> u64) {
        let mut last = (0, "");
        for id in self.outcomes.values().flatten() {
            let place = place(&self.published[id]);
            assert!(last.0 <= place, "{id} was before {}, which was made first", last.1);
            last = (place, id);
        }
    }
}

fn run(steps: Vec<Step>) -> Run {
    let mut run = Run::new();
    run.play(Step::Connect);
    steps.into_iter().for_each(|step| run.play(step));
    run.settle();
    run
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]
    #[test]
    fn what_a_client_makes_is_accepted_in_the_order_made(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        run(steps).check_order(|(commit, _)| *commit);
    }

    #[test]
    fn a_replica_ends_with_the_servers_value(
        steps in prop::collection::vec(fault(), 0..120),
    ) {
        run(steps);
    }

    #[test]
    fn what_a_client_makes_is_published_in_the_order_made(
        steps in prop::collection::vec(step(), 0..80),
    ) {
        run(steps).check_order(|(_, place)| *place);
    }
}
