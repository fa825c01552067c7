//! One WebSocket: pumps frames between it and a connection of the session core, pings, and closes.
//!
//! One task owns the socket. It never waits for the socket to take what it writes before it looks at
//! what comes in, and never reads more while too many answers wait to be written. Messages that came in
//! together are decided together, and published together after every other connection had its turn to
//! add to the same group: load makes frames larger, not more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Duration, Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as WebSocketFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::peer::AnyPeer;
use super::rate::RateLimit;
use super::shared::Shared;
use crate::protocol::Encoding;
use crate::session::{Connection, End, Frame, Refused};

/// From how many messages on that are not handled yet no more frames are read.
const INBOX_MESSAGES_MAX: usize = 256;
/// How many frames are read before what they led to is published.
const FRAMES_A_TURN: usize = 64;
/// How many bytes are handed to the socket before it is flushed.
const WRITE_BYTES_MAX: usize = 256 << 10;
/// How long a peer has to take our last words.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A socket and its connection.
struct Pump<S> {
    shared: Arc<Shared>,
    socket: WebSocketStream<S>,
    connection: Connection<AnyPeer>,
    /// Something was handed to the socket and is not flushed.
    flushing: bool,
    last_heard: Instant,
    timer: Pin<Box<Sleep>>,
    rate: RateLimit,
}

