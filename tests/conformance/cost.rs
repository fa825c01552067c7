//! What a replica's own order costs on a slow line. Prints it:
//!
//! ```text
//! cargo test --release --test conformance -- --ignored --nocapture own_order_costs
//! ```
//!
//! One client edits topics in turn over a line of 100 ms, there and back, at a steady rate. Time is counted, not
//! waited for: a millisecond a step.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::json;
use topicsync::client::{Event, LocalChange, Replica};
use topicsync::protocol::ClientMessage;
use topicsync::protocol::ServerMessage;
use topicsync::topic::{TopicName, TopicOptions};
use topicsync::types::Registry;
use topicsync::value::Value;

use super::player::fields;
use super::script::Script;
use super::server::{Server, name};

/// One way, in milliseconds.
const LINE_MS: usize = 50;
/// How long a run is, in milliseconds, after all topics are there.
const RUN_MS: usize = 2000;

/// What a run came to.
#[derive(Debug)]
pub struct Cost {
    /// Local changes that were confirmed a second, from the first confirmation to the end.
    pub confirmed_per_s: usize,
    /// From the making of a change to its confirmation, in milliseconds: the median and the longest.
    pub latency_ms: (usize, usize),
    /// Messages that the client sent a second.
    pub messages_per_s: usize,
}

struct Line {
    replica: Replica,
    server: Server,
    up: VecDeque<(usize, ClientMessage)>,
    down: VecDeque<(usize, ServerMessage)>,
    now: usize,
    sent: usize,
}

impl Line {
    /// A millisecond passes. Gives what the client is told.
    fn step(&mut self) -> Vec<Event> {
        self.now += 1;
        let due = |at: usize| at + LINE_MS <= self.now;
        while self.up.front().is_some_and(|(at, _)| due(*at)) {
            let (_, message) = self.up.pop_front().expect("it is there");
            self.server.receive(0, message);
        }
        self.server.tick();
        while let Some(message) = self.server.next_for(0) {
            self.down.push_back((self.now, message));
        }
        while self.down.front().is_some_and(|(at, _)| due(*at)) {
            let (_, message) = self.down.pop_front().expect("it is there");
            self.replica.receive(message);
        }
        let sent = self.replica.outbox();
        self.sent += sent.len();
        self.up.extend(sent.into_iter().map(|message| (self.now, message)));
        self.replica.events()
    }
}

/// Edits `count` topics of a type in turn, `per_ms` changes every millisecond.
fn run(count: usize, kind: &str, per_ms: usize) -> Cost {
    let topics: Vec<TopicName> = (0..count).map(|it| name(&format!("topic{it}"))).collect();
    let mut replica = Replica::new();
    for topic in &topics {
        let kind = Registry::default().get(kind).expect("a built-in type");
        replica.subscribe(topic, kind, TopicOptions::default());
    }
    let (mut server, up, down) = (Server::new(), VecDeque::new(), VecDeque::new());
    server.connect(0);
    let mut line = Line { replica, server, up, down, now: 0, sent: 0 };
    while line.now < 4 * LINE_MS {
        line.step();
    }
    let (start, mut made, mut waits) = (line.now, Vec::new(), Vec::new());
    line.sent = 0;
    let mut tickets = std::collections::HashMap::new();
    while line.now < start + RUN_MS {
        for _ in 0..per_ms {
            let number = made.len();
            made.push(line.now);
            let change = match kind {
                "dict" => json!({"type": "add", "key": format!("k{number}"), "value": number}),
                _ => json!({"type": "insert", "position": 0, "insertion": "x"}),
            };
            let change = LocalChange::new(topics[number % count].clone(), fields(&change).unwrap());
            tickets.insert(line.replica.local(vec![change]).expect("it fits"), number);
        }
        for event in line.step() {
            match event {
                Event::Confirmed { ticket, .. } => {
                    waits.push(line.now - made[tickets[&ticket]]);
                }
                Event::Rejected { rejection, .. } => panic!("{rejection}"),
                _ => {}
            }
        }
    }
    let seconds = (RUN_MS - 2 * LINE_MS) as f64 / 1000.0;
    waits.sort_unstable();
    Cost {
        confirmed_per_s: (waits.len() as f64 / seconds) as usize,
        latency_ms: (waits[waits.len() / 2], *waits.last().expect("some were confirmed")),
        messages_per_s: (line.sent as f64 / seconds) as usize,
    }
}

/// R48: it holds, whatever is made in turn.
#[test]
fn own_order_costs_no_round_trip_at_a_steady_pace() {
    for (count, kind) in [(2, "string"), (2, "dict"), (50, "string"), (50, "dict")] {
        let cost = run(count, kind, 1);
        assert!(cost.confirmed_per_s >= 900, "{count} {kind}: {cost:?}");
        // A change waits for what is in flight, and then takes a round trip.
        assert!(cost.latency_ms.1 <= 4 * LINE_MS + 10, "{count} {kind}: {cost:?}");
    }
}

