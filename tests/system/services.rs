//! Services: who provides them, who may answer, and what becomes of a request.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use topicsync::server::ServerConfig;

use super::common::*;

async fn register(client: &mut Client, service_name: &str) {
    client.send("register_service", json!({"service_name": service_name})).await;
    client.expect_type("registered", json!({"service_name": service_name})).await;
}

async fn request(client: &mut Client, service_name: &str, request_id: &str) {
    let content = json!({"service_name": service_name, "args": {"n": 1}, "request_id": request_id});
    client.send("request", content).await;
}

#[tokio::test]
async fn a_request_goes_to_the_provider_and_its_answer_back() {
    let server = TestServer::start();
    for (provider, requester) in [
        (Encoding::Json, Encoding::Json),
        (Encoding::Json, Encoding::MessagePack),
        (Encoding::MessagePack, Encoding::Json),
    ] {
        let (mut provider, mut requester) =
            (server.client_in(provider).await, server.client_in(requester).await);
        register(&mut provider, "solve").await;
        // Who has it may register it again.
        register(&mut provider, "solve").await;
        request(&mut requester, "solve", "4_10").await;
        let passed = json!({"service_name": "solve", "args": {"n": 1}, "client_id": requester.id});
        let asked = provider.expect_type("request", passed).await;
        let answer = json!({"request_id": asked["request_id"], "response": {"ok": [1.5, null]}});
        provider.send("response", answer).await;
        let answer = json!({"request_id": "4_10", "response": {"ok": [1.5, null]}, "error": null});
        requester.expect_type("response", answer).await;
        // A failure passes.
        request(&mut requester, "solve", "4_11").await;
        let asked = provider.expect_type("request", json!({})).await;
        let error = json!({"code": "failed", "reason": "no solution"});
        provider.send("response", json!({"request_id": asked["request_id"], "error": error})).await;
        requester.expect_type("response", json!({"request_id": "4_11", "error": error})).await;
        provider.close(CloseCode::Normal).await;
        until("the service is free", async || server.hub.services_and_requests().0 == 0).await;
    }
}

#[tokio::test]
async fn a_service_has_one_provider() {
    let server = TestServer::start();
    let (mut first, mut second) = server.two_clients().await;
    register(&mut first, "solve").await;
    second.send("register_service", json!({"service_name": "solve"})).await;
    let taken = json!({"code": "service_taken", "service_name": "solve", "to": "register_service"});
    second.expect_type("error", taken).await;
    // To unregister what one has not is answered all the same, and takes nothing from who has it.
    for name in ["solve", "never there"] {
        second.send("unregister_service", json!({"service_name": name})).await;
        second.expect_type("unregistered", json!({"service_name": name})).await;
    }
    request(&mut second, "solve", "r").await;
    first.expect_type("request", json!({})).await;
    first.send("unregister_service", json!({"service_name": "solve"})).await;
    first.expect_type("unregistered", json!({"service_name": "solve"})).await;
    register(&mut second, "solve").await;
    second.send("register_service", json!({"service_name": "_topicsync/x"})).await;
    second.expect_type("error", json!({"code": "forbidden"})).await;
    for name in [json!(""), json!("a\nb"), json!(7), json!("x".repeat(513))] {
        second.send("register_service", json!({"service_name": name})).await;
        second.expect_type("error", json!({"code": "malformed"})).await;
    }
}

#[tokio::test]
async fn nobody_s_service_is_answered_with_no_such_service() {
    let server = TestServer::start();
    let mut client = server.client().await;
    for name in ["solve", "_topicsync/nothing", "_topicsync/"] {
        let answer = client.call(name, json!({})).await;
        assert_eq!(answer["error"]["code"], "no_such_service");
    }
    client.send("request", json!({"service_name": "solve"})).await;
    client
        .expect_type(
            "error",
            json!({"code": "malformed", "to": "request", "service_name": "solve"}),
        )
        .await;
}

