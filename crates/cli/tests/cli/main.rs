//! The commands that look into histories, run as a person runs them, on an exported file and on data
//! folders.
//!
//! | module | the facts |
//! |---|---|
//! | [`looking`] | topics, log, show, diff, blame, replay, bisect |
//! | [`transfer`] | export, import, fork |
//! | [`folders`] | folders of a running server, and damaged ones |
//! | [`limits`] | types of other programs, closed pipes, errors |

mod folders;
mod limits;
mod looking;
mod transfer;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;

/// The folder of an exported history and the state that it ends in.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/regression");
const HISTORY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/regression/history.jsonl");

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
