//! Recorded runs: three clients, the first of which is the one whose case it is, edit, lose their
//! connections and come back, at random. Each run has a seed, and is the same every time.

use serde_json::{Value as Json, json};
use topicsync::client::{LocalChange, Replica};
use topicsync::types::{Registry, TypeRef};
use topicsync::value::Value;

use super::player::fields;
use super::script::Script;
use super::server::name;

/// Runs of each kind of topic.
const RUNS: u64 = 24;
const STEPS: usize = 13;

const KINDS: [&str; 7] = ["generic", "int", "float", "string", "list", "set", "dict"];

/// S. Vigna's splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound.max(1)
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    fn text(&mut self) -> String {
        let pieces = ["a", "b", "c", "de", "é", "e\u{301}", "😀", "👩\u{200d}👧", "𝄞", " "];
        (0..1 + self.below(2)).map(|_| self.pick(&pieces)).collect()
    }

    fn value(&mut self) -> Json {
        match self.below(8) {
            0 => json!(null),
            1 => json!({"n": self.below(3)}),
            2 => json!(self.below(4) as f64),
            3 => json!([self.text(), 1]),
            4 => json!(self.text()),
            _ => json!(self.below(4)),
        }
    }

    /// A change that fits `view`.
    fn change(&mut self, kind: &str, view: &Value) -> Json {
        if self.once_in(24) || kind == "generic" {
            return json!({"type": "set", "value": self.whole(kind)});
        }
        match (kind, view) {
            ("int", _) => json!({"type": "add", "value": self.below(200) as i64 - 100}),
            // Sums of multiples of 1/1024 are exact.
            ("float", _) => json!({"type": "add", "value": self.below(9999) as f64 / 1024.0 - 5.0}),
            ("string", Value::String(text)) => self.edit(text.len_chars()),
            ("list", Value::List(items)) => self.rearrange(items.len()),
            ("set", Value::List(items)) => {
                let item = self.value();
                let there = items.iter().any(|it| *it == Value::from(item.clone()));
                json!({"type": if there { "remove" } else { "append" }, "item": item})
            }
            (_, Value::Dict(entries)) => {
                let key = self.pick(&["a", "b", "c", "é😀"]);
                match entries.contains_key(key) {
                    false => json!({"type": "add", "key": key, "value": self.value()}),
                    true if self.once_in(3) => json!({"type": "remove", "key": key}),
                    true => json!({"type": "change_value", "key": key, "value": self.value()}),
                }
            }
            _ => panic!("a {kind} topic holds {view:?}"),
        }
    }

    fn whole(&mut self, kind: &str) -> Json {
        match kind {
            "int" => json!(self.below(100)),
            "float" => json!(self.below(100) as f64 / 4.0),
            "string" => json!(self.text()),
            "list" => json!([self.value(), self.value()]),
            "set" => json!([self.below(3), "x"]),
            "dict" => json!({"a": self.value()}),
            _ => self.value(),
        }
    }

    fn edit(&mut self, len: usize) -> Json {
        let start = self.below(len + 1);
        match self.below(6) {
            0 => json!({"type": "insert", "position": -1, "insertion": self.text()}),
            1 | 2 if len > start => {
                let length = 1 + self.below((len - start).min(4));
                json!({"type": "delete", "position": start, "length": length})
            }
            3 if len > start => json!({"type": "edit", "edit": [start, self.text(), {"d": 1}]}),
            _ => json!({"type": "insert", "position": start, "insertion": self.text()}),
        }
    }

    fn rearrange(&mut self, len: usize) -> Json {
        if len == 0 || (len < 6 && self.once_in(2)) {
            let position = if self.once_in(5) { -1 } else { self.below(len + 1) as i64 };
            return json!({"type": "insert", "position": position, "item": self.value()});
        }
        let position = if self.once_in(6) { -1 } else { self.below(len) as i64 };
        match self.below(3) {
            0 => json!({"type": "pop", "position": position}),
            1 => json!({"type": "replace", "position": position, "item": self.value()}),
            _ => json!({"type": "move", "from": self.below(len), "to": self.below(len)}),
        }
    }
}

/// A client whose case it is not.
struct Other {
    number: usize,
    replica: Replica,
}

