//! The commands that look into histories, run as a person runs them, on an exported file and on data
//! folders.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};
use topicsync::journal::{Append, Journal, Logged, Operation, SqliteJournal, TopicRecord};
use topicsync::topic::{
    ChangeId, ClientId, CommitNumber, Epoch, Timestamp, TopicName, TopicOptions, Version,
};
use topicsync::value::Fields;

const HISTORY: &str = "examples/regression/history.jsonl";

/// What a command did.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_topicsync"));
    command.env_remove("TOPICSYNC_DATA").args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Ran {
    let output = command(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    let ran = Ran { code, out: text(output.stdout), err: text(output.stderr) };
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    ran
}

/// What a command prints that succeeds.
fn out(args: &[&str]) -> String {
    let ran = run(args);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}: {ran:?}");
    ran.out
}

/// The same on the exported history.
fn of_file(args: &[&str]) -> String {
    out(&[args, &["--file", HISTORY]].concat())
}

/// What a command says that fails.
fn error(args: &[&str]) -> String {
    let ran = run(args);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{args:?}: {ran:?}");
    ran.err
}

fn json_lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A new, empty place for a test's files.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn topics_are_listed_with_type_and_head() {
    let text = of_file(&["topics"]);
    let words: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    assert_eq!(words[0], ["TOPIC", "TYPE", "VERSION"]);
    assert_eq!(words[3], ["board/nodes", "dict", "14"]);
    assert_eq!(words.len(), 6);
    let lines = json_lines(&of_file(&["topics", "board/title", "--json"]));
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["version"], 3);
    assert_eq!(lines[0]["time"], 1_763_987_562_700_u64);
}

#[test]
fn the_log_tells_author_time_and_change_and_can_be_filtered() {
    let rain = of_file(&["log", "--key", "rain"]);
    assert_eq!(
        rain,
        "commit 9  2025-11-24T12:30:55.400Z  client 2  action paste-rain\n  \
         board/nodes@4  add key=\"rain\" value={\"label\":\"Rain\",\"x\":300,\"y\":200}\n\
         commit 16  2025-11-24T12:31:30.000Z  client 2\n  \
         board/nodes@9  change_value key=\"rain\" value={\"label\":\"Rain\",\"x\":-300,\"y\":200}\n\
         commit 24  2025-11-24T12:32:23.300Z  client 3\n  \
         board/nodes@13  change_value key=\"rain\" value={\"label\":\"Rain\",\"x\":300,\"y\":210}\n"
    );
    let undo = of_file(&["log", "board/edges", "--since", "commit:21", "--until", "commit:22"]);
    let expected = "commit 22  2025-11-24T12:32:06.700Z  client 1  undoes commit 21\n  \
                    board/edges@6  remove item=[\"cloud\",\"snow\"]\n";
    assert_eq!(undo, expected);
    let last = of_file(&["log", "-n", "2", "--author", "1", "--json"]);
    let numbers: Vec<Json> = json_lines(&last).iter().map(|it| it["commit"].clone()).collect();
    assert_eq!(numbers, [23, 28]);
    let early = of_file(&["log", "--until", "2025-11-24T12:30:10Z", "--json"]);
    assert_eq!(json_lines(&early).len(), 2);
    // As JSON it is the lines of the export.
    let export = fs::read_to_string(HISTORY).unwrap();
    let commits: String =
        export.split_inclusive('\n').filter(|line| line.starts_with("{\"commit\"")).collect();
    assert_eq!(of_file(&["log", "--json"]), commits);
}

#[test]
fn a_value_is_shown_at_a_version_a_commit_and_a_time() {
    let show = |at| of_file(&["show", "board/title", "--at", at, "--json"]);
    assert_eq!(show("1"), "\"Water cycle\"\n");
    assert_eq!(show("commit:17"), "\"The water cycle\"\n");
    assert_eq!(show("2025-11-24T13:30:01+01:00"), "\"Water cycle\"\n");
    assert_eq!(show("1763987490699"), "\"Water cycle\"\n");
    assert_eq!(show("head"), "\"The water cycle, in a picture\"\n");
    let text = of_file(&["show", "board/title", "--at", "0"]);
    assert_eq!(text, "board/title  string at version 0\n\n");
    let all = of_file(&["show", "--json"]);
    assert_eq!(all, fs::read_to_string("examples/regression/expected.json").unwrap());
    let nodes = of_file(&["show", "--at", "commit:3"]);
    assert!(nodes.contains("{\n  \"sea\": {\"label\": \"Sea\"") || nodes.contains("\"sun\""));
}

