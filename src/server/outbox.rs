//! What waits for one connection's socket.
//!
//! Two kinds of things wait. *Published changes* come from topics at whatever rate others write; they
//! are bounded, and when there are too many they are all thrown away and the connection is *lagging*:
//! once its socket drains, it is brought up from the version logs. Nobody else waits for it. *Answers*
//! come from the connection's own requests and must not be lost; when there are too many, the
//! connection stops reading until they are written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio_tungstenite::tungstenite::Message;

use super::wire::{EncodedFrame, encode_frame};
use crate::engine::{Publication, Subscriber, TopicCell};
use crate::protocol::{Encoding, ServerMessage};
use crate::topic::{ClientId, TopicName, Version};

/// From how many bytes of answers on a connection reads no more.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What each queued thing costs beside its bytes.
const ENTRY_BYTES: usize = 64;

/// The queue of one connection.
pub struct Outbox {
    client: ClientId,
    encoding: Encoding,
    /// The client speaks the dialect: what waits is put into words when it is written.
    dialect: AtomicBool,
    /// Bytes of published changes that may wait.
    queue_bytes_max: usize,
    state: Mutex<State>,
    waker: AtomicWaker,
    /// How often this connection was thrown out of the queue.
    lags: AtomicU64,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Outgoing>,
    change_bytes: usize,
    answer_bytes: usize,
    /// Published changes were thrown away; none are taken until the connection catches up.
    lagging: bool,
    end: Option<End>,
}

/// Something to be written, in order.
pub enum Outgoing {
    Changes(Arc<EncodedFrame>),
    Answer(Message),
    /// What is to be said in the dialect.
    Said(Box<ServerMessage>),
    /// Published changes, to be told in the dialect, and how many bytes they count for.
    Published(Arc<Publication>, usize),
    /// Begin or go on with a subscription.
    CatchUp {
        topic: Arc<TopicCell>,
        since: Option<Version>,
    },
    /// Go on with a subscription of which changes were thrown away.
    Missed(Arc<TopicCell>),
    Unsubscribe(TopicName),
    Removed(Arc<TopicCell>),
}

/// Why a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its session was resumed elsewhere.
    Resumed,
    /// The server is going down.
    GoingDown,
}

/// What a connection has to do next.
pub enum Work {
    /// Write these.
    Write(Vec<Outgoing>),
    /// Bring every subscription up to date.
    CatchUp,
    End(End),
}

impl Outbox {
    pub fn new(client: ClientId, encoding: Encoding, queue_bytes_max: usize) -> Outbox {
        Outbox {
            client,
            encoding,
            dialect: AtomicBool::new(false),
            queue_bytes_max,
            state: Mutex::default(),
            waker: AtomicWaker::new(),
            lags: AtomicU64::new(0),
        }
    }

    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// From here on, the client speaks the dialect.
    pub fn speak_dialect(&self) {
        self.dialect.store(true, Ordering::Release);
    }

    fn speaks_dialect(&self) -> bool {
        self.dialect.load(Ordering::Acquire)
    }

    /// Queues a message that must not be lost.
    pub fn answer(&self, message: &ServerMessage) {
        if self.speaks_dialect() {
            return self.push(Outgoing::Said(Box::new(message.clone())));
        }
        self.push(Outgoing::Answer(encode_frame(message, self.encoding)));
    }

    /// Queues a confirmation for an author that does not subscribe.
    pub fn confirm(&self, publication: &Arc<Publication>) {
        if self.speaks_dialect() {
            // It is told of the topics that it subscribes to, and of no other.
            return self.deliver(publication);
        }
        let frame = EncodedFrame::of(publication, self.encoding);
        for message in frame.singles() {
            self.push(Outgoing::Answer(message));
        }
    }

    /// Queues something that must not be lost.
    pub fn push(&self, outgoing: Outgoing) {
        let mut state = self.state.lock();
        state.answer_bytes += answer_bytes(&outgoing);
        state.queue.push_back(outgoing);
        drop(state);
        self.waker.wake();
    }

