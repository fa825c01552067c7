//! Sessions that only listen: what each takes of the server's memory.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::sleep;

use super::Bench;
use crate::Result;
use crate::connection::Connection;
use crate::process::resident_kib;
use crate::report::{Figure, Outcome};

pub const SESSIONS: usize = 10_000;
/// A source address each, so that no run of this meets the end of the ephemeral ports.
const SESSIONS_PER_ADDRESS: usize = 1_000;
const SETTLING: Duration = Duration::from_secs(1);

pub async fn run(bench: &Bench) -> Result<Outcome> {
    let pid = bench.pid.ok_or("the memory of a server that was not started here is not known")?;
    let memory = || resident_kib(pid).ok_or("the server's memory cannot be read from /proc");
    let (topic_name, endpoint) = bench.topic(0);
    // The first makes the topic, and wakes what sleeps before a first session.
    let mut first = bench.open(&endpoint).await?;
    first.subscribe(&topic_name, "dict").await?;
    sleep(SETTLING).await;
    let before = memory()?;

    let mut sessions = Vec::with_capacity(SESSIONS);
    for nth in 0..SESSIONS {
        let source = bench.address.ip().is_loopback().then(|| source_address(nth));
        let source = source.filter(|_| bench.address.is_ipv4());
        let mut session = Connection::open(&endpoint, source).await?;
        session.subscribe(&topic_name, "dict").await?;
        sessions.push(session);
    }
    sleep(SETTLING).await;
    let after = memory()?;
    let each = (after - before) / sessions.len() as f64;
    Ok(Outcome {
        figures: vec![Figure { name: "KiB a session", value: each }],
        notes: vec![format!(
            "{:.1} MiB before, {:.1} MiB with {SESSIONS} sessions",
            before / 1024.0,
            after / 1024.0
        )],
        ..Outcome::default()
    })
}

/// One of 127.0.0.2 and up.
fn source_address(nth: usize) -> Ipv4Addr {
    let block = u8::try_from(nth / SESSIONS_PER_ADDRESS).expect("there are ten blocks");
    Ipv4Addr::new(127, 0, 0, 2 + block)
}
