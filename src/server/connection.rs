//! One WebSocket connection: reads frames, hands their messages on, writes what waits in its outbox.
//!
//! One task owns the socket. It never waits for the socket to take what it writes before it looks at
//! what comes in, and never reads more while too many answers wait to be written. Messages that came in
//! together are decided together, and published together after every other connection had its turn to
//! add to the same group: load makes frames larger, not more.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use foldhash::{HashMap, HashSet};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Duration, Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::dialect::{self, Speaker};
use super::hub::Hub;
use super::outbox::{End, Outbox, Outgoing, Work};
use super::rate::RateLimit;
use super::session::Session;
use super::wire::EncodedFrame;
use crate::engine::{CatchUp, Group, Item, Subscriber, TopicCell};
use crate::exchange::subscribed_message;
use crate::protocol::decode::{Frame, FrameError, RawMessage, decode_binary, decode_text};
use crate::protocol::dialect::Said;
use crate::protocol::message::{ErrorMessage, Hello};
use crate::protocol::{Encoding, ErrorCode, ServerMessage};
use crate::topic::{TopicName, Version};
use crate::value::{Dict, Value, limits};

/// How many messages are handled before others have their turn.
const MESSAGES_A_TURN: usize = 256;
/// How many frames are read before what they led to is published.
const FRAMES_A_TURN: usize = 64;
/// How many bytes are handed to the socket before it is flushed.
const WRITE_BYTES_MAX: usize = 256 << 10;
/// Up to how many bytes missing changes are sent without a look at whether a snapshot is shorter.
const MISSED_BYTES_ALWAYS: usize = 64 << 10;
/// How long a peer has to take our last words.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// One client's connection.
pub struct Connection<S> {
    pub(super) hub: Arc<Hub>,
    pub(super) session: Arc<Session>,
    pub(super) outbox: Arc<Outbox>,
    socket: WebSocketStream<S>,
    /// Whether a frame may hold many messages: a subprotocol was agreed on.
    arrays: bool,
    encoding: Encoding,
    /// What is subscribed to, and the version of each that was last written to the socket: where the
    /// connection picks up when it was lagging.
    subscriptions: HashMap<TopicName, Subscription>,
    /// What will be subscribed to once the outbox is written.
    pub(super) subscribed: HashSet<TopicName>,
    /// Read, and not yet handled.
    inbox: VecDeque<Read>,
    /// The client's side of the dialect, if it speaks that.
    pub(super) speaker: Option<Speaker>,
    /// No frame has come yet that says which vocabulary the client speaks.
    undecided: bool,
    /// Topics with something to publish.
    pub(super) group: Group,
    /// Whether a message was handled: `resume` can only be the first.
    pub(super) started: bool,
    /// Taken from the outbox, and not yet written.
    taken: VecDeque<Outgoing>,
    /// Bytes that were handed to the socket at this turn.
    handed: usize,
    /// Something was handed to the socket and is not flushed.
    flushing: bool,
    last_heard: Instant,
    timer: Pin<Box<Sleep>>,
    rate: RateLimit,
}

/// A message as it was read.
enum Read {
    Message(RawMessage),
    /// In the dialect.
    Said(Said),
}

struct Subscription {
    topic: Arc<TopicCell>,
    written: Version,
}

