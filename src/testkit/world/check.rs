//! The laws: once all is quiet, and once everybody is gone.

use std::collections::{BTreeMap, BTreeSet};

use ecow::EcoString;

use super::record::{TopicRecord, is_servers};
use super::{End, Question, World, server, who};
use crate::engine::{Author, ChangeBody, Submission, Submitted};
use crate::testkit::broken::{Breaks, Checked, Found, same};
use crate::testkit::law::Law;
use crate::topic::{ClientId, Delivery, Entry, Rejection, TopicName, Version};
use crate::types::{AnyChange, AnyValue};
use crate::value::{Fields, Value};

impl World {
    /// Lets everything arrive, and checks all that then has to hold.
    ///
    /// # Errors
    /// The first law that does not hold.
    pub fn check(&mut self) -> Checked {
        self.tell(|| "then everything arrives".into());
        self.settle()?;
        self.check_subscriptions().breaks(Law::NothingIsLeft)?;
        for client in &mut self.clients {
            for topic in self.setup.all_topics() {
                client.replica.subscribe(&topic.name, topic.kind.of, topic.options.clone());
            }
        }
        self.settle()?;
        self.check_answered().breaks(Law::EverythingIsAnsweredOnce)?;
        self.check_converged().breaks(Law::ReplicasConverge)?;
        self.check_subscriptions().breaks(Law::NothingIsLeft)?;
        self.check_lists().breaks(Law::NothingIsLeft)?;
        self.check_exactly_once().breaks(Law::EveryChangeHasOneOutcome)?;
        self.check_order().breaks(Law::OwnOrderHolds)?;
        self.check_heard().breaks(Law::ReplicasConverge)?;
        let (record, stride) = (&self.server.record, self.setup.stride);
        record.check_replay(stride).breaks(Law::TheLogReplays)?;
        record.check_cuts(self.server.engine(), stride as u64)?;
        self.check_answers_again()
    }

    /// Law 10: everything that came on the connections that are there has its answer, and so has every local
    /// action. What became of one is unknown only where a session or a topic ended.
    fn check_answered(&self) -> Found {
        for (number, client) in self.clients.iter().enumerate() {
            let of_client = |what| format!("{}: {what}", who(number));
            if let Some(link) = &client.link {
                link.ledger.check_answered().map_err(of_client)?;
            }
            client.check_outcomes().map_err(of_client)?;
            // What its program said beside it may have ended a subscription.
            let is_excused = client.has_said
                || client.ids.len() > 1
                || self.server.record.lives().iter().any(|life| life.is_over);
            if client.unknown > 0 && !is_excused {
                let what = "an outcome is unknown, and its session and topics are there";
                return Err(of_client(what.into()));
            }
        }
        Ok(())
    }

    /// Law 7: all replicas hold the server's value, and nothing is pending. It is the same to the last
    /// byte, but for what was composed on the way: there 1 and 1.0 are one number.
    fn check_converged(&self) -> Found {
        for topic in self.server.record.topics() {
            let (name, kind) = (&topic.name, topic.kind);
            let text =
                |value: &AnyValue| serde_json::to_string(&kind.encode_value(value)).expect("JSON");
            let cell = topic.cell().ok_or("a topic that is subscribed is in memory")?;
            let value = cell.snapshot().value;
            for (number, client) in self.clients.iter().enumerate() {
                let what = |of| format!("the {of} of {name:?}, at {} and the server", who(number));
                let replica = client.replica.topic(name);
                let replica = replica.ok_or_else(|| what("subscription"))?;
                for (of, held) in
                    [("confirmed value", replica.confirmed()), ("view", replica.view())]
                {
                    same(what(of), held, &value)?;
                    if topic.options.delivery == Delivery::Every {
                        same(what(of), &text(held), &text(&value))?;
                    }
                }
                same(what("epoch"), &replica.epoch(), &Some(&topic.epoch))?;
                same(what("version"), &replica.version(), &cell.head())?;
                same(what("pending changes"), &replica.pending_len(), &0)?;
            }
        }
        Ok(())
    }

    /// Every topic knows its subscribers, every connection what it subscribes to, and what was written leads to
    /// the head.
    fn check_subscriptions(&self) -> Found {
        let record = &self.server.record;
        let mut subscribers: BTreeMap<&TopicName, usize> = BTreeMap::new();
        for (number, client) in self.clients.iter().enumerate() {
            let Some(link) = &client.link else { continue };
            let what = |of: &str| format!("the {of} of {}", who(number));
            let streams = link.ledger.streams();
            let asked = link.connection.subscriptions_len();
            same(what("subscriptions, asked for and written"), &asked, &streams.len())?;
            for (name, stream) in streams {
                let Some(topic) = record.topic(name) else { continue };
                *subscribers.entry(name).or_default() += 1;
                same(what("epoch"), &stream.epoch, &topic.epoch)?;
                let of = format!("version of {name:?}, as written and as it is");
                same(what(&of), &stream.version, &Some(topic.head()))?;
            }
        }
        for topic in record.topics() {
            let known = topic.cell().map_or(0, |cell| cell.subscribers_len());
            let here = subscribers.get(&topic.name).copied().unwrap_or_default();
            same(format_args!("subscribers of {:?}, known and there", topic.name), &known, &here)?;
        }
        Ok(())
    }

