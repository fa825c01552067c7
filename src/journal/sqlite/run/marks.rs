//! The ids of changes and the marks of their actions.
//!
//! Most ids are `<author>_<counter>`, the counter one more than that of the author's change before: such
//! an id is one byte. Changes of one action come one after the other, and say so with one byte each.

use std::sync::Arc;

use super::super::bytes::{Malformed, Reader, put_distance, put_number, put_text};
use crate::journal::Logged;
use crate::topic::{ActionId, ActionMark, ChangeId, ClientId, CommitNumber, Reverses};

/// The counter follows the author's last of the same kind.
const NEXT: u8 = 0;
/// How far the counter is from there follows.
const NEAR: u8 = 1;
/// As [`NEXT`], of an id that the server made for its author.
const SERVER_NEXT: u8 = 2;
const SERVER_NEAR: u8 = 3;
/// Any other id, as text.
const TEXT: u8 = 4;

/// No action: the change came alone.
const ALONE: u8 = 0;
/// The same action as the change before.
const SAME: u8 = 1;
const ACTION: u8 = 2;
const UNDO: u8 = 3;
const REDO: u8 = 4;

/// The counter that each author is expected to use next: of its own, and of those the server makes.
struct Counters(Vec<[u64; 2]>);

/// The counter in an id that its author or the server made in the usual way.
fn counter(id: &ChangeId, author: ClientId) -> Option<(u64, bool)> {
    let (_, rest) = id.split_once('_')?;
    let (of_server, digits) = match rest.strip_prefix('s') {
        Some(digits) => (true, digits),
        None => (false, rest),
    };
    let counter = digits.parse().ok()?;
    // Leading zeros, signs and other clients' numbers make another id.
    (made(author, counter, of_server) == *id).then_some((counter, of_server))
}

fn made(author: ClientId, counter: u64, of_server: bool) -> ChangeId {
    if of_server {
        ChangeId::of_server_for(author, 1, counter)
    } else {
        ChangeId::of(author, counter)
    }
}

/// Writes the ids; `authors` says of each change which of the run's `author_count` authors made it.
pub(super) fn put_ids(
    out: &mut Vec<u8>,
    changes: &[&Logged],
    authors: &[usize],
    author_count: usize,
) {
    let mut counters = Counters(vec![[0; 2]; author_count]);
    let mut rest = Vec::new();
    for (change, author) in changes.iter().zip(authors) {
        let Some((counter, of_server)) = counter(&change.id, change.author) else {
            out.push(TEXT);
            put_text(&mut rest, &change.id);
            continue;
        };
        let expected = &mut counters.0[*author][usize::from(of_server)];
        let kind = if of_server { SERVER_NEXT } else { NEXT };
        if counter == *expected {
            out.push(kind);
        } else {
            out.push(kind + 1);
            put_distance(&mut rest, *expected, counter);
        }
        *expected = counter.wrapping_add(1);
    }
    out.append(&mut rest);
}

pub(super) fn take_ids(
    reader: &mut Reader,
    authors: &[usize],
    author_ids: &[ClientId],
) -> Result<Vec<ChangeId>, Malformed> {
    let kinds = reader.bytes(authors.len())?;
    let mut counters = Counters(vec![[0; 2]; author_ids.len()]);
    let mut id = |(kind, author): (&u8, &usize)| {
        if *kind == TEXT {
            return ChangeId::new(reader.text()?).map_err(|_| Malformed("an id is none"));
        }
        if *kind > TEXT {
            return Err(Malformed("an id is of no known kind"));
        }
        let of_server = *kind >= SERVER_NEXT;
        let expected = &mut counters.0[*author][usize::from(of_server)];
        let is_near = matches!(*kind, NEAR | SERVER_NEAR);
        let counter = if is_near { reader.distance(*expected)? } else { *expected };
        *expected = counter.wrapping_add(1);
        Ok(made(author_ids[*author], counter, of_server))
    };
    kinds.iter().zip(authors).map(&mut id).collect()
}

pub(super) fn put_actions(out: &mut Vec<u8>, changes: &[&Logged]) {
    let mut rest = Vec::new();
    let mut before = None;
    for change in changes {
        let Some(mark) = change.action.as_deref() else {
            out.push(ALONE);
            before = None;
            continue;
        };
        if before == Some(mark) {
            out.push(SAME);
            continue;
        }
        before = Some(mark);
        put_text(&mut rest, &mark.id);
        match &mark.reverses {
            None => out.push(ACTION),
            Some(reverses) => {
                out.push(if reverses.redo { REDO } else { UNDO });
                put_number(&mut rest, reverses.commit.0);
                put_text(&mut rest, &reverses.original);
            }
        }
    }
    out.append(&mut rest);
}

pub(super) fn take_actions(
    reader: &mut Reader,
    count: usize,
) -> Result<Vec<Option<Arc<ActionMark>>>, Malformed> {
    let kinds = reader.bytes(count)?;
    let mut before: Option<Arc<ActionMark>> = None;
    let mut next = |kind: &u8| {
        before = match *kind {
            ALONE => None,
            SAME if before.is_some() => before.clone(),
            ACTION | UNDO | REDO => Some(Arc::new(take_mark(reader, *kind)?)),
            _ => return Err(Malformed("an action is of no known kind")),
        };
        Ok(before.clone())
    };
    kinds.iter().map(&mut next).collect()
}

fn take_mark(reader: &mut Reader, kind: u8) -> Result<ActionMark, Malformed> {
    let id = take_action_id(reader)?;
    if kind == ACTION {
        return Ok(ActionMark { id, reverses: None });
    }
    let commit = CommitNumber(reader.number()?);
    let reverses = Reverses { commit, original: take_action_id(reader)?, redo: kind == REDO };
    Ok(ActionMark { id, reverses: Some(reverses) })
}

fn take_action_id(reader: &mut Reader) -> Result<ActionId, Malformed> {
    ActionId::new(reader.text()?).map_err(|_| Malformed("an action's id is none"))
}
