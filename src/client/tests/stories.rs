use serde_json::json;

use super::sim::*;
use crate::client::event::{Event, Origin, Rejection};
use crate::client::replica::{LocalChange, LocalError};
use crate::protocol::RejectCode;
use crate::protocol::message::*;
use crate::topic::{ChangeId, ClientId, CommitNumber, TopicOptions, Version};
use crate::value::Value;

fn value(json: serde_json::Value) -> Value {
    json.into()
}

fn change(topic: &str, json: serde_json::Value) -> LocalChange {
    LocalChange::new(name(topic), fields(json))
}

fn add(key: &str, value: u32) -> serde_json::Value {
    json!({"type": "add", "key": key, "value": value})
}

fn type_text(position: usize, text: &str) -> serde_json::Value {
    json!({"type": "insert", "position": position, "insertion": text})
}

fn check_sent(sent: &TopicChange, of: &str, expected: serde_json::Value) {
    let read = |fields| kind(of).decode_change(fields).unwrap();
    assert_eq!(read(&sent.change.fields), read(&fields(expected)));
}

#[test]
fn a_change_shows_at_once_and_is_confirmed() {
    let mut sim = Sim::new(2, &[("nodes", "dict")]);
    let ticket = sim.change(0, "nodes", add("n1", 1));
    assert_eq!(sim.clients[0].view("nodes"), value(json!({"n1": 1})));
    assert!(!sim.clients[0].fates.contains_key(&ticket));
    sim.settle();
    assert_eq!(sim.clients[0].fates[&ticket], Fate::Confirmed);
    assert_eq!(sim.clients[1].view("nodes"), value(json!({"n1": 1})));
    sim.check_converged();
}

#[test]
fn one_batch_is_in_flight_and_what_is_typed_meanwhile_goes_out_as_one_change() {
    let mut sim = Sim::new(1, &[("text", "string")]);
    sim.change(0, "text", type_text(0, "h"));
    let first = sim.clients[0].replica.outbox();
    assert_eq!(first.len(), 1);
    for (position, letter) in ["e", "l", "l", "o"].into_iter().enumerate() {
        sim.change(0, "text", type_text(position + 1, letter));
        assert_eq!(sim.clients[0].replica.outbox(), []);
    }
    assert_eq!(sim.clients[0].view("text"), value(json!("hello")));
    sim.disconnect(0);
    sim.check_converged();
    assert_eq!(sim.toy.topics[&name("text")].log.len(), 2);
}

#[test]
fn without_composing_each_change_goes_out_alone_and_in_order() {
    let mut sim = Sim::new(2, &[("text", "string"), ("nodes", "dict")]);
    sim.clients[0].replica.set_composes(false);
    for (position, letter) in ["h", "e", "l", "l", "o"].into_iter().enumerate() {
        sim.change(0, "text", type_text(position, letter));
    }
    // These could not be composed, and would go out as one action.
    sim.change(0, "nodes", add("a", 1));
    sim.change(0, "nodes", add("b", 1));
    sim.change(1, "text", type_text(0, "> "));
    let sent = sim.clients[0].replica.outbox();
    // What was made on `nodes` comes behind all that was typed before.
    assert!(matches!(sent[..], [ClientMessage::Update(_)]), "{sent:?}");
    assert_eq!(sim.clients[0].replica.pending_len(), 7);
    sim.disconnect(0);
    sim.check_converged();
    assert_eq!(sim.toy.topics[&name("text")].log.len(), 6);
    assert_eq!(sim.toy.topics[&name("nodes")].log.len(), 2);
}

#[test]
fn what_cannot_be_composed_goes_out_as_one_action() {
    let mut sim = Sim::new(1, &[("nodes", "dict")]);
    sim.change(0, "nodes", add("a", 1));
    sim.change(0, "nodes", add("b", 1));
    sim.change(0, "nodes", json!({"type": "change_value", "key": "a", "value": 2}));
    let [ClientMessage::Action { changes, .. }] = &sim.clients[0].replica.outbox()[..] else {
        panic!("not one action")
    };
    // The later value of a node is composed with its adding, past what lies between.
    assert_eq!(changes.len(), 2);
    check_sent(&changes[0], "dict", add("a", 2));
}

