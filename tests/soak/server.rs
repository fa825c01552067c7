//! The server: the program itself, with a data folder of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A running server, killed in the end whatever happens.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
    _data: TempDir,
}

impl Server {
    pub fn start() -> Server {
        let data = TempDir::new().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_topicsync"));
        command.env("TOPICSYNC_DATA", data.path()).env("TOPICSYNC_LISTEN", "127.0.0.1:0");
        command.env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server starts");
        let stderr = child.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("ws://")?.1.trim().to_owned()));
        let address = address.expect("it says where it listens").parse().expect("an address");
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(|line| eprintln!("server: {line}")));
        Server { address, child, _data: data }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
