//! Which vocabulary a client speaks: that of `docs/protocol.md`, or that of topicsync 0.13.
//!
//! A client that agrees on a subprotocol speaks the former. One that names none is greeted in both, and
//! its first frame tells.

use std::collections::VecDeque;
use std::sync::Arc;

use super::v0_13::{self, Clients, V0_13};
use crate::protocol::decode::RawMessage;
use crate::protocol::{Encoding, ServerMessage};
use crate::session::{Attachment, Frame, Frames, Native, Outgoing, Peer, Refused};
use crate::topic::Uptime;

/// A client of a server, in whatever vocabulary.
pub(super) enum AnyPeer {
    /// The vocabulary of `docs/protocol.md`.
    Native(Native),
    /// A client that named no subprotocol, before its first frame.
    Undecided(Arc<Clients>),
    /// The vocabulary of topicsync 0.13.
    V0_13(Box<V0_13>),
}

/// A message in one of the vocabularies.
pub(super) enum AnyMessage {
    Native(RawMessage),
    V0_13(v0_13::Message),
}

impl AnyPeer {
    /// A client that agreed on `subprotocol`, or on none.
    pub(super) fn new(subprotocol: Option<Encoding>, clients: &Arc<Clients>) -> AnyPeer {
        match subprotocol {
            Some(_) => AnyPeer::Native(Native::new(subprotocol)),
            None => AnyPeer::Undecided(clients.clone()),
        }
    }
}

impl Peer for AnyPeer {
    type Message = AnyMessage;

    fn encoding(&self) -> Encoding {
        match self {
            AnyPeer::Native(native) => native.encoding(),
            AnyPeer::Undecided(_) | AnyPeer::V0_13(_) => Encoding::Json,
        }
    }

    fn read(
        &mut self,
        attachment: &Attachment,
        frame: Frame,
        inbox: &mut VecDeque<AnyMessage>,
    ) -> Result<(), Refused> {
        if let AnyPeer::Undecided(clients) = self {
            *self = if v0_13::is_message(&frame) {
                AnyPeer::V0_13(Box::new(V0_13::new(clients.clone())))
            } else {
                AnyPeer::Native(Native::new(None))
            };
        }
        match self {
            AnyPeer::V0_13(peer) => {
                let mut read = VecDeque::new();
                peer.read(attachment, frame, &mut read)?;
                inbox.extend(read.into_iter().map(AnyMessage::V0_13));
                Ok(())
            }
            AnyPeer::Native(native) => native.read_each(attachment, frame, |message| {
                inbox.push_back(AnyMessage::Native(message));
            }),
            AnyPeer::Undecided(_) => Ok(()),
        }
    }

    fn handle(&mut self, attachment: &mut Attachment, now: Uptime, message: AnyMessage) {
        match (self, message) {
            (AnyPeer::Native(native), AnyMessage::Native(message)) => {
                native.handle(attachment, now, message);
            }
            (AnyPeer::V0_13(peer), AnyMessage::V0_13(message)) => {
                peer.handle(attachment, now, message);
            }
            // A client is read in the vocabulary that it speaks.
            _ => {}
        }
    }

    fn write(&mut self, attachment: &mut Attachment, outgoing: Outgoing, frames: &mut Frames) {
        match self {
            AnyPeer::Native(native) => native.write(attachment, outgoing, frames),
            AnyPeer::V0_13(peer) => peer.write(attachment, outgoing, frames),
            AnyPeer::Undecided(_) => match outgoing {
                Outgoing::Message(ServerMessage::Hello(hello)) => {
                    frames.push_back(v0_13::hello(&hello));
                }
                outgoing => Native::new(None).write(attachment, outgoing, frames),
            },
        }
    }

    fn can_resume(&self) -> bool {
        !matches!(self, AnyPeer::V0_13(_))
    }
}