#[test]
fn dragging_several_nodes_while_offline_stays_small() {
    let mut sim = Sim::new(1, &[("nodes", "dict")]);
    for key in ["a", "b", "c"] {
        sim.change(0, "nodes", add(key, 0));
    }
    sim.settle();
    sim.disconnect(0);
    for frame in 0..500 {
        for key in ["a", "b", "c"] {
            let drag = json!({"type": "change_value", "key": key, "value": frame,
                "overwriting": true});
            sim.change(0, "nodes", drag);
        }
    }
    assert_eq!(sim.clients[0].replica.topic(&name("nodes")).unwrap().pending_len(), 3);
    sim.check_converged();
    assert_eq!(sim.toy.topics[&name("nodes")].log.len(), 6);
}

#[test]
fn what_takes_itself_back_is_never_sent() {
    let mut sim = Sim::new(1, &[("nodes", "dict")]);
    let tickets = [
        sim.change(0, "nodes", add("a", 1)),
        sim.change(0, "nodes", json!({"type": "remove", "key": "a"})),
    ];
    assert_eq!(sim.clients[0].replica.outbox(), []);
    assert!(tickets.iter().all(|ticket| sim.clients[0].fates[ticket] == Fate::Confirmed));
}

#[test]
fn changes_with_and_without_a_base_do_not_share_a_batch() {
    let mut sim = Sim::new(1, &[("items", "list")]);
    sim.change(0, "items", json!({"type": "insert", "position": 0, "item": 1}));
    sim.change(0, "items", json!({"type": "insert", "position": -1, "item": 2}));
    let [ClientMessage::Update(based)] = &sim.clients[0].replica.outbox()[..] else { panic!() };
    assert_eq!(based.change.base, Some(Version(0)));
    sim.disconnect(0);
    sim.check_converged();
    assert_eq!(sim.clients[0].view("items"), value(json!([1, 2])));
}

#[test]
fn an_action_goes_with_a_base_if_one_of_its_changes_does() {
    let mut sim = Sim::new(1, &[("items", "list")]);
    let at_the_end = json!({"type": "insert", "position": -1, "item": 2});
    let first = json!({"type": "insert", "position": 0, "item": 1});
    sim.act(0, vec![change("items", at_the_end), change("items", first)]).unwrap();
    let [ClientMessage::Action { changes, .. }] = &sim.clients[0].replica.outbox()[..] else {
        panic!()
    };
    assert!(changes.iter().all(|it| it.change.base == Some(Version(0))));
    let exact = json!({"type": "insert", "position": 0, "item": 2});
    check_sent(&changes[0], "list", exact);
}

#[test]
fn an_action_is_all_or_nothing_over_its_topics() {
    let mut sim = Sim::new(2, &[("nodes", "dict"), ("edges", "list")]);
    sim.change(0, "nodes", add("n1", 1));
    sim.settle();
    // One removes the node while the other changes it, and draws an edge, in one action.
    sim.change(0, "nodes", json!({"type": "remove", "key": "n1"}));
    sim.send(0);
    sim.serve(0);
    let ticket = sim
        .act(
            1,
            vec![
                change("nodes", json!({"type": "change_value", "key": "n1", "value": 2})),
                change("edges", json!({"type": "insert", "position": 0, "item": "n1"})),
            ],
        )
        .unwrap();
    sim.send(1);
    sim.check_converged();
    let Fate::Rejected(rejection) = &sim.clients[1].fates[&ticket] else { panic!() };
    assert_eq!(rejection.code, RejectCode::Stale);
    assert_eq!(sim.clients[1].view("edges"), value(json!([])));
}

