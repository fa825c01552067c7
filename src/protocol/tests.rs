use serde_json::json;

use super::codes::*;
use super::decode::*;
use super::encode::*;
use super::message::*;
use super::*;
use crate::topic::{ActionId, ChangeId, ClientId, CommitNumber, TopicName, Version};
use crate::value::Value;

fn client(json: serde_json::Value) -> Result<ClientMessage, Box<Malformed>> {
    let Frame::One(message) = decode_text(&json.to_string()).unwrap() else { panic!("an array") };
    message.client()
}

/// The message reads, and is written as it was, in both encodings.
fn check_client(json: serde_json::Value) -> ClientMessage {
    let message = client(json.clone()).unwrap();
    let text = String::from_utf8(encode(&message, Encoding::Json)).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), json);
    let Frame::One(again) = decode_binary(&encode(&message, Encoding::MessagePack)).unwrap() else {
        panic!("an array")
    };
    assert_eq!(again.client().as_ref(), Ok(&message));
    message
}

fn check_server(json: serde_json::Value) {
    let Frame::One(message) = decode_text(&json.to_string()).unwrap() else { panic!("an array") };
    let message = message.server().unwrap();
    let text = String::from_utf8(encode(&message, Encoding::Json)).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), json);
    let Frame::One(again) = decode_binary(&encode(&message, Encoding::MessagePack)).unwrap() else {
        panic!("an array")
    };
    assert_eq!(again.server().as_ref(), Ok(&message));
}

#[test]
fn the_messages_of_a_client_survive_a_round_trip() {
    for json in [
        json!({"type":"resume","content":{"session":"kV9"}}),
        json!({"type":"subscribe","content":{"topic_name":"nodes","type":"dict",
            "options":{"history":true},"since":{"epoch":"b7f2","version":40}}}),
        json!({"type":"unsubscribe","content":{"topic_name":"nodes"}}),
        json!({"type":"update","content":{"topic_name":"nodes","epoch":"b7f2",
            "change":{"type":"add","key":"n2","value":{},"id":"3_17","base":41}}}),
        json!({"type":"action","content":{"action_id":"3_18","changes":[
            {"topic_name":"nodes","change":{"type":"remove","key":"n2"}}]}}),
        json!({"type":"register_service","content":{"service_name":"solve"}}),
        json!({"type":"unregister_service","content":{"service_name":"solve"}}),
        json!({"type":"request","content":{"service_name":"solve","args":{"graph":"g"},
            "request_id":"4_10","timeout_ms":50}}),
        json!({"type":"response","content":{"request_id":"s81","response":{"ok":true}}}),
        json!({"type":"response","content":{"request_id":"s81",
            "error":{"code":"failed","reason":"no"}}}),
    ] {
        check_client(json);
    }
}

#[test]
fn the_messages_of_a_server_survive_a_round_trip() {
    for json in [
        json!({"type":"hello","content":{"id":3,"session":"kV9","protocol":1,"server":"t",
            "limits":{"nesting":100}}}),
        json!({"type":"subscribed","content":{"topic_name":"nodes","type":"dict","options":{},
            "epoch":"b7f2","version":41,"since":40}}),
        json!({"type":"update","content":{"topic_name":"nodes","version":41,"commit":8397,
            "snapshot":true,"change":{"type":"set","value":{"n1":{"x":10,"y":20}}}}}),
        json!({"type":"update","content":{"topic_name":"nodes","version":41,"commit":8397,
            "author":3,"since":38,"ids":["3_1","3_2"],"change":{"type":"none"}}}),
        json!({"type":"action","content":{"action_id":"3_18","commit":8413,"author":3,
            "undoes":"3_1","changes":[
            {"topic_name":"edges","version":7,"change":{"type":"pop","position":0,"id":"3_20"}}]}}),
        json!({"type":"reject_update","content":{"topic_name":"nodes","code":"stale","version":43,
            "reason":"gone","action_id":"4_8",
            "change":{"type":"remove","key":"n2","id":"4_9","base":42}}}),
        json!({"type":"unsubscribed","content":{"topic_name":"nodes"}}),
        json!({"type":"registered","content":{"service_name":"solve"}}),
        json!({"type":"request","content":{"service_name":"solve","args":null,"request_id":"s81",
            "client_id":4}}),
        json!({"type":"error","content":{"code":"wrong_type","to":"subscribe",
            "topic_name":"nodes","reason":"no"}}),
    ] {
        check_server(json);
    }
}

