//! Joining a long list: the time from sending `subscribe` until the last byte of the snapshot is there.

use std::time::Instant;

use super::Bench;
use crate::Result;
use crate::connection::Connection;
use crate::report::{Figure, Outcome, median};
use crate::wire::{COUNTER_START, Change, Encoding, Outgoing, list_items};

pub const ITEMS: usize = 100_000;
const JOINS: usize = 20;
/// A frame this long can be nothing but the snapshot, whose every item takes more than two bytes.
const SNAPSHOT_BYTES_MIN: usize = 2 * ITEMS;

pub async fn run(bench: &Bench) -> Result<Outcome> {
    let (topic_name, endpoint) = bench.topic(0);
    let mut maker = bench.open(&endpoint).await?;
    maker.subscribe(&topic_name, "list").await?;
    let id = format!("{}_{COUNTER_START}", maker.client_id());
    let change = Change::Set { value: &list_items(ITEMS), id: &id };
    maker.confirm(&Outgoing::Update { topic_name: &topic_name, change }, &id).await?;

    let mut times = Vec::with_capacity(JOINS);
    let mut bytes = 0;
    for _ in 0..JOINS {
        let mut joiner = bench.open(&endpoint).await?;
        let started = Instant::now();
        joiner.send(&Outgoing::Subscribe { topic_name: &topic_name, topic_type: "list" }).await?;
        let snapshot = receive_snapshot(&mut joiner).await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        check_snapshot(bench.encoding, &snapshot)?;
        bytes = snapshot.len();
    }
    let longest = times.iter().copied().fold(0.0, f64::max);
    let middle = median(times.into_iter()).ok_or("nothing was joined")?;
    Ok(Outcome {
        figures: vec![
            Figure { name: "ms, median", value: middle },
            Figure { name: "ms, longest", value: longest },
        ],
        notes: vec![format!("the snapshot takes {bytes} bytes; {JOINS} joins")],
        ..Outcome::default()
    })
}

/// The frame with the snapshot, once all of it is there. Copying it out is in the time, and a small part of it.
async fn receive_snapshot(joiner: &mut Connection) -> Result<Vec<u8>> {
    let mut snapshot = None;
    while snapshot.is_none() {
        joiner
            .receive(|payload| {
                if payload.len() >= SNAPSHOT_BYTES_MIN {
                    snapshot = Some(payload.to_vec());
                }
                Ok(())
            })
            .await?;
    }
    snapshot.ok_or_else(|| "no snapshot".into())
}

fn check_snapshot(encoding: Encoding, payload: &[u8]) -> Result<()> {
    let messages = encoding.decode(payload)?;
    let items =
        messages.iter().find_map(|message| message["content"]["change"]["value"].as_array());
    match items.map(Vec::len) {
        Some(ITEMS) => Ok(()),
        other => Err(format!("a snapshot of {other:?} items instead of {ITEMS}").into()),
    }
}