#[tokio::test]
async fn a_request_waits_as_long_as_it_says_or_as_the_server_does() {
    let config =
        ServerConfig { request_timeout: Duration::from_millis(300), ..ServerConfig::default() };
    let server = TestServer::with(config);
    let (mut provider, mut requester) = server.two_clients().await;
    register(&mut provider, "slow").await;
    for (timeout_ms, least) in [(json!(null), 300), (json!(100), 100), (json!(0), 0)] {
        let content = json!({"service_name": "slow", "request_id": "r", "timeout_ms": timeout_ms});
        let start = Instant::now();
        requester.send("request", content).await;
        let timeout = json!({"request_id": "r", "error": {"code": "timeout"}});
        requester.expect_type("response", timeout).await;
        assert!(start.elapsed() >= Duration::from_millis(least));
        let asked = provider.expect_type("request", json!({})).await;
        // An answer that comes too late leads nowhere.
        provider.send("response", json!({"request_id": asked["request_id"], "response": 1})).await;
        let late = json!({"code": "invalid", "to": "response", "request_id": asked["request_id"]});
        provider.expect_type("error", late).await;
    }
    requester.expect_nothing().await;
}

#[tokio::test]
async fn when_the_provider_s_session_ends_who_waits_is_told() {
    let server = TestServer::start();
    let (mut provider, mut requester) = server.two_clients().await;
    register(&mut provider, "solve").await;
    request(&mut requester, "solve", "r").await;
    provider.expect_type("request", json!({})).await;
    provider.close(CloseCode::Normal).await;
    let left = json!({"request_id": "r", "error": {"code": "provider_left"}});
    requester.expect_type("response", left).await;
    let answer = requester.call("solve", json!({})).await;
    assert_eq!(answer["error"]["code"], "no_such_service");
}

#[tokio::test]
async fn two_clients_may_use_one_request_id() {
    let server = TestServer::start();
    let mut provider = server.client().await;
    let (mut a, mut b) = server.two_clients().await;
    register(&mut provider, "who").await;
    request(&mut a, "who", "same").await;
    let for_a = provider.expect_type("request", json!({"client_id": a.id})).await;
    request(&mut b, "who", "same").await;
    let for_b = provider.expect_type("request", json!({"client_id": b.id})).await;
    assert_ne!(for_a["request_id"], for_b["request_id"]);
    for (asked, answer) in [(for_b, "b"), (for_a, "a")] {
        let content = json!({"request_id": asked["request_id"], "response": answer});
        provider.send("response", content).await;
    }
    a.expect_type("response", json!({"request_id": "same", "response": "a"})).await;
    b.expect_type("response", json!({"request_id": "same", "response": "b"})).await;
}

#[tokio::test]
async fn only_the_provider_can_answer_and_only_once() {
    let server = TestServer::start();
    let mut provider = server.client().await;
    let (mut requester, mut stranger) = server.two_clients().await;
    register(&mut provider, "solve").await;
    request(&mut requester, "solve", "r").await;
    let asked = provider.expect_type("request", json!({})).await;
    let answer = json!({"request_id": asked["request_id"], "response": "forged"});
    for forger in [&mut stranger, &mut requester] {
        forger.send("response", answer.clone()).await;
        forger.expect_type("error", json!({"code": "invalid", "to": "response"})).await;
    }
    let answer = with(answer, json!({"response": "true"}));
    provider.send("response", answer.clone()).await;
    requester.expect_type("response", json!({"response": "true"})).await;
    provider.send("response", answer).await;
    provider
        .expect_type("error", json!({"code": "invalid", "request_id": asked["request_id"]}))
        .await;
    requester.expect_nothing().await;
}

#[tokio::test]
async fn a_client_can_ask_itself() {
    let server = TestServer::start();
    let mut client = server.client().await;
    register(&mut client, "echo").await;
    request(&mut client, "echo", "r").await;
    let asked = client.expect_type("request", json!({"client_id": client.id})).await;
    client.send("response", json!({"request_id": asked["request_id"], "response": null})).await;
    client
        .expect_type("response", json!({"request_id": "r", "response": null, "error": null}))
        .await;
}

#[tokio::test]

async fn requests_that_wait_are_bounded() {
    let server = TestServer::start();
    let mut client = server.client().await;
    register(&mut client, "silence").await;
    for chunk in 0..10 {
        let messages: Vec<_> = (0..5_000)
            .map(|number| {
                let content = json!({"service_name": "silence", "timeout_ms": 3_600_000,
                    "request_id": format!("{chunk} {number}")});
                json!({"type": "request", "content": content})
            })
            .collect();
        client.send_json(json!(messages)).await;
        let came = client.drain().await;
        if came.iter().any(|it| !it["content"]["error"].is_null()) {
            return;
        }
    }
    panic!("50,000 requests wait for one session");
}
