//! Changes that flow from writers to subscribers: fan-out, pairs and latency.
//!
//! A writer ends a run with a change that is marked as the last. Every subscriber must receive it; what else it has not
//! received was skipped by a snapshot, which a server sends to one that lags, and is told.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{Bench, DRAIN_TIMEOUT, Stretch, WARM_UP, WINDOW, first_failure};
use crate::Result;
use crate::connection::{Connection, refuse_errors};
use crate::report::{Figure, Outcome};
use crate::wire::{
    COUNTER_START, Change, Encoding, Framing, KEY, LAST_MARK, Outgoing, Template, stamps,
    value_text,
};

/// Longer ones are counted as this long.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// How many write, how many listen, and how fast it goes.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// Each with one writer.
    pub topics: usize,
    /// Of each topic.
    pub subscribers: usize,
    pub pace: Pace,
}

#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// As many changes as the window allows.
    Window,
    /// One change each time this has passed.
    Every(Duration),
}

/// What all connections of a run count together.
struct Tally {
    started: Instant,
    deliveries: Cell<u64>,
    confirmed: Cell<u64>,
    stopping: Cell<bool>,
    /// Subscribers that have received the last change.
    arrived: Cell<usize>,
    all_arrived: Notify,
    subscribers: usize,
    /// Nanoseconds from sending to receiving, while it is measured.
    latencies: RefCell<Option<Histogram<u64>>>,
}

