//! What may come next in a world, by choice: changes that fit, questions that make sense.

use ecow::{EcoString, eco_format};

use super::{ClientStep, PlannedChange, Topic, World, server};
use crate::testkit::choices::Choices;
use crate::topic::{CommitNumber, TopicName};
use crate::types::AnyValue;
use crate::value::{Dict, Value};

/// The services that clients offer.
const SERVICES: [&str; 2] = ["sum", "draw"];

impl World {
    /// Chooses so many changes for a client, of any topics, each on top of those before it. There may
    /// be fewer, or none.
    pub fn plan(&self, client: usize, changes: usize, choices: &mut dyn Choices) -> ClientStep {
        let mut planned = Vec::with_capacity(changes);
        let replica = &self.clients[client - 1].replica;
        let topics: Vec<&Topic> = self.setup.all_topics().collect();
        let mut views: Vec<Option<AnyValue>> = vec![None; topics.len()];
        for _ in 0..changes {
            let index = choices.below(topics.len());
            let Topic { name, kind, options } = topics[index];
            // An entry of one's own is shown and hidden.
            let Some(view) = replica.view(name).filter(|_| !options.presence) else { continue };
            let overwriting = choices.once_in(8);
            let view = views[index].get_or_insert_with(|| view.clone());
            let Some(change) = kind.change(choices, view) else { continue };
            if kind.of.apply(view, &change).is_ok() {
                let change = kind.of.encode_change(&change);
                planned.push(PlannedChange { topic: name.clone(), change, overwriting });
            }
        }
        ClientStep::Change(planned)
    }

    /// Chooses an entry of a client's own in a presence topic, or that there be none.
    pub fn plan_presence(&self, choices: &mut dyn Choices) -> Option<ClientStep> {
        let presence = self.setup.all_topics().filter(|topic| topic.options.presence);
        let names: Vec<&TopicName> = presence.map(|topic| &topic.name).collect();
        let name = names.get(choices.below(names.len())).copied()?.clone();
        Some(match choices.below(3) {
            0 => ClientStep::Hide(name),
            n => ClientStep::Show(name, Value::Int(n as i64 + choices.below(3) as i64)),
        })
    }

    /// Chooses a question about the past.
    pub fn plan_question(&self, choices: &mut dyn Choices) -> ClientStep {
        if choices.once_in(3) && !self.answered.is_empty() {
            return ClientStep::AskAgain(choices.below(self.answered.len()));
        }
        let name = choices.pick(&self.topic_names);
        let topic = self.server.record.topic(&name);
        let head = topic.map_or(0, |topic| topic.head().0);
        let newest = self.server.engine().commit();
        let commit = |choices: &mut dyn Choices| {
            // The newest is often not settled yet.
            let all: Vec<CommitNumber> = self
                .server
                .record
                .topics()
                .flat_map(|topic| &topic.entries)
                .map(|entry| entry.commit)
                .chain([newest, newest])
                .collect();
            Value::Int(choices.pick(&all).0 as i64)
        };
        let version =
            |choices: &mut dyn Choices| Value::Int(choices.below(head as usize + 1) as i64);
        let named = |more: Vec<(&str, Value)>| {
            let mut args: Dict = more.into_iter().map(|(key, value)| (key.into(), value)).collect();
            args.insert("topic_name".into(), EcoString::from(name.clone()).into());
            Value::Dict(args)
        };
        let (service, args) = match choices.below(8) {
            0 => ("value_at", named(vec![("version", version(choices))])),
            1 => ("value_at", named(vec![("commit", commit(choices))])),
            2 => ("history", named(vec![("to", version(choices))])),
            3 => ("diff", named(vec![("from", version(choices)), ("to", version(choices))])),
            4 => ("blame", named(vec![("version", version(choices))])),
            5 => ("stats", Value::Null),
            _ => ("cut", Value::Dict([("commit", commit(choices))].into())),
        };
        ClientStep::Ask(eco_format!("_topicsync/{service}"), args)
    }