/// Why a connection is over.
#[derive(Debug)]
enum Over {
    /// The peer closed with this code, if with any: the library has answered.
    Closed(Option<CloseCode>),
    /// The socket broke, or the peer is silent.
    Lost,
    /// We close, with this code and reason.
    Close(CloseCode, &'static str),
}

/// What a connection waits for.
enum Event {
    Incoming(Message),
    /// More messages to handle.
    Inbox,
    Work,
    Timer,
    Over(Over),
}

/// Serves one client from its first frame to its last.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    shared: Arc<Shared>,
    socket: WebSocketStream<S>,
    subprotocol: Option<Encoding>,
) {
    let peer = AnyPeer::new(subprotocol, &shared.v0_13);
    let Some(connection) = Connection::open(&shared.hub, peer, shared.now()) else {
        return close(socket, CloseCode::Again, "the server is full").await;
    };
    let timer = Box::pin(tokio::time::sleep(shared.config.ping_interval));
    let rate = RateLimit::new(shared.config.messages_per_second_max);
    let last_heard = Instant::now();
    let mut pump = Pump { shared, socket, connection, flushing: false, last_heard, timer, rate };
    let over = pump.run().await;
    pump.finish(over).await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pump<S> {
    async fn run(&mut self) -> Over {
        loop {
            self.connection.handle(self.shared.now());
            if self.connection.has_unpublished() {
                // Others that have something to say on the same topics come first: it goes out in one.
                tokio::task::yield_now().await;
                self.connection.publish();
            }
            let over = match std::future::poll_fn(|context| self.poll_event(context)).await {
                Event::Incoming(message) => self.read(message),
                Event::Inbox => Ok(()),
                Event::Work => self.write(),
                Event::Timer => self.keep_alive(),
                Event::Over(over) => Err(over),
            };
            if let Err(over) = over {
                return over;
            }
        }
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if self.flushing {
            match Pin::new(&mut self.socket).poll_flush(context) {
                Poll::Ready(Ok(())) => self.flushing = false,
                Poll::Ready(Err(_)) => return Poll::Ready(Event::Over(Over::Lost)),
                Poll::Pending => {}
            }
        }
        // Asked also while the socket takes no more: the end of the connection may come.
        let work = self.connection.poll_work(context.waker());
        if work && (!self.flushing || self.connection.ending() == Some(End::Resumed)) {
            return Poll::Ready(Event::Work);
        }
        let full = self.connection.outbox().is_full();
        if self.connection.inbox_len() > 0 && !full {
            // More to handle, after others had their turn.
            context.waker().wake_by_ref();
            return Poll::Ready(Event::Inbox);
        }
        if self.connection.inbox_len() == 0 && !full {
            match Pin::new(&mut self.socket).poll_next(context) {
                Poll::Ready(Some(Ok(message))) => return Poll::Ready(Event::Incoming(message)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Event::Over(over(error))),
                Poll::Ready(None) => return Poll::Ready(Event::Over(Over::Lost)),
                Poll::Pending => {}
            }
        }
        self.timer.as_mut().poll(context).map(|()| Event::Timer)
    }

    /// Takes a message in, and with it all that has come by now.
    fn read(&mut self, first: Message) -> Result<(), Over> {
        self.last_heard = Instant::now();
        self.take_in(first)?;
        for _ in 0..FRAMES_A_TURN {
            if self.connection.inbox_len() >= INBOX_MESSAGES_MAX {
                break;
            }
            let mut context = Context::from_waker(std::task::Waker::noop());
            match Pin::new(&mut self.socket).poll_next(&mut context) {
                Poll::Ready(Some(Ok(message))) => self.take_in(message)?,
                Poll::Ready(Some(Err(error))) => return Err(over(error)),
                Poll::Ready(None) => return Err(Over::Lost),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn take_in(&mut self, message: Message) -> Result<(), Over> {
        let frame = match message {
            Message::Text(text) => Frame::Text(text.into()),
            Message::Binary(bytes) => Frame::Binary(bytes),
            Message::Close(frame) => return Err(Over::Closed(frame.map(|frame| frame.code))),
            // The library answers pings; that has to be flushed.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {
                self.flushing = true;
                return Ok(());
            }
        };
        let messages = self.connection.receive(frame).map_err(|refused| match refused {
            Refused::NotUtf8 => Over::Close(CloseCode::Invalid, "the text is not UTF-8"),
            Refused::NoMessage => {
                Over::Close(CloseCode::Normal, "a message is an object with type and args")
            }
        })?;
        match self.rate.is_exceeded(messages) {
            true => Err(Over::Close(CloseCode::Policy, "too many messages for too long")),
            false => Ok(()),
        }
    }

    /// Hands to the socket what waits for it, as far as it goes out in one flush.
    fn write(&mut self) -> Result<(), Over> {
        let mut handed = 0;
        while handed < WRITE_BYTES_MAX {
            let Some(frame) = self.connection.poll_outgoing() else {
                // All is written that is to be, if the connection is to end at all.
                return match self.connection.ending() {
                    None => Ok(()),
                    Some(End::Resumed) => Err(Over::Close(
                        CloseCode::Library(4001),
                        "the session was resumed elsewhere",
                    )),
                    Some(End::GoingDown) => {
                        Err(Over::Close(CloseCode::Away, "the server is going down"))
                    }
                };
            };
            handed += frame.len();
            self.send(message_of(frame))?;
        }
        Ok(())
    }

    /// Hands a message to the socket's buffer.
    fn send(&mut self, message: Message) -> Result<(), Over> {
        self.flushing = true;
        Pin::new(&mut self.socket).start_send(message).map_err(|_| Over::Lost)
    }

    /// Pings, and finds out whether the peer is still there.
    fn keep_alive(&mut self) -> Result<(), Over> {
        let config = &self.shared.config;
        if self.last_heard.elapsed() > config.silence_max {
            return Err(Over::Lost);
        }
        self.timer.as_mut().reset(Instant::now() + config.ping_interval);
        if self.flushing {
            // The peer does not read; a ping more would only lie behind the rest.
            return Ok(());
        }
        self.send(Message::Ping(Bytes::new()))
    }

    async fn finish(self, over: Over) {
        let Pump { shared, mut socket, connection, .. } = self;
        let goodbye = matches!(over, Over::Closed(Some(CloseCode::Normal)));
        connection.close(shared.now(), goodbye);
        match over {
            Over::Close(code, reason) => close(socket, code, reason).await,
            // The library has answered the peer's close frame, if there was one.
            Over::Closed(_) | Over::Lost => {
                let flush =
                    std::future::poll_fn(|context| Pin::new(&mut socket).poll_close(context));
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, flush).await;
            }
        }
    }
}

/// A frame as the library takes it. Of text, it is known to be UTF-8.
fn message_of(frame: Frame) -> Message {
    let (bytes, kind) = match frame {
        Frame::Text(bytes) => (bytes, Data::Text),
        Frame::Binary(bytes) => (bytes, Data::Binary),
    };
    Message::Frame(WebSocketFrame::message(bytes, OpCode::Data(kind), true))
}

/// What an error of the socket means.
fn over(error: Error) -> Over {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Over::Close(CloseCode::Size, "the frame is over the size limit")
        }
        Error::Utf8(_) => Over::Close(CloseCode::Invalid, "the text is not UTF-8"),
        Error::Protocol(_) => Over::Close(CloseCode::Protocol, "that is not WebSocket"),
        _ => Over::Lost,
    }
}

/// Says why, and gives the peer a moment to read it: a socket that is closed with input unread is
/// reset, and a reset overtakes what was written. Over as soon as the peer has answered.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    code: CloseCode,
    reason: &'static str,
) {
    let farewell = async {
        let frame = CloseFrame { code, reason: reason.into() };
        if socket.close(Some(frame)).await.is_err() {
            return;
        }
        // What the peer still sends is read and thrown away, up to its own Close.
        loop {
            match std::future::poll_fn(|context| Pin::new(&mut socket).poll_next(context)).await {
                Some(Ok(_)) => {}
                None | Some(Err(Error::ConnectionClosed)) => return,
                // What it sends is no WebSocket any more, or too long: read on as bytes.
                Some(Err(_)) => break,
            }
        }
        // On the heap: every connection's future would carry it.
        let mut ignored = vec![0; 4096];
        while let Ok(1..) = socket.get_mut().read(&mut ignored).await {}
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
}
