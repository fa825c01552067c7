//! The program itself: signals, flags, environment, and what it says when it cannot start.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;
use topicsync_test_support::program::{Program, exit};
use topicsync_test_support::system::{Client, Encoding};

const PROGRAM: &str = env!("CARGO_BIN_EXE_topicsync");

fn command() -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts a server.
fn start(set_up: impl FnOnce(&mut Command)) -> Program {
    let mut command = command();
    set_up(&mut command);
    Program::start(command, drop)
}

/// Runs the program to its end: its exit code, and what it wrote.
async fn run(set_up: impl FnOnce(&mut Command)) -> (Option<i32>, String) {
    let mut command = command();
    let data = TempDir::new().unwrap();
    command.env("TOPICSYNC_DATA", data.path());
    set_up(&mut command);
    let mut child = command.spawn().unwrap();
    let status = exit(&mut child).await;
    let mut words = String::new();
    child.stdout.take().unwrap().read_to_string(&mut words).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    (status.code(), words)
}

#[tokio::test]
async fn signals_end_it_with_1001_and_exit_code_0() {
    for signal in ["INT", "TERM", "HUP"] {
        let mut program = start(|_| ());
        let mut clients = [
            Client::connect(program.address, Encoding::Json).await,
            Client::connect(program.address, Encoding::MessagePack).await,
        ];
        for client in &mut clients {
            client.check_works().await;
        }
        program.signal(signal);
        for client in &mut clients {
            assert_eq!(client.expect_close().await.0, 1001);
        }
        drop(clients);
        assert_eq!(program.exit().await.code(), Some(0));
    }
}

#[tokio::test]
async fn what_nohup_started_goes_on_without_its_terminal() {
    let mut command = Command::new("nohup");
    command.arg(PROGRAM);
    let mut program = Program::start(command, drop);
    program.signal("HUP");
    let mut client = Client::connect(program.address, Encoding::Json).await;
    client.check_works().await;
    program.signal("TERM");
    assert_eq!(client.expect_close().await.0, 1001);
    assert_eq!(program.exit().await.code(), Some(0));
}

#[tokio::test]
async fn it_listens_on_a_host_s_name() {
    let program = start(|command| {
        // The environment says 127.0.0.1, and a flag goes before it.
        command.args(["--listen", "localhost:0"]);
    });
    assert!(program.address.ip().is_loopback());
    Client::connect(program.address, Encoding::Json).await.check_works().await;
}

#[tokio::test]
async fn flags_and_environment_variables_set_the_limits() {
    let program = start(|command| {
        command.env("TOPICSYNC_SUBSCRIPTIONS", "7").args(["serve", "--message-bytes", "5000"]);
    });
    let client = Client::connect(program.address, Encoding::Json).await;
    assert_eq!(client.hello["limits"]["subscriptions"], 7);
    assert_eq!(client.hello["limits"]["message_bytes"], 5000);
    // A flag goes before the environment.
    let program = start(|command| {
        command.env("TOPICSYNC_SUBSCRIPTIONS", "7").args(["--subscriptions", "8"]);
    });
    let client = Client::connect(program.address, Encoding::Json).await;
    assert_eq!(client.hello["limits"]["subscriptions"], 8);
}