#[test]
fn fields_come_in_any_order_and_unknown_ones_are_ignored() {
    let message = client(json!({"content":{"change":{"id":"1_1","x":1,"type":"pop","position":0},
        "later":[1],"topic_name":"t"},"type":"update","more":{}}));
    let Ok(ClientMessage::Update(update)) = message else { panic!("{message:?}") };
    assert_eq!(update.topic_name, TopicName::new("t").unwrap());
    assert_eq!(update.change.id, Some(ChangeId::of(ClientId(1), 1)));
}

#[test]
fn a_change_that_cannot_be_taken_is_named() {
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    for (value, reason) in
        [(deep, "containers nest"), (json!(9007199254740992_i64), "beyond"), (json!(1), "base")]
    {
        let base = if value == json!(1) { json!(-4) } else { json!(7) };
        let malformed = client(json!({"type":"update","content":{"topic_name":"t",
            "change":{"type":"set","value":value,"id":"1_7","base":base}}}))
        .unwrap_err();
        assert!(malformed.reason.contains(reason), "{malformed:?}");
        assert_eq!(malformed.topic_name.as_deref(), Some("t"));
        let change = malformed.change.unwrap();
        assert_eq!(change.id.as_deref(), Some("1_7"));
        assert_eq!(change.fields.change_type(), "set");
    }
}

#[test]
fn what_is_no_message_is_an_error_of_its_own() {
    let Frame::Many(messages) =
        decode_text(r#"[1, {"type":"subscribe"}, {"type":"dance","content":{}}, [], {}]"#).unwrap()
    else {
        panic!("one message")
    };
    let codes: Vec<ErrorCode> =
        messages.into_iter().map(|message| message.client().unwrap_err().code).collect();
    use ErrorCode::{Malformed, UnknownType};
    assert_eq!(codes, [Malformed, Malformed, UnknownType, Malformed, Malformed]);
}

#[test]
fn frames_are_read_to_their_end_and_no_further() {
    assert!(matches!(decode_text("{} {}"), Err(FrameError::Json(_))));
    assert!(matches!(decode_text("{"), Err(FrameError::Json(_))));
    assert!(matches!(decode_binary(&[0x80, 0x80]), Err(FrameError::Trailing)));
    assert!(matches!(decode_binary(&[0x81]), Err(FrameError::MessagePack(_))));
    assert!(decode_binary(&[0x80]).is_ok());
    let many = format!("[{}]", vec!["1"; FRAME_MESSAGES_MAX + 1].join(","));
    assert!(matches!(decode_text(&many), Err(FrameError::TooManyMessages)));
}

#[test]
fn joined_messages_read_as_an_array() {
    for encoding in Encoding::ALL {
        for count in [0, 1, 3, 20] {
            let message = ServerMessage::Unsubscribed { topic_name: TopicName::new("t").unwrap() };
            let encoded = vec![encode(&message, encoding); count];
            let frame = join(encoded.iter().map(Vec::as_slice), encoding);
            let frame = match encoding {
                Encoding::Json => decode_text(std::str::from_utf8(&frame).unwrap()),
                Encoding::MessagePack => decode_binary(&frame),
            };
            let Frame::Many(messages) = frame.unwrap() else { panic!("one message") };
            assert_eq!(messages.len(), count);
            assert!(messages.into_iter().all(|it| it.server().as_ref() == Ok(&message)));
        }
    }
}

#[test]
fn a_snapshot_is_an_update_that_sets() {
    let update = Update {
        part: Part {
            topic_name: TopicName::new("t").unwrap(),
            version: Version(1),
            change: PublishedChange {
                fields: crate::value::Fields::of_type("set").with("value", Value::Null),
                id: None,
            },
        },
        commit: CommitNumber(2),
        author: None,
        snapshot: true,
        since: None,
        ids: vec![],
    };
    let text = String::from_utf8(encode(&ServerMessage::Update(update), Encoding::Json)).unwrap();
    assert_eq!(
        text,
        r#"{"type":"update","content":{"topic_name":"t","version":1,"commit":2,"snapshot":true,"change":{"type":"set","value":null}}}"#
    );
    assert!(ActionId::new("x".repeat(129)).is_err());
}

/// An answer holds a value that nests as deep as one may, in what says of which version it is.
#[test]
fn an_answer_nests_deeper_than_a_value() {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let answer = json!({"entries": [{"change": {"type": "set", "value": deep}}]});
    check_server(json!({"type":"response","content":{"request_id":"4_10","response":answer}}));
    // A client's own does not.
    let answer = json!({"type":"response","content":{"request_id":"s81","response":[deep]}});
    assert!(client(answer).is_err());
}
