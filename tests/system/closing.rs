//! How connections end: close codes, and peers that fall silent.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use topicsync::server::ServerConfig;

use super::common::*;

#[tokio::test]
async fn a_frame_over_the_limit_is_answered_with_1009() {
    let config = ServerConfig { message_bytes_max: 100_000, ..ServerConfig::default() };
    let server = TestServer::with(config);
    let mut other = server.client().await;
    for encoding in Encoding::ALL {
        for len in [100_001, 10_000_000] {
            let mut client = server.client_in(encoding).await;
            let frame = match encoding {
                Encoding::Json => Message::text("x".repeat(len)),
                Encoding::MessagePack => Message::binary(vec![0; len]),
            };
            // The server may hang up while we are still writing, but not before its word is out.
            use futures_util::SinkExt;
            let _ = within(client.socket.send(frame)).await;
            assert_eq!(client.expect_close().await.0, 1009);
            // The session is there to be resumed.
            client.resumed(&server).await.check_works().await;
        }
        // As large as may be is taken.
        let mut client = server.client_in(encoding).await;
        client.subscribe("a", "string").await;
        let value = "x".repeat(99_000);
        client.changed("a", json!({"type": "set", "value": value})).await;
        other.check_works().await;
    }
}

#[tokio::test]
async fn a_full_server_answers_with_1013() {
    let config = ServerConfig { sessions_max: 2, ..ServerConfig::default() };
    let server = TestServer::with(config);
    let (mut first, mut second) = server.two_clients().await;
    let (mut socket, _) = open(server.address, None, None).await;
    match within(futures_util::StreamExt::next(&mut socket)).await {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), 1013),
        other => panic!("{other:?}"),
    }
    first.check_works().await;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
    second.close(CloseCode::Normal).await;
    until("there is room", async || server.hub.sessions().len() < 2).await;
    server.client().await.check_works().await;
}

#[tokio::test]
async fn going_down_is_told_with_1001_after_what_waits() {
    let server = TestServer::start();
    let mut clients = Vec::new();
    for encoding in Encoding::ALL {
        clients.push(server.client_in(encoding).await);
    }
    for client in &mut clients {
        client.subscribe("a", "int").await;
    }
    let id = clients[0].change("a", json!({"type": "add", "value": 1})).await;
    for client in &mut clients {
        client.skip_to(json!({"content": {"change": {"id": id}}})).await;
    }
    let address = server.address;
    let stopping = server.stopping();
    for client in &mut clients {
        assert_eq!(client.expect_close().await.0, 1001);
    }
    drop(clients);
    within(stopping).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_server_with_nobody_on_it_stops_at_once() {
    let server = TestServer::start();
    drop(server.client().await.vanish());
    let start = Instant::now();
    server.stop().await;
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn over_the_rate_for_too_long_is_answered_with_1008() {
    let config = ServerConfig { messages_per_second_max: 100, ..ServerConfig::default() };
    let server = TestServer::with(config);
    // One floods with messages, one with frames that are none; one comes in bursts below the limit.
    let flood = async |frame: &'static str| {
        let mut client = server.client().await;
        let start = Instant::now();
        loop {
            use futures_util::SinkExt;
            let burst = async {
                for _ in 0..40 {
                    client.socket.feed(Message::text(frame)).await?;
                }
                client.socket.flush().await
            };
            if burst.await.is_err() || start.elapsed() > Duration::from_secs(15) {
                break;
            }
            if let Ok(closed) =
                tokio::time::timeout(Duration::from_millis(200), client.expect_close()).await
            {
                assert_eq!(closed.0, 1008);
                return start.elapsed();
            }
        }
        panic!("it was never closed, or not told why");
    };
    let bursts = async {
        let mut client = server.client().await;
        for _ in 0..11 {
            for _ in 0..50 {
                use futures_util::SinkExt;
                client
                    .socket
                    .feed(Message::text(r#"{"type":"unsubscribe","content":{"topic_name":"a"}}"#))
                    .await
                    .unwrap();
            }
            client.drain().await;
            tokio::time::sleep(Duration::from_millis(1050)).await;
        }
        client.drain().await;
    };
    let known = r#"{"type":"unsubscribe","content":{"topic_name":"a"}}"#;
    let (messages, garbage, ()) = tokio::join!(flood(known), flood("garbage"), bursts);
    for elapsed in [messages, garbage] {
        assert!(elapsed >= Duration::from_secs(9), "{elapsed:?}");
    }
}

#[tokio::test]
async fn pings_come_and_who_answers_stays() {
    let config = ServerConfig {
        ping_interval: Duration::from_millis(50),
        silence_max: Duration::from_millis(2_000),
        ..ServerConfig::default()
    };
    let server = TestServer::with(config);
    let mut client = server.client().await;
    let start = Instant::now();
    let mut pings = 0;
    while start.elapsed() < Duration::from_millis(3_000) {
        match within(futures_util::StreamExt::next(&mut client.socket)).await {
            Some(Ok(Message::Ping(_))) => pings += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(pings >= 5);
    client.check_works().await;
}

#[tokio::test]
async fn who_is_silent_for_too_long_is_gone_and_can_resume() {
    let config = ServerConfig {
        ping_interval: Duration::from_millis(50),
        silence_max: Duration::from_millis(200),
        ..ServerConfig::default()
    };
    let server = TestServer::with(config);
    // It does not read, so it answers no ping.
    let client = server.client().await;
    until("it is gone", async || server.hub.counters().connections.get() == 0).await;
    assert_eq!(server.hub.sessions().len(), 1);
    client.vanish().resumed(&server).await.check_works().await;
}

#[tokio::test]
async fn an_older_connection_that_does_not_read_is_ended_all_the_same() {
    let server = TestServer::start();
    let mut older = server.slow_client(Encoding::MessagePack).await;
    let mut other = server.client().await;
    older.stop_reading(&mut other).await;
    let newer = older.resumed(&server).await;
    // Long before a ping finds it out.
    until("the older connection is gone", async || server.hub.counters().connections.get() == 2)
        .await;
    drop((newer, other));
}
