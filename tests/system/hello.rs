//! How a connection begins: the subprotocol, which frames it reads and sends, and what hello says.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use topicsync::server::ServerConfig;

use super::common::*;

const JSON: &str = "topicsync.v1.json";
const MSGPACK: &str = "topicsync.v1.msgpack";

#[tokio::test]
async fn hello_names_the_session_and_the_limits() {
    let server = TestServer::with(ServerConfig {
        message_bytes_max: 1234,
        subscriptions_max: 56,
        ..ServerConfig::default()
    });
    for encoding in Encoding::ALL {
        let (first, second) = (server.client_in(encoding).await, server.client_in(encoding).await);
        let limits =
            json!({"message_bytes": 1234, "subscriptions": 56, "name_bytes": 512, "nesting": 100});
        let pattern = json!({"protocol": 1, "limits": limits, "resumed": null});
        assert!(matches(&pattern, &first.hello), "{}", first.hello);
        assert!(first.hello["server"].as_str().unwrap().starts_with("topicsync "));
        assert!(first.id > 0 && second.id > first.id);
        assert_ne!(first.session, second.session);
    }
}

#[tokio::test]
async fn the_client_s_order_of_liking_chooses_the_subprotocol() {
    let server = TestServer::start();
    let cases = [
        (Some(JSON), Some(JSON)),
        (Some(MSGPACK), Some(MSGPACK)),
        (Some("topicsync.v1.json, topicsync.v1.msgpack"), Some(JSON)),
        (Some("topicsync.v1.msgpack, topicsync.v1.json"), Some(MSGPACK)),
        (Some("mqtt, topicsync.v1.msgpack"), Some(MSGPACK)),
        (None, None),
    ];
    for (offered, chosen) in cases {
        let (_, response) = open(server.address, offered, None).await;
        let answered = response.headers().get("sec-websocket-protocol");
        assert_eq!(answered.map(|it| it.to_str().unwrap()), chosen, "{offered:?}");
    }
}

#[tokio::test]
async fn an_unknown_subprotocol_means_json_and_none() {
    // The library refuses an answer without the subprotocol that it offered: this goes by hand.
    let server = TestServer::start();
    let answer = raw_exchange(
        server.address,
        format!("{}Sec-WebSocket-Protocol: mqtt\r\n\r\n", HANDSHAKE).as_bytes(),
        |answer| answer.windows(9).any(|it| it == b"\"nesting\""),
    )
    .await;
    let answer = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(!answer.contains("sec-websocket-protocol"), "{answer}");
    assert!(answer.contains("\"type\":\"hello\""), "{answer}");
}

#[tokio::test]
async fn the_other_kind_of_frame_is_malformed_and_the_connection_goes_on() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let mut client = server.client_in(encoding).await;
        let wrong = match encoding {
            Encoding::Json => Message::binary(vec![0x80]),
            Encoding::MessagePack => Message::text("{}"),
        };
        client.send_frame(wrong).await;
        client.expect_type("error", json!({"code": "malformed"})).await;
        client.check_works().await;
    }
}

#[tokio::test]
async fn arrays_hold_messages_in_order_both_ways() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let mut client = server.client_in(encoding).await;
        let topic_name = format!("{encoding:?}");
        client.subscribe(&topic_name, "int").await;
        let add = |n: u64| {
            let change = json!({"type": "add", "value": n});
            json!({"type": "update", "content": {"topic_name": topic_name, "change": change}})
        };
        client.send_json(json!([add(1), {"type": "what"}, add(2), add(3), 7])).await;
        client.expect_type("error", json!({"code": "unknown_type"})).await;
        client.expect_type("error", json!({"code": "malformed"})).await;
        // What came together is published together.
        let frame = loop {
            use futures_util::StreamExt;
            match within(client.socket.next()).await.unwrap().unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                frame => break frame,
            }
        };
        let frame: serde_json::Value = match encoding {
            Encoding::Json => serde_json::from_str(frame.to_text().unwrap()).unwrap(),
            Encoding::MessagePack => rmp_serde::from_slice(&frame.into_data()).unwrap(),
        };
        let values: Vec<_> = frame
            .as_array()
            .expect("an array")
            .iter()
            .map(|it| it["content"]["change"]["value"].as_u64().unwrap())
            .collect();
        assert_eq!(values, [1, 2, 3]);
        // An array may be empty, and has no answer.
        client.send_json(json!([])).await;
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn without_a_subprotocol_a_frame_holds_one_message() {
    let server = TestServer::start();
    let mut client = Client::connect_with(server.address, Encoding::Json, None, None).await;
    client
        .send_json(json!([{"type": "subscribe", "content": {"topic_name": "a", "type": "int"}}]))
        .await;
    client.expect_type("error", json!({"code": "malformed"})).await;
    client.subscribe("a", "int").await;
    // What another publishes together comes one by one.
    let mut other = server.client().await;
    let add = json!({"type": "update", "content":
        {"topic_name": "a", "change": {"type": "add", "value": 1}}});
    other.send_json(json!([add, add, add])).await;
    for version in 1..=3 {
        let frame =
            within(futures_util::StreamExt::next(&mut client.socket)).await.unwrap().unwrap();
        let message: serde_json::Value = serde_json::from_str(frame.to_text().unwrap()).unwrap();
        assert_eq!(message["content"]["version"], version, "{message}");
    }
}

#[tokio::test]
async fn unknown_types_are_errors_and_unknown_fields_are_ignored() {
    let server = TestServer::start();
    for encoding in Encoding::ALL {
        let mut client = server.client_in(encoding).await;
        client.send("fly", json!({"topic_name": "a", "request_id": "r"})).await;
        let repeated =
            json!({"code": "unknown_type", "to": "fly", "topic_name": "a", "request_id": "r"});
        client.expect_type("error", repeated).await;
        client.send_json(json!({"content": {}})).await;
        client.expect_type("error", json!({"code": "malformed"})).await;
        client
            .send_json(json!({"type": "subscribe", "later": [1], "content":
                {"topic_name": "a", "type": "int", "mood": {"x": 1}}}))
            .await;
        client.expect_type("subscribed", json!({"topic_name": "a"})).await;
    }
}
