//! What waits for one connection.
//!
//! Two kinds of entries wait. *Published changes* come from topics at whatever rate others write; their
//! bytes are bounded, and when there are too many they are all dropped and the connection is *lagging*:
//! once what is left is written, the connection is brought up from the version logs. Nobody else waits
//! for it. *Answers* come from the connection's own requests and must not be dropped; when there are too
//! many, the connection stops handling messages until they are written.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

use super::config::SessionConfig;
use super::frame::encoded_form;
use crate::engine::{Publication, Subscriber, TopicCell};
use crate::protocol::{Encoding, ServerMessage};
use crate::topic::{ClientId, TopicName, Version};

/// What each entry costs beside its bytes.
const ENTRY_BYTES: usize = 64;

/// The queue of one connection.
pub struct Outbox {
    client: ClientId,
    encoding: Encoding,
    /// Bytes of published changes that may wait.
    queue_bytes_max: usize,
    /// From how many bytes of answers on the connection handles no more messages.
    answer_bytes_max: usize,
    state: Mutex<State>,
    /// How often published changes were dropped.
    lags: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Each with the bytes that it counts for.
    queue: VecDeque<(usize, Entry)>,
    change_bytes: usize,
    answer_bytes: usize,
    /// Published changes were dropped; none are taken until the connection catches up.
    lagging: bool,
    end: Option<End>,
    /// Whoever waits for an entry.
    waker: Option<Waker>,
}

/// Something to be written, in order.
pub(super) enum Entry {
    /// Published changes, shared with all subscribers.
    Changes(Arc<Publication>),
    /// A message for this client alone.
    Answer(ServerMessage),
    /// The client's own changes, of topics that it does not subscribe to.
    Confirmation(Arc<Publication>),
    /// A subscription that begins, or begins anew.
    Begin { topic: Arc<TopicCell>, since: Option<Version> },
    /// A subscription of which changes were dropped.
    Missed(Arc<TopicCell>),
    /// A topic of which the client is to be told the whole value again.
    Again(Arc<TopicCell>),
    /// A subscription that ends at the client's wish.
    Unsubscribe(TopicName),
    /// A topic that was removed.
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
pub(super) enum Work {
    /// Write these; there may be none.
    Write(VecDeque<Entry>),
    /// Bring every subscription up to date.
    CatchUp,
    /// End the connection.
    End,
}

impl Outbox {
    pub(super) fn new(client: ClientId, encoding: Encoding, config: &SessionConfig) -> Outbox {
        let SessionConfig { queue_bytes_max, answer_bytes_max, .. } = *config;
        let (state, lags) = (Mutex::default(), AtomicU64::new(0));
        Outbox { client, encoding, queue_bytes_max, answer_bytes_max, state, lags }
    }

    /// Queues a message that must not be dropped.
    pub(super) fn answer(&self, message: ServerMessage) {
        self.push(Entry::Answer(message));
    }

    /// Queues something that must not be dropped.
    pub(super) fn push(&self, entry: Entry) {
        let bytes = ENTRY_BYTES
            + match &entry {
                Entry::Answer(message) => message.bytes_about(),
                Entry::Confirmation(publication) => self.change_bytes(publication),
                _ => 0,
            };
        let mut state = self.state.lock();
        state.answer_bytes += bytes;
        state.queue.push_back((bytes, entry));
        let waker = state.waker.take();
        drop(state);
        wake(waker);
    }

    fn change_bytes(&self, publication: &Publication) -> usize {
        ENTRY_BYTES + encoded_form(publication, self.encoding).bytes.len()
    }

    /// Whether so many answers wait that no more should be asked for.
    pub fn is_full(&self) -> bool {
        self.state.lock().answer_bytes >= self.answer_bytes_max
    }

    /// Ends the connection as soon as it can be told.
    pub(super) fn end(&self, end: End) {
        let mut state = self.state.lock();
        state.end.get_or_insert(end);
        let waker = state.waker.take();
        drop(state);
        wake(waker);
    }

    /// Whether the connection is to end, and why.
    pub fn ending(&self) -> Option<End> {
        self.state.lock().end
    }

    /// Whether there is something to write, or the connection is to end. `waker` is woken when the next
    /// entry comes, whatever the answer.
    pub fn poll(&self, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        if !state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.waker = Some(waker.clone());
        }
        state.has_work()
    }

    /// Takes what is to be done next: up to about `bytes_max` bytes to write.
    pub(super) fn take(&self, bytes_max: usize) -> Work {
        let mut state = self.state.lock();
        // What was decided for a client is still sent before the server goes down. A connection whose
        // session went elsewhere has nothing more to say.
        if let Some(end) = state.end
            && (end == End::Resumed || state.queue.is_empty() && !state.lagging)
        {
            return Work::End;
        }
        if std::mem::take(&mut state.lagging) {
            return Work::CatchUp;
        }
        let (mut taken, mut bytes) = (VecDeque::new(), 0);
        while bytes < bytes_max
            && let Some((len, entry)) = state.queue.pop_front()
        {
            match &entry {
                Entry::Changes(_) => state.change_bytes -= len,
                _ => state.answer_bytes -= len,
            }
            bytes += len;
            taken.push_back(entry);
        }
        Work::Write(taken)
    }

    /// Entries that wait, and how often published changes were dropped.
    pub fn depth(&self) -> (usize, u64) {
        (self.state.lock().queue.len(), self.lags.load(Ordering::Relaxed))
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        let state = self.state.lock();
        state.change_bytes + state.answer_bytes
    }
}

impl State {
    fn has_work(&self) -> bool {
        !self.queue.is_empty() || self.lagging || self.end.is_some()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Subscriber for Outbox {
    fn client_id(&self) -> ClientId {
        self.client
    }

    fn deliver(&self, publication: &Arc<Publication>) {
        let bytes = self.change_bytes(publication);
        let mut state = self.state.lock();
        if state.lagging || state.end.is_some() {
            return;
        }
        if state.change_bytes + bytes > self.queue_bytes_max && state.change_bytes > 0 {
            state.queue.retain(|(_, entry)| !matches!(entry, Entry::Changes(_)));
            state.change_bytes = 0;
            state.lagging = true;
            self.lags.fetch_add(1, Ordering::Relaxed);
        } else {
            state.change_bytes += bytes;
            state.queue.push_back((bytes, Entry::Changes(publication.clone())));
        }
        let waker = state.waker.take();
        drop(state);
        wake(waker);
    }

    fn topic_removed(&self, topic: &Arc<TopicCell>) {
        self.push(Entry::Removed(topic.clone()));
    }
}
