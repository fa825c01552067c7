//! The processes of a run: which core each is on, what it uses, and that none outlives the run.
//!
//! Reads `/proc` and calls `taskset` and `prlimit`, so it is for Linux; without them it measures less and says so.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::Result;

/// `utime` and `stime` are in these, on all of Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
const READY_TIMEOUT: Duration = Duration::from_secs(20);
const READY_POLL: Duration = Duration::from_millis(10);

/// The cores that the two sides are held to.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    pub server: usize,
    pub load: usize,
}

/// Holds this process to the load's core. None, after saying why, if the two cores are not to be had.
pub fn pin(cores: Cores) -> Option<Cores> {
    let unpinned = |reason: &str| {
        eprintln!("load: not pinned to cores, so the figures are worth less: {reason}");
        None
    };
    let take = |core: usize| {
        let id = std::process::id().to_string();
        Command::new("taskset")
            .args(["-cp", &core.to_string(), &id])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
    };
    // The server's core first, to learn whether it is there; this is done before any other thread is started.
    for core in [cores.server, cores.load] {
        match take(core) {
            Ok(status) if status.success() => {}
            Ok(_) => return unpinned(&format!("taskset refuses core {core}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return unpinned("there is no taskset here");
            }
            Err(error) => return unpinned(&format!("taskset: {error}")),
        }
    }
    Some(cores)
}

/// A server started by this process; it is killed when this is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// Its data folder, gone with it.
    _data: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts `command`, with `{address}` in its arguments replaced by a free address and `{data}` by a new folder,
    /// and waits until it listens.
    pub async fn start(command: &[String], core: Option<usize>, show_log: bool) -> Result<Self> {
        let address = free_address()?;
        let data = TempDir::new()?;
        let filled = |word: &String| {
            let word = word.replace("{address}", &address.to_string());
            word.replace("{data}", &data.path().display().to_string())
        };
        let mut words: Vec<String> = Vec::new();
        if let Some(core) = core {
            words.extend(["taskset".into(), "-c".into(), core.to_string()]);
        }
        words.extend(command.iter().map(filled));
        let (program, arguments) = words.split_first().ok_or("the server command is empty")?;
        let log = || if show_log { Stdio::inherit() } else { Stdio::null() };
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log())
            .spawn()
            .map_err(|error| format!("cannot start {program}: {error}"))?;
        let mut server = Server { child, address, _data: data };
        server.wait_until_ready().await?;
        Ok(server)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let started = Instant::now();
        while TcpStream::connect(self.address).await.is_err() {
            self.check_alive()?;
            if started.elapsed() > READY_TIMEOUT {
                return Err(format!(
                    "the server does not listen on {} after {READY_TIMEOUT:?}",
                    self.address
                )
                .into());
            }
            sleep(READY_POLL).await;
        }
        Ok(())
    }

    /// Fails if the process has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(format!("the server ended with {status}; --server-log shows what it says")
                    .into())
            }
        }
    }

    /// `taskset` becomes the program that it starts, so this is the server itself.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// An address of the loopback interface that nothing listens on, as far as can be known.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Seconds of processor that a process has used, all threads together, to a hundredth.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in brackets and may hold anything; the state after it is the third.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// Seconds that a core has been busy since the machine was started, for whomever.
pub fn core_busy_seconds(core: usize) -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix(&format!("cpu{core} ")))?;
    let ticks: Vec<f64> =
        line.split_ascii_whitespace().map_while(|ticks| ticks.parse().ok()).collect();
    // User, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen by the host; then what is in
    // these already.
    let &[user, nice, system, _, _, interrupts, soft_interrupts, stolen] = ticks.get(..8)? else {
        return None;
    };
    Some((user + nice + system + interrupts + soft_interrupts + stolen) / TICKS_PER_SECOND)
}

/// Resident memory of a process in KiB.
pub fn resident_kib(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Makes sure that this process, and those it starts from now on, may have `needed` files open.
pub fn raise_open_files(needed: u64) -> Result<()> {
    let (soft, hard) = open_files_limits()?;
    if soft >= needed {
        return Ok(());
    }
    let limits = format!("--nofile={needed}:{}", hard.max(needed));
    // Whether it worked is read off the limit itself.
    let _ = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string(), &limits])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match open_files_limits()? {
        (soft, _) if soft >= needed => Ok(()),
        (soft, hard) => Err(format!(
            "{needed} open files are needed and {soft} allowed (at most {hard}): run `ulimit -n {needed}` in a shell \
             that may, and start this from there"
        )
        .into()),
    }
}

fn open_files_limits() -> Result<(u64, u64)> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers =
        line.ok_or("no limit of open files in /proc/self/limits")?.split_ascii_whitespace();
    let mut next = || match numbers.next() {
        Some("unlimited") => Ok(u64::MAX),
        Some(number) => number.parse().map_err(|error| format!("/proc/self/limits: {error}")),
        None => Err("a limit is missing in /proc/self/limits".into()),
    };
    Ok((next()?, next()?))
}
