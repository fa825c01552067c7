//! A participant that is a process of its own: commands to its input, answers from its output.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value as Json;
use tokio::sync::mpsc;

/// How a participant is started.
pub struct Recipe {
    /// The environment variable that names another command.
    pub variable: &'static str,
    pub program: PathBuf,
    pub script: PathBuf,
    /// What is there once it is built.
    pub needs: PathBuf,
    pub hint: &'static str,
}

/// A running participant, killed in the end whatever happens. What it says on stderr shows in the
/// test's.
pub struct Program {
    name: String,
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Program {
    /// # Panics
    /// If it is not built, or cannot be started.
    pub fn start(recipe: &Recipe, url: &str, seed: u64) -> Program {
        let mut command = match std::env::var(recipe.variable) {
            Ok(words) => {
                let mut words = words.split_whitespace();
                let program =
                    words.next().unwrap_or_else(|| panic!("{} is empty", recipe.variable));
                let mut command = Command::new(program);
                command.args(words);
                command
            }
            Err(_) => {
                for path in [&recipe.script, &recipe.needs] {
                    assert!(path.exists(), "there is no {}: {}", path.display(), recipe.hint);
                }
                let mut command = Command::new(&recipe.program);
                command.arg(&recipe.script);
                command
            }
        };
        command.arg(url).arg(seed.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let name = format!("{command:?}");
        let child = command.spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // The test may be over.
            lines.for_each(|line| drop(sender.send(line)));
        });
        Program { name, child, stdin, lines }
    }

    async fn ask(&mut self, command: &str) -> String {
        let written = writeln!(self.stdin, "{command}").and_then(|()| self.stdin.flush());
        if let Err(error) = written {
            panic!("{} takes no {command:?}: {error}", self.name);
        }
        match self.lines.recv().await {
            Some(line) => line,
            None => panic!("{} ended at {command:?}: {:?}", self.name, self.child.wait()),
        }
    }

    pub async fn expect(&mut self, command: &str, answer: &str) {
        assert_eq!(self.ask(command).await, answer, "{}, asked to {command}", self.name);
    }

    pub async fn values(&mut self) -> Json {
        let line = self.ask("values").await;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{}: {error}: {line}", self.name))
    }

    /// Asks it to end, and waits until it does.
    pub async fn quit(mut self) {
        let written = writeln!(self.stdin, "quit").and_then(|()| self.stdin.flush());
        written.unwrap_or_else(|error| panic!("{} takes no command: {error}", self.name));
        let more = self.lines.recv().await;
        assert_eq!(more, None, "{} goes on, and does not end", self.name);
        let status = self.child.wait().expect("it is ours");
        assert!(status.success(), "{} ended with {status}", self.name);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
