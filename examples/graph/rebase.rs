//! How two changes of one graph pass each other, without a look at the graph.
//!
//! What `incoming` becomes over `accepted`; what is not listed is unaffected. "On" it are the ports of
//! a node, and the edges that hang on a node or port. `add` stands for `add_node` and `add_port`, `remove`
//! for `remove_node` and `remove_port`.
//!
//! | incoming | accepted | result |
//! |---|---|---|
//! | `set` (with base) | any | conflict: a compare-and-set that lost |
//! | any but `set` | `set` | conflict |
//! | `move_node` | `move_node` of it | conflict; without a base the newcomer stands, as in a drag |
//! | `set_data` | `set_data` of its key | as `move_node` |
//! | `move_node`, `set_data`, `add_port` | `remove_node` of the node | conflict |
//! | `remove` | `remove` of it, or of what it is on | nothing left to do |
//! | `remove` | what is done to it or on it | carried; the other's edge goes too |
//! | `add` | `add` of it | conflict |
//! | `add` with edges | `remove` of another end | carried, without the edges that hung there |
//! | `add` with edges | `add_edge` into an input of theirs | carried, without that edge |
//! | `add` with edges | `add` with an edge into an input of theirs | conflict |
//! | `add_edge`, `add` with edges | an edge of its id is added | conflict |
//! | `add_edge` | `remove` of an end | conflict |
//! | `add_edge` | `add_edge`, or `add` with an edge, into its input | conflict; without a base the newcomer's stands |
//! | `add_edge` | `remove_edge`, `disconnect` of its input | carried |
//! | `remove_edge` | `remove` of an end, `remove_edge` of it, or anything that writes its input | nothing left to do |
//! | `disconnect` | `remove` of its input, `remove_edge` or `disconnect` there | nothing left to do |
//! | `disconnect` | an edge into its input is added | conflict |
//!
//! An input is thus a register, and its edge what is written there. One corner needs a change of its own:
//! `remove_node` over an `add_edge` from that node. The edge goes with the node, but it may have replaced
//! another that a rebase cannot see: so what `add_edge` becomes is `disconnect`.
//!
//! Undo is made of the same rules. Who takes back a `remove_node` gets the node with those of its edges
//! that still have a place; who takes back an `add_node` takes along edges that others have since put on
//! it, and a redo brings these back too. What writes a register that another has written since is skipped.

use std::collections::BTreeSet;

use topicsync::types::{Conflict, Rebased};
use topicsync::value::Key;

use super::change::GraphChange::{self, *};
use super::value::{Edges, Part, Port, Side, name_of};

fn was(what: impl std::fmt::Display, done: &str) -> Conflict {
    Conflict::Other(format!("{what} was {done}"))
}

fn connected(input: &Port) -> Conflict {
    was(name_of(Side::Input, input), "connected")
}

/// Law 4 of topic types, `v · accepted · incoming' = v · incoming · accepted'`, by the table above.
///
/// # Errors
/// They conflict.
pub fn rebase(
    incoming: &GraphChange,
    accepted: &GraphChange,
) -> Result<Rebased<GraphChange>, Conflict> {
    match (incoming, accepted) {
        (Set(_), _) => Err(Conflict::Changed),
        (_, Set(_)) => Err(Conflict::Overwritten),
        (MoveNode { node, .. }, MoveNode { node: theirs, .. }) if node == theirs => {
            Err(was(Part::Node(node.clone()), "moved"))
        }
        (SetData { node, key, .. }, SetData { node: their_node, key: theirs, .. })
            if (node, key) == (their_node, theirs) =>
        {
            Err(was(format_args!("{key:?} of node {node:?}"), "changed"))
        }
        (RemoveEdge { edge, .. }, RemoveEdge { edge: theirs, .. }) if edge == theirs => Ok(NEITHER),
        _ if incoming.removes().is_some() || accepted.removes().is_some() => {
            over_removal(incoming, accepted)
        }
        _ => over_edges(incoming, accepted),
    }
}

const NEITHER: Rebased<GraphChange> = Rebased { incoming: None, accepted: None };

/// What a change comes to once a node or port is gone.
enum Left {
    /// This is left to do.
    This(GraphChange),
    /// It is done, or what it would be done to need not be there.
    Nothing,
    /// It was meant for what is gone.
    Stranded,
}