#[test]
fn a_waiting_action_that_cannot_be_carried_leaves_all_its_topics() {
    let mut sim = Sim::new(2, &[("nodes", "dict"), ("edges", "list")]);
    sim.disconnect(1);
    let ticket = sim
        .act(
            1,
            vec![
                change("nodes", add("n1", 2)),
                change("edges", json!({"type": "insert", "position": 0, "item": "n1"})),
            ],
        )
        .unwrap();
    sim.change(0, "nodes", add("n1", 1));
    sim.settle();
    sim.check_converged();
    let Fate::Rejected(rejection) = &sim.clients[1].fates[&ticket] else { panic!() };
    assert!(rejection.reason.contains("not sent"), "{rejection}");
    assert_eq!(sim.clients[1].view("edges"), value(json!([])));
}

#[test]
fn an_action_of_which_a_change_does_not_fit_does_not_happen() {
    let mut sim = Sim::new(1, &[("nodes", "dict")]);
    let changes = vec![change("nodes", add("a", 1)), change("nodes", add("a", 2))];
    let error = sim.act(0, changes).unwrap_err();
    assert!(matches!(error, LocalError::Invalid { index: 1, .. }), "{error}");
    assert_eq!(sim.clients[0].view("nodes"), value(json!({})));
}

#[test]
fn pending_text_follows_what_others_type() {
    let mut sim = Sim::new(2, &[("text", "string")]);
    sim.change(0, "text", type_text(0, "world"));
    sim.settle();
    sim.change(0, "text", type_text(5, "!"));
    sim.send(0);
    sim.change(0, "text", type_text(6, "?"));
    sim.change(1, "text", type_text(0, "hello "));
    sim.send(1);
    sim.serve(1);
    while sim.deliver(0) {}
    assert_eq!(sim.clients[0].view("text"), value(json!("hello world!?")));
    sim.check_converged();
    assert_eq!(sim.clients[1].view("text"), value(json!("hello world!?")));
}

#[test]
fn what_stands_on_a_rejected_change_goes_with_it() {
    let mut sim = Sim::new(2, &[("nodes", "dict")]);
    let theirs = sim.change(0, "nodes", add("n1", 1));
    sim.send(0);
    sim.serve(0);
    let mine = sim.change(1, "nodes", add("n1", 2));
    sim.send(1);
    let changed = json!({"type": "change_value", "key": "n1", "value": 3});
    let on_top = sim.change(1, "nodes", changed);
    let beside = sim.change(1, "nodes", add("n2", 1));
    sim.check_converged();
    assert_eq!(sim.clients[0].fates[&theirs], Fate::Confirmed);
    assert!(matches!(&sim.clients[1].fates[&mine], Fate::Rejected(_)));
    assert!(matches!(&sim.clients[1].fates[&on_top], Fate::Rejected(_)));
    assert_eq!(sim.clients[1].fates[&beside], Fate::Confirmed);
    assert_eq!(sim.clients[1].view("nodes"), value(json!({"n1": 1, "n2": 1})));
}

#[test]
fn a_resend_is_the_same_message_and_is_taken_once() {
    let mut sim = Sim::new(1, &[("count", "int")]);
    sim.change(0, "count", json!({"type": "add", "value": 5}));
    let sent = sim.clients[0].replica.outbox();
    // It reaches the server, and the connection is lost before the answer is back.
    let mut session = 1;
    sim.toy.receive(&mut session, sent[0].clone());
    sim.disconnect(0);
    sim.connect(0);
    while sim.deliver(0) {}
    let resume = sim.clients[0].replica.outbox();
    assert!(matches!(&resume[..], [ClientMessage::Resume { .. }]));
    sim.clients[0].replica.receive(ServerMessage::Hello(Hello {
        id: ClientId(1),
        session: "token1".into(),
        resumed: true,
        protocol: 1,
        server: "toy".into(),
        limits: Default::default(),
    }));
    let again = sim.clients[0].replica.outbox();
    assert!(matches!(&again[..], [ClientMessage::Subscribe(_), resent] if *resent == sent[0]));
    sim.disconnect(0);
    sim.check_converged();
    assert_eq!(sim.clients[0].view("count"), value(json!(5)));
}

