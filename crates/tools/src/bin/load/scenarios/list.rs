//! Several authors on one list, each working on the version that it has last received.
//!
//! An author has one change in flight, as the protocol has it for changes with a base. It keeps the list's length, and
//! not the list; when all is quiet, every author must have come to the same length at the same version.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep};

use super::{Bench, DRAIN_TIMEOUT, WARM_UP, first_failure};
use crate::Result;
use crate::connection::{Connection, refuse_errors};
use crate::report::{Figure, Outcome};
use crate::wire::{COUNTER_START, Change, Encoding, Outgoing, list_items, value_text};

/// The list starts with this many items, and is popped from where it is longer than the second.
const LENGTH_AT_FIRST: usize = 200;
const LENGTH_MAX: usize = 1_000;
/// Brings a change with a base to about 100 bytes.
const ITEM_BYTES: usize = 30;
const POLL: Duration = Duration::from_millis(10);

/// What the authors count together.
struct Tally {
    accepted: Cell<u64>,
    stale: Cell<u64>,
    emptied: Cell<u64>,
    stopping: Cell<bool>,
    /// Where each author is.
    places: RefCell<Vec<Place>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Place {
    version: u64,
    length: usize,
    in_flight: bool,
}

pub async fn run(bench: &Bench, authors: usize) -> Result<Outcome> {
    let tally = Rc::new(Tally {
        accepted: Cell::new(0),
        stale: Cell::new(0),
        emptied: Cell::new(0),
        stopping: Cell::new(false),
        places: RefCell::new(vec![Place::default(); authors]),
    });
    make_list(bench).await?;
    let mut ready = Vec::new();
    for number in 0..authors {
        ready.push(Author::join(bench, number, Rc::clone(&tally)).await?);
    }
    let mut tasks = JoinSet::new();
    for author in ready {
        tasks.spawn_local(author.run());
    }
    tokio::select! {
        measured = measure(bench, &tally) => measured,
        failed = first_failure(&mut tasks) => Err(failed.err().unwrap_or_else(|| "a connection ended".into())),
    }
}

/// Makes the topic and fills it.
async fn make_list(bench: &Bench) -> Result<()> {
    let (topic_name, endpoint) = bench.topic(0);
    let mut maker = bench.open(&endpoint).await?;
    maker.subscribe(&topic_name, "list").await?;
    let id = format!("{}_{COUNTER_START}", maker.client_id());
    let change = Change::Set { value: &list_items(LENGTH_AT_FIRST), id: &id };
    maker.confirm(&Outgoing::Update { topic_name: &topic_name, change }, &id).await?;
    Ok(())
}

async fn measure(bench: &Bench, tally: &Tally) -> Result<Outcome> {
    sleep(WARM_UP).await;
    let (stale_before, emptied_before) = (tally.stale.get(), tally.emptied.get());
    let start = bench.sample(tally.accepted.get());
    sleep(bench.window()).await;
    let stretch = start.until(bench.sample(tally.accepted.get()));
    let stale = (tally.stale.get() - stale_before) as f64 / stretch.seconds;
    let emptied = (tally.emptied.get() - emptied_before) as f64 / stretch.count.max(1) as f64;

    tally.stopping.set(true);
    let place = wait_until_quiet(tally).await?;
    let figures = vec![
        Figure { name: "accepted changes/s", value: stretch.per_second() },
        Figure { name: "stale rejects/s", value: stale },
    ];
    let note = format!(
        "all authors ended with {} items at version {}; {:.1} % of what was accepted came to nothing (`none`)",
        place.length,
        place.version,
        emptied * 100.0
    );
    Ok(stretch.outcome().with(figures, vec![note]))
}

/// Waits until nothing is in flight and all authors are at one version.
async fn wait_until_quiet(tally: &Tally) -> Result<Place> {
    let since = Instant::now();
    loop {
        let places = tally.places.borrow().clone();
        let newest = places.iter().map(|place| place.version).max().unwrap_or_default();
        if places.iter().all(|place| place.version == newest && !place.in_flight) {
            let first = places[0];
            return if places.iter().all(|&place| place == first) {
                Ok(first)
            } else {
                Err(format!(
                    "the authors have lists of different lengths at one version: {places:?}"
                )
                .into())
            };
        }
        if since.elapsed() > DRAIN_TIMEOUT {
            return Err(format!(
                "the authors are not at one version after {DRAIN_TIMEOUT:?}: {places:?}"
            )
            .into());
        }
        sleep(POLL).await;
    }
}

/// What a frame told.
#[derive(Debug, Default)]
struct News {
    confirmed: u64,
    stale: u64,
    emptied: u64,
}

struct Author {
    number: usize,
    connection: Connection,
    topic_name: String,
    item: String,
    counter: u64,
    random: u64,
    reader: Reader,
    in_flight: bool,
    tally: Rc<Tally>,
}

/// Keeps the version and the length of the list as frames come.
struct Reader {
    encoding: Encoding,
    client_id: u64,
    own_id: memchr::memmem::Finder<'static>,
    version: u64,
    length: usize,
}

impl Author {
    async fn join(bench: &Bench, number: usize, tally: Rc<Tally>) -> Result<Self> {
        let (topic_name, endpoint) = bench.topic(0);
        let mut connection = bench.open(&endpoint).await?;
        let snapshot = connection.subscribe(&topic_name, "list").await?;
        let client_id = connection.client_id();
        let own_id =
            memchr::memmem::Finder::new(&bench.encoding.own_id_marker(client_id)).into_owned();
        let mut reader =
            Reader { encoding: bench.encoding, client_id, own_id, version: 0, length: 0 };
        reader.take_update(&snapshot)?;
        Ok(Author {
            number,
            connection,
            topic_name,
            item: value_text(0, ITEM_BYTES, b""),
            counter: COUNTER_START,
            // Any odd number would do; the same in every run.
            random: 0x9e37_79b9_7f4a_7c15 ^ number as u64,
            reader,
            in_flight: false,
            tally,
        })
    }