/// Where at least one of the two takes out a node or port.
fn over_removal(
    incoming: &GraphChange,
    accepted: &GraphChange,
) -> Result<Rebased<GraphChange>, Conflict> {
    let carried = match accepted.removes() {
        None => Some(incoming.clone()),
        Some(gone) => match left_without(incoming, &gone) {
            Left::This(change) => Some(change),
            Left::Nothing => None,
            Left::Stranded => return Err(was(gone, "removed")),
        },
    };
    let over_incoming = match incoming.removes() {
        None => Some(accepted.clone()),
        Some(gone) => match (left_without(accepted, &gone), accepted) {
            (Left::This(change), _) => Some(change),
            // The edge is gone, and so is the one that it replaced, if there was one.
            (Left::Stranded, AddEdge { ends, .. }) if !gone.has_port(Side::Input, &ends.to) => {
                Some(Disconnect { input: ends.to.clone() })
            }
            (Left::Nothing | Left::Stranded, _) => None,
        },
    };
    Ok(Rebased { incoming: carried, accepted: over_incoming })
}

fn left_without(change: &GraphChange, gone: &Part) -> Left {
    let is_gone = |node: &Key| matches!(gone, Part::Node(it) if it == node);
    match change {
        MoveNode { node, .. } | SetData { node, .. } if is_gone(node) => Left::Stranded,
        AddPort { side, port, .. } if gone.has_port(*side, port) => Left::Stranded,
        AddEdge { ends, .. } if gone.holds(ends) => Left::Stranded,
        RemoveNode { node } if is_gone(node) => Left::Nothing,
        RemovePort { side, port } if gone.has_port(*side, port) => Left::Nothing,
        RemoveEdge { ends: Some(ends), .. } if gone.holds(ends) => Left::Nothing,
        Disconnect { input } if gone.has_port(Side::Input, input) => Left::Nothing,
        AddNode { .. } | AddPort { .. } => Left::This(change.keeping(|edge| !gone.holds(edge))),
        _ => Left::This(change.clone()),
    }
}

/// Where both put something, or take out no more than edges.
fn over_edges(
    incoming: &GraphChange,
    accepted: &GraphChange,
) -> Result<Rebased<GraphChange>, Conflict> {
    if let Some(part) = incoming.puts().filter(|part| accepted.puts().as_ref() == Some(part)) {
        return Err(was(part, "added"));
    }
    let (mine, theirs) = (incoming.edges(), accepted.edges());
    if let Some(id) = mine.keys().find(|id| theirs.contains_key(*id)) {
        return Err(was(format_args!("edge {id:?}"), "added"));
    }
    let inputs =
        |edges: &Edges| edges.values().map(|edge| edge.to.clone()).collect::<BTreeSet<_>>();
    let (my_inputs, their_inputs) = (inputs(&mine), inputs(&theirs));
    let unaffected = Rebased::unaffected(incoming, accepted);
    match (cleared(incoming), cleared(accepted)) {
        (Some(mine), Some(theirs)) if mine == theirs => return Ok(NEITHER),
        (Some(input), _) if their_inputs.contains(input) => {
            return match incoming {
                Disconnect { .. } => Err(connected(input)),
                _ => Ok(Rebased { incoming: None, ..unaffected }),
            };
        }
        (_, Some(input)) if my_inputs.contains(input) => {
            return Ok(Rebased { accepted: None, ..unaffected });
        }
        _ => {}
    }
    match (my_inputs.intersection(&their_inputs).next(), incoming, accepted) {
        (None, ..) => Ok(unaffected),
        // What is put back with edges takes no input from somebody else's.
        (Some(input), AddNode { .. } | AddPort { .. }, AddEdge { .. }) => {
            let kept = incoming.keeping(|edge| edge.to != *input);
            Ok(Rebased { incoming: Some(kept), ..unaffected })
        }
        (Some(input), ..) => Err(connected(input)),
    }
}

/// The input that is free once the change is made.
fn cleared(change: &GraphChange) -> Option<&Port> {
    match change {
        RemoveEdge { ends: Some(ends), .. } => Some(&ends.to),
        Disconnect { input } => Some(input),
        _ => None,
    }
}