#[test]
fn differences_and_blame() {
    let diff = of_file(&["diff", "board/nodes", "8", "commit:20"]);
    let expected = "board/nodes  version 8 to version 12\n\
                    ~ [\"rain\"][\"x\"] 300 → -300\n\
                    ~ [\"river\"][\"x\"] 220 → 310\n\
                    ~ [\"river\"][\"y\"] 340 → 310\n\
                    ~ [\"sea\"][\"x\"] 60 → 80\n\
                    + [\"snow\"] {\"label\":\"Snow\",\"x\":420,\"y\":220}\n";
    assert_eq!(diff, expected);
    let diff = json_lines(&of_file(&["diff", "board/title", "1", "2", "--json"]));
    let edit = json!({"at": 0, "removed": "W", "inserted": "The w"});
    assert_eq!(diff, [json!({"path": [], "edits": [edit]})]);
    let blame = of_file(&["blame", "board/title"]);
    let expected = "board/title  at version 3\n\
                    @2  client 2  2025-11-24T12:31:30.700Z  [0..5] \"The w\"\n\
                    @1  client 1  2025-11-24T12:30:00.700Z  [5..15] \"ater cycle\"\n\
                    @3  client 1  2025-11-24T12:32:42.700Z  [15..29] \", in a picture\"\n";
    assert_eq!(blame, expected);
    let layers = json_lines(&of_file(&["blame", "board/layers", "--at", "commit:15", "--json"]));
    let found: Vec<_> =
        layers.iter().map(|it| json!([it["from"], it["value"], it["version"]])).collect();
    let moved =
        [json!([0, ["labels"], 3]), json!([1, ["background"], 1]), json!([2, ["nodes"], 2])];
    assert_eq!(found, moved);
}

#[test]
fn bisect_finds_where_a_condition_broke() {
    let broke = "the first commit at which it does not hold:\n\
                 commit 16  2025-11-24T12:31:30.000Z  client 2\n  \
                 board/nodes@9  change_value key=\"rain\" value={\"label\":\"Rain\",\"x\":-300,\"y\":200}\n";
    let path = "$[\"board/nodes\"][?@.x < 0]";
    let found = of_file(&["bisect", "--to", "20", "--selects-nothing", path]);
    assert!(found.ends_with(broke), "{found}");
    let script = "! grep -q '\"x\":-'";
    let found = of_file(&["bisect", "board/nodes", "--to", "20", "--run", script, "--json"]);
    assert_eq!(json_lines(&found)[0]["commit"], 16);
    let holds = of_file(&["bisect", "--selects", "$[\"board/title\"]", "--json"]);
    assert_eq!(json_lines(&holds), [json!({"still_holds": 28})]);
    let never = of_file(&["bisect", "--selects", "$.nothing"]);
    assert!(never.contains("--from"), "{never}");
    let words = error(&["bisect", "--file", HISTORY, "--json", "--run", "exit 127"]);
    assert!(words.contains("cannot run"), "{words}");
    let words = error(&["bisect", "--file", HISTORY, "--selects", "nodes"]);
    assert!(words.contains("is no JSONPath"), "{words}");
}

#[test]
fn a_replay_without_a_terminal_prints_each_step() {
    let text = of_file(&["replay", "board/title"]);
    let expected = "commit 1  2025-11-24T12:30:00.700Z  client 1\n  \
                    board/title@1  insert position=0 insertion=\"Water cycle\"\n  \
                    board/title is now @1\n    ~ \"\" → \"Water cycle\"\n\
                    commit 17  2025-11-24T12:31:30.700Z  client 2\n";
    assert!(text.starts_with(expected), "{text}");
    let steps = json_lines(&of_file(&["replay", "--at", "commit:20", "--speed", "1e9", "--json"]));
    assert_eq!(steps.len(), 8);
    assert_eq!(steps[0]["commit"]["undoes"], Json::Null);
    assert_eq!(steps[1]["commit"]["undoes"]["commit"], 21);
    let removed = json!({"path": [], "removed": ["cloud", "snow"]});
    assert_eq!(steps[1]["topics"][0]["differences"], json!([removed]));
}

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

