//! Histories: exported, imported, replayed and cut at any commit they equal the live state; blame agrees
//! with a naive model; and applying the differences of two values leads from one to the other.

use std::io::Write;

use proptest::prelude::*;
use topicsync::engine::{
    Author, ChangeBody, Direction, Engine, Group, Submission, Submitted, TopicCell,
};
use topicsync::journal::{
    Append, Checkpoint, Journal, Logged, MemoryJournal, Operation, TopicRecord,
};
use topicsync::replay::{
    self, Blamed, Difference, Part, PathStep, Scope, Stage, What, cut, diff, export, open_export,
    verify,
};
use topicsync::topic::{
    ActionId, ClientId, CommitNumber, Epoch, Moment, TopicName, TopicOptions, Version,
};
use topicsync::types::{Registry, TypeRef};
use topicsync::value::{Fields, Value};

use crate::generate::{Choices, Ends, any_value};
use crate::simulation::hunt;
use crate::strategies::{Tape, tape, two_runs};
use crate::world::{Checked, Kind, kind, kinds, same, server};

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// One change, made so many versions ago.
    Change {
        author: usize,
        missed: u64,
        tape: Tape,
    },
    /// An action of so many changes.
    Act {
        author: usize,
        changes: usize,
        tape: Tape,
    },
    Undo(usize),
    Redo(usize),
}

const AUTHORS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let author = || 0..AUTHORS;
    prop_oneof![
        6 => (author(), 0..4_u64, tape())
            .prop_map(|(author, missed, tape)| Step::Change { author, missed, tape }),
        3 => (author(), 1..5_usize, tape())
            .prop_map(|(author, changes, tape)| Step::Act { author, changes, tape }),
        2 => author().prop_map(Step::Undo),
        1 => author().prop_map(Step::Redo),
    ]
}

/// Every topic's version and value at some commit.
type State = Vec<(Version, Value)>;

/// An engine, and what its topics held after each commit.
struct Live {
    engine: Engine,
    kinds: Vec<Kind>,
    topics: Vec<std::sync::Arc<TopicCell>>,
    authors: Vec<Author>,
    actions: u64,
    states: Vec<(CommitNumber, State)>,
}

impl Live {
    fn played(kinds: &[Kind], steps: &[Step]) -> Live {
        let engine = server::new_engine(60_000);
        let make = |(at, kind): (usize, &Kind)| {
            let name = TopicName::new(format!("{}/{at}", kind.of.name())).expect("a name");
            engine.make(&name, kind.of, TopicOptions::default()).expect("a new engine")
        };
        let mut topics: Vec<_> = kinds.iter().enumerate().map(make).collect();
        let mut kinds = kinds.to_vec();
        // As scopes have them.
        topics.sort_by(|a, b| a.name().cmp(b.name()));
        kinds.sort_by_key(|kind| kind.of.name());
        let authors = (1..=AUTHORS as u64).map(|id| Author::new(ClientId(id), None)).collect();
        let states = Vec::new();
        let mut live = Live { engine, kinds, topics, authors, actions: 0, states };
        live.note();
        for step in steps {
            live.step(step);
            live.note();
            server::pass_time(7);
        }
        live
    }

    fn state(&self) -> State {
        let plain = |(topic, kind): (&std::sync::Arc<TopicCell>, &Kind)| {
            let snapshot = topic.snapshot();
            (snapshot.version, kind.of.encode_value(&snapshot.value))
        };
        self.topics.iter().zip(&self.kinds).map(plain).collect()
    }