impl Tally {
    fn nanoseconds(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}

/// What a run of a flow saw in the measured stretch, whose count is of deliveries.
struct Flowed {
    stretch: Stretch,
    confirmed: u64,
    latencies: Option<Histogram<u64>>,
    notes: Vec<String>,
}

pub async fn run_fan_out(bench: &Bench, flow: Flow) -> Result<Outcome> {
    let flowed = run(bench, flow).await?;
    let deliveries = Figure { name: "deliveries/s", value: flowed.stretch.per_second() };
    Ok(flowed.stretch.outcome().with(vec![deliveries], flowed.notes))
}

pub async fn run_pairs(bench: &Bench, pairs: usize) -> Result<Outcome> {
    let flowed = run(bench, Flow { topics: pairs, subscribers: 1, pace: Pace::Window }).await?;
    let changes = Stretch { count: flowed.confirmed, ..flowed.stretch };
    let figure = Figure { name: "changes/s", value: changes.per_second() };
    Ok(changes.outcome().with(vec![figure], flowed.notes))
}

pub async fn run_latency(bench: &Bench, subscribers: usize, every: Duration) -> Result<Outcome> {
    let flowed = run(bench, Flow { topics: 1, subscribers, pace: Pace::Every(every) }).await?;
    let latencies = flowed.latencies.ok_or("latencies were not recorded")?;
    if latencies.is_empty() {
        return Err("no latency was recorded".into());
    }
    let milliseconds = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e6;
    let figures = vec![
        Figure { name: "p50 ms", value: milliseconds(0.5) },
        Figure { name: "p99 ms", value: milliseconds(0.99) },
        Figure { name: "max ms", value: latencies.max() as f64 / 1e6 },
    ];
    Ok(flowed.stretch.outcome().with(figures, flowed.notes))
}

async fn run(bench: &Bench, flow: Flow) -> Result<Flowed> {
    let tally = Rc::new(Tally {
        started: Instant::now(),
        deliveries: Cell::new(0),
        confirmed: Cell::new(0),
        stopping: Cell::new(false),
        arrived: Cell::new(0),
        all_arrived: Notify::new(),
        subscribers: flow.topics * flow.subscribers,
        latencies: RefCell::new(None),
    });
    let mut tasks = JoinSet::new();
    let mut writers = Vec::new();
    for topic in 0..flow.topics {
        writers.push(set_up_topic(bench, topic, flow, &tally, &mut tasks).await?);
    }
    for writer in writers {
        tasks.spawn_local(writer.run(flow.pace));
    }
    tokio::select! {
        measured = measure(bench, flow, &tally) => measured,
        failed = first_failure(&mut tasks) => Err(failed.err().unwrap_or_else(|| "a connection ended".into())),
    }
}

async fn measure(bench: &Bench, flow: Flow, tally: &Tally) -> Result<Flowed> {
    sleep(WARM_UP).await;
    if matches!(flow.pace, Pace::Every(_)) {
        *tally.latencies.borrow_mut() = Some(Histogram::new_with_max(LATENCY_NS_MAX, 3)?);
    }
    let start = bench.sample(tally.deliveries.get());
    let confirmed_before = tally.confirmed.get();
    sleep(bench.window()).await;
    let stretch = start.until(bench.sample(tally.deliveries.get()));
    let confirmed = tally.confirmed.get() - confirmed_before;
    let latencies = tally.latencies.borrow_mut().take();

    tally.stopping.set(true);
    if timeout(DRAIN_TIMEOUT, tally.all_arrived.notified()).await.is_err() {
        let (arrived, all) = (tally.arrived.get(), tally.subscribers);
        return Err(format!(
            "the last change reached {arrived} of {all} subscribers in {DRAIN_TIMEOUT:?}"
        )
        .into());
    }
    let notes =
        skipped_note(tally.confirmed.get() * flow.subscribers as u64, tally.deliveries.get())?;
    Ok(Flowed { stretch, confirmed, latencies, notes })
}

fn skipped_note(due: u64, delivered: u64) -> Result<Vec<String>> {
    match due.checked_sub(delivered) {
        Some(0) => Ok(Vec::new()),
        Some(skipped) => {
            let percent = skipped as f64 / due as f64 * 100.0;
            Ok(vec![format!(
                "{percent:.1} % of the changes were skipped by snapshots to subscribers that lagged"
            )])
        }
        None => Err(format!("{delivered} deliveries counted where {due} were due").into()),
    }
}

/// Opens the connections of one topic, and starts its subscribers.
async fn set_up_topic(
    bench: &Bench,
    topic: usize,
    flow: Flow,
    tally: &Rc<Tally>,
    tasks: &mut JoinSet<Result<()>>,
) -> Result<Writer> {
    let (topic_name, endpoint) = bench.topic(topic);
    let mut connection = bench.open(&endpoint).await?;
    connection.subscribe(&topic_name, "dict").await?;
    let id = format!("{}_{COUNTER_START}", connection.client_id());
    let value = value_text(0, bench.value_bytes, b"");
    let change = Change::Add { key: KEY, value: &value, id: &id };
    connection.confirm(&Outgoing::Update { topic_name: &topic_name, change }, &id).await?;

    for _ in 0..flow.subscribers {
        let mut connection = bench.open(&endpoint).await?;
        connection.subscribe(&topic_name, "dict").await?;
        tasks.spawn_local(listen(connection, bench.encoding, Rc::clone(tally)));
    }
    let template = |mark| {
        Template::new(bench.encoding, &topic_name, connection.client_id(), bench.value_bytes, mark)
    };
    Ok(Writer {
        encoding: bench.encoding,
        framing: bench.framing,
        template: template(b"")?,
        last: template(LAST_MARK)?,
        connection,
        counter: COUNTER_START + 1,
        in_flight: 0,
        payload: Vec::new(),
        tally: Rc::clone(tally),
    })
}

/// A subscriber: counts until it is dropped.
async fn listen(mut connection: Connection, encoding: Encoding, tally: Rc<Tally>) -> Result<()> {
    let markers = encoding.markers();
    let last = memchr::memmem::Finder::new(LAST_MARK);
    let mut arrived = false;
    loop {
        connection
            .receive(|payload| {
                let updates = markers.count_updates(payload);
                if updates == 0 {
                    return encoding.decode(payload)?.iter().try_for_each(refuse_errors);
                }
                tally.deliveries.set(tally.deliveries.get() + updates);
                if let Some(latencies) = &mut *tally.latencies.borrow_mut() {
                    let now = tally.nanoseconds();
                    stamps(payload)
                        .for_each(|stamp| latencies.saturating_record(now.saturating_sub(stamp)));
                }
                if tally.stopping.get() && !arrived && last.find(payload).is_some() {
                    arrived = true;
                    tally.arrived.set(tally.arrived.get() + 1);
                    if tally.arrived.get() == tally.subscribers {
                        tally.all_arrived.notify_one();
                    }
                }
                Ok(())
            })
            .await?;
    }
}

/// The one author of a topic.
struct Writer {
    connection: Connection,
    encoding: Encoding,
    framing: Framing,
    template: Template,
    last: Template,
    counter: u64,
    in_flight: usize,
    payload: Vec<u8>,
    tally: Rc<Tally>,
}

impl Writer {
    async fn run(mut self, pace: Pace) -> Result<()> {
        match pace {
            Pace::Window => self.fill_window().await?,
            Pace::Every(period) => self.keep_time(period).await?,
        }
        while self.in_flight > 0 {
            self.receive().await?;
        }
        self.queue(1, true);
        self.connection.flush().await?;
        loop {
            self.receive().await?;
        }
    }

