//! Sessions: one client each, which outlive their connections for a while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine as _;
use dashmap::DashMap;
use ecow::EcoString;
use parking_lot::Mutex;

use super::outbox::{End, Outbox};
use crate::engine::{Author, Item, Origin, Publication};
use crate::exchange::lost;
use crate::journal::{Operation, SessionRecord};
use crate::protocol::ServerMessage;
use crate::topic::{ClientId, Rejection, Timestamp};

/// How many messages wait for a client that is away.
const BACKLOG_MAX: usize = 1_000;

/// One client's session.
pub struct Session {
    pub id: ClientId,
    /// By which the session is resumed: a secret of the client's.
    pub token: EcoString,
    pub since: Timestamp,
    pub author: Author,
    link: Arc<Link>,
    /// Requests of this session's that wait for an answer.
    waiting: AtomicUsize,
    /// What the session provides.
    pub services: Mutex<BTreeSet<EcoString>>,
    /// The journal knows of the session, or is about to.
    recorded: AtomicBool,
}

/// The way to a session's client: its connection, if there is one.
#[derive(Default)]
struct Link(Mutex<LinkState>);

#[derive(Default)]
struct LinkState {
    outbox: Option<Arc<Outbox>>,
    /// Requests and responses that came while the client was away.
    backlog: Vec<ServerMessage>,
    /// Counts connections, so that a timer knows whether its client was back meanwhile.
    connections: u64,
    over: bool,
}

impl Origin for Link {
    fn confirm(&self, publication: &Arc<Publication>) {
        // A client that is away asks again once it is back.
        if let Some(outbox) = &self.0.lock().outbox {
            outbox.confirm(publication);
        }
    }

    fn lost(&self, item: &Item, rejection: &Rejection) {
        // A client that is away sends it again once it is back.
        let (Some(outbox), Some(reject)) = (&self.0.lock().outbox, lost(item, rejection)) else {
            return;
        };
        outbox.answer(&ServerMessage::RejectUpdate(reject));
    }
}

impl Session {
    pub fn new(id: ClientId, since: Timestamp) -> Session {
        let link = Arc::new(Link::default());
        Session {
            id,
            token: random_token(),
            since,
            author: Author::new(id, Some(link.clone())),
            link,
            waiting: AtomicUsize::new(0),
            services: Mutex::default(),
            recorded: AtomicBool::new(false),
        }
    }

    /// A session from before the server's present life, whose client is away.
    pub fn from_before(record: SessionRecord, life: u64) -> Session {
        let SessionRecord { id, token, since, services } = record;
        let link = Arc::new(Link::default());
        Session {
            token,
            author: Author::from_before(id, Some(link.clone()), life),
            link,
            services: Mutex::new(services.into_iter().collect()),
            recorded: AtomicBool::new(true),
            ..Session::new(id, since)
        }
    }

    /// What the journal is to keep of the session, if it does not know of it yet.
    pub fn record_once(&self) -> Option<Operation> {
        let known =
            self.recorded.load(Ordering::Relaxed) || self.recorded.swap(true, Ordering::Relaxed);
        (!known).then(|| self.record())
    }

    /// What the journal is to keep of the session as it is now.
    pub fn record(&self) -> Operation {
        self.recorded.store(true, Ordering::Relaxed);
        let (id, token, since) = (self.id, self.token.clone(), self.since);
        let services = self.services.lock().iter().cloned().collect();
        Operation::Session(SessionRecord { id, token, since, services })
    }

    /// Whether the journal knows of the session, or is about to.
    pub fn is_recorded(&self) -> bool {
        self.recorded.load(Ordering::Relaxed)
    }

    /// Makes `outbox` the session's connection; the one before ends. `false` if the session is over.
    pub fn connect(&self, outbox: &Arc<Outbox>) -> bool {
        let mut link = self.link.0.lock();
        if link.over {
            return false;
        }
        link.connections += 1;
        if let Some(before) = link.outbox.replace(outbox.clone()) {
            before.end(End::Resumed);
        }
        true
    }