    /// The special topics tell which topics and sessions there are.
    fn check_lists(&self) -> Found {
        let topics = self.server.record.topics();
        let topics = topics.map(|it| (it.name.to_string(), it.epoch.to_string())).collect();
        same("the topic list, and the topics", &self.listed("topic_list", "epoch"), &topics)?;
        let clients: BTreeMap<_, _> = self
            .clients
            .iter()
            .filter_map(|client| client.link.as_ref())
            .map(|link| (link.connection.session().id().to_string(), "true".to_owned()))
            .collect();
        let listed = self.listed("clients", "connected");
        let connected: BTreeMap<_, _> =
            listed.iter().filter(|(_, connected)| **connected == "true").collect();
        let clients: BTreeMap<_, _> = clients.iter().collect();
        same("the clients that are listed as connected, and those that are", &connected, &clients)
    }

    /// The entries of a special dict, with one field of each.
    fn listed(&self, topic: &str, field: &str) -> BTreeMap<String, String> {
        let name = TopicName::new(format!("_topicsync/{topic}")).expect("it is a name");
        let cell = self.server.engine().get(&name).expect("it is always there");
        let Value::Dict(entries) = cell.kind().encode_value(&cell.snapshot().value) else {
            return BTreeMap::new();
        };
        let text = |value: &Value| match value {
            Value::Dict(entry) => match entry.get(field) {
                Some(Value::String(text)) => EcoString::from(text).into(),
                Some(other) => serde_json::to_string(other).unwrap_or_default(),
                None => String::new(),
            },
            _ => String::new(),
        };
        entries.iter().map(|(key, value)| (key.to_string(), text(value))).collect()
    }

    /// Law 8: every change was accepted once or rejected once, and its author knows which.
    fn check_exactly_once(&self) -> Found {
        let record = &self.server.record;
        record.check_exactly_once()?;
        for (number, client) in self.clients.iter().enumerate() {
            let mut confirmed = BTreeSet::new();
            for id in client.confirmed.values() {
                let sent = record.submission(id);
                confirmed.insert(sent.ok_or_else(|| format!("{id} is confirmed, and never came"))?);
            }
            let (there, any) = record.accepted_of(&client.ids);
            // What no replica made has no ticket.
            let there: BTreeSet<_> = there.into_iter().filter(|id| !is_raw(id)).collect();
            let unsung = BTreeSet::difference(&there, &confirmed).count();
            if unsung > client.unknown || !confirmed.is_subset(&any) {
                let what = format!("{}, what it knows to be accepted, and what was", who(number));
                same(&what, &confirmed, &there)?;
            }
        }
        Ok(())
    }

    /// Law 11: what one client made in one order was accepted in that order. Presence may overtake.
    fn check_order(&self) -> Found {
        // What was turned away, and comes again, comes behind what was sent with it.
        if self.may_overtake {
            return Ok(());
        }
        let record = &self.server.record;
        for (number, client) in self.clients.iter().enumerate() {
            let (mut before, mut seen) = (None, BTreeSet::new());
            // What was composed into an earlier change is where that is.
            for id in client.confirmed.values().filter(|id| seen.insert(*id)) {
                let Some(commit) = record.commit_of(id) else { continue };
                if let Some((earlier, at)) = before
                    && commit < at
                {
                    return Err(format!(
                        "{} made {earlier} before {id}, and they were accepted at {at} and {commit}",
                        who(number)
                    ));
                }
                before = Some((id, commit));
            }
        }
        Ok(())
    }

    /// All who subscribe to an event topic from first to last hear the same events in one order: the
    /// log's, each without their own, of which they know before.
    fn check_heard(&self) -> Found {
        let events = self.server.record.lives().iter().filter(|it| !it.kind.stateful());
        let mut by_name: BTreeMap<&TopicName, Vec<&TopicRecord>> = BTreeMap::new();
        events.for_each(|life| by_name.entry(&life.name).or_default().push(life));
        for (name, lives) in by_name {
            let from_the_beginning = self.setup.topics.iter().any(|topic| topic.name == *name);
            let is_interrupted = self.is_interrupted || lives.len() > 1 || !from_the_beginning;
            for (number, client) in self.clients.iter().enumerate() {
                let others = |entry: &&Entry| {
                    !client.ids.contains(&entry.author)
                        || is_raw(&entry.id)
                        || is_servers(&entry.id)
                };
                let emitted = lives.iter().flat_map(|life| &life.entries).filter(others);
                let emitted: Vec<_> = emitted.filter_map(|entry| entry.change.clone()).collect();
                let heard = client.heard.get(name).map_or(&[][..], |it| &it[..]);
                if heard != emitted && !(is_interrupted && is_within(heard, &emitted)) {
                    let what = format_args!("what {} heard, and what was emitted", who(number));
                    same(what, heard, &emitted)?;
                }
            }
        }
        Ok(())
    }