#[test]
fn busy_sends_the_same_batch_again_later() {
    let mut sim = Sim::new(1, &[("count", "int")]);
    sim.toy.busy = 1;
    let ticket = sim.change(0, "count", json!({"type": "add", "value": 5}));
    sim.send(0);
    while sim.serve(0) || sim.deliver(0) {}
    assert!(sim.clients[0].events.contains(&Event::Busy));
    assert_eq!(sim.clients[0].replica.outbox(), []);
    assert_eq!(sim.clients[0].view("count"), value(json!(5)));
    sim.settle();
    assert_eq!(sim.clients[0].fates[&ticket], Fate::Confirmed);
}

#[test]
fn a_lost_session_shows_what_was_accepted_when_the_topic_continues() {
    let mut sim = Sim::new(1, &[("text", "string")]);
    let accepted = sim.change(0, "text", type_text(0, "hello"));
    sim.send(0);
    sim.serve(0);
    let waiting = sim.change(0, "text", type_text(5, " world"));
    sim.disconnect(0);
    sim.forget_session(0);
    sim.check_converged();
    assert_eq!(sim.clients[0].fates[&accepted], Fate::Confirmed);
    assert_eq!(sim.clients[0].fates[&waiting], Fate::Confirmed);
    assert_eq!(sim.clients[0].view("text"), value(json!("hello world")));
}

#[test]
fn a_lost_session_leaves_what_was_in_flight_unknown_otherwise() {
    let mut sim = Sim::new(1, &[("count", "int")]);
    let in_flight = sim.change(0, "count", json!({"type": "add", "value": 5}));
    sim.send(0);
    let waiting = sim.change(0, "count", json!({"type": "add", "value": 1}));
    sim.disconnect(0);
    sim.forget_session(0);
    sim.check_converged();
    assert_eq!(sim.clients[0].fates[&in_flight], Fate::Unknown);
    assert_eq!(sim.clients[0].fates[&waiting], Fate::Confirmed);
    assert_eq!(sim.clients[0].view("count"), value(json!(1)));
}

#[test]
fn waiting_text_survives_a_snapshot_that_jumps() {
    let mut sim = Sim::new(2, &[("text", "string")]);
    sim.change(0, "text", type_text(0, "the quick fox"));
    sim.settle();
    sim.disconnect(0);
    sim.change(0, "text", type_text(13, " jumps"));
    sim.change(1, "text", type_text(0, "see "));
    sim.settle();
    sim.toy.forgetful = true;
    sim.check_converged();
    assert_eq!(sim.clients[1].view("text"), value(json!("see the quick fox jumps")));
}

#[test]
fn what_is_in_flight_is_hidden_over_a_jump_until_it_is_answered() {
    let mut sim = Sim::new(1, &[("count", "int")]);
    let ticket = sim.change(0, "count", json!({"type": "add", "value": 5}));
    sim.send(0);
    sim.serve(0);
    sim.lag(0);
    sim.deliver(0);
    assert_eq!(sim.clients[0].view("count"), value(json!(5)));
    assert!(!sim.clients[0].fates.contains_key(&ticket));
    sim.settle();
    assert_eq!(sim.clients[0].fates[&ticket], Fate::Confirmed);
    sim.check_converged();
}

#[test]
fn a_new_life_of_a_topic_starts_afresh() {
    let mut sim = Sim::new(1, &[("count", "int"), ("other", "int")]);
    sim.change(0, "count", json!({"type": "add", "value": 5}));
    sim.settle();
    let in_flight = sim.change(0, "count", json!({"type": "add", "value": 1}));
    sim.send(0);
    let add = || json!({"type": "add", "value": 1});
    let changes = vec![change("count", add()), change("other", add())];
    let waiting = sim.act(0, changes).unwrap();
    sim.disconnect(0);
    sim.new_life("count");
    sim.check_converged();
    assert_eq!(sim.clients[0].fates[&in_flight], Fate::Unknown);
    let stale = |it: &Rejection| it.code == RejectCode::Stale;
    assert!(matches!(&sim.clients[0].fates[&waiting], Fate::Rejected(it) if stale(it)));
    assert_eq!(sim.clients[0].view("other"), value(json!(0)));
}

