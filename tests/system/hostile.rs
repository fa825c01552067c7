//! Bad input: each gets the protocol's clear answer, and another session keeps working.

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use topicsync::server::ServerConfig;

use super::common::*;

/// Sends frames, each of which has to be answered with `malformed`, beside a session that works.
async fn check_malformed(encoding: Encoding, frames: Vec<Message>) {
    let server = TestServer::start();
    let (mut client, mut other) = (server.client_in(encoding).await, server.client().await);
    for (number, frame) in frames.into_iter().enumerate() {
        client.send_frame(frame).await;
        let answer = client.receive().await;
        let expected = json!({"type": "error", "content": {"code": "malformed"}});
        assert!(matches(&expected, &answer), "{encoding:?} {number}: {answer}");
        assert!(answer.to_string().len() < 10_000, "{number}: the answer repeats little");
        other.check_works().await;
    }
    client.check_works().await;
}

#[tokio::test]
async fn what_is_no_json_is_malformed() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let long = "x".repeat(1 << 20);
    let frames = [
        "".to_owned(),
        "{".into(),
        "}".into(),
        "nonsense".into(),
        "null".into(),
        "1".into(),
        "\"text\"".into(),
        "{}".into(),
        "[[]]".into(),
        "{\"type\":5}".into(),
        "{\"type\":\"subscribe\"}".into(),
        "{\"type\":\"subscribe\",\"content\":[]}".into(),
        "{} {}".into(),
        "{\"type\":\"hello\"".into(),
        "[{\"type\":\"hello\"},]".into(),
        "{\"type\":\"update\",\"content\":{\"topic_name\":\"a\",\"change\":{\"value\":NaN}}}"
            .into(),
        "{\"type\":\"update\",\"content\":{\"topic_name\":\"a\",\"change\":{\"value\":1e999}}}"
            .into(),
        "{\"type\":\"x\",\"content\":\"\\ud800\"}".into(),
        deep("[", "]"),
        deep("{\"type\":", "}"),
        format!(
            "{{\"type\":\"subscribe\",\"content\":{{\"topic_name\":\"{long}\",\"type\":\"int\"}}}}"
        ),
        format!(
            "{{\"type\":\"update\",\"content\":{{\"topic_name\":\"{long}\",\"change\":{{\"type\":\"set\"}}}}}}"
        ),
        format!("[{}{{}}]", "{},".repeat(10_000)),
    ];
    check_malformed(Encoding::Json, frames.map(Message::text).into()).await;
}

#[tokio::test]
async fn what_is_no_messagepack_is_malformed() {
    let repeated = |byte: u8| vec![byte; 10_000];
    let mut many = vec![0xdc, 0x27, 0x11];
    many.extend([0x80; 10_001]);
    let frames = [
        vec![],
        vec![0xc0],
        vec![0xc1],
        vec![0x05],
        vec![0x80],
        vec![0x81],
        vec![0x80, 0x80],
        // Lengths that lie: an array, a map, a string, binary, an extension.
        vec![0xdd, 0xff, 0xff, 0xff, 0xff],
        vec![0xdf, 0xff, 0xff, 0xff, 0xff],
        vec![0xdb, 0xff, 0xff, 0xff, 0xff],
        vec![0xc6, 0xff, 0xff, 0xff, 0xff],
        vec![0xc9, 0xff, 0xff, 0xff, 0xff, 0x01],
        // Keys that are no strings, text that is no UTF-8.
        vec![0x81, 0x01, 0x01],
        vec![0x81, 0xa1, 0xff, 0x01],
        vec![0x81, 0xa4, b't', b'y', b'p', b'e', 0xa1, 0xff],
        [repeated(0x91), vec![0xc0]].concat(),
        repeated(0x81),
        [vec![0xa1, b'k'], repeated(0x91)].concat(),
        many,
    ];
    check_malformed(Encoding::MessagePack, frames.into_iter().map(Message::binary).collect()).await;
}

