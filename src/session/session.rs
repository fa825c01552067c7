//! Sessions: one client each, which outlive their connections for a while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dashmap::DashMap;
use ecow::EcoString;
use parking_lot::{Mutex, MutexGuard};

use super::outbox::{End, Entry, Outbox};
use super::translate::lost;
use crate::engine::{Author, Item, Origin, Publication};
use crate::journal::{Operation, SessionRecord};
use crate::protocol::ServerMessage;
use crate::topic::{ClientId, Rejection, Timestamp, Uptime};

/// One client's session.
pub struct Session {
    id: ClientId,
    /// By which the session is resumed: a secret of the client's.
    token: EcoString,
    since: Timestamp,
    pub(crate) author: Author,
    link: Arc<Link>,
    /// Which connection acts for the session. Held while a connection, or the end of the session, acts.
    ///
    /// Locks are taken in this order: this one, then a topic's, then the link's.
    owner: Mutex<Owner>,
    /// Requests of this session's that wait for an answer.
    waiting: AtomicUsize,
    /// What the session provides.
    pub(super) services: Mutex<BTreeSet<EcoString>>,
    /// The journal knows of the session, or is about to.
    recorded: AtomicBool,
}

/// Who acts for a session.
#[derive(Default)]
pub(super) struct Owner {
    /// The number of the newest connection; connections are counted from 1.
    connection: u64,
    /// That connection is gone: the session ends at this time.
    ends: Option<Uptime>,
    /// The session ended: nobody acts for it any more.
    over: bool,
}

/// The way to a session's client: its connection, if there is one.
#[derive(Default)]
struct Link(Mutex<LinkState>);

#[derive(Default)]
struct LinkState {
    outbox: Option<Arc<Outbox>>,
    /// Requests and responses that came while the client was away.
    backlog: Vec<ServerMessage>,
    backlog_bytes: usize,
    over: bool,
}

impl Origin for Link {
    fn confirm(&self, publication: &Arc<Publication>) {
        // A client that is away asks again once it is back.
        if let Some(outbox) = &self.0.lock().outbox {
            outbox.push(Entry::Confirmation(publication.clone()));
        }
    }

    fn lost(&self, item: &Item, rejection: &Rejection) {
        // A client that is away sends it again once it is back.
        let (Some(outbox), Some(reject)) = (&self.0.lock().outbox, lost(item, rejection)) else {
            return;
        };
        outbox.answer(ServerMessage::RejectUpdate(reject));
    }
}

impl Session {
    pub(super) fn new(id: ClientId, token: EcoString, since: Timestamp) -> Session {
        let link = Arc::new(Link::default());
        Session {
            id,
            token,
            since,
            author: Author::new(id, Some(link.clone())),
            link,
            owner: Mutex::default(),
            waiting: AtomicUsize::new(0),
            services: Mutex::default(),
            recorded: AtomicBool::new(false),
        }
    }

    /// A session from before the server's present life, whose client is away.
    pub(super) fn from_before(record: SessionRecord, life: u64) -> Session {
        let SessionRecord { id, token, since, services } = record;
        let session = Session::new(id, token, since);
        Session {
            author: Author::from_before(id, Some(session.link.clone()), life),
            services: Mutex::new(services.into_iter().collect()),
            recorded: AtomicBool::new(true),
            ..session
        }
    }

    /// The client's id.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// The secret by which the session is resumed.
    pub fn token(&self) -> &EcoString {
        &self.token
    }

    /// Since when the session is there.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// What the journal is to keep of the session, if it does not know of it yet.
    pub(super) fn record_once(&self) -> Option<Operation> {
        let known =
            self.recorded.load(Ordering::Relaxed) || self.recorded.swap(true, Ordering::Relaxed);
        (!known).then(|| self.record())
    }

    /// What the journal is to keep of the session as it is now.
    pub(super) fn record(&self) -> Operation {
        self.recorded.store(true, Ordering::Relaxed);
        let (id, token, since) = (self.id, self.token.clone(), self.since);
        let services = self.services.lock().iter().cloned().collect();
        Operation::Session(SessionRecord { id, token, since, services })
    }

    /// Whether the journal knows of the session, or is about to.
    pub(super) fn is_recorded(&self) -> bool {
        self.recorded.load(Ordering::Relaxed)
    }

