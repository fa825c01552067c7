//! Looking into histories.

use std::fs;

use serde_json::{Value as Json, json};

use super::{FOLDER, HISTORY, error, json_lines, of_file, run};

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
    assert_eq!(all, fs::read_to_string(format!("{FOLDER}/expected.json")).unwrap());
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
    let found = of_file(&["bisect", "--to", "commit:20", "--selects-nothing", path]);
    assert!(found.ends_with(broke), "{found}");
    let script = "! grep -q '\"x\":-'";
    let found = of_file(&["bisect", "board/nodes", "--to", "12", "--run", script, "--json"]);
    assert_eq!(json_lines(&found)[0]["commit"], 16);
    let time = ["bisect", "--to", "2025-11-24T12:32:00Z", "--selects-nothing", path, "--json"];
    assert_eq!(json_lines(&of_file(&time))[0]["commit"], 16);
    // To find nothing is a failure.
    let run_on_file = |args: &[&str]| run(&[args, &["--file", HISTORY]].concat());
    let holds = run_on_file(&["bisect", "--selects", "$[\"board/title\"]", "--json"]);
    assert_eq!(json_lines(&holds.out), [json!({"still_holds": 28})]);
    assert!(holds.code == 1 && holds.err.contains("still holds at commit 28"), "{holds:?}");
    let never = run_on_file(&["bisect", "--selects", "$.nothing"]);
    assert!(never.code == 1 && never.err.contains("--from"), "{never:?}");
    let back = ["bisect", "--from", "commit:5", "--to", "commit:3", "--selects", "$"];
    let words = run_on_file(&back).err;
    assert!(words.contains("--from is commit 5, which is after --to, commit 3"), "{words}");
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

/// A number alone is a version of the one topic that is named, whatever the command.
#[test]
fn one_number_means_one_thing() {
    assert_eq!(of_file(&["show", "board/title", "--at", "1", "--json"]), "\"Water cycle\"\n");
    let log = of_file(&["log", "board/title", "--since", "1", "--until", "2", "--json"]);
    assert_eq!(json_lines(&log).len(), 1);
    assert_eq!(json_lines(&log)[0]["changes"][0]["version"], 2);
    let replay = of_file(&["replay", "board/title", "--at", "2", "--json"]);
    assert_eq!(json_lines(&replay)[0]["commit"]["changes"][0]["version"], 3);
    for args in [
        &["show", "--at", "3"][..],
        &["log", "--since", "3"],
        &["log", "board/title", "board/nodes", "--until", "3"],
        &["replay", "--at", "3"],
        &["bisect", "--to", "3", "--selects", "$"],
    ] {
        let words = error(&[args, &["--file", HISTORY]].concat());
        assert!(words.contains("name one topic, or give a commit (commit:3)"), "{args:?}: {words}");
    }
}

#[test]
fn what_is_not_there_yet_is_an_error_and_no_guess() {
    for args in [
        &["show", "--at", "commit:29"][..],
        &["diff", "board/title", "1", "commit:29"],
        &["blame", "board/title", "--at", "commit:29"],
        &["log", "--since", "commit:29"],
        &["log", "--until", "commit:29"],
        &["replay", "--at", "commit:29"],
        &["bisect", "--to", "commit:29", "--selects", "$"],
    ] {
        let words = error(&[args, &["--file", HISTORY]].concat());
        let expected = "there is no commit 29 yet, the newest is 28";
        assert!(words.contains(expected), "{args:?}: {words}");
    }
    for args in [&["log", "--since", "4"], &["log", "--until", "4"], &["replay", "--at", "4"]] {
        let args = [args[0], "board/title", args[1], args[2], "--file", HISTORY];
        assert!(error(&args).contains("its head is 3"), "{args:?}");
    }
}
