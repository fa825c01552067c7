//! Small histories, looked at from every side.

use serde_json::json;

use super::*;
use crate::journal::{Journal, Logged, MemoryJournal, Operation, TopicRecord};
use crate::topic::{CommitNumber, Epoch, Moment, TopicName, Version};
use crate::types::Registry;
use crate::value::Value;

const HISTORY: &str = r#"{"topicsync":"export","format":1}
{"topic":"nodes","type":"dict","options":{},"oldest":0}
{"topic":"own","type":"counter","options":{},"oldest":0}
{"topic":"text","type":"string","options":{},"oldest":5,"value":"the way"}
{"commit":3,"time":1000,"author":1,"changes":[{"topic":"nodes","version":1,"id":"1_0","change":{"type":"add","key":"a","value":1}}]}
{"commit":5,"time":2000,"author":2,"action_id":"paste","changes":[{"topic":"nodes","version":2,"id":"2_0","change":{"type":"add","key":"b","value":{"x":1}}},{"topic":"nodes","version":3,"id":"2_1","change":{"type":"change_value","key":"a","value":2}},{"topic":"text","version":6,"id":"2_2","change":{"type":"insert","position":4,"insertion":"old "}}]}
{"commit":6,"time":3000,"author":1,"changes":[{"topic":"text","version":7,"id":"1_1","change":{"type":"edit","edit":[4,"n",{"d":"old"},"ew"]}}]}
{"commit":8,"time":4000,"author":2,"action_id":"2_s0","undoes":{"commit":5,"action_id":"paste"},"changes":[{"topic":"nodes","version":4,"id":"2_s1","change":{"type":"change_value","key":"a","value":1}},{"topic":"nodes","version":5,"id":"2_s2","change":{"type":"remove","key":"b"}},{"topic":"text","version":8,"id":"2_s3","change":null}]}
{"commit":9,"time":5000,"author":3,"changes":[{"topic":"own","version":1,"id":"3_0","change":{"type":"count","by":2}}]}
"#;

fn open(history: &str) -> MemoryJournal {
    open_export(&mut history.as_bytes(), &Registry::default(), &mut |_| {}).unwrap()
}

fn all(journal: &dyn Journal) -> Scope {
    Scope::of(journal, |_| true).unwrap()
}

fn exported(journal: &dyn Journal, scope: &Scope) -> String {
    let mut out = Vec::new();
    export(journal, &Registry::default(), scope, &mut out, &mut |_| {}).unwrap();
    String::from_utf8(out).unwrap()
}

