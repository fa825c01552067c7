//! A program with a topic type of its own has every command for it.
//!
//! This test is that program: with [`PROGRAM`] in its environment it does what its arguments say, in one
//! line. Without, it runs itself so, command by command, on a server's folder and on an exported file.

use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::json;
use tempfile::TempDir;
use topicsync::types::{Composed, Conflict, Rebased, Registry, TopicType};
use topicsync::value::{Fields, Invalid, Value};
use topicsync_test_support::program::Program;
use topicsync_test_support::system::{Client, Encoding};

const PROGRAM: &str = "TOPICSYNC_TEST_IS_PROGRAM";

/// A number that only goes up: `{"type": "count", "by": 2}`.
struct Tally;

impl TopicType for Tally {
    type Value = u64;
    type Change = u64;

    const NAME: &'static str = "tally";

    fn initial() -> u64 {
        0
    }

    fn decode_value(value: &Value) -> Result<u64, Invalid> {
        value.parse()
    }

    fn encode_value(value: &u64) -> Value {
        Value::from(*value as i64)
    }

    fn decode_change(fields: &Fields) -> Result<u64, Invalid> {
        fields.require("by")?.parse()
    }

    fn encode_change(by: &u64) -> Fields {
        Fields::of_type("count").with("by", *by as i64)
    }

    fn apply(value: &mut u64, by: &u64) -> Result<(), Invalid> {
        *value += by;
        Ok(())
    }

    fn rebase(incoming: &u64, accepted: &u64) -> Result<Rebased<u64>, Conflict> {
        Ok(Rebased::unaffected(incoming, accepted))
    }

    fn invert(_: &u64, _: &u64) -> Option<u64> {
        None
    }

    fn compose(first: &u64, second: &u64) -> Composed<u64> {
        Composed::One(first + second)
    }
}

fn main() -> ExitCode {
    if std::env::var_os(PROGRAM).is_some() {
        return topicsync_cli::run(&Registry::default().with::<Tally>());
    }
    every_command_knows_the_programs_own_type();
    println!("a program with a type of its own has every command for it: ok");
    ExitCode::SUCCESS
}

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env_remove("TOPICSYNC_DATA").env(PROGRAM, "1").args(args);
    command
}

/// What a command prints that succeeds.
fn out(args: &[&str]) -> String {
    let output = program(args).output().unwrap();
    let (out, err) = (output.stdout, String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && err.is_empty(), "{args:?}: {err}");
    String::from_utf8(out).unwrap()
}

/// Serves until a client has counted to five and wants no more.
#[tokio::main(flavor = "current_thread")]
async fn count_to_five(data: &Path) {
    let mut command = program(&["serve"]);
    command.env("TOPICSYNC_DATA", data);
    let mut server = Program::start(command, drop);
    let mut client = Client::connect(server.address, Encoding::Json).await;
    client.subscribe("visits", "tally").await;
    for by in [2, 3] {
        client.changed("visits", json!({"type": "count", "by": by})).await;
    }
    server.signal("TERM");
    assert!(server.exit().await.success());
}

fn every_command_knows_the_programs_own_type() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, copy, file) = (path("data"), path("copy"), path("history.jsonl"));
    count_to_five(Path::new(&data));
    for source in [["--data", &data], ["--file", &file]] {
        if source[0] == "--file" {
            out(&["export", "--output", &file, "--data", &data]);
        }
        let of_source = |args: &[&str]| out(&[args, &source].concat());
        assert_eq!(of_source(&["show", "visits", "--json"]), "5\n");
        assert_eq!(of_source(&["show", "visits", "--at", "1", "--json"]), "2\n");
        assert!(of_source(&["log"]).ends_with("visits@2  count by=3\n"));
        assert!(of_source(&["topics"]).contains("tally"));
        assert!(of_source(&["diff", "visits", "0"]).contains('5'));
        assert!(of_source(&["blame", "visits"]).contains("client 1"));
        assert!(of_source(&["replay", "--plain"]).contains("count by=3"));
        assert!(of_source(&["verify"]).starts_with("sound"));
        let found = of_source(&["bisect", "--json", "--selects-nothing", "$[?@ > 4]"]);
        assert!(found.contains("\"by\":3"), "{found}");
    }
    out(&["import", &file, "--data", &copy]);
    out(&["fork", "visits@1", "morning", "--data", &copy]);
    assert_eq!(out(&["show", "morning", "--json", "--data", &copy]), "2\n");
}