    fn note(&mut self) {
        self.states.push((self.engine.commit(), self.state()));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Change { author, missed, tape } => {
                let mut tape = tape.clone();
                let choices: &mut dyn Choices = &mut tape;
                let at = choices.below(self.topics.len());
                let base = Version(self.topics[at].head().0.saturating_sub(*missed));
                let old = self.topics[at].value_at(Moment::Version(base)).expect("all is kept");
                let change = (self.kinds[at].change)(choices, &old.value, Ends::Never);
                let submitted = self.submitted(at, ChangeBody::Typed(change), Some(base));
                let changes = [submitted].into_iter().collect();
                // What cannot be carried leaves nothing behind.
                let _ = self
                    .engine
                    .submit_now(&self.authors[*author], Submission { action_id: None, changes });
            }
            Step::Act { author, changes, tape } => self.act(*author, *changes, tape.clone()),
            Step::Undo(author) => self.reverse(*author, Direction::Undo),
            Step::Redo(author) => self.reverse(*author, Direction::Redo),
        }
    }

    fn submitted(&self, at: usize, change: ChangeBody, base: Option<Version>) -> Submitted {
        let topic = self.topics[at].name().clone();
        Submitted { topic, epoch: None, change, id: None, base }
    }

    fn act(&mut self, author: usize, changes: usize, mut tape: Tape) {
        let choices: &mut dyn Choices = &mut tape;
        let mut values: Vec<_> = self.topics.iter().map(|it| it.snapshot().value).collect();
        let planned = (0..changes).map(|_| {
            let at = choices.below(self.topics.len());
            let change = (self.kinds[at].change)(choices, &values[at], Ends::Allowed);
            self.kinds[at].of.apply(&mut values[at], &change).expect("it was made for the value");
            self.submitted(at, ChangeBody::Typed(change), None)
        });
        let changes = planned.collect();
        self.actions += 1;
        let action_id = Some(ActionId::new(format!("a{}", self.actions)).expect("it is short"));
        let done = self.engine.submit_now(&self.authors[author], Submission { action_id, changes });
        assert!(done.is_ok(), "an action made for the values is accepted");
    }

    fn reverse(&self, author: usize, direction: Direction) {
        let mut group = Group::default();
        self.engine.reverse(&self.authors[author], direction, &mut group);
        self.engine.publish(&mut group);
    }

    /// The history as a server would have written it, with checkpoints here and there.
    fn journal(&self, every: u64) -> MemoryJournal {
        let journal = MemoryJournal::new();
        for (topic, kind) in self.topics.iter().zip(&self.kinds) {
            let record = TopicRecord {
                name: topic.name().clone(),
                type_name: kind.of.name().into(),
                options: topic.options().clone(),
                epoch: Epoch::new("e").expect("it is short"),
                life: 1,
            };
            let (entries, _) =
                topic.history(Version(0), None, usize::MAX).expect("all is in memory");
            let changes: Vec<_> =
                entries.iter().map(|entry| Logged::of_entry(kind.of, entry)).collect();
            let topic_name = topic.name().clone();
            let mut group = vec![Operation::Make { record, start: None }];
            if !changes.is_empty() {
                let append = Append { topic: topic_name.clone(), after: Version(0), changes };
                group.push(Operation::Append(append));
            }
            for version in (1..=topic.head().0).filter(|version| version.is_multiple_of(every)) {
                let snapshot =
                    topic.value_at(Moment::Version(Version(version))).expect("all is kept");
                let value = kind.of.encode_value(&snapshot.value);
                let checkpoint = Checkpoint { version: Version(version), value };
                group.push(Operation::Checkpoint { topic: topic_name.clone(), checkpoint });
            }
            journal.commit(&group).expect("a new journal");
        }
        journal
    }
}

fn scope(journal: &dyn Journal) -> Scope {
    Scope::of(journal, |_| true).expect("it is in memory")
}

fn exported(journal: &dyn Journal) -> Vec<u8> {
    let mut out = Vec::new();
    let (registry, scope) = (Registry::default(), scope(journal));
    export(journal, &registry, &scope, &mut out, &mut |_| {}).expect("it is in memory");
    out
}

fn imported(mut text: &[u8]) -> Result<MemoryJournal, String> {
    open_export(&mut text, &Registry::default(), &mut |_| {}).map_err(|error| error.to_string())
}

fn state_at(journal: &dyn Journal, commit: CommitNumber) -> Result<State, String> {
    let topics = cut(journal, &Registry::default(), Moment::Commit(commit), |_| true);
    let topics = topics.map_err(|error| error.to_string())?;
    Ok(topics.iter().map(|at| (at.version, at.plain())).collect())
}

