//! The engine's data as messages, and what clients ask for as submissions. Pure translation both ways.

use ecow::{EcoString, eco_format};

use crate::engine::{Body, ChangeBody, Item, Part, Rejected, Submitted, TopicCell};
use crate::protocol::message::{
    self, Action, PublishedChange, RejectUpdate, SentChange, Subscribed, TopicChange, Update,
};
use crate::protocol::{RejectCode, ServerMessage};
use crate::topic::{Rejection, Version};

/// The engine's form of a change that a client sent.
pub fn submitted(change: TopicChange) -> Submitted {
    let TopicChange { topic_name, epoch, change: SentChange { fields, id, base } } = change;
    Submitted { topic: topic_name, epoch, change: ChangeBody::Fields(fields), id, base }
}

/// What the author of a rejected submission is told.
pub fn reject_update(rejected: Rejected) -> RejectUpdate {
    let Rejected { mut submission, index, rejection, head, .. } = rejected;
    let code = code(&rejection);
    // The engine names a change that is there.
    let Submitted { topic, change, id, base, .. } = submission.changes.swap_remove(index);
    let fields = match change {
        ChangeBody::Fields(fields) => fields,
        ChangeBody::Typed(_) | ChangeBody::Malformed(_) => Default::default(),
    };
    RejectUpdate {
        topic_name: topic.into(),
        code,
        reason: eco_format!("{rejection}"),
        version: head,
        action_id: submission.action_id.map(EcoString::from),
        change: SentChange { fields, id, base },
    }
}

fn code(rejection: &Rejection) -> RejectCode {
    match rejection {
        rejection if rejection.is_stale() => RejectCode::Stale,
        Rejection::UnknownTopic(_) => RejectCode::UnknownTopic,
        Rejection::Forbidden(_) => RejectCode::Forbidden,
        Rejection::Unavailable(_) => RejectCode::Unavailable,
        Rejection::Busy => RejectCode::Busy,
        _ => RejectCode::Invalid,
    }
}

/// What the author of an accepted change, or action, that is as if it had never been is told.
pub fn lost(item: &Item, rejection: &Rejection) -> Option<RejectUpdate> {
    let first = item.parts.first()?;
    Some(RejectUpdate {
        topic_name: first.topic.name().clone().into(),
        code: code(rejection),
        reason: eco_format!("{rejection}"),
        version: None,
        action_id: item.action.as_ref().map(|action| action.id.clone().into()),
        change: SentChange { fields: first.fields(), id: first.id.clone(), base: None },
    })
}

/// The wire's message for an item: an `action` if it came as one, else an `update`.
pub fn item_message(item: &Item) -> ServerMessage {
    let Some(action) = item.action.as_ref().filter(|_| item.composed.is_none()) else {
        return update_message(item);
    };
    let reverses = action.reverses.as_ref();
    let original = |redo| {
        let reverses = reverses.filter(|reverses| reverses.redo == redo);
        reverses.map(|reverses| EcoString::from(reverses.original.clone()))
    };
    ServerMessage::Action(Action {
        action_id: action.id.clone(),
        commit: item.commit,
        author: item.author,
        undoes: original(false),
        redoes: original(true),
        changes: item.parts.iter().map(part_message).collect(),
    })
}

fn update_message(item: &Item) -> ServerMessage {
    let (since, ids) = match &item.composed {
        Some(composed) => (Some(composed.since), composed.ids.clone()),
        None => (None, Vec::new()),
    };
    let part = &item.parts[0];
    ServerMessage::Update(Update {
        part: part_message(part),
        commit: item.commit,
        author: item.author,
        snapshot: matches!(part.body, Body::Snapshot(_)),
        since,
        ids,
    })
}

fn part_message(part: &Part) -> message::Part {
    message::Part {
        topic_name: part.topic.name().clone(),
        version: part.version,
        change: PublishedChange { fields: part.fields(), id: part.id.clone() },
    }
}

/// The announcement of a subscription that begins at `version`.
pub fn subscribed_message(
    topic: &TopicCell,
    version: Version,
    since: Option<Version>,
) -> ServerMessage {
    ServerMessage::Subscribed(Subscribed {
        topic_name: topic.name().clone(),
        topic_type: topic.kind().name().into(),
        options: topic.options().encode(),
        epoch: topic.epoch().clone(),
        version,
        since,
    })
}