#[test]
fn an_action_that_is_confirmed_in_one_topic_holds_up_no_other() {
    let mut sim = Sim::new(1, &[("one", "int"), ("two", "int")]);
    let add = |topic| change(topic, json!({"type": "add", "value": 5}));
    let ticket = sim.act(0, vec![add("one"), add("two")]).unwrap();
    sim.send(0);
    sim.serve(0);
    sim.lag(0);
    // A snapshot and the confirmation of the one, and a snapshot of the other.
    for _ in 0..3 {
        sim.deliver(0);
    }
    assert_eq!(sim.clients[0].fates[&ticket], Fate::Confirmed);
    sim.disconnect(0);
    sim.new_life("one");
    // Sent again, the action is known in part, and refused: nobody is told of that.
    sim.check_converged();
    assert_eq!(sim.clients[0].view("two"), value(json!(5)));
}

#[test]
fn a_view_that_starts_afresh_is_told_before_it_is_changed_again() {
    let mut sim = Sim::new(1, &[("text", "string")]);
    sim.change(0, "text", type_text(0, "old"));
    sim.settle();
    sim.disconnect(0);
    sim.new_life("text");
    sim.connect(0);
    // Up to `subscribed`, and not yet the value.
    for _ in 0..2 {
        sim.deliver(0);
        sim.send(0);
        while sim.serve(0) {}
    }
    while sim.clients[0].view("text") != value(json!("")) {
        assert!(sim.deliver(0));
    }
    // `Client::hear` follows the events, and finds that they lead to the view.
    sim.change(0, "text", type_text(0, "new"));
    sim.check_converged();
    assert_eq!(sim.clients[0].view("text"), value(json!("new")));
}

#[test]
fn changes_made_before_the_first_hello_wait() {
    let mut sim = Sim::new(1, &[("nodes", "dict")]);
    sim.change(0, "nodes", add("a", 1));
    sim.settle();
    let mut late = Client::default();
    late.replica.subscribe(&name("nodes"), kind("dict"), TopicOptions::default());
    let fits = late.replica.local(vec![change("nodes", add("b", 2))]).unwrap();
    let clashes = late.replica.local(vec![change("nodes", add("a", 2))]).unwrap();
    assert_eq!(late.replica.outbox(), []);
    late.tickets = vec![fits, clashes];
    late.hear();
    sim.clients.push(late);
    sim.check_converged();
    assert_eq!(sim.clients[1].fates[&fits], Fate::Confirmed);
    assert!(matches!(sim.clients[1].fates[&clashes], Fate::Rejected(_)));
    assert_eq!(sim.clients[1].view("nodes"), value(json!({"a": 1, "b": 2})));
}

/// What a topic with `"delivery": "latest"` publishes for several changes at once.
fn composed(set: u32, since: u64, version: u64, ids: Vec<ChangeId>) -> ServerMessage {
    ServerMessage::Update(Update {
        part: Part {
            topic_name: name("slider"),
            version: Version(version),
            change: PublishedChange {
                fields: fields(json!({"type": "set", "value": set})),
                id: None,
            },
        },
        commit: CommitNumber(1),
        author: None,
        snapshot: false,
        since: Some(Version(since)),
        ids,
    })
}

#[test]
fn a_composed_update_confirms_what_it_holds() {
    let mut sim = Sim::new(1, &[("slider", "int")]);
    let set = json!({"type": "set", "value": 1, "overwriting": true});
    let ticket = sim.change(0, "slider", set);
    let [ClientMessage::Update(sent)] = &sim.clients[0].replica.outbox()[..] else { panic!() };
    let id = sent.change.id.clone().unwrap();
    let add = sim.change(0, "slider", json!({"type": "add", "value": 10}));
    // Ours, and then another's.
    sim.clients[0].replica.receive(composed(7, 0, 3, vec![id]));
    sim.clients[0].hear();
    assert_eq!(sim.clients[0].fates[&ticket], Fate::Confirmed);
    assert!(!sim.clients[0].fates.contains_key(&add));
    assert_eq!(sim.clients[0].view("slider"), value(json!(17)));
    assert_eq!(sim.clients[0].replica.topic(&name("slider")).unwrap().version(), Version(3));
}