/// A folder that this process has open, as a server would, with one text in it.
struct Server {
    journal: SqliteJournal,
    name: TopicName,
    changes: u64,
}

impl Server {
    fn on(folder: &Path) -> Server {
        let journal = SqliteJournal::open(folder).unwrap();
        let life = journal.begin().unwrap().numbers.life;
        let name = TopicName::new("text").unwrap();
        let record = TopicRecord {
            name: name.clone(),
            type_name: "string".into(),
            options: TopicOptions::default(),
            epoch: Epoch::new("e").unwrap(),
            life,
        };
        journal.commit(&[Operation::Make { record, start: None }]).unwrap();
        Server { journal, name, changes: 0 }
    }

    fn write(&mut self, text: &str) {
        let after = Version(self.changes);
        self.changes += 1;
        let fields = Fields::of_type("insert").with("position", 0).with("insertion", text);
        let change = Logged {
            version: after.next(),
            commit: CommitNumber(self.changes),
            change: Some(fields),
            author: ClientId(4),
            id: ChangeId::of(ClientId(4), self.changes),
            action: None,
            time: Timestamp(1_000 * self.changes),
        };
        let append = Append { topic: self.name.clone(), after, changes: vec![change] };
        self.journal.commit(&[Operation::Append(append)]).unwrap();
    }
}

#[test]
fn the_folder_of_a_running_server_is_read_and_not_written() {
    let data = folder("running");
    let mut server = Server::on(&data);
    server.write("one ");
    let data = path(&data);
    assert_eq!(out(&["show", "text", "--json", "--data", data]), "\"one \"\n");
    for args in [&["import", HISTORY][..], &["fork", "text@1", "fork"]] {
        let words = error(&[args, &["--data", data]].concat());
        assert!(words.contains("in use by another server"), "{words}");
        assert!(words.contains("stop that one"), "{words}");
    }
    let mut log = command(&["log", "--follow", "--data", data]);
    let mut child = log.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert!(next().starts_with("commit 1  1970-01-01T00:00:01.000Z  client 4"));
    assert!(next().contains("insertion=\"one \""));
    server.write("two ");
    assert!(next().starts_with("commit 2"));
    assert!(next().contains("text@2  insert position=0 insertion=\"two \""));
    child.kill().unwrap();
    child.wait().unwrap();
    let words = error(&["log", "--follow", "--file", HISTORY]);
    assert!(words.contains("--data"), "{words}");
}

#[test]
fn verify_tells_the_damaged_topic_and_looks_at_the_others() {
    let data = folder("damaged");
    out(&["import", HISTORY, "--data", path(&data)]);
    let database = rusqlite::Connection::open(data.join("topicsync.db")).unwrap();
    let damage = "UPDATE runs SET data_crc = data_crc + 1 WHERE topic = \
                  (SELECT id FROM topics WHERE name = 'board/notes')";
    assert_eq!(database.execute(damage, []).unwrap(), 1);
    drop(database);
    let ran = run(&["verify", "--data", path(&data)]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("1 of 5 topics"), "{ran:?}");
    assert_eq!(ran.out.lines().filter(|line| line.starts_with("sound")).count(), 4);
    assert!(ran.out.contains("damaged  board/notes"), "{ran:?}");
    assert_eq!(out(&["verify", "board/nodes", "--data", path(&data), "--json"]).lines().count(), 1);
    let saved = out(&["export", "board/nodes", "board/title", "--data", path(&data)]);
    assert_eq!(saved.lines().count(), 3 + 14);
}

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
        (&["show", "--at", "3", "--file", HISTORY], "name the topic"),
        (&["show", "board/nodes", "--at", "15", "--file", HISTORY], "its head is 14"),
    ];
    for (args, expected) in cases {
        let words = error(args);
        assert!(words.starts_with("topicsync: ") && words.contains(expected), "{words}");
    }
    for args in [&["show", "--at", "soon"][..], &["diff", "a"], &["replay", "--speed", "0"]] {
        assert_eq!(run(args).code, 2);
    }
    let ran = command(&["topics"]).env("TOPICSYNC_DATA", "/nowhere").output().unwrap();
    assert!(String::from_utf8_lossy(&ran.stderr).contains("/nowhere"));
}