fn name(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn plain(journal: &dyn Journal, topic: &str, moment: Moment) -> Value {
    value_at(journal, &Registry::default(), &name(topic), moment).unwrap().plain()
}

fn commit(number: u64) -> Moment {
    Moment::Commit(CommitNumber(number))
}

#[test]
fn what_was_imported_is_exported_to_the_byte() {
    let journal = open(HISTORY);
    assert_eq!(exported(&journal, &all(&journal)), HISTORY);
    assert_eq!(all(&journal).changes(), 9);
}

#[test]
fn the_first_lines_are_the_workspace_at_a_commit() {
    let whole = open(HISTORY);
    let lines: Vec<&str> = HISTORY.split_inclusive('\n').collect();
    for end in 4..=lines.len() {
        let part = open(&lines[..end].concat());
        let newest = all(&part).newest;
        for topic in ["nodes", "text"] {
            let moment = Moment::Commit(newest);
            assert_eq!(plain(&part, topic, moment), plain(&whole, topic, moment));
        }
    }
}

#[test]
fn some_topics_can_be_exported_alone() {
    let journal = open(HISTORY);
    let scope = Scope::of(&journal, |record| &*record.name == "text").unwrap();
    let text = exported(&journal, &scope);
    assert_eq!(text.lines().count(), 5);
    assert!(text.contains(r#""action_id":"paste","changes":[{"topic":"text","version":6"#));
}

#[test]
fn values_are_found_by_version_commit_and_time() {
    let journal = open(HISTORY);
    let nodes = |moment| plain(&journal, "nodes", moment);
    assert_eq!(nodes(Moment::Version(Version(2))), json!({"a": 1, "b": {"x": 1}}).into());
    assert_eq!(nodes(commit(4)), json!({"a": 1}).into());
    assert_eq!(nodes(commit(7)), json!({"a": 2, "b": {"x": 1}}).into());
    assert_eq!(nodes(Moment::Time(crate::topic::Timestamp(999))), json!({}).into());
    assert_eq!(plain(&journal, "text", commit(0)), "the way".into());
    assert_eq!(plain(&journal, "text", commit(6)), "the new way".into());
    let error = |topic: &str, version| {
        let moment = Moment::Version(Version(version));
        value_at(&journal, &Registry::default(), &name(topic), moment).unwrap_err().to_string()
    };
    assert!(error("nodes", 6).contains("its head is 5"));
    assert!(error("text", 4).contains("the oldest is 5"));
    assert!(error("other", 0).contains("there is no topic"));
    assert!(error("own", 0).contains(r#"type "counter""#));
}

#[test]
fn a_cut_shows_no_half_of_an_action() {
    let journal = open(HISTORY);
    let known = |record: &TopicRecord| &*record.type_name != "counter";
    let at = |number| {
        let cut = cut(&journal, &Registry::default(), commit(number), known).unwrap();
        cut.iter().map(|at| at.version.0).collect::<Vec<_>>()
    };
    assert_eq!(at(4), [1, 5]);
    assert_eq!(at(5), [3, 6]);
    assert_eq!(at(100), [5, 8]);
    assert!(cut(&journal, &Registry::default(), commit(4), |_| true).is_err());
}

#[test]
fn history_comes_in_pages() {
    let journal = open(HISTORY);
    let page = history(&journal, &name("nodes"), Version(0), 2).unwrap();
    assert_eq!((page.changes.len(), page.next), (2, Some(Version(2))));
    let page = history(&journal, &name("nodes"), Version(2), 100).unwrap();
    assert_eq!((page.changes.len(), page.next), (3, None));
    let page = history(&journal, &name("text"), Version(0), 1).unwrap();
    assert_eq!(page.changes[0].version, Version(6));
    assert_eq!(history(&journal, &name("own"), Version(0), 9).unwrap().changes.len(), 1);
}

#[test]
fn commits_come_in_one_order_an_action_at_a_time() {
    let journal = open(HISTORY);
    let scope = all(&journal);
    let commits = Commits::after(&journal, &scope, CommitNumber(3)).unwrap();
    let commits: Vec<Commit> = commits.collect::<Result<_, _>>().unwrap();
    let found: Vec<_> = commits.iter().map(|it| (it.number.0, it.changes.len())).collect();
    assert_eq!(found, [(5, 3), (6, 1), (8, 3), (9, 1)]);
    let undo = commits[2].action.as_ref().unwrap().reverses.as_ref().unwrap();
    assert_eq!((undo.commit, undo.redo), (CommitNumber(5), false));
}

/// Blame as `(part, version)`.
fn blamed(journal: &dyn Journal, topic: &str, moment: Moment) -> Vec<(String, Option<u64>)> {
    let (_, blamed) = blame(journal, &Registry::default(), &name(topic), moment).unwrap();
    let part = |it: &Blamed| match &it.part {
        Part::Key(key) => key.to_string(),
        Part::Positions(_) => it.value.as_text().unwrap().to_string(),
        other => format!("{other:?}"),
    };
    blamed.iter().map(|it| (part(it), it.written.as_ref().map(|it| it.version.0))).collect()
}

#[test]
fn blame_tells_who_wrote_each_key_and_stretch() {
    let journal = open(HISTORY);
    let own = |parts: &[(&str, Option<u64>)]| -> Vec<(String, Option<u64>)> {
        parts.iter().map(|(part, version)| ((*part).to_owned(), *version)).collect()
    };
    assert_eq!(blamed(&journal, "nodes", commit(5)), own(&[("a", Some(3)), ("b", Some(2))]));
    assert_eq!(blamed(&journal, "nodes", commit(9)), own(&[("a", Some(4))]));
    let text = [("the ", None), ("new", Some(7)), (" ", Some(6)), ("way", None)];
    assert_eq!(blamed(&journal, "text", commit(9)), own(&text));
}

#[test]
fn differences_of_two_versions() {
    let journal = open(HISTORY);
    let diff = |topic: &str, from, to| {
        let (_, _, found) =
            diff_versions(&journal, &Registry::default(), &name(topic), from, to).unwrap();
        Value::List(found.iter().map(Difference::to_value).collect())
    };
    let nodes = json!([{"path": ["a"], "from": 1, "to": 2}, {"path": ["b"], "added": {"x": 1}}]);
    assert_eq!(diff("nodes", commit(3), commit(5)), nodes.into());
    let edit = json!([{"path": [], "edits": [{"at": 4, "removed": "", "inserted": "new "}]}]);
    assert_eq!(diff("text", commit(0), commit(9)), edit.into());
}

#[test]
fn bad_lines_are_told_by_their_number_and_nothing_is_imported() {
    let bad = [
        (0, r#"{"topicsync":"export","format":2}"#, "newer topicsync (format 2"),
        (0, r#"{"type":"update"}"#, "no exported history"),
        (1, r#"{"topic":"nodes","type":"dict","options":{"x":1},"oldest":0}"#, "no option \"x\""),
        (1, r#"{"topic":"nodes","type":"dict","options":{},"oldest":3}"#, "needs a value"),
        (2, r#"{"topic":"nodes","type":"int","options":{},"oldest":0}"#, "already"),
        (4, r#"{"commit":3,"time":1,"#, "EOF while parsing"),
        (4, r#"{"commit":3,"time":1,"author":1,"chagnes":[]}"#, "unknown field `chagnes`"),
        (4, r#"{"commit":3,"time":9007199254740992,"author":1,"changes":[]}"#, "beyond 2^53"),
        (
            4,
            r#"{"commit":3,"time":1,"author":1,"changes":[{"topic":"x","version":1,"id":"1_0","change":null}]}"#,
            "has no line above",
        ),
        (
            4,
            r#"{"commit":3,"time":1,"author":1,"changes":[{"topic":"nodes","version":2,"id":"1_0","change":null}]}"#,
            "does not follow version 0",
        ),
        (
            4,
            r#"{"commit":3,"time":1,"author":1,"changes":[{"topic":"nodes","version":1,"id":"1","change":null}]}"#,
            "not <client id>_<counter>",
        ),
        (
            4,
            r#"{"commit":3,"time":1,"author":1,"changes":[{"topic":"nodes","version":1,"id":"1_0","change":{"type":"remove","key":"a"}}]}"#,
            "is not there",
        ),
        (5, r#"{"commit":1,"time":1,"author":1,"changes":[]}"#, "after commit 3"),
    ];
    for (line, text, expected) in bad {
        let mut lines: Vec<&str> = HISTORY.lines().collect();
        lines[line] = text;
        let journal = MemoryJournal::new();
        let history = lines.join("\n");
        let result = import_into(&journal, &history, "");
        let words = result.unwrap_err().to_string();
        assert!(words.starts_with(&format!("line {}: ", line + 1)), "{words}");
        assert!(words.contains(expected), "{words}");
        assert_eq!(journal.topics().unwrap(), []);
    }
    let empty = import_into(&MemoryJournal::new(), "", "").unwrap_err();
    assert!(empty.to_string().contains("empty"));
}

fn import_into(
    journal: &MemoryJournal,
    history: &str,
    prefix: &str,
) -> Result<Imported, ImportError> {
    let mut count = 0;
    let epochs: &mut dyn FnMut() -> Epoch = &mut || {
        count += 1;
        Epoch::new(format!("e{count}")).unwrap()
    };
    let how = Import { registry: &Registry::default(), prefix, epochs, progress: &mut |_| {} };
    import(&mut history.as_bytes(), journal, how)
}

#[test]
fn a_second_import_goes_behind_the_first_under_other_names() {
    let journal = MemoryJournal::new();
    import_into(&journal, HISTORY, "").unwrap();
    assert!(import_into(&journal, HISTORY, "").unwrap_err().to_string().contains("--as"));
    let imported = import_into(&journal, HISTORY, "b/").unwrap();
    assert_eq!((imported.topics, imported.moved_up), (3, 9));
    assert_eq!(journal.begin().unwrap().numbers.commit, CommitNumber(18));
    assert_eq!(plain(&journal, "b/nodes", commit(9)), json!({}).into());
    assert_eq!(plain(&journal, "b/nodes", commit(14)), plain(&journal, "nodes", commit(5)));
    let undo = journal.read(&name("b/nodes"), Version(3), Version(4)).unwrap();
    let reverses = undo[0].action.as_ref().unwrap().reverses.as_ref().unwrap();
    assert_eq!(reverses.commit, CommitNumber(14));
    let epochs: Vec<Epoch> = journal.topics().unwrap().into_iter().map(|it| it.epoch).collect();
    assert_eq!(epochs.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
}

#[test]
fn a_fork_begins_where_it_left() {
    let journal = open(HISTORY);
    let (registry, new) = (Registry::default(), name("branch"));
    let epoch = || Epoch::new("x").unwrap();
    let version = fork(&journal, &registry, (&name("nodes"), commit(5)), &new, epoch()).unwrap();
    assert_eq!(version, Version(3));
    assert_eq!(plain(&journal, "branch", commit(0)), plain(&journal, "nodes", commit(5)));
    assert!(fork(&journal, &registry, (&name("nodes"), commit(5)), &new, epoch()).is_err());
    let again = exported(&journal, &all(&journal));
    assert_eq!(exported(&open(&again), &all(&open(&again))), again);
}

/// A log of so many changes that there are checkpoints in it.
fn long() -> String {
    let mut history = "{\"topicsync\":\"export\",\"format\":1}\n\
         {\"topic\":\"n\",\"type\":\"int\",\"options\":{},\"oldest\":0}\n"
        .to_owned();
    for version in 1..=5_000 {
        history += &format!(
            "{{\"commit\":{version},\"time\":{version},\"author\":1,\"changes\":[{{\"topic\":\"n\",\
             \"version\":{version},\"id\":\"1_{version}\",\"change\":{{\"type\":\"add\",\"value\":1}}}}]}}\n"
        );
    }
    history
}

#[test]
fn verify_folds_every_log_and_compares_its_checkpoints() {
    let journal = open(&long());
    let check = || {
        let records = journal.topics().unwrap();
        let (mut found, mut changes) = (Vec::new(), 0);
        let progress: &mut dyn FnMut(u64) = &mut |more| changes += more;
        let missing = verify::verify_all(
            &journal,
            &Registry::default(),
            &records,
            &mut |it| found.push(it),
            progress,
        );
        assert!(missing.unwrap().is_empty());
        assert!(changes <= 5_000);
        found.remove(0)
    };
    let verified = check();
    assert_eq!((verified.changes, verified.checkpoints, verified.problem), (5_000, 4, None));
    let checkpoint =
        crate::journal::Checkpoint { version: Version(3_000), value: 7.into(), stamp: None };
    journal.commit(&[Operation::Checkpoint { topic: name("n"), checkpoint }]).unwrap();
    let problem = check().problem.unwrap();
    assert_eq!(problem.version, Some(Version(3_000)));
    let broken = Operation::Append(crate::journal::Append {
        topic: name("n"),
        after: Version(5_000),
        changes: vec![Logged {
            version: Version(5_001),
            commit: CommitNumber(6_000),
            change: Some(crate::value::Fields::of_type("fly")),
            author: crate::topic::ClientId(1),
            id: crate::topic::ChangeId::new("1_x").unwrap(),
            action: None,
            time: crate::topic::Timestamp(0),
        }],
    });
    let journal = open(&long());
    journal.commit(&[broken]).unwrap();
    let record: TopicRecord = journal.topics().unwrap().remove(0);
    let verified = verify(&journal, &Registry::default(), &record, &mut |_| {}).unwrap();
    assert!(verified.problem.unwrap().to_string().contains("no change \"fly\""));
}

#[test]
fn bisect_finds_the_first_commit_with_few_questions() {
    let journal = open(&long());
    let scope = all(&journal);
    let bound = (CommitNumber(0), CommitNumber(u64::MAX));
    let run = |limit: i64, bound| {
        let mut questions = 0;
        let holds: &mut dyn FnMut(CommitNumber) -> Result<bool, ReplayError> = &mut |number| {
            questions += 1;
            Ok(plain(&journal, "n", Moment::Commit(number)).as_int().unwrap() < limit)
        };
        let found = bisect(&journal, &scope, bound, holds).unwrap();
        assert!(questions <= 15, "{questions}");
        found
    };
    for limit in [1, 2, 1_023, 1_024, 1_025, 4_999, 5_000] {
        match run(limit, bound) {
            Bisected::Broke(commit) => assert_eq!(commit.number, CommitNumber(limit as u64)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(run(0, bound), Bisected::NeverHeld { at: CommitNumber(0) });
    assert_eq!(run(5_001, bound), Bisected::StillHolds { at: CommitNumber(5_000) });
}

#[test]
fn a_replay_that_ends_elsewhere_says_where() {
    let history: String =
        HISTORY.split_inclusive('\n').filter(|line| !line.contains("\"own\"")).collect();
    let check = |expected: serde_json::Value| {
        let expected = expected.to_string();
        check_replays(history.as_bytes(), expected.as_bytes(), &Registry::default())
    };
    assert_eq!(check(json!({"nodes": {"a": 1}, "text": "the new way"})), Ok(()));
    let why = check(json!({"nodes": {"a": 2, "c": 3}, "text": "the old way"})).unwrap_err();
    assert!(why.contains(r#"topic "nodes"["a"] should be 2, and is 1"#), "{why}");
    assert!(why.contains(r#"topic "nodes"["c"] should be 3, and is not there"#), "{why}");
    assert!(why.contains(r#"topic "text" should have "old" at 4, and has "new""#), "{why}");
}
