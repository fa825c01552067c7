//! How batches end: confirmed, rejected, or unknown.

use ecow::{EcoString, eco_format};

use super::{Flight, Replica};
use crate::client::event::{Event, Origin, Rejection};
use crate::client::pending::BatchId;
use crate::client::topic_replica::Moved;
use crate::protocol::RejectCode;
use crate::protocol::message::ClientMessage;
use crate::topic::TopicName;
use crate::types::Conflict;

/// A fate other than being accepted.
#[derive(Debug, Clone)]
pub(super) enum Loss {
    Rejected(Rejection),
    Unknown,
}

impl Loss {
    pub fn rejected(topic_name: &str, code: RejectCode, reason: impl Into<EcoString>) -> Loss {
        let (topic_name, reason) = (topic_name.into(), reason.into());
        Loss::Rejected(Rejection { topic_name, code, reason })
    }
}

impl Flight {
    /// The id that the batch is known by: the action's, or that of its one change.
    fn id(&self) -> Option<EcoString> {
        match &self.message {
            ClientMessage::Action { action_id, .. } => Some(action_id.clone().into()),
            ClientMessage::Update(update) => update.change.id.clone().map(Into::into),
            _ => None,
        }
    }
}

impl Replica {
    /// Tells the program that a batch is accepted. It is forgotten once no topic waits for its part.
    pub(super) fn confirm(&mut self, id: BatchId) {
        let Some(batch) = self.batches.get_mut(&id) else { return };
        let under = batch.flight.as_ref().and_then(Flight::id);
        let told = std::mem::take(&mut batch.tickets).into_iter();
        self.events.extend(told.map(|ticket| Event::Confirmed { ticket, id: under.clone() }));
        let topics = batch.topics.clone();
        if !topics.iter().any(|topic_name| self.holds(topic_name, id)) {
            self.forget(id);
        }
        self.stirred.extend(topics);
    }

    fn forget(&mut self, id: BatchId) {
        self.batches.remove(&id);
        self.resend.remove(&id);
        self.busy.remove(&id);
    }

    /// Takes a batch out of all its topics, and tells the program. What was made on top of it and
    /// cannot stand without it goes with it.
    pub(super) fn lose(&mut self, id: BatchId, loss: &Loss) {
        let mut losses = vec![(id, loss.clone())];
        while let Some((id, loss)) = losses.pop() {
            let Some(batch) = self.batches.get_mut(&id) else { continue };
            let told = std::mem::take(&mut batch.tickets);
            let topics = std::mem::take(&mut batch.topics);
            self.events.extend(told.into_iter().map(|ticket| match &loss {
                Loss::Rejected(rejection) => {
                    Event::Rejected { ticket, rejection: rejection.clone() }
                }
                Loss::Unknown => Event::Unknown { ticket },
            }));
            self.forget(id);
            for topic_name in topics {
                let Some(topic) = self.topics.get_mut(&topic_name) else { continue };
                let mut moved = topic.remove(|pending| pending.batch == id);
                let fallen = std::mem::take(&mut moved.fallen);
                losses.extend(fallen.into_iter().map(|it| fall(&topic_name, it)));
                self.changed(&topic_name, moved, Origin::Correction);
                self.stirred.insert(topic_name);
            }
        }
    }

    /// Tells the program how a view moved, and loses what could not move with it.
    pub(super) fn moved(&mut self, topic_name: &TopicName, mut moved: Moved, origin: Origin) {
        let fallen = std::mem::take(&mut moved.fallen);
        self.changed(topic_name, moved, origin);
        for (id, loss) in fallen.into_iter().map(|it| fall(topic_name, it)) {
            self.lose(id, &loss);
        }
    }

    fn changed(&mut self, topic_name: &TopicName, moved: Moved, origin: Origin) {
        let Some(topic) = self.topics.get(topic_name) else { return };
        if moved.whole || !moved.changes.is_empty() {
            let (topic_name, value) = (topic_name.clone(), topic.view().clone());
            self.events.push(Event::Changed { topic_name, value, changes: moved.changes, origin });
        }
    }
}

/// The loss of a change that waited and cannot be carried any further.
fn fall(topic_name: &TopicName, (id, conflict): (BatchId, Conflict)) -> (BatchId, Loss) {
    let reason = eco_format!("not sent: {conflict}");
    (id, Loss::rejected(topic_name, RejectCode::Stale, reason))
}
