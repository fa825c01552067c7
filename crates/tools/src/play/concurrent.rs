//! Two writers, and a network between them that lets each know just what the recording says it knew.
//!
//! What the server publishes is delivered at once; what goes *to* the server is held back. A txn
//! arrives at the server only when the other author is about to make one that knows it:
//!
//! ```text
//! for each txn, by X, that knows the first K of Y's:
//!     while fewer than K of Y's are settled:
//!         Y's next arrives; Y hears its confirmation, X hears of it; Y has its next one ready
//!     X makes the txn; it is held, or waits behind the one that is
//! in the end, what is still held arrives, one by one
//! ```
//!
//! This is a schedule that the recording allows. A txn arrives when X is to know it, and is delivered
//! to X there and then, so that between two steps **both have received everything that the server
//! accepted**. Y's confirmation therefore brings nothing with it that is new to Y, and X has of Y's
//! the first K and no more. Both are checked before each txn.
//!
//! There is little choice beside it. The server accepts Y's txns one after the other, each once the
//! one before is confirmed, and with a confirmation Y receives all that was accepted before it. Had
//! some of X's own, still unknown to Y, arrived first, Y would hear of them too early. So of two
//! concurrent txns the first to arrive is the one that the other side needed first, and the other is
//! the newcomer, which goes to the left where both insert at one place. Only where each side needs
//! something of the other at once, neither knowing of the other's need, is the order open: there it is
//! that of the file.

use std::collections::VecDeque;

use super::link::Link;
use super::trace::{AUTHORS, Concurrent, Patch, Txn};
use super::*;
use topicsync::client::{Event, LocalChange, Replica, Ticket};
use topicsync::protocol::ClientMessage;
use topicsync::topic::{TopicOptions, Version};
use topicsync::types::{TopicType, TypeRef};

pub async fn play(trace: &Concurrent, setup: &Setup) -> Result<Report> {
    let topic_name = new_topic()?;
    let sides = [Side::join(setup, &topic_name).await?, Side::join(setup, &topic_name).await?];
    let mut world = World { sides, arrived: Version(0) };
    let started = Instant::now();
    let mut waited_max = 0;
    for (index, txn) in trace.txns.iter().enumerate() {
        world.play(txn).await.map_err(|error| format!("txn {index}: {error}"))?;
        waited_max = waited_max.max(world.sides[txn.author].unsettled.len());
    }
    world.let_all_arrive().await?;
    let took = started.elapsed();
    world.check(&trace.end)?;
    check_newcomer(setup, &topic_name, &trace.end).await?;
    for side in world.sides {
        side.link.close().await?;
    }
    Ok(Report {
        topic_name,
        txns: trace.txns.len(),
        patches: trace.txns.iter().map(|txn| txn.patches.len()).sum(),
        versions: world.arrived.0,
        replicas: AUTHORS + 1,
        took,
        notes: vec![
            "before each txn its author had received exactly what the trace says".to_owned(),
            format!("at most {waited_max} txns of one author waited for the network"),
        ],
    })
}

/// Somebody who joins in the end gets the server's own value.
async fn check_newcomer(setup: &Setup, topic_name: &TopicName, expected: &str) -> Result<()> {
    let newcomer = Side::join(setup, topic_name).await?;
    newcomer.check("a newcomer", expected)?;
    newcomer.link.close().await
}

struct World {
    sides: [Side; AUTHORS],
    /// The server's version. Between two steps both sides have received it.
    arrived: Version,
}

impl World {
    async fn play(&mut self, txn: &Txn) -> Result<()> {
        let (author, other) = (txn.author, 1 - txn.author);
        while self.sides[other].settled < txn.knows {
            self.let_arrive(other).await?;
        }
        self.check_knowledge(txn)?;
        self.sides[author].make(&txn.patches)
    }

    /// That an author has received what it knew in the recording: all of that, and nothing else.
    fn check_knowledge(&self, txn: &Txn) -> Result<()> {
        let other = &self.sides[1 - txn.author];
        if other.published > txn.knows || other.settled < txn.knows {
            let (published, settled, knows) = (other.published, other.settled, txn.knows);
            let found =
                format!("{published} known, {settled} settled, where the trace says {knows}");
            return Err(found.into());
        }
        self.check_versions()
    }

    fn check_versions(&self) -> Result<()> {
        let versions = self.sides.each_ref().map(Side::version);
        if versions == [self.arrived; AUTHORS] {
            Ok(())
        } else {
            Err(format!("received {versions:?} of {:?}", self.arrived).into())
        }
    }