    /// Sends as many changes as the window has room for, whenever it has some.
    async fn fill_window(&mut self) -> Result<()> {
        while !self.tally.stopping.get() {
            match self.framing {
                Framing::Array => self.queue(WINDOW - self.in_flight, false),
                Framing::Single => (self.in_flight..WINDOW).for_each(|_| self.queue(1, false)),
            }
            self.connection.flush().await?;
            self.receive().await?;
        }
        Ok(())
    }

    /// Sends one change a period, whether or not the ones before are answered, unless the window is full.
    async fn keep_time(&mut self, period: Duration) -> Result<()> {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.tally.stopping.get() {
            tokio::select! {
                _ = ticks.tick() => if self.in_flight < WINDOW {
                    self.queue(1, false);
                    self.connection.flush().await?;
                },
                received = self.receive() => received?,
            }
        }
        Ok(())
    }

    /// Queues a frame of `count` changes, unless there are none.
    fn queue(&mut self, count: usize, last: bool) {
        if count == 0 {
            return;
        }
        let template = if last { &self.last } else { &self.template };
        template.write_many(self.counter, count, self.tally.nanoseconds(), &mut self.payload);
        self.connection.queue(&self.payload);
        self.counter += count as u64;
        self.in_flight += count;
    }

    /// Counts its confirmations: it is the only author, so every update is one.
    async fn receive(&mut self) -> Result<()> {
        let encoding = self.encoding;
        let mut confirmed = 0;
        self.connection
            .receive(|payload| {
                confirmed += count_confirmed(encoding, payload)?;
                Ok(())
            })
            .await?;
        self.in_flight = self
            .in_flight
            .checked_sub(confirmed)
            .ok_or("more confirmations than changes in flight")?;
        self.tally.confirmed.set(self.tally.confirmed.get() + confirmed as u64);
        Ok(())
    }
}

/// Confirmations in a frame to a writer; an `error` or a `reject_update` fails, and so does a snapshot, under which a
/// confirmation may be hidden.
fn count_confirmed(encoding: Encoding, payload: &[u8]) -> Result<usize> {
    let (mut updates, mut changes) = (0, 0);
    for kind in encoding.markers().kinds(payload) {
        match kind {
            [b'u', b'p', ..] => updates += 1,
            [b'c', b'h', ..] => changes += 1,
            _ => return Err(unexpected(encoding, payload)),
        }
    }
    if updates == changes { Ok(updates) } else { Err(unexpected(encoding, payload)) }
}

/// Names the messages of a frame that are no confirmations.
fn unexpected(encoding: Encoding, payload: &[u8]) -> Box<dyn std::error::Error> {
    let text = match encoding.decode(payload) {
        Ok(messages) => {
            let plain = |message: &&Value| {
                message["type"] == "update"
                    && message["content"]["change"]["type"] == "change_value"
            };
            let others: Vec<String> =
                messages.iter().filter(|message| !plain(message)).map(Value::to_string).collect();
            others.join(" ")
        }
        Err(error) => format!("{} bytes that cannot be read: {error}", payload.len()),
    };
    format!("a writer got something other than confirmations: {text:.1000}").into()
}