fn check_history(kinds: &[Kind], steps: &[Step], jumps: &[usize], every: u64) -> Checked {
    let live = Live::played(kinds, steps);
    let journal = live.journal(every);
    let text = exported(&journal);
    let again = imported(&text)?;
    same("exported again", &text, &exported(&again))?;
    for (commit, state) in &live.states {
        same(format!("in memory, at commit {commit}"), &state_at(&journal, *commit)?, state)?;
        same(format!("imported, at commit {commit}"), &state_at(&again, *commit)?, state)?;
    }
    check_jumps(&live, &journal, jumps)?;
    for (record, _) in &scope(&journal).topics {
        let verified = verify(&journal, &Registry::default(), record, &mut |_| {});
        same("verified", &verified.map_err(|error| error.to_string())?.problem, &None)?;
    }
    check_first_lines(&live, &text, jumps)
}

/// Going to and fro leads where a new look does.
fn check_jumps(live: &Live, journal: &dyn Journal, jumps: &[usize]) -> Checked {
    let registry = Registry::default();
    let mut stage = Stage::new(journal, &registry);
    for jump in jumps {
        let (commit, state) = &live.states[jump % live.states.len()];
        for (topic, (version, value)) in live.topics.iter().zip(state) {
            let at = stage.at(topic.name(), Moment::Commit(*commit));
            let at = at.map_err(|error| error.to_string())?;
            same("after a jump", &(at.version, &at.plain()), &(*version, value))?;
        }
    }
    Ok(())
}

/// The first lines of a file are the workspace as it was.
fn check_first_lines(live: &Live, text: &[u8], jumps: &[usize]) -> Checked {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let start = 1 + live.topics.len();
    for jump in jumps {
        let end = start + jump % (lines.len() - start + 1);
        let part = imported(&lines[..end].concat())?;
        let newest = scope(&part).newest;
        let last = live.states.iter().rev().find(|(commit, _)| *commit <= newest);
        let (_, state) = last.expect("the first is at commit 0");
        same(format!("the first {end} lines"), &state_at(&part, newest)?, state)?;
    }
    Ok(())
}

fn histories(max: usize) -> impl Strategy<Value = (Vec<Step>, Vec<usize>, u64)> {
    let jumps = prop::collection::vec(any::<u16>().prop_map(usize::from), 0..6);
    (prop::collection::vec(step(), 0..max), jumps, 1..9_u64)
}

#[test]
fn any_history_replayed_equals_the_live_state() {
    let mut twice = kinds();
    twice.extend([kind("string"), kind("list"), kind("dict")]);
    hunt("history", histories(24), |(steps, jumps, every)| {
        check_history(&twice, steps, jumps, *every)
    });
}

#[test]
fn a_history_of_one_text_replayed_equals_the_live_state() {
    hunt("history", histories(40), |(steps, jumps, every)| {
        check_history(&[kind("string")], steps, jumps, *every)
    });
}

/// The version that wrote each part of a value, kept the simplest way there is, from what the changes
/// look like on the wire.
#[derive(Default)]
struct Naive {
    value: Option<Value>,
    /// By key or member; for positions by their place.
    parts: Vec<(Value, u64)>,
}

impl Naive {
    /// What a value is made of.
    fn parts_of(kind: TypeRef, value: &Value) -> Vec<Value> {
        match (kind.name(), value) {
            ("string", Value::String(text)) => {
                text.to_string().chars().map(|char| char.to_string().into()).collect()
            }
            ("list" | "set", Value::List(items)) => items.iter().cloned().collect(),
            ("dict", Value::Dict(dict)) => dict.keys().map(|key| key.clone().into()).collect(),
            _ => vec![value.clone()],
        }
    }