    /// Gives a client that is back what came while it was away.
    pub fn send_backlog(&self) {
        let backlog = std::mem::take(&mut self.link.0.lock().backlog);
        for message in backlog {
            self.answer(message);
        }
    }

    /// Notes that a connection is gone. If it was the session's present one, the number of connections
    /// so far is given: for [`end_if_away`](Self::end_if_away).
    pub fn disconnect(&self, outbox: &Arc<Outbox>) -> Option<u64> {
        let mut link = self.link.0.lock();
        if !link.outbox.as_ref().is_some_and(|present| Arc::ptr_eq(present, outbox)) {
            return None;
        }
        link.outbox = None;
        Some(link.connections)
    }

    /// Ends the session if no connection came since [`disconnect`](Self::disconnect). Tells whether it
    /// was this that ended it.
    pub fn end_if_away(&self, connections: u64) -> bool {
        let mut link = self.link.0.lock();
        if link.over || link.outbox.is_some() || link.connections != connections {
            return false;
        }
        link.over = true;
        true
    }

    /// Sends the answer to something that the client asked for.
    pub fn answer(&self, message: ServerMessage) {
        let mut link = self.link.0.lock();
        match &link.outbox {
            Some(outbox) => outbox.answer(&message),
            None if link.over || link.backlog.len() >= BACKLOG_MAX => {}
            None => link.backlog.push(message),
        }
    }

    /// Sends what another client wants of this one; `false` if it does not keep up, or is over.
    pub fn offer(&self, message: ServerMessage) -> bool {
        let mut link = self.link.0.lock();
        match &link.outbox {
            Some(outbox) if outbox.is_full() => return false,
            Some(outbox) => outbox.answer(&message),
            None if link.over || link.backlog.len() >= BACKLOG_MAX => return false,
            None => link.backlog.push(message),
        }
        true
    }

    pub fn is_connected(&self) -> bool {
        self.link.0.lock().outbox.is_some()
    }

    /// Ends the present connection.
    pub fn end_connection(&self, end: End) {
        if let Some(outbox) = &self.link.0.lock().outbox {
            outbox.end(end);
        }
    }

    /// Messages that wait for the client's socket, and how often there were too many.
    pub fn queue_depth(&self) -> (usize, u64) {
        self.link.0.lock().outbox.as_ref().map_or((0, 0), |outbox| outbox.depth())
    }
}

/// A request that waits for its answer, and counts as long as it does.
pub struct Waiting(Arc<Session>);

impl Waiting {
    /// Counts one more request of `session`'s; `None` if `max` of them wait already.
    pub fn begin(session: &Arc<Session>, max: usize) -> Option<Waiting> {
        let waiting = Waiting(session.clone());
        (session.waiting.fetch_add(1, Ordering::Relaxed) < max).then_some(waiting)
    }

    /// Who asked.
    pub fn session(&self) -> &Arc<Session> {
        &self.0
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// 128 random bits that cannot be guessed.
fn random_token() -> EcoString {
    let mut bytes = [0; 16];
    // Without a source of randomness there are no secrets, and a server must not go on.
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes).into()
}

/// All sessions of a server.
#[derive(Default)]
pub struct Sessions {
    by_token: DashMap<EcoString, Arc<Session>>,
    by_id: DashMap<u64, Arc<Session>>,
}

impl Sessions {
    pub fn add(&self, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        self.by_token.insert(session.token.clone(), session.clone());
        self.by_id.insert(session.id.0, session.clone());
        session
    }

    pub fn find(&self, token: &str) -> Option<Arc<Session>> {
        self.by_token.get(token).map(|session| session.clone())
    }

    pub fn get(&self, id: ClientId) -> Option<Arc<Session>> {
        self.by_id.get(&id.0).map(|session| session.clone())
    }

    pub fn forget(&self, session: &Session) {
        self.by_token.remove(&session.token);
        self.by_id.remove(&session.id.0);
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn all(&self) -> Vec<Arc<Session>> {
        self.by_id.iter().map(|session| session.clone()).collect()
    }
}
