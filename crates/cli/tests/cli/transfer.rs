//! Histories to and from text, and new topics out of old versions.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::{HISTORY, command, error, folder, json_lines, out, path, run};

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
    // Nor does the folder stay that was made for it.
    assert!(!std::path::Path::new(&format!("{data}/d")).exists());
    assert!(error(&["topics", "--file", bad]).contains("line 34"));
}

/// Longer than several groups of an import.
const LONG: usize = 50_000;

#[test]
fn of_an_import_that_is_killed_nothing_is_there_and_it_can_be_run_again() {
    let folder = folder("killed");
    let data = path(&folder).to_owned();
    let mut lines = vec![
        r#"{"topicsync":"export","format":1}"#.to_owned(),
        r#"{"topic":"n","type":"int","options":{},"oldest":0}"#.to_owned(),
    ];
    lines.extend((1..=LONG).map(|at| {
        format!(
            r#"{{"commit":{at},"time":{at},"author":1,"changes":[{{"topic":"n","version":{at},"id":"1_{at}","change":{{"type":"add","value":1}}}}]}}"#
        )
    }));
    out(&["import", HISTORY, "--as", "before/", "--data", &data]);
    let topics = || out(&["topics", "--json", "--data", &data]);
    let before = topics();

    let mut command = command(&["import", "-", "--data", &data]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // All but the last line, and it waits for that. Some of it is still in the pipe, most is not.
    stdin.write_all(lines[..=LONG].join("\n").as_bytes()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(topics(), before);
    let verified = out(&["verify", "--data", &data]);
    assert_eq!(verified.lines().count(), 5, "{verified}");

    let file = folder.join("long.jsonl");
    fs::write(&file, lines.join("\n")).unwrap();
    let words = out(&["import", path(&file), "--data", &data]);
    assert!(words.starts_with("imported 1 topic with 50000 changes"), "{words}");
    assert_eq!(out(&["show", "n", "--json", "--data", &data]), "50000\n");
}

#[test]
fn a_whole_number_beyond_the_range_is_refused_in_an_import_too() {
    let data = folder("wide");
    for number in ["9007199254740992", "18446744073709551616", "-9223372036854775809"] {
        let file = data.join("wide.jsonl");
        let history = format!(
            r#"{{"topicsync":"export","format":1}}
{{"topic":"n","type":"generic","options":{{}},"oldest":0}}
{{"commit":1,"time":0,"author":1,"changes":[{{"topic":"n","version":1,"id":"1_0","change":{{"type":"set","value":{number}}}}}]}}
"#
        );
        fs::write(&file, history).unwrap();
        let words = error(&["import", path(&file), "--data", path(&data.join("d"))]);
        assert!(words.contains("line 3: a whole number is beyond ±(2^53 − 1)"), "{words}");
    }
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

#[test]
fn a_file_that_was_written_by_hand_is_exported_as_any_other() {
    let folder = folder("by hand");
    let (file, data) = (folder.join("file.jsonl"), folder.join("data"));
    let line = |change: &str| {
        format!(
            r#"{{"topicsync":"export","format":1}}
{{"topic":"d","type":"dict","options":{{}},"oldest":0}}
{{"commit":1,"time":0,"author":1,"changes":[{{"topic":"d","version":1,"id":"1_0","change":{change}}}]}}
"#
        )
    };
    fs::write(&file, line(r#"{"value":{"y":2,"x":1},"key":"k","type":"add"}"#)).unwrap();
    let expected = line(r#"{"type":"add","key":"k","value":{"x":1,"y":2}}"#);
    assert_eq!(out(&["export", "--file", path(&file)]), expected);
    out(&["import", path(&file), "--data", path(&data)]);
    assert_eq!(out(&["export", "--data", path(&data)]), expected);
}

#[test]
fn standard_input_is_a_file_too() {
    let history = fs::File::open(HISTORY).unwrap();
    let output = command(&["show", "board/title", "--json", "--file", "-"]).stdin(history).output();
    assert_eq!(output.unwrap().stdout, b"\"The water cycle, in a picture\"\n");
}

#[test]
fn the_data_folder_is_named_before_a_command_or_behind_it() {
    let data = folder("anywhere");
    out(&["--data", path(&data), "import", HISTORY]);
    let topics = out(&["topics", "--data", path(&data)]);
    assert_eq!(out(&["--data", path(&data), "topics"]), topics);
    let ran = run(&["--listen", "127.0.0.1:0", "topics"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("--listen is not for the subcommand 'topics'"), "{ran:?}");
}
