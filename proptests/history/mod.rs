//! Histories: exported, imported, replayed and cut at any commit they equal the live state; blame agrees
//! with a naive model; and applying the differences of two values leads from one to the other.

mod accidents;
mod blame;
mod diff;
mod live;

use std::io::Write;

use proptest::prelude::*;
use topicsync::journal::{Journal, MemoryJournal};
use topicsync::replay::{Scope, Stage, cut, export, open_export, verify};
use topicsync::topic::{CommitNumber, Moment};
use topicsync::types::Registry;

use crate::hunt::{hunt, kind};
use live::{Live, State, Step, step};
use topicsync::testkit::Found;
use topicsync::testkit::Kind;
use topicsync::testkit::broken::same;
use topicsync::testkit::world::kinds;

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

fn check_history(kinds: &[Kind], steps: &[Step], jumps: &[usize], every: u64) -> Found {
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
fn check_jumps(live: &Live, journal: &dyn Journal, jumps: &[usize]) -> Found {
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
fn check_first_lines(live: &Live, text: &[u8], jumps: &[usize]) -> Found {
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
