//! One simulated socket: a real [`Connection`] at the server's end, and what is on the way on either side.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ledger::{Ledger, is_final};
use super::record::{Record, changes_of};
use crate::protocol::decode::{RawMessage, decode_binary, decode_text};
use crate::protocol::encode::{encode, join};
use crate::protocol::message::{ClientMessage, RejectUpdate};
use crate::protocol::{Encoding, RejectCode, ServerMessage};
use crate::session::{Connection, End, Frame, Hub, Native};
use crate::testkit::broken::{Checked, Found};
use crate::topic::Uptime;

/// How a client's messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    /// In which encoding.
    pub encoding: Encoding,
    /// Whether a frame may hold many messages.
    pub arrays: bool,
}

impl Wire {
    /// A client's way of writing, by its number: all there are, one after the other.
    pub fn of_client(number: usize) -> Wire {
        match number % 3 {
            0 => Wire { encoding: Encoding::Json, arrays: false },
            1 => Wire { encoding: Encoding::Json, arrays: true },
            _ => Wire { encoding: Encoding::MessagePack, arrays: true },
        }
    }

    fn peer(self) -> Native {
        Native::new(self.arrays.then_some(self.encoding))
    }

    fn frame(self, bytes: Vec<u8>) -> Frame {
        match self.encoding {
            Encoding::Json => Frame::Text(bytes.into()),
            Encoding::MessagePack => Frame::Binary(bytes.into()),
        }
    }

    /// The messages of a frame.
    fn read(self, frame: &Frame) -> Found<Vec<RawMessage>> {
        let decoded = match frame {
            Frame::Text(bytes) => {
                decode_text(std::str::from_utf8(bytes).map_err(|it| it.to_string())?)
            }
            Frame::Binary(bytes) => decode_binary(bytes),
        };
        Ok(decoded.map_err(|error| error.to_string())?.into_iter().collect())
    }
}

/// A frame of a client's, and what is in it.
struct Sent {
    frame: Frame,
    messages: Vec<ClientMessage>,
}

/// One simulated socket.
pub struct Link {
    /// The server's end.
    pub connection: Connection<Native>,
    wire: Wire,
    /// On the way to the server.
    up: VecDeque<Sent>,
    /// Read by the server, and not yet handled.
    inbox: VecDeque<ClientMessage>,
    /// Written by the server, and not yet received.
    down: VecDeque<ServerMessage>,
    /// What the server owes its client.
    pub ledger: Ledger,
}

/// What became of a message that the server was to handle.
#[derive(Debug, Default)]
pub struct Handled {
    /// The message; `None` if there was none, or no room for its answer.
    pub message: Option<ClientMessage>,
    /// Whether the connection was its session's.
    pub acted: bool,
    /// How many changes were accepted.
    pub accepted: u64,
    /// How many submissions were rejected.
    pub rejected: u64,
}

impl Link {
    /// A new connection; `None` if the server is full.
    pub fn open(hub: &Arc<Hub>, wire: Wire, now: Uptime) -> Option<Link> {
        let connection = Connection::open(hub, wire.peer(), now)?;
        let (up, inbox, down) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Some(Link { connection, wire, up, inbox, down, ledger: Ledger::default() })
    }

    /// Whether the connection is its session's.
    pub fn is_present(&self) -> bool {
        self.connection.ending() != Some(End::Resumed)
    }

    /// Puts messages on the way to the server, in as few frames as can be. Gives them as they are there.
    pub fn send(&mut self, messages: Vec<ClientMessage>) {
        if self.wire.arrays && messages.len() > 1 {
            let encoded: Vec<_> =
                messages.iter().map(|message| encode(message, self.wire.encoding)).collect();
            let bytes = join(encoded.iter().map(Vec::as_slice), self.wire.encoding);
            self.up.push_back(Sent { frame: self.wire.frame(bytes), messages });
        } else {
            for message in messages {
                let frame = self.wire.frame(encode(&message, self.wire.encoding));
                self.up.push_back(Sent { frame, messages: vec![message] });
            }
        }
    }

