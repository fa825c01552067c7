//! The pages that the port has beside the socket.

use std::net::SocketAddr;

use super::common::*;

async fn get(address: SocketAddr, request: &str) -> String {
    let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    String::from_utf8(raw_exchange(address, request.as_bytes(), |_| false).await).unwrap()
}

#[tokio::test]
async fn the_port_has_pages_beside_the_socket() {
    let server = TestServer::start();
    let mut client = server.client().await;
    client.check_works().await;
    let health = get(server.address, "GET /healthz").await;
    assert!(health.starts_with("HTTP/1.1 200") && health.ends_with("ok\n"), "{health}");
    let metrics = get(server.address, "GET /metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200"));
    assert!(metrics.contains("text/plain; version=0.0.4"));
    for line in [
        "topicsync_sessions 1",
        "topicsync_changes_total 1",
        "topicsync_rejects_total{code=\"stale\"} 0",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}: {metrics}");
    }
    for request in ["GET /", "GET /any/path", "POST /", "GET /healthz/x"] {
        let page = get(server.address, request).await;
        assert!(page.starts_with("HTTP/1.1 426"), "{request}: {page}");
        assert!(page.to_lowercase().contains("upgrade: websocket"));
        assert!(page.contains("Connect with a WebSocket"));
    }
    client.check_works().await;
}