    fn change(&mut self, kind: TypeRef, version: u64, change: &Fields, after: &Value) {
        let int = |field: &str| change.get(field).and_then(Value::as_int).unwrap_or(0) as usize;
        let field = |field: &str| change.get(field).cloned().unwrap_or_default();
        let chars = |value: &Value| match value {
            Value::String(text) => text.len_chars(),
            other => other.as_int().unwrap_or(0) as usize,
        };
        match (kind.name(), change.change_type()) {
            ("event", _) => {}
            ("string", "insert") => {
                self.splice(int("position"), 0, chars(&field("insertion")), version);
            }
            ("string", "delete") => {
                self.splice(int("position"), chars(&field("deletion")), 0, version);
            }
            ("string", "edit") => {
                let (Value::List(steps), mut at) = (field("edit"), 0) else { return };
                for step in &steps {
                    match step {
                        Value::String(_) => {
                            self.splice(at, 0, chars(step), version);
                            at += chars(step);
                        }
                        Value::Dict(dict) => self.splice(
                            at,
                            chars(&dict.get("d").cloned().unwrap_or_default()),
                            0,
                            version,
                        ),
                        kept => at += chars(kept),
                    }
                }
            }
            ("list", "insert") => self.splice(int("position"), 0, 1, version),
            ("list", "pop") => self.splice(int("position"), 1, 0, version),
            ("list", "replace") => self.splice(int("position"), 1, 1, version),
            ("list", "move") => {
                let moved = self.parts.remove(int("from"));
                self.parts.insert(int("to"), moved);
            }
            ("set", "append") => self.parts.push((field("item"), version)),
            ("set", "remove") => self.parts.retain(|(item, _)| *item != field("item")),
            ("dict", "add" | "change_value" | "remove") => {
                self.parts.retain(|(key, _)| *key != field("key"));
                if change.change_type() != "remove" {
                    self.parts.push((field("key"), version));
                }
            }
            _ => {
                let parts = Naive::parts_of(kind, after).into_iter();
                self.parts = parts.map(|part| (part, version)).collect();
            }
        }
        self.value = Some(after.clone());
    }

    fn splice(&mut self, at: usize, removed: usize, inserted: usize, version: u64) {
        let new = (0..inserted).map(|_| (Value::Null, version));
        self.parts.splice(at..at + removed, new);
    }
}

fn check_blame(kinds: &[Kind], steps: &[Step]) -> Checked {
    let live = Live::played(kinds, steps);
    let journal = live.journal(3);
    for (topic, kind) in live.topics.iter().zip(&live.kinds) {
        let mut naive = Naive::default();
        let initial = kind.of.encode_value(&kind.of.initial());
        let parts = Naive::parts_of(kind.of, &initial).into_iter();
        naive.parts = parts.map(|part| (part, 0)).collect();
        let head = topic.head();
        for logged in journal.read(topic.name(), Version(0), head).expect("it is in memory") {
            let moment = Moment::Version(logged.version);
            let value = kind.of.encode_value(&topic.value_at(moment).expect("all is kept").value);
            if let Some(change) = &logged.change {
                naive.change(kind.of, logged.version.0, change, &value);
            }
            let blamed = replay::blame(&journal, &Registry::default(), topic.name(), moment)
                .map_err(|it| it.to_string())?;
            check_blamed(kind.of, &blamed.1, &naive, &value)?;
        }
    }
    Ok(())
}

fn check_blamed(kind: TypeRef, blamed: &[Blamed], naive: &Naive, value: &Value) -> Checked {
    let version = |it: &Blamed| it.written.as_ref().map_or(0, |written| written.version.0);
    let mut found: Vec<(Value, u64)> = Vec::new();
    for it in blamed {
        match &it.part {
            Part::Whole => found.push((it.value.clone(), version(it))),
            Part::Member => found.push((it.value.clone(), version(it))),
            Part::Key(key) => found.push((key.clone().into(), version(it))),
            Part::Positions(range) => {
                let parts = Naive::parts_of(kind, &it.value);
                same("the length of a stretch", &parts.len(), &range.len())?;
                same("where a stretch begins", &range.start, &found.len())?;
                found.extend(parts.into_iter().map(|part| (part, version(it))));
            }
        }
    }
    let is_row = matches!(kind.name(), "string" | "list");
    let mut expected = naive.parts.clone();
    if is_row {
        let parts = Naive::parts_of(kind, value);
        same("how many positions there are", &parts.len(), &expected.len())?;
        expected = parts.into_iter().zip(expected).map(|(part, (_, by))| (part, by)).collect();
    } else if matches!(kind.name(), "set" | "dict") {
        expected.sort();
    } else {
        expected = vec![(value.clone(), naive.parts[0].1)];
    }
    same(format!("blame of a {}", kind.name()), &found, &expected)
}