    /// Has the connection of this number act for the session, as long as what this gives is kept. `None` if
    /// the session has a newer connection by now, or is over: what the older connection still had
    /// unread does nothing.
    ///
    /// To be called by who holds no topic's lock, and not twice at a time by one thread.
    pub(crate) fn act(&self, connection: u64) -> Option<Acting<'_>> {
        let owner = self.owner.lock();
        (owner.connection == connection && !owner.over).then_some(Acting(owner))
    }

    /// Makes `outbox` the session's connection; the one before ends. `None` if the session is over.
    pub(super) fn connect(&self, outbox: &Arc<Outbox>) -> Option<Connected<'_>> {
        let mut owner = self.owner.lock();
        if owner.over {
            return None;
        }
        owner.connection += 1;
        let was_away = owner.ends.take();
        let mut link = self.link.0.lock();
        if let Some(before) = link.outbox.replace(outbox.clone()) {
            before.end(End::Resumed);
        }
        link.backlog_bytes = 0;
        for message in std::mem::take(&mut link.backlog) {
            outbox.answer(message);
        }
        drop(link);
        Some(Connected { number: owner.connection, was_away, _acting: Acting(owner) })
    }

    /// Notes that the connection of this number is gone, and that the session ends at `ends` unless its
    /// client comes back. `None` if the connection is not the session's any more.
    pub(super) fn disconnect(&self, connection: u64, ends: Uptime) -> Option<Acting<'_>> {
        let mut acting = self.act(connection)?;
        acting.0.ends = Some(ends);
        self.link.0.lock().outbox = None;
        Some(acting)
    }

    /// Notes that a session which never had a connection ends at `ends`. `false` if it has one by now.
    pub(super) fn is_to_end(&self, ends: Uptime) -> bool {
        let mut owner = self.owner.lock();
        if owner.connection == 0 {
            owner.ends = Some(ends);
        }
        owner.connection == 0
    }

    /// Until when the client may stay away. One that is not away counts as away from `now` on.
    pub(super) fn until_away(&self, now: Uptime) -> Uptime {
        let mut owner = self.owner.lock();
        self.link.0.lock().outbox = None;
        *owner.ends.get_or_insert(now)
    }

    /// Ends the session if its client is away, and was to be back by `ends`. Tells whether it was this that
    /// ended it.
    pub(super) fn end_if_away(&self, ends: Uptime) -> bool {
        let mut owner = self.owner.lock();
        if owner.over || owner.ends != Some(ends) {
            return false;
        }
        owner.over = true;
        let mut link = self.link.0.lock();
        link.over = true;
        (link.backlog, link.backlog_bytes) = (Vec::new(), 0);
        true
    }

    /// Sends the answer to something that the client asked for.
    pub(super) fn answer(&self, message: ServerMessage, backlog_bytes_max: usize) {
        // There is nobody to tell that there is no room.
        let _ = self.send(message, backlog_bytes_max, false);
    }

    /// Sends what another client wants of this one; `false` if the client does not keep up, or its session
    /// is over.
    pub(super) fn offer(&self, message: ServerMessage, backlog_bytes_max: usize) -> bool {
        self.send(message, backlog_bytes_max, true)
    }

    fn send(&self, message: ServerMessage, backlog_bytes_max: usize, if_room: bool) -> bool {
        let mut link = self.link.0.lock();
        match &link.outbox {
            Some(outbox) if if_room && outbox.is_full() => return false,
            Some(outbox) => outbox.answer(message),
            None => {
                let bytes = link.backlog_bytes + message.bytes_about() + BACKLOG_ENTRY_BYTES;
                if link.over || bytes > backlog_bytes_max {
                    return false;
                }
                link.backlog_bytes = bytes;
                link.backlog.push(message);
            }
        }
        true
    }

    /// Whether the client has a connection.
    pub fn is_connected(&self) -> bool {
        self.link.0.lock().outbox.is_some()
    }

    /// Ends the present connection.
    pub(super) fn end_connection(&self, end: End) {
        if let Some(outbox) = &self.link.0.lock().outbox {
            outbox.end(end);
        }
    }

    /// Messages that wait for the client's connection, and how often there were too many.
    pub fn queue_depth(&self) -> (usize, u64) {
        self.link.0.lock().outbox.as_ref().map_or((0, 0), |outbox| outbox.depth())
    }

    /// Bytes that wait for the client, connected or away.
    pub fn queue_bytes(&self) -> usize {
        let link = self.link.0.lock();
        link.backlog_bytes + link.outbox.as_ref().map_or(0, |outbox| outbox.bytes())
    }
}

/// A session's new connection.
pub(super) struct Connected<'a> {
    /// The connections of a session are counted from 1.
    pub number: u64,
    /// When the session was to end, if its client was away.
    pub was_away: Option<Uptime>,
    /// Keeps everybody else from acting for the session meanwhile.
    _acting: Acting<'a>,
}

/// What a message costs in a backlog beside its bytes.
const BACKLOG_ENTRY_BYTES: usize = 64;

/// Keeps everybody else from acting for a session.
pub(crate) struct Acting<'a>(MutexGuard<'a, Owner>);

/// A request that waits for its answer, and counts as long as it does.
pub(super) struct Waiting(Arc<Session>);

impl Waiting {
    /// Counts one more request of `session`'s; `None` if `max` of them wait already.
    pub(super) fn begin(session: &Arc<Session>, max: usize) -> Option<Waiting> {
        let waiting = Waiting(session.clone());
        (session.waiting.fetch_add(1, Ordering::Relaxed) < max).then_some(waiting)
    }

    /// Who asked.
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.0
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All sessions of a server.
#[derive(Default)]
pub struct Sessions {
    by_token: DashMap<EcoString, Arc<Session>>,
    by_id: DashMap<u64, Arc<Session>>,
}

impl Sessions {
    pub(super) fn add(&self, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        self.by_token.insert(session.token.clone(), session.clone());
        self.by_id.insert(session.id.0, session.clone());
        session
    }

    pub(super) fn find(&self, token: &str) -> Option<Arc<Session>> {
        self.by_token.get(token).map(|session| session.clone())
    }

    /// The session of this client.
    pub fn get(&self, id: ClientId) -> Option<Arc<Session>> {
        self.by_id.get(&id.0).map(|session| session.clone())
    }

    pub(super) fn forget(&self, session: &Session) {
        self.by_token.remove(&session.token);
        self.by_id.remove(&session.id.0);
    }

    /// How many sessions there are, those away included.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.by_id.iter().map(|session| session.clone()).collect()
    }
}