#[tokio::test]
async fn values_beyond_the_limits_are_rejected_under_the_change_s_own_id() {
    let server = TestServer::start();
    let mut other = server.client().await;
    // As JSON text, so that duplicate keys and large numbers go out as they stand.
    let mut client = server.client().await;
    client.subscribe("a", "generic").await;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for value in [
        "9007199254740992",
        "-9007199254740992",
        "18446744073709551615",
        // Beyond 64 bits, where a JSON reader would make floats of them.
        "18446744073709551616",
        "-9223372036854775809",
        &"9".repeat(400),
        "{\"a\":1,\"a\":2}",
        "{\"x\":[9007199254740992]}",
        &nested(101),
        &nested(10_000),
    ] {
        let id = client.next_id();
        let text = format!(
            r#"{{"type":"update","content":{{"topic_name":"a","change":{{"type":"set","id":"{id}","value":{value}}}}}}}"#
        );
        client.send_frame(Message::text(text)).await;
        client
            .expect_type(
                "reject_update",
                json!({"code": "invalid", "topic_name": "a", "change": {"id": id}}),
            )
            .await;
        other.check_works().await;
    }
    // A float may be as large, and a text may look like it.
    for value in ["18446744073709551616.0", "1e300", "\"18446744073709551616\""] {
        let text = format!(
            r#"{{"type":"update","content":{{"topic_name":"a","change":{{"type":"set","value":{value}}}}}}}"#
        );
        client.send_frame(Message::text(text)).await;
        client.expect_type("update", json!({"topic_name": "a"})).await;
    }
    // A field of the change twice.
    let text = r#"{"type":"update","content":{"topic_name":"a","change":{"type":"set","value":1,"value":2}}}"#;
    client.send_frame(Message::text(text)).await;
    client.expect_type("reject_update", json!({"code": "invalid"})).await;
    assert_eq!(client.value("a").await, json!("18446744073709551616"));
}

#[tokio::test]
async fn whole_numbers_beyond_the_range_are_invalid_by_messagepack_too() {
    let server = TestServer::start();
    let mut client = server.client_in(Encoding::MessagePack).await;
    client.subscribe("a", "generic").await;
    for number in [json!(1_u64 << 53), json!(-(1_i64 << 53)), json!(u64::MAX), json!(i64::MIN)] {
        let set = json!({"type": "set", "value": [number]});
        let rejected = client.rejected("a", set, "invalid").await;
        assert_eq!(rejected["reason"], "a whole number is beyond ±(2^53 − 1)");
    }
}

#[tokio::test]
async fn numbers_that_are_not_finite_are_invalid_by_messagepack_too() {
    let server = TestServer::start();
    let (mut client, mut other) =
        (server.client_in(Encoding::MessagePack).await, server.client().await);
    client.subscribe("f", "float").await;
    client.subscribe("g", "generic").await;
    for topic_name in ["f", "g"] {
        for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            #[derive(serde::Serialize)]
            struct Change<'a> {
                r#type: &'a str,
                id: &'a str,
                value: f64,
            }
            #[derive(serde::Serialize)]
            struct Content<'a> {
                topic_name: &'a str,
                change: Change<'a>,
            }
            #[derive(serde::Serialize)]
            struct Update<'a> {
                r#type: &'a str,
                content: Content<'a>,
            }
            let id = client.next_id();
            let change = Change { r#type: "set", id: &id, value: float };
            let update = Update { r#type: "update", content: Content { topic_name, change } };
            let bytes = rmp_serde::to_vec_named(&update).unwrap();
            client.send_frame(Message::binary(bytes)).await;
            client
                .expect_type("reject_update", json!({"code": "invalid", "change": {"id": id}}))
                .await;
        }
        other.check_works().await;
    }
    assert_eq!(client.value("f").await, 0.0);
}

#[tokio::test]
async fn nesting_10_000_deep_in_messagepack_is_answered() {
    let server = TestServer::start();
    let (mut client, mut other) =
        (server.client_in(Encoding::MessagePack).await, server.client().await);
    client.subscribe("a", "generic").await;
    // {"type": "update", "content": {"topic_name": "a", "change": {"type": "set", "value": [[[…]]]}}}
    let mut bytes = vec![0x82];
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.push(0xa0 | text.len() as u8);
        bytes.extend(text.bytes());
    };
    for (key, value) in [("type", "update"), ("content", "")] {
        text(&mut bytes, key);
        if !value.is_empty() {
            text(&mut bytes, value);
        }
    }
    bytes.push(0x82);
    text(&mut bytes, "topic_name");
    text(&mut bytes, "a");
    text(&mut bytes, "change");
    bytes.push(0x82);
    text(&mut bytes, "type");
    text(&mut bytes, "set");
    text(&mut bytes, "value");
    bytes.extend([0x91; 10_000]);
    bytes.push(0xc0);
    client.send_frame(Message::binary(bytes)).await;
    let answer = client.receive().await;
    assert!(answer["type"] == "error" || answer["type"] == "reject_update", "{answer}");
    other.check_works().await;
    client.check_works().await;
}

#[tokio::test]
async fn random_bytes_are_answered_frame_by_frame() {
    let server = TestServer::start();
    let mut other = server.client().await;
    let mut client = server.client_in(Encoding::MessagePack).await;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..20 {
        for _ in 0..100 {
            let len = 8 + random() % 200;
            let bytes: Vec<u8> = (0..len).map(|_| random() as u8).collect();
            client.socket.feed(Message::binary(bytes)).await.unwrap();
        }
        let came = client.drain().await;
        assert!(came.len() >= 100, "round {round}: {}", came.len());
        let refused = |it: &Value| it["type"] == "error" || it["type"] == "reject_update";
        assert!(came.iter().all(refused));
        other.check_works().await;
    }
    client.check_works().await;
}