#[test]
#[ignore = "prints a table"]
fn own_order_costs() {
    println!("topics  type    made/s  confirmed/s  median ms  longest ms  messages/s");
    for (count, kind, per_ms) in [
        (3000, "dict", 1),
        (3000, "dict", 10),
        (3000, "dict", 30),
        (3000, "dict", 60),
        (3000, "string", 10),
        (3000, "string", 60),
        (2, "string", 1),
        (2, "dict", 1),
        (20, "dict", 1),
        (20, "string", 10),
    ] {
        let Cost { confirmed_per_s, latency_ms: (median, longest), messages_per_s } =
            run(count, kind, per_ms);
        let made = per_ms * 1000;
        println!(
            "{count:6}  {kind:6} {made:7}  {confirmed_per_s:11}  {median:9}  {longest:10}  {messages_per_s:10}"
        );
    }
}

/// R30: offline edits here and there in a text of which so much was missed that a snapshot comes.
#[test]
fn offline_edits_stand_where_they_were_put_however_much_was_missed() {
    let paragraph = |number: usize| format!("{number}. It is paragraph {number} of the text.\n");
    let text: String = (0..200).map(paragraph).collect();
    let mut script = Script::starting_with("far", &[("text", "string")], &[("text", json!(text))]);
    script.cut();
    for number in 0..40 {
        let place = shown(&script).find(&paragraph(number * 5)).expect("it is there");
        let word = format!("[word {number}] ");
        let insert = json!({"type": "insert", "position": place, "insertion": word});
        script.local("text", insert);
    }
    // Somebody types a while here and a while there.
    for keystroke in 0..10_100 {
        let position = (keystroke / 101 * 7919) % 6000 + keystroke % 101;
        script.somebody("text", json!({"type": "insert", "position": position, "insertion": "x"}));
    }
    script.server.forgetful = true;
    script.reconnect();
    // Without what others typed into it, everything is as it was put.
    let typed = shown(&script).replace('x', "");
    let stands = |number: &usize| typed.contains(&format!("[word {number}] {}. It", number * 5));
    let count = (0..40).filter(stands).count();
    assert!(count == 40, "{count} of 40 stand where they were put");
}

fn shown(script: &Script) -> String {
    match script.view("text") {
        Value::String(text) => text.to_string(),
        other => panic!("{other:?} is no text"),
    }
}

/// R46 and R47: many edits made offline, and many of another's heard over them.
#[test]
#[ignore = "prints a table"]
fn offline_typing_costs() {
    for count in [1000, 2000, 4000, 8000, 16_000] {
        let (typed, heard) = offline_typing(count);
        println!("{count:6} edits: typed in {typed:?}, as many heard in {heard:?}");
    }
}

/// How long so many random edits take offline, and to hear as many of another's.
fn offline_typing(count: usize) -> (Duration, Duration) {
    let topics = [("text", "string")];
    let text = "It was a bright cold day in April. ".repeat(100);
    let mut script = Script::starting_with("typing", &topics, &[("text", json!(text))]);
    let mut random = 7_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % 3500
    };
    script.cut();
    let mut replica = std::mem::replace(script.replica(), Replica::new());
    let start = Instant::now();
    for _ in 0..count {
        let change = json!({"type": "insert", "position": next(), "insertion": "x"});
        let change = LocalChange::new(name("text"), fields(&change).expect("an object"));
        replica.local(vec![change]).expect("it fits");
    }
    let typed = start.elapsed();
    for _ in 0..count {
        script.somebody("text", json!({"type": "insert", "position": next(), "insertion": "y"}));
    }
    script.server.connect(0);
    let mut heard = Duration::ZERO;
    loop {
        let messages: Vec<ServerMessage> =
            std::iter::from_fn(|| script.server.next_for(0)).take(256).collect();
        let any = !messages.is_empty();
        let start = Instant::now();
        replica.receive_frame(messages);
        heard += start.elapsed();
        let sent = replica.outbox();
        if !any && sent.is_empty() {
            break;
        }
        sent.into_iter().for_each(|message| script.server.receive(0, message));
        script.server.publish();
    }
    let kind = Registry::default().get("string").expect("a built-in type");
    let view = kind.encode_value(replica.view(&name("text")).expect("it is subscribed"));
    assert_eq!(view, script.server.value(&name("text")));
    (typed, heard)
}

#[test]
fn offline_typing_costs_no_more_the_more_was_typed() {
    let (short_typed, short_heard) = offline_typing(1000);
    let (long_typed, long_heard) = offline_typing(8000);
    // Eight times as much; were it quadratic, it would be 64 times.
    assert!(long_typed < short_typed * 24, "{short_typed:?}, then {long_typed:?}");
    assert!(long_heard < short_heard * 24, "{short_heard:?}, then {long_heard:?}");
}
