//! The pages of the port: the WebSocket on any path, `/healthz` and `/metrics`.
//!
//! The upgrade is our own rather than `warp::ws()`, whose read buffer of 128 KiB a connection cannot be
//! set, and which does not negotiate subprotocols.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, Response, StatusCode, header};
use warp::{Filter, Reply};

use super::shared::Shared;
use super::{metrics, socket};
use crate::protocol::Encoding;

/// Small buffers: they are most of what an idle connection costs. A burst is read in several gulps.
const READ_BUFFER_BYTES: usize = 4 << 10;
const WRITE_BUFFER_BYTES: usize = 64 << 10;

type Page = Response<String>;

/// Everything that the port answers.
pub(super) fn routes(shared: Arc<Shared>) -> BoxedFilter<(impl Reply,)> {
    let with_shared = warp::any().map(move || shared.clone());
    let websocket = warp::get()
        .and(warp::header::headers_cloned())
        .and(warp::ext::get::<OnUpgrade>())
        .and(with_shared.clone())
        .and_then(async |headers: HeaderMap, on_upgrade: OnUpgrade, shared: Arc<Shared>| {
            upgrade(&headers, on_upgrade, shared).ok_or_else(warp::reject::not_found)
        });
    let health =
        warp::path!("healthz").and(with_shared.clone()).map(|shared: Arc<Shared>| {
            match (shared.hub.is_going_down(), shared.hub.engine().unavailable()) {
                (true, _) => page(StatusCode::SERVICE_UNAVAILABLE, "going down\n".into()),
                (false, Some(reason)) => {
                    page(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n"))
                }
                (false, None) => page(StatusCode::OK, "ok\n".into()),
            }
        });
    let metrics = warp::path!("metrics").and(with_shared).map(|shared: Arc<Shared>| {
        let mut page = page(StatusCode::OK, metrics::text(&shared.hub));
        let format = header::HeaderValue::from_static("text/plain; version=0.0.4");
        page.headers_mut().insert(header::CONTENT_TYPE, format);
        page
    });
    let other = warp::any().map(|| {
        let words = "This is a topicsync server. Connect with a WebSocket.\n";
        let mut page = page(StatusCode::UPGRADE_REQUIRED, words.into());
        page.headers_mut().insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
        page
    });
    websocket.or(health).unify().or(metrics).unify().or(other).unify().boxed()
}

fn page(status: StatusCode, text: String) -> Page {
    let mut page = Response::new(text);
    *page.status_mut() = status;
    page
}

/// Answers a WebSocket handshake, and serves the connection once it is through. `None` if it is none.
fn upgrade(headers: &HeaderMap, on_upgrade: OnUpgrade, shared: Arc<Shared>) -> Option<Page> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_websocket = text(header::UPGRADE)?.eq_ignore_ascii_case("websocket");
    let key = text(header::SEC_WEBSOCKET_KEY).filter(|_| is_websocket)?;
    if text(header::SEC_WEBSOCKET_VERSION) != Some("13") {
        let mut page =
            page(StatusCode::BAD_REQUEST, "WebSocket version 13 is spoken here\n".into());
        let version = header::HeaderValue::from_static("13");
        page.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, version);
        return Some(page);
    }
    if shared.hub.is_going_down() {
        return Some(page(StatusCode::SERVICE_UNAVAILABLE, "going down\n".into()));
    }
    // Several headers of this name are one list.
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let subprotocol = offered.filter_map(|it| it.to_str().ok()).find_map(Encoding::negotiate);

    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::UPGRADE, "websocket")
        .header(header::CONNECTION, "upgrade")
        .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()));
    let response = match subprotocol {
        Some(encoding) => response.header(header::SEC_WEBSOCKET_PROTOCOL, encoding.subprotocol()),
        None => response,
    };
    let tasks = shared.tasks.clone();
    tasks.spawn(serve(shared, on_upgrade, subprotocol));
    // Status and headers are our own, and valid.
    Some(response.body(String::new()).expect("a valid response"))
}

async fn serve(shared: Arc<Shared>, on_upgrade: OnUpgrade, subprotocol: Option<Encoding>) {
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "the upgrade failed");
            return;
        }
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(shared.config.message_bytes_max))
        .max_frame_size(Some(shared.config.message_bytes_max));
    let io = TokioIo::new(upgraded);
    let websocket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
    // The future of a connection is large; those that wait for their upgrade need not carry it.
    Box::pin(socket::serve(shared, websocket, subprotocol)).await;
}
