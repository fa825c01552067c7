//! Law 7 (convergence) and law 8 (exactly once), at random.

use proptest::prelude::*;
use serde_json::json;

use super::sim::{Sim, fields};
use crate::client::pending::Base;
use crate::client::replica::LocalChange;
use crate::value::{Fields, Value};

/// A step of the story, its numbers to be read as fits.
#[derive(Debug, Clone)]
enum Step {
    Change { client: usize, topic: usize, a: u8, b: u8 },
    Act { client: usize, changes: Vec<(usize, u8, u8)> },
    Send(usize),
    Serve(usize),
    Deliver(usize),
    Disconnect(usize),
    Connect(usize),
    ForgetSession(usize),
    Lag(usize),
    Busy,
    Forgetful(bool),
    NewLife(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..3_usize;
    let change = (0..2_usize, any::<u8>(), any::<u8>());
    prop_oneof![
        10 => (client.clone(), change.clone())
            .prop_map(|(client, (topic, a, b))| Step::Change { client, topic, a, b }),
        2 => (client.clone(), prop::collection::vec(change, 2..4))
            .prop_map(|(client, changes)| Step::Act { client, changes }),
        8 => client.clone().prop_map(Step::Send),
        8 => client.clone().prop_map(Step::Serve),
        12 => client.clone().prop_map(Step::Deliver),
        2 => client.clone().prop_map(Step::Disconnect),
        3 => client.clone().prop_map(Step::Connect),
        1 => client.clone().prop_map(Step::ForgetSession),
        1 => client.prop_map(Step::Lag),
        1 => Just(Step::Busy),
        1 => any::<bool>().prop_map(Step::Forgetful),
        1 => (0..20_usize).prop_map(Step::NewLife),
    ]
}

/// A change that fits `view`, if the numbers lead to one.
fn change(kind: &str, view: &Value, a: u8, b: u8) -> Option<(Fields, Base)> {
    let (pick, number) = (a as usize, i64::from(b));
    let at = |len: usize| (b as usize) % len;
    let text = char::from(b'a' + b % 26).to_string();
    let base = if a & 64 == 0 { Base::Seen } else { Base::Latest };
    let json = match view {
        _ if kind == "generic" => json!({"type": "set", "value": b}),
        Value::Int(_) => match pick % 4 {
            0 => json!({"type": "set", "value": number}),
            _ => json!({"type": "add", "value": number - 100}),
        },
        Value::String(old) => {
            let len = old.len_chars();
            match pick % 6 {
                0 if len > 0 => {
                    let position = at(len);
                    let length = (len - position).min(1 + pick / 6 % 3);
                    json!({"type": "delete", "position": position, "length": length})
                }
                1 => json!({"type": "insert", "position": -1, "insertion": text}),
                2 if a > 240 => json!({"type": "set", "value": text}),
                _ => json!({"type": "insert", "position": at(len + 1), "insertion": text}),
            }
        }
        Value::List(old) if kind == "list" => {
            let len = old.len();
            match pick % 7 {
                0 if len > 0 => json!({"type": "pop", "position": at(len)}),
                1 if len > 0 => json!({"type": "replace", "position": at(len), "item": text}),
                2 if len > 0 => json!({"type": "move", "from": at(len), "to": pick / 7 % len}),
                3 => json!({"type": "insert", "position": -1, "item": text}),
                4 if len > 0 => json!({"type": "pop", "position": -1}),
                5 if a > 240 => json!({"type": "set", "value": [text]}),
                _ => json!({"type": "insert", "position": at(len + 1), "item": text}),
            }
        }
        Value::List(old) => {
            let item = Value::from(i64::from(b % 5));
            match old.iter().any(|it| *it == item) {
                _ if a > 250 => json!({"type": "set", "value": [b % 5]}),
                true => json!({"type": "remove", "item": b % 5}),
                false => json!({"type": "append", "item": b % 5}),
            }
        }
        Value::Dict(old) => {
            let key = format!("k{}", b % 4);
            match (old.contains_key(&key), pick % 3) {
                _ if a > 250 => json!({"type": "set", "value": {"k0": b}}),
                (false, _) => json!({"type": "add", "key": key, "value": b}),
                (true, 0) => json!({"type": "remove", "key": key}),
                (true, _) => json!({"type": "change_value", "key": key, "value": b}),
            }
        }
        _ => return None,
    };
    Some((fields(json), base))
}

fn local(sim: &Sim, client: usize, topic: usize, a: u8, b: u8) -> Option<LocalChange> {
    let (topic_name, kind) = &sim.topics[topic % sim.topics.len()];
    let view = sim.clients[client].view(topic_name);
    let (fields, base) = change(kind.name(), &view, a, b)?;
    Some(LocalChange { topic_name: topic_name.clone(), fields, base })
}

fn play(sim: &mut Sim, step: Step) {
    match step {
        Step::Change { client, topic, a, b } => {
            if let Some(change) = local(sim, client, topic, a, b) {
                sim.act(client, vec![change]).unwrap();
            }
        }
        Step::Act { client, changes } => {
            let change = |(topic, a, b)| local(sim, client, topic, a, b);
            // The second change of a topic may not fit what the first one leaves.
            let changes = changes.into_iter().filter_map(change).collect();
            let _ = sim.act(client, changes);
        }
        Step::Send(client) => sim.send(client),
        Step::Serve(client) => drop(sim.serve(client)),
        Step::Deliver(client) => drop(sim.deliver(client)),
        Step::Disconnect(client) => sim.disconnect(client),
        Step::Connect(client) => sim.connect(client),
        Step::ForgetSession(client) => sim.forget_session(client),
        Step::Lag(client) => sim.lag(client),
        Step::Busy => sim.toy.busy += 1,
        Step::Forgetful(forgetful) => sim.toy.forgetful = forgetful,
        Step::NewLife(0) => {
            for client in 0..sim.clients.len() {
                sim.disconnect(client);
            }
            let topic_name = sim.topics[0].0.clone();
            sim.new_life(&topic_name);
        }
        Step::NewLife(_) => {}
    }
}

fn check(kind: &str, steps: Vec<Step>) {
    let mut sim = Sim::new(3, &[("one", kind), ("two", kind)]);
    steps.into_iter().for_each(|step| play(&mut sim, step));
    sim.check_converged();
}

macro_rules! converges {
    ($($test:ident: $kind:literal,)*) => {
        proptest! {
            #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]
            $(#[test]
            fn $test(steps in prop::collection::vec(step(), 0..120)) {
                check($kind, steps);
            })*
        }
    };
}

converges! {
    replicas_of_a_string_converge: "string",
    replicas_of_a_list_converge: "list",
    replicas_of_a_dict_converge: "dict",
    replicas_of_a_set_converge: "set",
    replicas_of_an_int_converge: "int",
    replicas_of_a_register_converge: "generic",
}