#[test]
fn blame_agrees_with_a_naive_model() {
    let steps = || prop::collection::vec(step(), 1..20);
    for name in ["string", "list", "set", "dict", "generic", "int", "event"] {
        hunt("blame", steps(), |steps| check_blame(&[kind(name)], steps));
    }
}

/// Applies differences to the value that they lead from.
fn patched(value: &Value, differences: &[(&[PathStep], &What)]) -> Result<Value, String> {
    if let [([], what)] = differences {
        return match what {
            What::Changed { from, to } => same("what changed", from, value).map(|()| to.clone()),
            What::Edited(edits) => {
                let Value::String(text) = value else { return Err("no text".to_owned()) };
                let mut text = text.clone();
                for edit in edits {
                    let end = edit.at + edit.removed.chars().count();
                    same("a removed text", &text.slice(edit.at..end), &edit.removed)?;
                    text.remove(edit.at..end);
                    text.insert(edit.at, &edit.inserted);
                }
                Ok(text.into())
            }
            other => Err(format!("{other:?} of a whole value")),
        };
    }
    match value {
        Value::Dict(dict) => {
            let (mut dict, mut rest) = (dict.clone(), differences);
            while let Some((path, what)) = rest.first() {
                let PathStep::Key(key) = &path[0] else { return Err("an index".to_owned()) };
                let many =
                    rest.iter().take_while(|(path, _)| path[0] == PathStep::Key(key.clone()));
                let (here, others) = rest.split_at(many.count());
                rest = others;
                match (path.len(), what) {
                    (1, What::Added(value)) => {
                        same(
                            "a key that is added",
                            &dict.insert(key.clone(), value.clone()),
                            &None,
                        )?;
                    }
                    (1, What::Removed(value)) => {
                        same("a removed value", &dict.remove(key), &Some(value.clone()))?;
                    }
                    _ => {
                        let old = dict.get(key).ok_or("no such key")?;
                        let new = patched(old, &inner(here))?;
                        dict.insert(key.clone(), new);
                    }
                }
            }
            Ok(dict.into())
        }
        Value::List(items) => patched_list(items.iter().cloned().collect(), differences),
        other if differences.is_empty() => Ok(other.clone()),
        other => Err(format!("{differences:?} of {other:?}")),
    }
}

fn inner<'a>(differences: &[(&'a [PathStep], &'a What)]) -> Vec<(&'a [PathStep], &'a What)> {
    differences.iter().map(|(path, what)| (&path[1..], *what)).collect()
}

/// First what is removed, counted in the old list; then what is added, then what is changed, in the new.
fn patched_list(mut items: Vec<Value>, all: &[(&[PathStep], &What)]) -> Result<Value, String> {
    let index = |path: &[PathStep]| match path[0] {
        PathStep::Index(index) => Ok(index),
        PathStep::Key(_) => Err("a key".to_owned()),
    };
    for (path, what) in all.iter().rev() {
        if let (1, What::Removed(value)) = (path.len(), what) {
            same("a removed item", &items.remove(index(path)?), value)?;
        }
    }
    for (path, what) in all {
        if let (1, What::Added(value)) = (path.len(), what) {
            items.insert(index(path)?, value.clone());
        }
    }
    for (at, item) in items.iter_mut().enumerate() {
        let is_change = |(path, what): &&(&[PathStep], &What)| {
            let whole = path.len() == 1 && matches!(what, What::Added(_) | What::Removed(_));
            path[0] == PathStep::Index(at) && !whole
        };
        let here: Vec<_> = all.iter().filter(is_change).copied().collect();
        if !here.is_empty() {
            *item = patched(item, &inner(&here))?;
        }
    }
    Ok(items.into())
}

fn check_diff(from: &Value, to: &Value) -> Checked {
    let differences: Vec<Difference> = diff(from, to);
    let all: Vec<_> = differences.iter().map(|it| (it.path.as_slice(), &it.what)).collect();
    same(format!("after {differences:?}"), &patched(from, &all)?, to)?;
    same("nothing differs only from itself", &differences.is_empty(), &(from == to))
}

#[test]
fn differences_lead_from_one_value_to_the_other() {
    hunt("diff", (tape(), tape()), |(from, to)| {
        let (mut from, mut to) = (from.clone(), to.clone());
        check_diff(&any_value(&mut from, 4), &any_value(&mut to, 4))
    });
}

