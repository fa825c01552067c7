//! A program that runs as a server, and ends with the test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::system::PATIENCE;

/// A running server, killed in the end whatever happens.
pub struct Program {
    pub address: SocketAddr,
    child: Child,
    data: TempDir,
}

impl Program {
    /// Runs `command` on a free port, with a data folder of its own unless the command's environment
    /// names one, and waits until it says where it listens. `tell` gets each line that it logs later.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(mut command: Command, tell: fn(String)) -> Program {
        let data = TempDir::new().expect("a temporary folder can be made");
        if !command.get_envs().any(|(name, _)| name == "TOPICSYNC_DATA") {
            command.env("TOPICSYNC_DATA", data.path());
        }
        command.env("TOPICSYNC_LISTEN", "127.0.0.1:0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut lines = stderr.lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("ws://")?.1.trim().to_owned()));
        let address = address.expect("it says where it listens").parse().expect("an address");
        // What is logged later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(tell));
        Program { address, child, data }
    }

    /// The folder that was made for it.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        assert!(sent.success(), "SIG{name} cannot be sent");
    }

    /// Waits until it has ended.
    pub async fn exit(&mut self) -> ExitStatus {
        exit(&mut self.child).await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a child process has ended.
///
/// # Panics
/// If it does not in [`PATIENCE`].
pub async fn exit(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            return status;
        }
        assert!(start.elapsed() < PATIENCE, "process {} runs after {PATIENCE:?}", child.id());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