    /// The server reads the next frame. `busy` submissions are turned away before they come that far.
    pub fn read(&mut self, record: &mut Record, busy: &mut u32) -> Checked<bool> {
        let Some(Sent { frame, messages }) = self.up.pop_front() else { return Ok(false) };
        if *busy > 0
            && let [message] = &messages[..]
            && let Some(reject) = turned_away(message)
        {
            *busy -= 1;
            self.down.push_back(ServerMessage::RejectUpdate(reject));
            return Ok(true);
        }
        // As it comes out of its encoding.
        for message in self.wire.read(&frame)? {
            let message = message.client().map_err(|it| format!("{messages:?}: {it:?}"))?;
            record.sent(&message);
            self.inbox.push_back(message);
        }
        self.connection.receive(frame).map_err(|refused| refused.to_string())?;
        Ok(true)
    }

    /// Whether the message that is next is one that the server has read.
    pub fn has_read(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Whether something is on the way to the server, or read and not handled.
    pub fn has_unhandled(&self) -> bool {
        !self.inbox.is_empty() || !self.up.is_empty()
    }

    /// Has the next message come a second time, if it is alone in its frame.
    pub fn double_next(&mut self) -> bool {
        match self.up.front() {
            Some(Sent { frame, messages }) if self.inbox.is_empty() && messages.len() == 1 => {
                let again = Sent { frame: frame.clone(), messages: messages.clone() };
                self.up.push_front(again);
                true
            }
            _ => false,
        }
    }

    /// Takes back what [`double_next`](Self::double_next) did.
    pub fn drop_next(&mut self) {
        self.up.pop_front();
    }

    /// The server handles the next message that it has read.
    pub fn handle(&mut self, hub: &Hub, now: Uptime) -> Handled {
        let counted = || {
            let rejected = hub.counters().rejects().map(|(_, count)| count).sum::<u64>();
            (hub.counters().changes.get(), rejected)
        };
        let (acted, before) = (self.is_present(), counted());
        if !self.connection.handle_message(now) {
            return Handled::default();
        }
        let Some(message) = self.inbox.pop_front() else { return Handled::default() };
        if acted {
            self.ledger.handled(&message);
        }
        let after = counted();
        let (accepted, rejected) = (after.0 - before.0, after.1 - before.1);
        Handled { message: Some(message), acted, accepted, rejected }
    }

    /// The server writes a frame; `false` if there is none.
    pub fn write(&mut self, record: &mut Record) -> Checked<bool> {
        let Some(frame) = self.connection.poll_outgoing() else { return Ok(false) };
        for message in self.wire.read(&frame)? {
            let message =
                message.server().map_err(|malformed| format!("{frame:?}: {malformed:?}"))?;
            self.ledger.written(&message, record)?;
            self.down.push_back(message);
        }
        Ok(true)
    }

    /// The next message to arrive at the client, written if need be.
    pub fn receive(&mut self, record: &mut Record) -> Checked<Option<ServerMessage>> {
        while self.down.is_empty() {
            if !self.write(record)? {
                return Ok(None);
            }
        }
        let message = self.down.pop_front();
        if let Some(ServerMessage::RejectUpdate(reject)) = &message
            && is_final(reject)
        {
            // One that is lost on the way leads to another decision, when the change comes again.
            note_rejected(reject, record);
        }
        Ok(message)
    }

    /// The end of the connection. Gives what was read and not handled, as far as the session takes it.
    pub fn close(self, now: Uptime, goodbye: bool) -> Vec<ClientMessage> {
        let present = self.is_present();
        self.connection.close(now, goodbye);
        if present { self.inbox.into() } else { Vec::new() }
    }
}

fn note_rejected(reject: &RejectUpdate, record: &mut Record) {
    let id = reject.action_id.clone().or_else(|| reject.change.id.clone().map(Into::into));
    if let Some(id) = id {
        let changes = record.changes_sent_as(&id).len();
        record.rejected(&id, changes as u64);
    }
}

/// What the author of a submission is told for which there is no room.
fn turned_away(message: &ClientMessage) -> Option<RejectUpdate> {
    let action_id = match message {
        ClientMessage::Action { action_id, .. } => Some(action_id.clone().into()),
        _ => None,
    };
    let first = changes_of(message).first()?;
    let (topic_name, change) = (first.topic_name.clone().into(), first.change.clone());
    let (code, reason, version) = (RejectCode::Busy, "later".into(), None);
    Some(RejectUpdate { topic_name, code, reason, version, action_id, change })
}