#[test]
fn a_gap_is_told_and_asks_again() {
    let mut sim = Sim::new(1, &[("slider", "int")]);
    sim.clients[0].replica.receive(composed(7, 2, 3, vec![]));
    let events = sim.clients[0].replica.events();
    assert!(matches!(&events[..], [Event::Error(_)]), "{events:?}");
    let asked = sim.clients[0].replica.outbox();
    assert!(matches!(&asked[..], [ClientMessage::Subscribe(it)] if it.since.is_some()));
}

#[test]
fn a_published_change_that_does_not_fit_asks_for_the_whole_value() {
    let mut sim = Sim::new(1, &[("slider", "int")]);
    let ServerMessage::Update(mut update) = composed(7, 0, 1, vec![]) else { panic!() };
    update.part.change.fields = fields(json!({"type": "dance"}));
    sim.clients[0].replica.receive(ServerMessage::Update(update));
    assert!(matches!(&sim.clients[0].replica.events()[..], [Event::Error(_)]));
    let asked = sim.clients[0].replica.outbox();
    assert!(matches!(&asked[..], [ClientMessage::Subscribe(it)] if it.since.is_none()));
    sim.disconnect(0);
    sim.check_converged();
}

#[test]
fn an_event_is_seen_once_by_everyone() {
    let mut sim = Sim::new(2, &[("bell", "event")]);
    sim.change(0, "bell", json!({"type": "emit", "args": {"by": "ada"}}));
    sim.settle();
    for (client, from) in [(0, Origin::Local), (1, Origin::Remote { author: Some(ClientId(1)) })] {
        let rung: Vec<_> = sim.clients[client]
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Changed { origin, .. } => Some(*origin),
                _ => None,
            })
            .collect();
        assert_eq!(rung, [from]);
    }
}

#[test]
fn presence_is_put_there_again_in_a_new_session() {
    let mut sim = Sim::new(1, &[("cursors", "dict")]);
    let options = TopicOptions { presence: true, ..TopicOptions::default() };
    let mut client = Client::default();
    client.replica.subscribe(&name("cursors"), kind("dict"), options);
    client.replica.set_presence(&name("cursors"), Some(1.into()));
    sim.clients.push(client);
    sim.check_converged();
    assert_eq!(sim.clients[1].view("cursors"), value(json!({"2": 1})));
    sim.disconnect(1);
    sim.forget_session(1);
    sim.check_converged();
    assert_eq!(sim.clients[1].view("cursors"), value(json!({"2": 1, "3": 1})));
}

#[test]
fn undo_waits_for_what_was_made_before_it() {
    let mut sim = Sim::new(1, &[("count", "int")]);
    sim.change(0, "count", json!({"type": "add", "value": 5}));
    let call = sim.clients[0].replica.undo();
    let first = sim.clients[0].replica.outbox();
    assert!(matches!(&first[..], [ClientMessage::Update(_)]), "{first:?}");
    sim.disconnect(0);
    sim.settle();
    sim.check_converged();
    let answered = |event: &Event| matches!(event, Event::Response { call: it, .. } if *it == call);
    assert!(sim.clients[0].events.iter().any(answered));
}

#[test]
fn a_topic_is_left_once_nothing_is_pending() {
    let mut sim = Sim::new(1, &[("count", "int")]);
    let ticket = sim.change(0, "count", json!({"type": "add", "value": 5}));
    sim.clients[0].replica.unsubscribe(&name("count"));
    sim.settle();
    assert_eq!(sim.clients[0].fates[&ticket], Fate::Confirmed);
    assert!(sim.clients[0].replica.topic(&name("count")).is_none());
    assert!(sim.clients[0].events.iter().any(|it| matches!(it, Event::Closed { error: None, .. })));
}

