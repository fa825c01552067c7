//! Types of other programs, readers who leave, and what errors say.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use super::{HISTORY, command, error, folder, path, run};

#[test]
fn a_topic_of_another_programs_type_is_logged_exported_and_named() {
    let folder = folder("own");
    let file = folder.join("own.jsonl");
    let text = r#"{"topicsync":"export","format":1}
{"topic":"n","type":"counter","options":{},"oldest":0}
{"topic":"t","type":"string","options":{},"oldest":0}
{"commit":1,"time":0,"author":1,"changes":[{"topic":"n","version":1,"id":"1_0","change":{"type":"count","by":2}}]}
"#;
    fs::write(&file, text).unwrap();
    let file = ["--file", path(&file)];
    let run_on = |args: &[&str]| run(&[args, &file].concat());
    assert_eq!(run_on(&["export"]).out, text);
    assert!(run_on(&["log"]).out.ends_with("  n@1  count by=2\n"));
    assert!(run_on(&["topics"]).out.contains("counter"));
    for args in [&["show", "n"][..], &["diff", "n", "0"], &["blame", "n"], &["replay", "n"]] {
        let ran = run_on(args);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains("of type \"counter\", which this program does not know"));
    }
    let ran = run_on(&["show", "--json"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "{\"t\": \"\"}\n"));
    assert!(ran.err.contains("left out \"n\""));
    assert!(run_on(&["verify"]).out.contains("not checked  n"));
}

#[test]
fn whoever_has_read_enough_is_no_error() {
    // Longer than a pipe holds.
    let folder = folder("pipe");
    let file = folder.join("long.jsonl");
    let mut long = fs::File::create(&file).unwrap();
    writeln!(long, r#"{{"topicsync":"export","format":1}}"#).unwrap();
    writeln!(long, r#"{{"topic":"n","type":"int","options":{{}},"oldest":0}}"#).unwrap();
    for at in 1..=3_000 {
        writeln!(long, r#"{{"commit":{at},"time":{at},"author":1,"changes":[{{"topic":"n","version":{at},"id":"1_{at}","change":{{"type":"add","value":1}}}}]}}"#).unwrap();
    }
    for args in [&["log"][..], &["export"], &["replay"], &["log", "--json"]] {
        let mut command = command(&[args, &["--file", path(&file)]].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}");
        assert!(output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn errors_say_what_to_do() {
    let cases: [(&[&str], &str); 6] = [
        (&["topics", "--data", "/nowhere/at/all"], "--file"),
        (&["topics", "--file", "/nowhere"], "cannot open /nowhere"),
        (&["topics", "--file", "Cargo.toml"], "no exported history"),
        (&["log", "nope", "--file", HISTORY], "`topicsync topics`"),
        (&["show", "--at", "3", "--file", HISTORY], "name one topic"),
        (&["show", "board/nodes", "--at", "15", "--file", HISTORY], "its head is 14"),
    ];
    for (args, expected) in cases {
        let words = error(args);
        assert!(words.starts_with("topicsync: ") && words.contains(expected), "{words}");
    }
    let ran = run(&["log", "--author", "bob", "--file", HISTORY]);
    assert!(ran.code == 2 && ran.err.contains("an author is the number of a client"), "{ran:?}");
    assert_eq!(run(&["log", "--key", "-1x", "--file", HISTORY]).code, 0);
    for args in [&["show", "--at", "soon"][..], &["diff", "a"], &["replay", "--speed", "0"]] {
        assert_eq!(run(args).code, 2);
    }
    let ran = command(&["topics"]).env("TOPICSYNC_DATA", "/nowhere").output().unwrap();
    assert!(String::from_utf8_lossy(&ran.stderr).contains("/nowhere"));
}
