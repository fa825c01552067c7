//! One connection: fed with frames, drained of frames.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use thiserror::Error;

use super::attachment::Attachment;
use super::frame::Frame;
use super::hub::Hub;
use super::outbox::{End, Entry, Outbox, Work};
use super::peer::{Frames, Peer};
use super::session::Session;
use crate::topic::Uptime;

/// How many messages are handled before others have their turn.
const MESSAGES_A_TURN: usize = 256;
/// How many bytes of entries are taken from the outbox at a time.
const TAKE_BYTES: usize = 256 << 10;

/// Why a connection cannot go on after a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// The bytes of a text frame are not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// The frame is not a message at all, in a vocabulary that ends the connection then.
    #[error("a message is an object with type and args")]
    NoMessage,
}

/// One client's connection, without its socket.
///
/// Dropped without [`close`](Self::close), the connection counts as lost.
pub struct Connection<P: Peer> {
    attachment: Attachment,
    peer: P,
    /// Read, and not yet handled.
    inbox: VecDeque<P::Message>,
    /// Taken from the outbox, and not yet put into frames.
    taken: VecDeque<Entry>,
    frames: Frames,
    /// The newest time that was handed in.
    now: Uptime,
    closed: bool,
}

impl<P: Peer> Connection<P> {
    /// A connection with a session of its own, which greets its client. `None` if the server is full.
    pub fn open(hub: &Arc<Hub>, peer: P, now: Uptime) -> Option<Connection<P>> {
        let attachment = hub.open_session(peer.encoding())?;
        hub.counters().connections.add(1);
        let (inbox, taken, frames) = (VecDeque::new(), VecDeque::new(), Frames::new());
        Some(Connection { attachment, peer, inbox, taken, frames, now, closed: false })
    }

    /// The session that the connection has by now.
    pub fn session(&self) -> &Arc<Session> {
        &self.attachment.session
    }

    /// What waits for the connection.
    pub fn outbox(&self) -> &Outbox {
        &self.attachment.outbox
    }

    /// How many topics the client subscribes to, by what it sent.
    pub fn subscriptions_len(&self) -> usize {
        self.attachment.asked.len()
    }

    /// Takes a frame in. Gives how many messages it counts for: at least one.
    ///
    /// # Errors
    /// The connection is to be closed.
    pub fn receive(&mut self, frame: Frame) -> Result<usize, Refused> {
        self.attachment.hub.counters().bytes_in.add(frame.len() as u64);
        let before = self.inbox.len();
        self.peer.read(&self.attachment, frame, &mut self.inbox)?;
        Ok((self.inbox.len() - before).max(1))
    }

    /// How many messages were received and are not yet handled.
    pub fn inbox_len(&self) -> usize {
        self.inbox.len()
    }

    /// Handles received messages, as far as there is room for answers: one turn of them. What they lead
    /// to is published by [`publish`](Self::publish).
    pub fn handle(&mut self, now: Uptime) {
        self.now = now;
        for _ in 0..MESSAGES_A_TURN {
            if !self.handle_message(now) {
                return;
            }
        }
    }

    /// Handles one received message; `false` if there is none, or no room for its answer.
    pub fn handle_message(&mut self, now: Uptime) -> bool {
        self.now = now;
        if self.attachment.outbox.is_full() {
            return false;
        }
        let Some(message) = self.inbox.pop_front() else { return false };
        self.attachment.hub.counters().messages_in.add(1);
        self.peer.handle(&mut self.attachment, now, message);
        self.attachment.started = true;
        true
    }

    /// Whether something was accepted and is not yet handed to the subscribers.
    pub fn has_unpublished(&self) -> bool {
        !self.attachment.group.is_empty()
    }

    /// Publishes what was accepted, as far as it need not be durable first.
    pub fn publish(&mut self) {
        self.attachment.publish();
    }

    /// Whether something is to be written, or the connection is to end. `waker` is woken when that changes.
    pub fn poll_work(&self, waker: &Waker) -> bool {
        let waits = self.attachment.outbox.poll(waker);
        waits || !self.frames.is_empty() || !self.taken.is_empty()
    }

    /// The next frame to be written; `None` if there is none for now, or the connection is to end.
    pub fn poll_outgoing(&mut self) -> Option<Frame> {
        loop {
            if self.ending() == Some(End::Resumed) {
                return None;
            }
            if let Some(frame) = self.frames.pop_front() {
                self.attachment.hub.counters().bytes_out.add(frame.len() as u64);
                return Some(frame);
            }
            if let Some(entry) = self.taken.pop_front() {
                if let Some(outgoing) = self.attachment.take(entry) {
                    self.peer.write(&mut self.attachment, outgoing, &mut self.frames);
                }
                continue;
            }
            match self.attachment.outbox.take(TAKE_BYTES) {
                Work::End => return None,
                Work::Write(entries) if entries.is_empty() => return None,
                Work::Write(entries) => self.taken = entries,
                Work::CatchUp => self.catch_up(),
            }
        }
    }

    /// Brings every subscription up to date after changes were dropped.
    fn catch_up(&mut self) {
        self.attachment.hub.counters().lags.add(1);
        tracing::debug!(client = %self.attachment.session.id(), "the connection fell behind");
        self.taken.extend(self.attachment.written_topics().into_iter().map(Entry::Missed));
    }

    /// Whether the connection is to end, and why: at once if its session was resumed elsewhere, else once
    /// [`poll_outgoing`](Self::poll_outgoing) gives nothing more.
    pub fn ending(&self) -> Option<End> {
        self.attachment.outbox.ending()
    }

    /// Handles what was received and ends the connection. `goodbye`: the client said that it does not
    /// come back, and its session ends at once.
    pub fn close(mut self, now: Uptime, goodbye: bool) {
        self.now = now;
        // What was read before the end is done, though nobody hears the answers.
        while let Some(message) = self.inbox.pop_front() {
            self.peer.handle(&mut self.attachment, now, message);
        }
        self.disconnect(goodbye);
    }

    fn disconnect(&mut self, goodbye: bool) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.attachment.detach_all();
        self.publish();
        let goodbye = goodbye || !self.peer.can_resume();
        let attachment = &self.attachment;
        let hub = attachment.hub();
        hub.disconnected(attachment.session(), attachment.number(), self.now, goodbye);
        hub.counters().connections.decrement();
    }
}

impl<P: Peer> Drop for Connection<P> {
    /// A connection that is not closed in order, because what served it panicked say, is a lost one.
    fn drop(&mut self) {
        self.disconnect(false);
    }
}