#[test]
fn a_topic_is_left_and_taken_up_again_before_the_server_answers() {
    let mut sim = Sim::new(1, &[("count", "int")]);
    for _ in 0..2 {
        sim.clients[0].replica.unsubscribe(&name("count"));
        sim.send(0);
        let kind = crate::types::TypeRef::of::<crate::types::int::Int>();
        sim.clients[0].replica.subscribe(&name("count"), kind, Default::default());
        sim.send(0);
    }
    sim.settle();
    let ticket = sim.change(0, "count", json!({"type": "add", "value": 5}));
    sim.settle();
    assert_eq!(sim.clients[0].fates[&ticket], Fate::Confirmed);
    let closed = |event: &&Event| matches!(event, Event::Closed { .. });
    let errors = |event: &&Event| matches!(event, Event::Closed { error: Some(_), .. });
    let events = &sim.clients[0].events;
    assert_eq!(events.iter().filter(closed).count(), 2);
    assert_eq!(events.iter().filter(errors).count(), 0);
}

#[test]
fn what_would_leave_the_range_of_numbers_leaves_the_view() {
    let largest = crate::value::limits::INT_MAX;
    let add = |number| change("count", json!({"type": "add", "value": number}));
    let mut sim = Sim::new(2, &[("count", "int")]);
    let ticket = sim.act(0, vec![add(-largest), add(largest), add(7)]).unwrap();
    sim.send(0);
    sim.change(1, "count", json!({"type": "add", "value": -5}));
    sim.send(1);
    assert!(sim.serve(1) && sim.deliver(0));
    sim.settle();
    assert!(matches!(sim.clients[0].fates[&ticket], Fate::Rejected(_)));
    assert_eq!(sim.clients[0].view("count"), Value::Int(-5));
    sim.check_converged();
}

#[test]
fn a_number_added_below_one_that_was_set_to_the_largest_moves_nothing() {
    let largest = crate::value::limits::INT_MAX;
    let mut sim = Sim::new(2, &[("count", "int")]);
    sim.change(0, "count", json!({"type": "set", "value": largest, "overwriting": true}));
    sim.change(1, "count", json!({"type": "add", "value": 2}));
    sim.send(1);
    assert!(sim.serve(1) && sim.deliver(0));
    assert_eq!(sim.clients[0].view("count"), Value::Int(largest));
    sim.check_converged();
}

#[test]
fn nothing_is_sent_twice_over_a_connection_that_holds() {
    let mut sim = Sim::new(1, &[("count", "int")]);
    sim.change(0, "count", json!({"type": "add", "value": 5}));
    sim.send(0);
    sim.lag(0);
    while sim.deliver(0) {}
    // The answer comes for sure; were it a rejection, a second try might be accepted.
    assert_eq!(sim.clients[0].replica.outbox(), []);
    sim.check_converged();
}

#[test]
fn the_way_between_two_views_stays_within_the_range_of_numbers() {
    let largest = crate::value::limits::INT_MAX;
    let add = |number| change("count", json!({"type": "add", "value": number}));
    let mut sim = Sim::new(2, &[("count", "int")]);
    sim.act(0, vec![add(2)]).unwrap();
    sim.send(0);
    sim.serve(0);
    let [a, b] = [3_862_406_969_767_429, 5_144_792_284_973_564];
    let waiting = sim.act(0, vec![add(-a), add(largest), add(-b)]).unwrap();
    let overwriting = |change: LocalChange| vec![change.overwriting()];
    sim.act(0, overwriting(add(-largest))).unwrap();
    sim.act(0, vec![add(0), add(largest), add(0)]).unwrap();
    // The two come as one, as a topic delivers that is `latest`.
    sim.clients[0].replica.receive(ServerMessage::Update(Update {
        part: Part {
            topic_name: name("count"),
            version: Version(2),
            change: PublishedChange {
                fields: fields(json!({"type": "add", "value": a + 2 + 1_285_000_000})),
                id: None,
            },
        },
        commit: CommitNumber(2),
        author: None,
        snapshot: false,
        since: Some(Version(0)),
        ids: vec![ChangeId::of(ClientId(1), 1)],
    }));
    sim.clients[0].hear();
    assert!(matches!(sim.clients[0].fates[&waiting], Fate::Rejected(_)));
}