    /// Whether so many answers wait that no more should be asked for.
    pub fn is_full(&self) -> bool {
        self.state.lock().answer_bytes >= ANSWER_BYTES_MAX
    }

    /// Ends the connection as soon as it can be told.
    pub fn end(&self, end: End) {
        self.state.lock().end.get_or_insert(end);
        self.waker.wake();
    }

    /// Whether the connection is to end, and why.
    pub fn ending(&self) -> Option<End> {
        self.state.lock().end
    }

    /// Whether there is work; if not, the task is woken once there is.
    pub fn poll_work(&self, context: &mut Context<'_>) -> bool {
        // Also while there is work that cannot be done yet: the end of the connection may come.
        self.waker.register(context.waker());
        self.has_work()
    }

    fn has_work(&self) -> bool {
        let state = self.state.lock();
        !state.queue.is_empty() || state.lagging || state.end.is_some()
    }

    /// Takes what is to be done next: up to about `bytes_max` bytes to write.
    pub fn take(&self, bytes_max: usize) -> Work {
        let mut state = self.state.lock();
        // What was decided for a client is still sent before the server goes down.
        if let Some(end) = state.end
            && (end == End::Resumed || state.queue.is_empty() && !state.lagging)
        {
            return Work::End(end);
        }
        if std::mem::take(&mut state.lagging) {
            return Work::CatchUp;
        }
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while bytes < bytes_max
            && let Some(outgoing) = state.queue.pop_front()
        {
            match &outgoing {
                Outgoing::Changes(frame) => {
                    state.change_bytes -= frame.bytes + ENTRY_BYTES;
                    bytes += frame.bytes;
                }
                Outgoing::Published(_, len) => {
                    state.change_bytes -= len + ENTRY_BYTES;
                    bytes += len;
                }
                answer => {
                    let len = answer_bytes(answer);
                    state.answer_bytes -= len;
                    bytes += len;
                }
            }
            taken.push(outgoing);
        }
        Work::Write(taken)
    }

    /// Messages that wait, and how often there were too many.
    pub fn depth(&self) -> (usize, u64) {
        (self.state.lock().queue.len(), self.lags.load(Ordering::Relaxed))
    }
}

fn answer_bytes(outgoing: &Outgoing) -> usize {
    match outgoing {
        Outgoing::Answer(message) => message.len() + ENTRY_BYTES,
        Outgoing::Said(message) => said_bytes(message) + ENTRY_BYTES,
        _ => ENTRY_BYTES,
    }
}

/// Of what is said in the dialect, only answers of services are long.
fn said_bytes(message: &ServerMessage) -> usize {
    match message {
        ServerMessage::Response { outcome: Ok(value), .. } => value.bytes_about(),
        _ => 0,
    }
}

impl Subscriber for Outbox {
    fn client_id(&self) -> ClientId {
        self.client
    }

    fn deliver(&self, publication: &Arc<Publication>) {
        let frame = EncodedFrame::of(publication, self.encoding);
        let mut state = self.state.lock();
        if state.lagging || state.end.is_some() {
            return;
        }
        let bytes = frame.bytes + ENTRY_BYTES;
        if state.change_bytes + bytes > self.queue_bytes_max && state.change_bytes > 0 {
            let published =
                |it: &Outgoing| matches!(it, Outgoing::Changes(_) | Outgoing::Published(..));
            state.queue.retain(|outgoing| !published(outgoing));
            state.change_bytes = 0;
            state.lagging = true;
            self.lags.fetch_add(1, Ordering::Relaxed);
        } else {
            state.change_bytes += bytes;
            state.queue.push_back(match self.speaks_dialect() {
                true => Outgoing::Published(publication.clone(), frame.bytes),
                false => Outgoing::Changes(frame),
            });
        }
        drop(state);
        self.waker.wake();
    }

    fn topic_removed(&self, topic: &Arc<TopicCell>) {
        self.push(Outgoing::Removed(topic.clone()));
    }
}