    /// Lets the message that one side has on its way through, and delivers what comes of it.
    async fn let_arrive(&mut self, from: usize) -> Result<()> {
        let message = self.sides[from].release()?;
        self.arrived.0 += changes_in(&message)?;
        self.sides[from].link.send(&message).await?;
        for side in &mut self.sides {
            side.receive_up_to(self.arrived).await?;
        }
        Ok(())
    }

    async fn let_all_arrive(&mut self) -> Result<()> {
        for from in 0..AUTHORS {
            while self.sides[from].held.is_some() {
                self.let_arrive(from).await?;
            }
        }
        self.check_versions()
    }

    fn check(&self, expected: &str) -> Result<()> {
        for (author, side) in self.sides.iter().enumerate() {
            if !side.unsettled.is_empty() {
                return Err(format!("author {author} still waits for answers").into());
            }
            side.check(&format!("author {author}"), expected)?;
        }
        Ok(())
    }
}

/// How many versions a message makes.
fn changes_in(message: &ClientMessage) -> Result<u64> {
    match message {
        ClientMessage::Update(_) => Ok(1),
        ClientMessage::Action { changes, .. } => Ok(changes.len() as u64),
        other => Err(format!("not a change: {other:?}").into()),
    }
}

/// One author: a replica, and its way to the server.
struct Side {
    link: Link,
    replica: Replica,
    topic_name: TopicName,
    /// Sent, and held back by the network. What is made meanwhile waits in the replica.
    held: Option<ClientMessage>,
    /// Its txns without an answer, in order.
    unsettled: VecDeque<Ticket>,
    /// How many of its txns, from the first on, have their answer. One of which nothing is left,
    /// as the other has deleted the same, is settled here and never sent.
    settled: usize,
    /// How many of its txns there are up to the last that the server published.
    published: usize,
}

impl Side {
    /// Connects, and waits for the topic's value.
    async fn join(setup: &Setup, topic_name: &TopicName) -> Result<Side> {
        let mut link = Link::connect(&setup.url, setup.encoding).await?;
        let mut replica = Replica::new();
        // One txn, one message: else what waits would arrive together.
        replica.set_composes(false);
        replica.subscribe(topic_name, TypeRef::of::<StringType>(), TopicOptions::default());
        while !replica.topic(topic_name).is_some_and(|topic| topic.is_ready()) {
            for message in link.receive().await? {
                replica.receive(message);
            }
            for message in replica.outbox() {
                link.send(&message).await?;
            }
        }
        Ok(Side {
            link,
            replica,
            topic_name: topic_name.clone(),
            held: None,
            unsettled: VecDeque::new(),
            settled: 0,
            published: 0,
        })
    }

    fn version(&self) -> Version {
        self.replica.topic(&self.topic_name).map_or(Version(0), |topic| topic.version())
    }

    /// Makes a txn, all of its patches as one, on what this author sees.
    fn make(&mut self, patches: &[Patch]) -> Result<()> {
        let change = |patch: &Patch| {
            LocalChange::new(self.topic_name.clone(), StringType::encode_change(&patch.change()))
        };
        let ticket = self.replica.local(patches.iter().map(change).collect())?;
        self.unsettled.push_back(ticket);
        self.send()
    }

    /// Hands what the replica sends to the network.
    fn send(&mut self) -> Result<()> {
        for message in self.replica.outbox() {
            if self.held.replace(message).is_some() {
                return Err("two messages on their way at once".into());
            }
        }
        self.hear()
    }

    /// Takes the held message from the network.
    fn release(&mut self) -> Result<ClientMessage> {
        let message = self.held.take().ok_or("nothing is on its way")?;
        // Those before it are settled, or it would not have been sent.
        self.published = self.settled + 1;
        Ok(message)
    }

    async fn receive_up_to(&mut self, version: Version) -> Result<()> {
        while self.version() < version {
            for message in self.link.receive().await? {
                self.replica.receive(message);
            }
            self.send()?;
        }
        Ok(())
    }

    /// Counts answers, which come in order.
    fn hear(&mut self) -> Result<()> {
        for event in self.replica.events() {
            match event {
                Event::Confirmed { ticket, .. } if self.unsettled.front() == Some(&ticket) => {
                    self.unsettled.pop_front();
                    self.settled += 1;
                }
                Event::Online { .. } | Event::Ready { .. } | Event::Changed { .. } => {}
                trouble => return Err(format!("a replica says {trouble:?}").into()),
            }
        }
        Ok(())
    }

    fn check(&self, whose: &str, expected: &str) -> Result<()> {
        let topic = self.replica.topic(&self.topic_name).ok_or("the topic is gone")?;
        check_text(&format!("what {whose} sees"), topic.view(), expected)?;
        check_text(&format!("what {whose} has confirmed"), topic.confirmed(), expected)
    }
}