/// What brings a subscription up to date.
struct CaughtUp {
    /// The version that it leads to.
    version: Version,
    /// `None` if there is nothing to send.
    frame: Option<EncodedFrame>,
    /// It goes on from what the client had; else it is a snapshot.
    continues: bool,
}

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum Over {
    /// The peer closed, or the socket broke. `goodbye` is a close with code 1000.
    Gone { goodbye: bool },
    /// We close, with this code and reason.
    Close(CloseCode, &'static str),
}

/// What a connection waits for.
enum Event {
    Incoming(Message),
    /// More in the inbox.
    Inbox,
    Work,
    Timer,
    Over(Over),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Serves one client from its first frame to its last.
    pub async fn serve(hub: Arc<Hub>, socket: WebSocketStream<S>, subprotocol: Option<Encoding>) {
        let encoding = subprotocol.unwrap_or(Encoding::Json);
        let queue_bytes_max = hub.config.queue_bytes_max;
        let outbox = |id| Arc::new(Outbox::new(id, encoding, queue_bytes_max));
        let opened = hub.open_session(outbox);
        let Some((session, outbox)) = opened else {
            close(socket, CloseCode::Again, "the server is full").await;
            return;
        };
        hub.metrics.connections.inc();
        let timer = Box::pin(tokio::time::sleep(hub.config.ping_interval));
        let rate = RateLimit::new(hub.config.messages_per_second_max);
        let mut connection = Connection {
            hub,
            session,
            outbox,
            socket,
            arrays: subprotocol.is_some(),
            encoding,
            subscriptions: HashMap::default(),
            subscribed: HashSet::default(),
            inbox: VecDeque::new(),
            speaker: None,
            undecided: subprotocol.is_none(),
            group: Group::default(),
            started: false,
            taken: VecDeque::new(),
            handed: 0,
            flushing: false,
            last_heard: Instant::now(),
            timer,
            rate,
        };
        connection.say_hello(false);
        let over = connection.run().await;
        connection.finish(over).await;
    }

    pub(super) fn say_hello(&self, resumed: bool) {
        let config = &self.hub.config;
        let limits: Dict = [
            ("message_bytes", Value::Int(config.message_bytes_max as i64)),
            ("subscriptions", Value::Int(config.subscriptions_max as i64)),
            ("name_bytes", Value::Int(TopicName::BYTES_MAX as i64)),
            ("nesting", Value::Int(limits::NESTING_MAX as i64)),
        ]
        .into();
        let hello = Hello {
            id: self.session.id,
            session: self.session.token.clone(),
            resumed,
            protocol: 1,
            server: concat!("topicsync ", env!("CARGO_PKG_VERSION")).into(),
            limits,
        };
        match self.arrays {
            true => self.outbox.answer(&ServerMessage::Hello(hello)),
            // It may speak the dialect.
            false => self.outbox.push(Outgoing::Answer(dialect::hello(&hello))),
        }
    }

    /// Goes on with another session, the one that the client had before. `false` if it is over by now.
    pub(super) fn take_over(&mut self, session: Arc<Session>) -> bool {
        let queue_bytes_max = self.hub.config.queue_bytes_max;
        let outbox = Arc::new(Outbox::new(session.id, self.encoding, queue_bytes_max));
        if !session.connect(&outbox) {
            return false;
        }
        let (fresh, unused) = (self.session.clone(), self.outbox.clone());
        (self.session, self.outbox) = (session, outbox);
        self.hub.disconnected(&fresh, &unused, true);
        true
    }

    async fn run(&mut self) -> Over {
        loop {
            self.handle_inbox();
            if !self.group.is_empty() {
                // Others that have something to say on the same topics come first: it goes out in one.
                tokio::task::yield_now().await;
                self.hub.engine.publish(&mut self.group);
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

    /// Handles what was read, as far as there is room for answers.
    fn handle_inbox(&mut self) {
        for _ in 0..MESSAGES_A_TURN {
            if self.outbox.is_full() {
                return;
            }
            match self.inbox.pop_front() {
                None => return,
                Some(Read::Message(message)) => self.handle(message),
                Some(Read::Said(said)) => self.handle_said(said),
            }
        }
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if self.flushing {
            match Pin::new(&mut self.socket).poll_flush(context) {
                Poll::Ready(Ok(())) => self.flushing = false,
                Poll::Ready(Err(_)) => {
                    return Poll::Ready(Event::Over(Over::Gone { goodbye: false }));
                }
                Poll::Pending => {}
            }
        }
        let work = self.outbox.poll_work(context) || !self.taken.is_empty();
        if work && (!self.flushing || self.outbox.ending() == Some(End::Resumed)) {
            return Poll::Ready(Event::Work);
        }
        let full = self.outbox.is_full();
        if !self.inbox.is_empty() && !full {
            // More to handle, after others had their turn.
            context.waker().wake_by_ref();
            return Poll::Ready(Event::Inbox);
        }
        if self.inbox.is_empty() && !full {
            match Pin::new(&mut self.socket).poll_next(context) {
                Poll::Ready(Some(Ok(message))) => return Poll::Ready(Event::Incoming(message)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Event::Over(over(error))),
                Poll::Ready(None) => {
                    return Poll::Ready(Event::Over(Over::Gone { goodbye: false }));
                }
                Poll::Pending => {}
            }
        }
        match self.timer.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Event::Timer),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Takes a message in, and with it all that has come by now.
    fn read(&mut self, first: Message) -> Result<(), Over> {
        self.last_heard = Instant::now();
        self.take_in(first)?;
        for _ in 0..FRAMES_A_TURN {
            if self.inbox.len() >= MESSAGES_A_TURN {
                break;
            }
            let mut context = Context::from_waker(std::task::Waker::noop());
            match Pin::new(&mut self.socket).poll_next(&mut context) {
                Poll::Ready(Some(Ok(message))) => self.take_in(message)?,
                Poll::Ready(Some(Err(error))) => return Err(over(error)),
                Poll::Ready(None) => return Err(Over::Gone { goodbye: false }),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn take_in(&mut self, message: Message) -> Result<(), Over> {
        self.hub.metrics.bytes_in.inc_by(message.len() as u64);
        let is_frame = matches!(message, Message::Text(_) | Message::Binary(_));
        if is_frame && std::mem::take(&mut self.undecided) && dialect::is_spoken(&message) {
            self.outbox.speak_dialect();
            self.speaker = Some(Speaker::default());
        }
        if is_frame && self.speaker.is_some() {
            self.inbox.push_back(Read::Said(dialect::read(&message)?));
            return self.check_rate(1);
        }
        let frame = match (&message, self.encoding) {
            (Message::Text(text), Encoding::Json) => decode_text(text),
            (Message::Binary(bytes), Encoding::MessagePack) => decode_binary(bytes),
            (Message::Text(_) | Message::Binary(_), _) => {
                let reason = "this connection does not speak the encoding of this kind of frame";
                self.malformed(reason.into());
                return Ok(());
            }
            (Message::Close(frame), _) => {
                let goodbye = frame.as_ref().is_some_and(|it| it.code == CloseCode::Normal);
                return Err(Over::Gone { goodbye });
            }
            // The library answers pings; that has to be flushed.
            (Message::Ping(_) | Message::Pong(_) | Message::Frame(_), _) => {
                self.flushing = true;
                return Ok(());
            }
        };
        let frame = frame.and_then(|frame| match frame {
            Frame::Many(_) if !self.arrays => Err(FrameError::Array),
            frame => Ok(frame),
        });
        let before = self.inbox.len();
        match frame {
            Ok(frame) => self.inbox.extend(frame.into_iter().map(Read::Message)),
            Err(error) => self.malformed(error.to_string()),
        }
        // A frame without a message has to be read and answered too.
        self.check_rate((self.inbox.len() - before).max(1))
    }

    fn check_rate(&mut self, messages: usize) -> Result<(), Over> {
        match self.rate.is_exceeded(messages) {
            true => Err(Over::Close(CloseCode::Policy, "too many messages for too long")),
            false => Ok(()),
        }
    }

    fn malformed(&self, reason: String) {
        self.error(ErrorMessage::new(ErrorCode::Malformed, "", reason));
    }

    pub(super) fn error(&self, error: ErrorMessage) {
        self.outbox.answer(&ServerMessage::Error(error));
    }

    /// Hands to the socket what waits in the outbox, as far as it goes out in one flush.
    fn write(&mut self) -> Result<(), Over> {
        if self.taken.is_empty() || self.outbox.ending() == Some(End::Resumed) {
            self.take_work()?;
        }
        self.handed = 0;
        while self.handed < WRITE_BYTES_MAX
            && let Some(outgoing) = self.taken.pop_front()
        {
            self.write_one(outgoing)?;
        }
        Ok(())
    }

    fn take_work(&mut self) -> Result<(), Over> {
        match self.outbox.take(WRITE_BYTES_MAX) {
            Work::End(End::Resumed) => {
                Err(Over::Close(CloseCode::Library(4001), "the session was resumed elsewhere"))
            }
            Work::End(End::GoingDown) => {
                Err(Over::Close(CloseCode::Away, "the server is going down"))
            }
            Work::CatchUp => {
                self.hub.metrics.lags.inc();
                tracing::debug!(client = %self.session.id, "the connection fell behind");
                if self.speaker.is_some() {
                    return self.catch_up_there();
                }
                let topics = self.subscriptions.values().map(|it| it.topic.clone());
                self.taken.extend(topics.map(Outgoing::Missed));
                Ok(())
            }
            Work::Write(outgoing) => {
                self.taken.extend(outgoing);
                Ok(())
            }
        }
    }

    fn write_one(&mut self, outgoing: Outgoing) -> Result<(), Over> {
        if self.speaker.is_some() {
            return self.write_there(outgoing);
        }
        match outgoing {
            Outgoing::Answer(message) => self.send(message),
            Outgoing::Changes(frame) => self.write_changes(&frame),
            Outgoing::CatchUp { topic, since } => self.begin_subscription(&topic, since),
            Outgoing::Missed(topic) => self.catch_up(&topic),
            Outgoing::Unsubscribe(topic_name) => {
                if let Some(subscription) = self.subscriptions.remove(&topic_name) {
                    subscription.topic.detach(&*self.outbox);
                }
                self.send_message(&ServerMessage::Unsubscribed { topic_name })
            }
            Outgoing::Removed(topic) => {
                self.subscriptions.remove(topic.name());
                self.subscribed.remove(topic.name());
                let error = ErrorMessage::new(ErrorCode::TopicRemoved, "", "the topic was removed");
                let error = error.topic(topic.name().clone());
                self.send_message(&ServerMessage::Error(error))
            }
            // These wait for those who speak the dialect.
            Outgoing::Said(_) | Outgoing::Published(..) => Ok(()),
        }
    }

    /// Writes published changes, unless a snapshot or the log has brought them before.
    fn write_changes(&mut self, frame: &EncodedFrame) -> Result<(), Over> {
        let mut news = false;
        for (topic, version) in &frame.leads_to {
            if let Some(subscription) = self.subscriptions.get_mut(topic.name())
                && Arc::ptr_eq(&subscription.topic, topic)
                && subscription.written < *version
            {
                subscription.written = *version;
                news = true;
            }
        }
        if news { self.send_frame(frame) } else { Ok(()) }
    }

    /// Announces a subscription and brings its topic.
    fn begin_subscription(
        &mut self,
        topic: &Arc<TopicCell>,
        since: Option<Version>,
    ) -> Result<(), Over> {
        let before = self.subscriptions.get(topic.name());
        let before = before.filter(|it| Arc::ptr_eq(&it.topic, topic)).map(|it| it.written);
        topic.attach(self.outbox.clone());
        self.subscribed.insert(topic.name().clone());
        // Who says what he has is given what he missed, if the log has it: it carries his pending changes.
        let CatchUp { version, items, continues, .. } = topic.catch_up(since);
        let continued = since.filter(|_| continues);
        self.send_message(&subscribed_message(topic, version, continued))?;
        let subscription = Subscription { topic: topic.clone(), written: version };
        self.subscriptions.insert(topic.name().clone(), subscription);
        if topic.is_removed() {
            // It went between the decision and now, and told those it knew.
            return self.write_one(Outgoing::Removed(topic.clone()));
        }
        if !items.is_empty() {
            self.send_frame(&EncodedFrame::new(&items, self.encoding))?;
        }
        // What waits for the subscription before this one will not be written any more.
        if !continues && let Some(since) = since.into_iter().chain(before).min() {
            self.confirm_own(topic, since, version)?;
        }
        Ok(())
    }

    /// Brings a subscription up to date after changes of it were thrown away.
    fn catch_up(&mut self, topic: &Arc<TopicCell>) -> Result<(), Over> {
        let Some(subscription) = self.subscriptions.get(topic.name()) else { return Ok(()) };
        let written = subscription.written;
        let CaughtUp { version, frame, continues } = self.shorter(topic.catch_up(Some(written)));
        if let Some(subscription) = self.subscriptions.get_mut(topic.name()) {
            subscription.written = version;
        }
        frame.map_or(Ok(()), |frame| self.send_frame(&frame))?;
        if !continues {
            self.confirm_own(topic, written, version)?;
        }
        Ok(())
    }

    /// Of the missing changes and a snapshot, what takes fewer bytes.
    fn shorter(&self, catch_up: CatchUp) -> CaughtUp {
        let CatchUp { version, items, continues, snapshot } = catch_up;
        let encode = |items: &[Item]| EncodedFrame::new(items, self.encoding);
        let frame = Some(items).filter(|items| !items.is_empty()).map(|items| encode(&items));
        let missed_bytes = frame.as_ref().map_or(0, |frame| frame.bytes);
        match snapshot {
            Some(snapshot) if missed_bytes > MISSED_BYTES_ALWAYS => {
                let snapshot = encode(&[snapshot]);
                if snapshot.bytes < missed_bytes {
                    return CaughtUp { version, frame: Some(snapshot), continues: false };
                }
            }
            _ => {}
        }
        CaughtUp { version, frame, continues }
    }

    /// Confirms the client's own changes that a snapshot has jumped over.
    fn confirm_own(
        &mut self,
        topic: &Arc<TopicCell>,
        since: Version,
        to: Version,
    ) -> Result<(), Over> {
        let own = topic.own_changes(self.session.id, since, to);
        match own.is_empty() {
            true => Ok(()),
            false => self.send_frame(&EncodedFrame::new(&own, self.encoding)),
        }
    }

    fn send_frame(&mut self, frame: &EncodedFrame) -> Result<(), Over> {
        if self.arrays {
            self.send(frame.frame.clone())
        } else {
            frame.singles().try_for_each(|message| self.send(message))
        }
    }

    fn send_message(&mut self, message: &ServerMessage) -> Result<(), Over> {
        self.send(super::wire::encode_frame(message, self.encoding))
    }

    /// Hands a frame to the socket's buffer. How much is handed over between two flushes is bounded by
    /// who calls this.
    pub(super) fn send(&mut self, message: Message) -> Result<(), Over> {
        self.hub.metrics.bytes_out.inc_by(message.len() as u64);
        self.flushing = true;
        self.handed += message.len();
        Pin::new(&mut self.socket).start_send(message).map_err(|_| Over::Gone { goodbye: false })
    }

    /// Pings, and finds out whether the peer is still there.
    fn keep_alive(&mut self) -> Result<(), Over> {
        let config = &self.hub.config;
        if self.last_heard.elapsed() > config.silence_max {
            return Err(Over::Gone { goodbye: false });
        }
        self.timer.as_mut().reset(Instant::now() + config.ping_interval);
        if self.flushing {
            // The peer does not read; a ping more would only lie behind the rest.
            return Ok(());
        }
        self.send(Message::Ping(bytes::Bytes::new()))
    }

    async fn finish(mut self, over: Over) {
        for (_, subscription) in self.subscriptions.drain() {
            subscription.topic.detach(&*self.outbox as &dyn Subscriber);
        }
        let topics = self.speaker.iter().flat_map(Speaker::topics);
        topics.for_each(|topic| topic.detach(&*self.outbox as &dyn Subscriber));
        self.hub.engine.publish(&mut self.group);
        // In the dialect, nobody comes back to a session.
        let goodbye = matches!(over, Over::Gone { goodbye: true }) || self.speaker.is_some();
        self.hub.disconnected(&self.session, &self.outbox, goodbye);
        self.hub.metrics.connections.dec();
        match over {
            Over::Close(code, reason) => close(self.socket, code, reason).await,
            // The library has answered the peer's close frame, if there was one.
            Over::Gone { .. } => {
                let flush =
                    std::future::poll_fn(|context| Pin::new(&mut self.socket).poll_close(context));
                let _ = tokio::time::timeout(CLOSE_TIMEOUT, flush).await;
            }
        }
    }
}

/// What an error of the socket means.
fn over(error: Error) -> Over {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Over::Close(CloseCode::Size, "the frame is over the size limit")
        }
        Error::Utf8(_) => Over::Close(CloseCode::Invalid, "the text is not UTF-8"),
        Error::Protocol(_) => Over::Close(CloseCode::Protocol, "that is not WebSocket"),
        _ => Over::Gone { goodbye: false },
    }
}

/// Says why, and gives the peer a moment to read it: a socket that is closed with input unread is
/// reset, and a reset overtakes what was written.
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
        // On the heap: every connection's future would carry it.
        let mut ignored = vec![0; 4096];
        while let Ok(1..) = socket.get_mut().read(&mut ignored).await {}
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
}
