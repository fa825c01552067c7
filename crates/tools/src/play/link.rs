//! The socket under a replica that is moved by hand: messages go and come when they are told to.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use topicsync::protocol::{ClientMessage, Encoding, ServerMessage, encode};
use topicsync::protocol::{Frame, decode_binary, decode_text};

use super::{Result, due};

pub struct Link {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    encoding: Encoding,
}

impl Link {
    pub async fn connect(url: &str, encoding: Encoding) -> Result<Link> {
        let mut request = url.into_client_request()?;
        let offered = HeaderValue::from_static(encoding.subprotocol());
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offered);
        let attempt = connect_async_with_config(request, None, true);
        let (socket, _) = due("a connection", attempt).await??;
        Ok(Link { socket, encoding })
    }

    pub async fn send(&mut self, message: &ClientMessage) -> Result<()> {
        let bytes = encode(message, self.encoding);
        let frame = match self.encoding {
            Encoding::Json => Message::text(String::from_utf8(bytes)?),
            Encoding::MessagePack => Message::binary(bytes),
        };
        Ok(self.socket.send(frame).await?)
    }

    /// The messages of the next frame.
    pub async fn receive(&mut self) -> Result<Vec<ServerMessage>> {
        let mut messages = Vec::new();
        for raw in self.receive_frame().await? {
            let read = raw.server();
            messages.push(read.map_err(|malformed| format!("the server sent {malformed:?}"))?);
        }
        Ok(messages)
    }

    async fn receive_frame(&mut self) -> Result<Frame> {
        loop {
            return match due("an answer", self.socket.next()).await? {
                Some(Ok(Message::Text(text))) => Ok(decode_text(&text)?),
                Some(Ok(Message::Binary(bytes))) => Ok(decode_binary(&bytes)?),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                ended => Err(format!("the connection ended with {ended:?}").into()),
            };
        }
    }

    pub async fn close(mut self) -> Result<()> {
        Ok(self.socket.close(None).await?)
    }
}