#[tokio::test]
async fn help_names_every_flag_and_its_variable() {
    for args in [&["--help"][..], &["serve", "--help"]] {
        let (code, words) = run(|it| {
            it.args(args);
        })
        .await;
        assert_eq!(code, Some(0));
        for word in [
            "--listen",
            "TOPICSYNC_LISTEN",
            "--session-timeout",
            "TOPICSYNC_SUBSCRIPTIONS",
            "--services",
            "--requests",
            "--ping-interval",
            "--silence",
            "--tick",
        ] {
            assert!(words.contains(word), "{word}: {words}");
        }
    }
    let (code, words) = run(|it| {
        it.arg("--version");
    })
    .await;
    assert_eq!(code, Some(0));
    assert_eq!(words.trim(), concat!("topicsync ", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_port_that_is_taken_is_a_clear_error_and_exit_code_1() {
    let program = start(|_| ());
    let address = program.address.to_string();
    let (code, words) = run(|it| {
        it.args(["--listen", &address]);
    })
    .await;
    assert_eq!(code, Some(1));
    assert!(words.contains(&format!("cannot listen on {address}")), "{words}");
    assert!(words.contains("--listen"), "it says what to do: {words}");
    assert!(!words.contains("panicked"));
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_a_clear_error_and_exit_code_1() {
    let foreign = TempDir::new().unwrap();
    std::fs::write(foreign.path().join("letter.txt"), "not ours").unwrap();
    let damaged = TempDir::new().unwrap();
    std::fs::write(damaged.path().join("topicsync.db"), "no database at all, by far").unwrap();
    let program = start(|_| ());
    for (folder, words) in [
        (foreign.path(), "holds no topicsync data"),
        (damaged.path(), "is damaged"),
        (program.data(), "is in use by another server"),
        // Nobody, root neither, makes a folder here.
        (Path::new("/proc/topicsync"), "cannot make"),
        // A file is no folder.
        (Path::new(PROGRAM), "topicsync"),
    ] {
        let (code, said) = run(|it| {
            it.env("TOPICSYNC_DATA", folder).args(["--listen", "127.0.0.1:0"]);
        })
        .await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(words), "expected {words:?}: {said}");
        assert!(said.contains(folder.to_str().unwrap()), "it names the folder: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// Files may not grow beyond this, in bytes: for the program, the disk is full.
const DISK_BYTES: usize = 2 << 20;

#[tokio::test]
async fn on_a_full_disk_changes_are_turned_away_and_nothing_that_was_committed_is_lost() {
    let data = TempDir::new().unwrap();
    let mut command = Command::new("sh");
    // In blocks of 512 bytes; and the signal that goes with it is not to kill.
    let limit = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\"", DISK_BYTES / 512);
    command.args(["-c", &limit, PROGRAM]).env("TOPICSYNC_DATA", data.path());
    let mut program = Program::start(command, drop);
    let mut client = Client::connect(program.address, Encoding::Json).await;
    let mut watcher = Client::connect(program.address, Encoding::Json).await;
    client.subscribe("texts", "dict").await;
    watcher.subscribe("texts", "dict").await;
    let mut committed = 0;
    // Text that does not become small when it is packed.
    let noise = |seed: usize| -> String {
        let mut bits = seed as u64 + 1;
        let letter = |_| {
            bits = bits
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            char::from(b' ' + (bits >> 33) as u8 % 64)
        };
        (0..20_000).map(letter).collect()
    };
    let rejected = loop {
        let change =
            json!({"type": "add", "key": committed.to_string(), "value": noise(committed)});
        client.send("update", json!({"topic_name": "texts", "change": change})).await;
        let answer = client.receive().await;
        if answer["type"] == "reject_update" {
            break answer["content"].clone();
        }
        committed += 1;
        assert!(committed < 1_000, "the disk never fills");
    };
    assert_eq!(rejected["code"], "unavailable", "{rejected}");
    assert!(committed > 10, "{committed}");
    for at in 0..committed {
        let change = json!({"type": "add", "key": at.to_string()});
        watcher.expect_type("update", json!({"version": at + 1, "change": change})).await;
    }
    // Nobody saw what was turned away, and what is there can be read.
    watcher.expect_nothing().await;
    let last = json!({"topic_name": "texts", "version": committed});
    let answer = watcher.call("_topicsync/value_at", last).await;
    assert_eq!(answer["response"]["value"].as_object().unwrap().len(), committed);
    program.signal("KILL");
    program.exit().await;

    let program = start(|command| {
        command.env("TOPICSYNC_DATA", data.path());
    });
    let mut client = Client::connect(program.address, Encoding::Json).await;
    let (subscribed, value) = client.subscribe("texts", "dict").await;
    assert_eq!(subscribed["version"], committed);
    for at in 0..committed {
        assert_eq!(value[at.to_string()], noise(at), "text {at}");
    }
    client.changed("texts", json!({"type": "add", "key": "new", "value": 1})).await;
}

#[tokio::test]
async fn wrong_flags_are_told_with_exit_code_2() {
    for args in [&["--listen", "nowhere"][..], &["--no-such-flag"], &["--threads", "-1"], &["fly"]]
    {
        let (code, words) = run(|it| {
            it.args(args);
        })
        .await;
        assert_eq!(code, Some(2), "{words}");
    }
    let (code, words) = run(|it| {
        it.env("TOPICSYNC_SESSIONS", "many");
    })
    .await;
    assert_eq!(code, Some(2), "{words}");
}