#[tokio::test]
async fn the_limit_of_subscriptions_holds() {
    let server = TestServer::start();
    let (mut client, mut other) = server.two_clients().await;
    let mut accepted = 0;
    for chunk in 0..20 {
        let messages: Vec<Value> = (0..1_000)
            .map(|number| {
                let name = format!("topic {}", chunk * 1_000 + number);
                json!({"type": "subscribe", "content": {"topic_name": name, "type": "event"}})
            })
            .collect();
        client.send_json(json!(messages)).await;
        for number in 0..1_000 {
            let answer = client.receive().await;
            match answer["type"].as_str().unwrap() {
                "subscribed" => accepted += 1,
                _ => assert_eq!(answer["content"]["code"], "limit", "{chunk} {number}: {answer}"),
            }
        }
    }
    assert_eq!(accepted, 10_000);
    other.check_works().await;
    assert!(server.hub.engine().topics_len() < 10_010);
}

#[tokio::test]
async fn topics_and_services_have_limits() {
    let config = ServerConfig { topics_max: 10, services_max: 3, ..ServerConfig::default() };
    let server = TestServer::with(config);
    let (mut client, mut other) = server.two_clients().await;
    other.check_works().await;
    let mut refused = 0;
    for number in 0..20 {
        let name = format!("topic {number}");
        client.send("subscribe", json!({"topic_name": name, "type": "event"})).await;
        let answer = client.receive().await;
        refused += u64::from(answer["content"]["code"] == "limit");
    }
    assert!(refused >= 10);
    for number in 0..6 {
        client.send("register_service", json!({"service_name": format!("{number}")})).await;
        match number {
            0..3 => drop(client.expect_type("registered", json!({})).await),
            _ => drop(client.expect_type("error", json!({"code": "limit"})).await),
        }
    }
    other.check_works().await;
}

#[tokio::test]
async fn an_action_over_thousands_of_changes_is_decided_like_any() {
    let server = TestServer::start();
    let (mut client, mut other) = server.two_clients().await;
    client.subscribe("a", "int").await;
    let add = json!({"topic_name": "a", "change": {"type": "add", "value": 1}});
    let changes = vec![add; 5_000];
    client.send("action", json!({"action_id": "big", "changes": changes})).await;
    let action = client.expect_type("action", json!({"action_id": "big"})).await;
    assert_eq!(action["changes"].as_array().unwrap().len(), 5_000);
    other.check_works().await;
}

#[tokio::test]
async fn text_that_is_no_utf_8_ends_the_connection() {
    let server = TestServer::start();
    let mut other = server.client().await;
    // A masked text frame of one byte, 0xff.
    let mut bytes = format!("{HANDSHAKE}\r\n").into_bytes();
    bytes.extend([0x81, 0x81, 0, 0, 0, 0, 0xff]);
    let closed = |answer: &[u8]| answer.windows(2).any(|it| it == 1007_u16.to_be_bytes());
    assert!(closed(&raw_exchange(server.address, &bytes, closed).await));
    other.check_works().await;
}

#[tokio::test]
async fn frames_that_are_no_websocket_end_the_connection_with_a_word() {
    let server = TestServer::start();
    let mut other = server.client().await;
    for frame in [
        // Not masked; a reserved opcode; a reserved bit; a continuation of nothing.
        &[0x81, 0x01, b'x'][..],
        &[0x83, 0x80, 0, 0, 0, 0],
        &[0xf1, 0x80, 0, 0, 0, 0],
        &[0x80, 0x80, 0, 0, 0, 0],
    ] {
        let bytes = [format!("{HANDSHAKE}\r\n").as_bytes(), frame].concat();
        let closed = |answer: &[u8]| answer.windows(2).any(|it| it == 1002_u16.to_be_bytes());
        let answer = raw_exchange(server.address, &bytes, closed).await;
        assert!(closed(&answer), "{frame:?}: {}", String::from_utf8_lossy(&answer));
        other.check_works().await;
    }
}

#[tokio::test]
async fn what_is_no_handshake_harms_nobody() {
    let server = TestServer::start();
    let mut other = server.client().await;
    let mut held = Vec::new();
    for bytes in [&b"GET / HT"[..], b"GET / HTTP/1.1\r\nUpgrade: webso", HANDSHAKE.as_bytes(), b""]
    {
        // Truncated, and the connection stays open.
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        held.push(stream);
    }
    for bytes in [&b"nonsense\r\n\r\n"[..], &[0xff; 70_000]] {
        let answer = raw_exchange(server.address, bytes, |_| false).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        other.check_works().await;
    }
    let old = format!("{}\r\n", HANDSHAKE.replace("Version: 13", "Version: 8"));
    let answer = raw_exchange(server.address, old.as_bytes(), |it| it.ends_with(b"here\n")).await;
    assert!(answer.starts_with(b"HTTP/1.1 400"));
    other.check_works().await;
}
