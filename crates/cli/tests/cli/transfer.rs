//! Histories to and from text, and new topics out of old versions.

use std::fs;

use super::{HISTORY, error, folder, json_lines, out, path};

#[test]
fn what_is_exported_is_imported_exactly() {
    let data = folder("import");
    let data = path(&data);
    let words = out(&["import", HISTORY, "--data", data]);
    assert_eq!(words, "imported 5 topics with 36 changes in 28 commits\n");
    let history = fs::read_to_string(HISTORY).unwrap();
    assert_eq!(out(&["export", "--data", data]), history);
    let file = format!("{data}/copy.jsonl");
    assert_eq!(out(&["export", "board/title", "--data", data, "--output", &file]), "");
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 5);
    // The same again, under other names.
    let words = error(&["import", HISTORY, "--data", data]);
    assert!(words.contains("line 2") && words.contains("--as"), "{words}");
    let imported = json_lines(&out(&["import", HISTORY, "--as", "b/", "--json", "--data", data]));
    assert_eq!(imported[0]["moved_up"], 28);
    let show = |name| out(&["show", name, "--json", "--data", data]);
    assert_eq!(show("board/nodes"), show("b/board/nodes"));
    let sound = out(&["verify", "--data", data]);
    assert_eq!(sound.lines().filter(|line| line.starts_with("sound")).count(), 10);
}

#[test]
fn a_bad_line_imports_nothing() {
    let data = folder("bad");
    let history = fs::read_to_string(HISTORY).unwrap();
    let bad = data.join("bad.jsonl");
    fs::write(&bad, &history[..history.len() - 40]).unwrap();
    let (bad, data) = (path(&bad), path(&data));
    let words = error(&["import", bad, "--data", &format!("{data}/d")]);
    assert!(words.contains("line 34") && words.contains("head -n 33"), "{words}");
    assert_eq!(out(&["topics", "--data", &format!("{data}/d"), "--json"]), "");
    assert!(error(&["topics", "--file", bad]).contains("line 34"));
}

#[test]
fn a_fork_starts_at_a_version() {
    let data = folder("fork");
    let data = path(&data);
    out(&["import", HISTORY, "--data", data]);
    let words = out(&["fork", "board/nodes@commit:3", "try/nodes", "--data", data]);
    assert_eq!(words, "try/nodes starts at version 2 of board/nodes\n");
    let show = |args: &[&str]| out(&[&["show", "--json", "--data", data], args].concat());
    assert_eq!(show(&["try/nodes"]), show(&["board/nodes", "--at", "2"]));
    for (from, new, why) in [
        ("board/nodes@2", "try/nodes", "already"),
        ("board/nodes@99", "x", "its head is 14"),
        ("nothing@1", "x", "there is no topic"),
        ("board/nodes", "x", "TOPIC@VERSION"),
    ] {
        let words = error(&["fork", from, new, "--data", data]);
        assert!(words.contains(why), "{words}");
    }
}