    /// Law 12: what was answered about the past is answered again.
    fn check_answers_again(&mut self) -> Checked {
        if self.answered.is_empty() || self.clients.is_empty() {
            return Ok(());
        }
        let asked: Vec<_> = self.answered.iter().map(|it| it.question.clone()).collect();
        let mut calls = Vec::new();
        for Question { service, args, .. } in asked {
            calls.push(self.clients[0].replica.request(service, args, None));
        }
        let answered = std::mem::take(&mut self.answered);
        self.keeps_answers = true;
        self.settle()?;
        self.keeps_answers = false;
        let outcomes = std::mem::take(&mut self.clients[0].answers);
        let record = &self.server.record;
        for (call, answered) in calls.into_iter().zip(&answered) {
            let outcome = outcomes.iter().find(|(it, _)| *it == call);
            let outcome = outcome.map(|(_, outcome)| outcome).ok_or("a question is not answered");
            let outcome = outcome.breaks(Law::EverythingIsAnsweredOnce)?;
            answered.check(outcome, record).breaks(Law::ThePastIsFinal)?;
        }
        Ok(())
    }

    /// Has everybody leave, and checks that nothing of them is left: neither at once nor after a restart.
    ///
    /// # Errors
    /// Law 13 does not hold.
    pub fn end(&mut self) -> Checked {
        self.tell(|| "then everybody leaves".into());
        for number in 0..self.clients.len() {
            let end = if number % 2 == 0 { End::Noticed } else { End::Goodbye };
            self.lose(number, end)?;
        }
        self.server.pass_time(self.setup.session_ms.max(server::REQUEST_TIMEOUT_MS) + 1);
        self.commit(None)?;
        while self.work()? {
            self.commit(None)?;
        }
        self.server.tick();
        self.look()?;
        self.check_nothing_left().breaks(Law::NothingIsLeft)?;
        self.server.stop();
        self.look()?;
        self.server.restart();
        self.look()?;
        same("sessions after a restart", &self.server.hub.sessions().len(), &0)
            .breaks(Law::NothingIsLeft)
    }

    fn check_nothing_left(&self) -> Found {
        let hub = &self.server.hub;
        let nothing = |what: &str, count: usize| same(format_args!("{what} left"), &count, &0);
        nothing("sessions", hub.sessions().len())?;
        nothing("sessions that wait for their clients", hub.away_len())?;
        let held = self.sessions.iter().filter(|session| session.strong_count() > 0).count();
        nothing("sessions that somebody holds", held)?;
        let (services, requests) = hub.services_and_requests();
        nothing("services of clients", services - server::HOST_SERVICES.len())?;
        nothing("requests under way", requests)?;
        nothing("connections", hub.counters().connections.get() as usize)?;
        nothing("entries in the list of clients", self.listed("clients", "since").len())?;
        nothing("submissions that wait for the journal", hub.engine().journal_state().waiting)?;
        for cell in hub.engine().topics_in_memory() {
            let name = cell.name();
            nothing(&format!("subscribers of {name:?}"), cell.subscribers_len())?;
            if name.starts_with("_topicsync/client_message/") {
                return Err(format!("{name:?} is left"));
            }
            if cell.options().presence
                && let Value::Dict(entries) = cell.kind().encode_value(&cell.snapshot().value)
            {
                nothing(&format!("entries of {name:?}"), entries.len())?;
            }
        }
        Ok(())
    }

    /// Whether a change of somebody's with this base is refused because of its age. It may be accepted.
    pub fn is_too_old(&self, topic: &TopicRecord, base: Version) -> bool {
        let value = topic.kind.encode_value(&topic.kind.initial());
        let submitted = Submitted {
            topic: topic.name.clone(),
            epoch: None,
            change: ChangeBody::Fields(Fields::of_type("set").with("value", value)),
            id: None,
            base: Some(base),
        };
        let submission = Submission { action_id: None, changes: [submitted].into_iter().collect() };
        let author = Author::new(ClientId(u64::MAX), None);
        let result = self.server.engine().submit_now(&author, submission);
        result.is_err_and(|it| matches!(it.rejection, Rejection::BaseTooOld { .. }))
    }
}

/// Whether an id was made for a message of no replica's making.
fn is_raw(id: &str) -> bool {
    id.split_once('_').is_some_and(|(_, id)| id.starts_with('r'))
}

/// Whether `part` is `whole` with some left out.
fn is_within(part: &[AnyChange], whole: &[AnyChange]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|it| rest.any(|other| other == it))
}