#[test]
fn differences_lead_from_one_version_to_another() {
    use topicsync::types::{TopicType, dict, list, string};
    fn check<T: crate::generate::Generate>(name: &str) {
        hunt(name, two_runs::<T>(Ends::Allowed, 12), |(value, one, other)| {
            let end = |changes: &[T::Change]| {
                let mut value = value.clone();
                for change in changes {
                    T::apply(&mut value, change).expect("it was made for the value");
                }
                T::encode_value(&value)
            };
            check_diff(&end(one), &end(other))
        });
    }
    check::<string::String>(string::String::NAME);
    check::<list::List>(list::List::NAME);
    check::<dict::Dict>(dict::Dict::NAME);
}

/// What happens to a file that people and programs edit.
#[derive(Debug, Clone)]
enum Accident {
    Drop(usize),
    Double(usize),
    Swap(usize, usize),
    CutOff(usize),
    Byte(usize, u8),
    /// One number in a line becomes another.
    Number(usize, u64),
}

fn accident() -> impl Strategy<Value = Accident> {
    let at = || any::<u16>().prop_map(usize::from);
    let numbers = prop_oneof![0..20_u64, Just((1 << 53) - 1), Just(1 << 53), Just(u64::MAX)];
    prop_oneof![
        at().prop_map(Accident::Drop),
        at().prop_map(Accident::Double),
        (at(), at()).prop_map(|(a, b)| Accident::Swap(a, b)),
        at().prop_map(Accident::CutOff),
        (at(), any::<u8>()).prop_map(|(at, byte)| Accident::Byte(at, byte)),
        (at(), numbers).prop_map(|(at, number)| Accident::Number(at, number)),
    ]
}

fn befall(text: &mut Vec<u8>, accident: &Accident) {
    let mut lines: Vec<Vec<u8>> =
        text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (len, count) = (text.len().max(1), lines.len().max(1));
    match accident {
        Accident::CutOff(at) => return text.truncate(at % len),
        Accident::Byte(at, byte) => {
            return text.iter_mut().nth(at % len).map_or((), |it| *it = *byte);
        }
        Accident::Drop(at) => {
            drop(lines.drain(at % count..(at % count + 1).min(lines.len())).next())
        }
        Accident::Double(at) => lines.extend(lines.get(at % count).cloned()),
        Accident::Swap(a, b) if !lines.is_empty() => lines.swap(a % count, b % count),
        Accident::Number(at, number) => {
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            let Some(start) = text.iter().skip(at % len).position(is_digit) else { return };
            let start = start + at % len;
            let end =
                text[start..].iter().position(|it| !is_digit(it)).map_or(len, |it| start + it);
            text.splice(start..end, number.to_string().into_bytes());
            return;
        }
        Accident::Swap(..) => {}
    }
    *text = lines.concat();
}

#[test]
fn no_file_panics_and_what_is_read_from_one_is_written_again() {
    let cases = (histories(12), prop::collection::vec(accident(), 1..4));
    hunt("accidents", cases, |((steps, ..), accidents)| {
        let mut text = exported(&Live::played(&kinds(), steps).journal(5));
        accidents.iter().for_each(|accident| befall(&mut text, accident));
        match imported(&text) {
            Err(words) => same("a line is named", &words.starts_with("line "), &true),
            Ok(journal) => {
                let once = exported(&journal);
                let newest = scope(&journal).newest;
                state_at(&journal, newest)?;
                same("written again", &exported(&imported(&once)?), &once)
            }
        }
    });
}

/// What is written fails where the disk does, and says so.
#[test]
fn an_export_that_cannot_be_written_is_an_error() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let room = self.0.min(bytes.len());
            self.0 -= room;
            match room {
                0 => Err(std::io::ErrorKind::StorageFull.into()),
                _ => Ok(room),
            }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let live = Live::played(&kinds(), &[]);
    let (journal, registry) = (live.journal(1), Registry::default());
    let len = exported(&journal).len();
    for room in [0, 1, 40, len - 1] {
        let out = &mut Full(room);
        assert!(export(&journal, &registry, &scope(&journal), out, &mut |_| {}).is_err());
    }
}