    /// Chooses a topic to be removed, or forked, or made again by who joins it.
    pub fn plan_topics(&self, client: usize, choices: &mut dyn Choices) -> ClientStep {
        let name = choices.pick(&self.topic_names);
        let text = |name: &TopicName| Value::from(EcoString::from(name.clone()));
        let replica = &self.clients[client - 1].replica;
        match choices.below(4) {
            0 => {
                let args = Value::Dict([("topic_name", text(&name))].into());
                ClientStep::Ask("_topicsync/remove_topic".into(), args)
            }
            1 => {
                let kind = self.topic(&name).map(|topic| topic.kind.of.name());
                let same_kind = |it: &&Topic| Some(it.kind.of.name()) == kind && it.name != name;
                let others: Vec<&Topic> = self.setup.all_topics().filter(same_kind).collect();
                let Some(other) = others.get(choices.below(others.len())) else {
                    return ClientStep::Join(name);
                };
                let args = [("topic_name", text(&name)), ("new_name", text(&other.name))];
                ClientStep::Ask("_topicsync/fork".into(), Value::Dict(args.into()))
            }
            2 if replica.topic(&name).is_some() => ClientStep::Leave(name),
            _ => ClientStep::Join(name),
        }
    }

    /// Chooses something about services.
    pub fn plan_service(&self, choices: &mut dyn Choices) -> ClientStep {
        let service: EcoString = choices.pick(&SERVICES).into();
        match choices.below(8) {
            0 | 1 => ClientStep::Offer(service),
            2 => ClientStep::Withdraw(service),
            3 => {
                let service = choices.pick(&server::HOST_SERVICES);
                ClientStep::Ask(service.into(), Value::Int(choices.below(9) as i64))
            }
            4 | 5 => ClientStep::Ask(service, Value::Int(choices.below(9) as i64)),
            _ => ClientStep::Answer,
        }
    }

    /// Chooses a message, or several in one go, that no replica sends: subscriptions and changes at once,
    /// actions over topics of which some are subscribed.
    pub fn plan_saying(&mut self, client: usize, choices: &mut dyn Choices) -> Vec<ClientStep> {
        let name = choices.pick(&self.topic_names);
        let Some(topic) = self.topic(&name).cloned() else { return Vec::new() };
        let message = |kind: &str, content: Dict| {
            let message = [("type", kind.into()), ("content", Value::Dict(content))];
            ClientStep::Say(Value::Dict(message.into()))
        };
        let text = |name: &TopicName| Value::from(EcoString::from(name.clone()));
        let named = |name: &TopicName| Dict::from([("topic_name", text(name))]);
        let mut subscribe = named(&name);
        subscribe.insert("type".into(), topic.kind.of.name().into());
        if topic.options != Default::default() {
            subscribe.insert("options".into(), Value::Dict(topic.options.encode()));
        }
        let subscribe = message("subscribe", subscribe);
        let unsubscribe = message("unsubscribe", named(&name));
        match choices.below(7) {
            0 => vec![subscribe],
            1 => vec![unsubscribe],
            2 => vec![subscribe.clone(), unsubscribe, subscribe],
            3 => vec![subscribe, unsubscribe],
            4 => {
                let change = self.raw_change(client, &name, false, choices);
                let change = change.map(|change| message("update", change));
                [Some(subscribe), change].into_iter().flatten().collect()
            }
            5 => {
                let change = self.raw_change(client, &name, false, choices);
                change.map(|change| message("update", change)).into_iter().collect()
            }
            _ => {
                let other = choices.pick(&self.topic_names);
                let names = if other == name { vec![name] } else { vec![name, other] };
                let changes = names.iter().map(|name| self.raw_change(client, name, true, choices));
                let changes: Vec<Value> = changes.flatten().map(Value::Dict).collect();
                let id = self.raw_id(client);
                let action =
                    [("action_id", id), ("changes", Value::List(changes.into_iter().collect()))];
                vec![message("action", action.into())]
            }
        }
    }

    fn raw_id(&mut self, client: usize) -> Value {
        let made = &mut self.clients[client - 1].made_ids;
        *made += 1;
        eco_format!("$me_r{made}").into()
    }

    /// A change on whatever the topic holds, and its topic.
    fn raw_change(
        &mut self,
        client: usize,
        name: &TopicName,
        in_action: bool,
        choices: &mut dyn Choices,
    ) -> Option<Dict> {
        let topic = self.topic(name).filter(|topic| !topic.options.presence)?.clone();
        let record = self.server.record.topic(name);
        let value = record.map_or_else(|| topic.kind.of.initial(), |it| it.newest().clone());
        let change = topic.kind.change(choices, &value)?;
        let fields = topic.kind.of.encode_change(&change);
        let mut change: Dict =
            fields.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        if !choices.once_in(8) || in_action {
            change.insert("id".into(), self.raw_id(client));
        }
        let content =
            [("topic_name", EcoString::from(name.clone()).into()), ("change", Value::Dict(change))];
        Some(content.into())
    }
}