    async fn run(mut self) -> Result<()> {
        loop {
            if !self.in_flight && !self.tally.stopping.get() {
                self.send().await?;
            }
            self.note_place();
            let mut news = News::default();
            self.connection.receive(|payload| self.reader.take_frame(payload, &mut news)).await?;
            self.take_news(&news)?;
        }
    }

    async fn send(&mut self) -> Result<()> {
        self.counter += 1;
        let id = format!("{}_{}", self.reader.client_id, self.counter);
        let (base, length) = (self.reader.version, self.reader.length);
        let change = if length > LENGTH_MAX {
            Change::Pop { position: self.below(length), id: &id, base }
        } else {
            Change::Insert { position: self.below(length + 1), item: &self.item, id: &id, base }
        };
        self.in_flight = true;
        self.connection.send(&Outgoing::Update { topic_name: &self.topic_name, change }).await
    }

    fn take_news(&mut self, news: &News) -> Result<()> {
        let answers = news.confirmed + news.stale;
        if answers > u64::from(self.in_flight) {
            return Err(format!("{answers} answers to one change: {news:?}").into());
        }
        self.in_flight &= answers == 0;
        let add = |cell: &Cell<u64>, number| cell.set(cell.get() + number);
        add(&self.tally.accepted, news.confirmed);
        add(&self.tally.stale, news.stale);
        // All authors see the same; one of them counts.
        if self.number == 0 {
            add(&self.tally.emptied, news.emptied);
        }
        Ok(())
    }

    fn note_place(&self) {
        let Reader { version, length, .. } = self.reader;
        self.tally.places.borrow_mut()[self.number] =
            Place { version, length, in_flight: self.in_flight };
    }

    /// A number below `bound`, by xorshift (Marsaglia 2003).
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % bound as u64) as usize
    }
}

impl Reader {
    /// Counts by markers if there is nothing but plain changes in the frame, else decodes it.
    fn take_frame(&mut self, payload: &[u8], news: &mut News) -> Result<()> {
        let (mut updates, mut inserts, mut pops, mut nones) = (0_usize, 0, 0, 0);
        for kind in self.encoding.markers().kinds(payload) {
            match kind {
                [b'u', b'p', ..] => updates += 1,
                [b'i', b'n', ..] => inserts += 1,
                [b'p', b'o', ..] => pops += 1,
                [b'n', b'o', ..] => nones += 1,
                _ => return self.take_decoded(payload, news),
            }
        }
        if updates != inserts + pops + nones {
            return self.take_decoded(payload, news);
        }
        self.version = self.encoding.last_version(payload).ok_or("an update without a version")?;
        self.length =
            (self.length + inserts).checked_sub(pops).ok_or("more items popped than there were")?;
        news.confirmed += self.own_id.find_iter(payload).count() as u64;
        news.emptied += nones as u64;
        Ok(())
    }

    fn take_decoded(&mut self, payload: &[u8], news: &mut News) -> Result<()> {
        for message in self.encoding.decode(payload)? {
            let content = &message["content"];
            match message["type"].as_str() {
                Some("update") => {
                    self.take_update(content)?;
                    news.confirmed += u64::from(self.is_own(content));
                    news.emptied += u64::from(content["change"]["type"] == "none");
                }
                Some("reject_update") if content["code"] == "stale" => news.stale += 1,
                _ => refuse_errors(&message)?,
            }
        }
        Ok(())
    }

    fn take_update(&mut self, content: &Value) -> Result<()> {
        let change = &content["change"];
        let length = match change["type"].as_str() {
            Some("set") => change["value"].as_array().map(Vec::len),
            Some("insert") => Some(self.length + 1),
            Some("pop") => self.length.checked_sub(1),
            Some("none") => Some(self.length),
            _ => None,
        };
        self.length =
            length.ok_or_else(|| format!("an update that does not fit: {content:.500}"))?;
        self.version = content["version"].as_u64().ok_or("an update without a version")?;
        Ok(())
    }

    fn is_own(&self, content: &Value) -> bool {
        let client_id = content["change"]["id"].as_str().and_then(|id| id.split_once('_'));
        client_id.is_some_and(|(client_id, _)| client_id.parse() == Ok(self.client_id))
    }
}