struct Run {
    script: Script,
    random: Random,
    topics: Vec<(String, &'static str)>,
    others: Vec<Other>,
}

pub fn cases() -> Vec<String> {
    let mut cases = Vec::new();
    for (index, kind) in KINDS.into_iter().enumerate() {
        for seed in 0..RUNS {
            let number = index as u64 * 1000 + seed;
            let case = format!("run/{kind}/{seed}");
            cases.push(Run::new(case, number, &[("one", kind)]).play());
        }
    }
    for seed in 0..2 * RUNS {
        let mut random = Random(seed + 77_000);
        let topics = [("one", random.pick(&KINDS)), ("two", random.pick(&KINDS))];
        cases.push(Run::new(format!("run/two-topics/{seed}"), seed + 99_000, &topics).play());
    }
    cases
}

fn type_of(kind: &str) -> TypeRef {
    Registry::default().get(kind).expect("a built-in type")
}

impl Run {
    fn new(case: String, seed: u64, topics: &[(&str, &'static str)]) -> Run {
        let mut script = Script::new(case);
        for (topic, kind) in topics {
            script.subscribe(topic, kind);
        }
        let mut others = Vec::new();
        for number in 1..3 {
            let mut replica = Replica::new();
            for (topic, kind) in topics {
                replica.subscribe(&name(topic), type_of(kind), Default::default());
            }
            script.server.connect(number);
            others.push(Other { number, replica });
        }
        let topics = topics.iter().map(|(topic, kind)| ((*topic).to_owned(), *kind)).collect();
        Run { script, random: Random(seed), topics, others }
    }

    fn play(mut self) -> String {
        self.others_settle();
        self.script.connect();
        self.script.exchange();
        for _ in 0..STEPS {
            self.step();
        }
        self.script.step("resend_busy", &json!({}));
        self.script.server.busy = 0;
        self.script.server.refuse(0);
        if !self.script.is_connected() {
            self.script.connect();
        }
        for _ in 0..3 {
            self.script.exchange();
            self.others_settle();
        }
        self.script.converged()
    }

    fn step(&mut self) {
        match self.random.below(30) {
            0..=6 => self.change(),
            7 => self.act(),
            8..=13 => self.others_change(),
            14..=17 => drop(self.script.send()),
            18..=20 => self.script.serve(),
            21..=24 => drop({
                let most = 1 + self.random.below(3);
                self.script.deliver_some(most)
            }),
            25 | 26 => match self.script.is_connected() {
                true => self.script.cut(),
                false => self.script.connect(),
            },
            27 => match self.random.below(5) {
                0 if !self.script.is_connected() => self.script.forget_session(),
                1 => self.script.server.busy = 1,
                2 => self.script.server.refuse(1),
                3 => self.script.server.forgetful ^= true,
                _ => self.script.undo(),
            },
            28 => {
                let topic = self.random.pick(&self.topics).0;
                self.script.jump(&topic);
            }
            _ => self.overwrite(),
        }
    }

    fn change(&mut self) {
        let (topic, kind) = self.random.pick(&self.topics);
        let view = self.script.view(&topic);
        self.script.local(&topic, self.random.change(kind, &view));
    }

    fn overwrite(&mut self) {
        let (topic, kind) = self.random.pick(&self.topics);
        let view = self.script.view(&topic);
        self.script.overwrite(&topic, self.random.change(kind, &view));
    }

    /// The second change of a topic may not fit what the first leaves: then nothing happens.
    fn act(&mut self) {
        let mut changes = Vec::new();
        for _ in 0..2 {
            let (topic, kind) = self.random.pick(&self.topics);
            let view = self.script.view(&topic);
            changes.push((topic, self.random.change(kind, &view)));
        }
        let changes: Vec<_> = changes.iter().map(|(topic, it)| (&**topic, it.clone())).collect();
        self.script.act(&changes);
    }

    fn others_change(&mut self) {
        let number = self.random.below(self.others.len());
        let (topic, kind) = self.random.pick(&self.topics);
        let replica = &mut self.others[number].replica;
        let view = replica.view(&name(&topic)).expect("it is subscribed");
        let view = type_of(kind).encode_value(view);
        let change = fields(&self.random.change(kind, &view)).expect("it is an object");
        let taken = replica.local(vec![LocalChange::new(name(&topic), change)]);
        taken.expect("it fits the view");
        if self.random.once_in(2) {
            self.others_settle();
        }
    }

    /// Everything of the others is said and heard.
    fn others_settle(&mut self) {
        loop {
            let mut any = false;
            for Other { number, replica } in &mut self.others {
                replica.resend_busy();
                for message in replica.outbox() {
                    any = true;
                    self.script.server.receive(*number, message);
                }
                self.script.server.tick();
                while let Some(message) = self.script.server.next_for(*number) {
                    any = true;
                    replica.receive(message);
                }
                replica.events();
            }
            if !any {
                return;
            }
        }
    }
}
