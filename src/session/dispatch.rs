//! What each message of a client leads to.

use std::sync::Arc;

use ecow::{EcoString, eco_format};
use smallvec::SmallVec;

use super::attachment::Attachment;
use super::hub::Hub;
use super::requests::{Provider, Request};
use super::session::Session;
use super::special::{self, Served};
use super::translate::{reject_update, submitted};
use crate::engine::policy::{CLIENT_MESSAGE, Operation};
use crate::engine::{OpenError, Submission, TopicCell, Unavailable};
use crate::protocol::decode::Malformed;
use crate::protocol::message::{
    ClientMessage, ErrorMessage, Outcome, RejectUpdate, RequestId, ServiceError, Subscribe,
    TopicChange,
};
use crate::protocol::{ErrorCode, RejectCode, ServerMessage, ServiceErrorCode};
use crate::topic::{ActionId, Rejection, TopicName, TopicOptions, Uptime};
use crate::value::Value;

impl Attachment {
    /// Handles one message of the client's, as it was understood. If the session has a newer connection
    /// by now, the message does nothing.
    pub(super) fn handle(&mut self, now: Uptime, message: Result<ClientMessage, Box<Malformed>>) {
        if let Ok(ClientMessage::Resume { session }) = &message {
            // It takes the locks of two sessions, one after the other.
            return self.resume(now, session);
        }
        let session = self.session.clone();
        let Some(_acting) = session.act(self.number()) else { return };
        match message {
            Ok(ClientMessage::Update(change)) => self.update(change),
            Ok(ClientMessage::Action { action_id, changes }) => self.action(action_id, changes),
            Ok(ClientMessage::Subscribe(subscribe)) => self.subscribe_to(subscribe),
            Ok(ClientMessage::Unsubscribe { topic_name }) => self.unsubscribe(topic_name),
            Ok(ClientMessage::Request { service_name, args, request_id, timeout_ms }) => {
                self.request(now, Request { service_name, args, request_id, timeout_ms });
            }
            Ok(ClientMessage::Response { request_id, outcome }) => {
                self.response(request_id, outcome);
            }
            Ok(ClientMessage::RegisterService { service_name }) => self.register(service_name),
            Ok(ClientMessage::UnregisterService { service_name }) => {
                self.hub.requests().unregister(&service_name, &self.session);
                if self.session.services.lock().remove(&service_name) {
                    self.hub.record_services(&self.session);
                }
                self.answer(ServerMessage::Unregistered { service_name });
            }
            Ok(ClientMessage::Resume { .. }) => {}
            Err(malformed) => self.refuse(*malformed),
        }
    }

    /// Answers what could be read and not understood: by its change if it names one, else by an error.
    fn refuse(&self, malformed: Malformed) {
        let Malformed { code, reason, to, topic_name, service_name, request_id, action_id, change } =
            malformed;
        if let (Some(topic_name), Some(change)) = (&topic_name, change) {
            let code = RejectCode::Invalid;
            return self.reject(RejectUpdate {
                topic_name: topic_name.clone(),
                code,
                reason,
                version: None,
                action_id,
                change,
            });
        }
        let error = ErrorMessage::new(code, &to, reason);
        self.error(ErrorMessage { topic_name, service_name, request_id, ..error });
    }

    pub(crate) fn reject(&self, reject: RejectUpdate) {
        self.hub.counters().reject(reject.code);
        tracing::debug!(
            client = %self.session.id(),
            topic = %reject.topic_name,
            code = %reject.code,
            reason = %reject.reason,
            "change rejected"
        );
        self.answer(ServerMessage::RejectUpdate(reject));
    }

    fn update(&mut self, change: TopicChange) {
        let changes = SmallVec::from_iter([submitted(change)]);
        self.submit(Submission { action_id: None, changes });
    }

    fn action(&mut self, action_id: ActionId, changes: Vec<TopicChange>) {
        if changes.is_empty() {
            // There is no topic to reject it under.
            let reason = eco_format!("action {action_id:?}: {}", Rejection::EmptyAction);
            return self.error(ErrorMessage::new(ErrorCode::Invalid, "action", reason));
        }
        let changes = changes.into_iter().map(submitted).collect();
        self.submit(Submission { action_id: Some(action_id), changes });
    }

    fn submit(&mut self, submission: Submission) {
        self.hub.record_session(&self.session);
        let hub = self.hub.clone();
        match hub.engine().submit(&self.session.author, submission, &mut self.group) {
            Ok(receipt) => hub.counters().changes.add(receipt.versions.len() as u64),
            Err(rejected) => self.reject(reject_update(*rejected)),
        }
    }

    fn subscribe_to(&mut self, subscribe: Subscribe) {
        let name = subscribe.topic_name.clone();
        if let Err(error) = self.try_subscribe(subscribe) {
            self.error(error.topic(name));
        }
    }

    fn try_subscribe(&mut self, subscribe: Subscribe) -> Result<(), ErrorMessage> {
        let error = |code, reason: EcoString| ErrorMessage::new(code, "subscribe", reason);
        let Subscribe { topic_name, topic_type, options, since } = subscribe;
        self.authorize(&Operation::Read { topic: &topic_name })
            .map_err(|denied| error(ErrorCode::Forbidden, denied.reason))?;
        if !self.has_room_for(&topic_name) {
            let max = self.hub.config().subscriptions_max;
            let reason = eco_format!("a session subscribes to at most {max} topics");
            return Err(error(ErrorCode::Limit, reason));
        }
        let options = match options {
            None | Some(Value::Null) => TopicOptions::default(),
            Some(options) => TopicOptions::decode(&options)
                .map_err(|wrong| error(ErrorCode::Invalid, eco_format!("{wrong}")))?,
        };
        let topic = self.open(&topic_name, topic_type.as_deref(), options)?;
        let since = since.filter(|since| since.epoch == *topic.epoch()).map(|it| it.version);
        self.subscribe(topic, since);
        Ok(())
    }

    fn open(
        &self,
        name: &TopicName,
        topic_type: Option<&str>,
        options: TopicOptions,
    ) -> Result<Arc<TopicCell>, ErrorMessage> {
        let error = |code, reason: EcoString| ErrorMessage::new(code, "subscribe", reason);
        let hub = &self.hub;
        if name.is_special() {
            if name.strip_prefix(CLIENT_MESSAGE).is_some() {
                hub.client_messages(self.session.id());
            }
            // The server's topics are there or not: no client makes them.
            if hub.engine().get(name).is_none() {
                let reason = eco_format!("there is no topic {name:?}");
                return Err(error(ErrorCode::UnknownTopic, reason));
            }
        }
        if let Some(type_name) = topic_type.filter(|_| hub.engine().get(name).is_none()) {
            self.authorize(&Operation::Make { topic: name, type_name, options: &options })
                .map_err(|denied| error(ErrorCode::Forbidden, denied.reason))?;
            if hub.engine().topics_len() >= hub.config().topics_max {
                let max = hub.config().topics_max;
                let reason = eco_format!("the server has {max} topics already, and takes no more");
                return Err(error(ErrorCode::Limit, reason));
            }
        }
        hub.engine().open(name, topic_type, options).map_err(|failure| {
            let code = match failure {
                OpenError::UnknownTopic(_) => ErrorCode::UnknownTopic,
                OpenError::WrongType { .. } => ErrorCode::WrongType,
                OpenError::Unavailable(_) => ErrorCode::Unavailable,
                OpenError::UnknownType(_)
                | OpenError::Options(_)
                | OpenError::Exists(_)
                | OpenError::Presence(_) => ErrorCode::Invalid,
            };
            error(code, eco_format!("{failure}"))
        })
    }

    fn register(&self, service_name: EcoString) {
        let hub = &self.hub;
        let error = |code, reason: EcoString| {
            let error = ErrorMessage::new(code, "register_service", reason);
            self.error(error.service(service_name.clone()));
        };
        if let Err(denied) = self.authorize(&Operation::Register { service: &service_name }) {
            return error(ErrorCode::Forbidden, denied.reason);
        }
        let max = hub.config().services_max;
        // Only who acts for the session adds to its services.
        let (len, known) = {
            let services = self.session.services.lock();
            (services.len(), services.contains(&service_name))
        };
        if len >= max && !known {
            let reason = eco_format!("a session provides at most {max} services");
            return error(ErrorCode::Limit, reason);
        }
        let provider = Provider::Session(self.session.clone());
        if !hub.requests().register(hub, &service_name, provider) {
            return error(ErrorCode::ServiceTaken, "another client provides this service".into());
        }
        self.session.services.lock().insert(service_name.clone());
        hub.record_services(&self.session);
        self.answer(ServerMessage::Registered { service_name });
    }

    /// Does what the client asks a service for. To be called by who acts for the session.
    pub(crate) fn request(&mut self, now: Uptime, request: Request) {
        let (hub, session) = (self.hub.clone(), self.session.clone());
        hub.counters().requests.add(1);
        // What the client did before it asked goes out first, unless another connection has it in hand.
        hub.engine().publish(&mut self.group);
        let Request { service_name, args, request_id, .. } = &request;
        if let Err(denied) = self.authorize(&Operation::Call { service: service_name }) {
            let outcome = Err(ServiceError::new(ServiceErrorCode::Forbidden, denied.reason));
            let request_id = request_id.clone();
            return self.answer(ServerMessage::Response { request_id, outcome });
        }
        if let Some(served) = special::serve(&hub, &session, service_name, args, &mut self.group) {
            hub.engine().publish(&mut self.group);
            return answer_special(hub, session, request_id.clone(), served);
        }
        hub.requests().request(&hub, &session, now, request);
    }

    fn response(&self, request_id: RequestId, outcome: Outcome) {
        let hub = &self.hub;
        if !hub.requests().answer(hub, self.session.id(), &request_id, outcome) {
            let reason = eco_format!(
                "no request {request_id:?} waits for this client: it was answered, or timed out"
            );
            let error = ErrorMessage::new(ErrorCode::Invalid, "response", reason);
            self.error(error.request(request_id));
        }
    }

    /// Goes on with the session that the client had before.
    fn resume(&mut self, now: Uptime, token: &str) {
        let refuse = |code, reason: &str| self.error(ErrorMessage::new(code, "resume", reason));
        if self.started {
            return refuse(ErrorCode::Invalid, "resume comes first after hello, or not at all");
        }
        let hub = self.hub.clone();
        let resumed = hub.sessions().find(token).and_then(|session| {
            let (outbox, number) = hub.connect(&session, self.encoding, true)?;
            Some((session, outbox, number))
        });
        let Some((session, outbox, number)) = resumed else {
            return refuse(ErrorCode::SessionUnknown, "the session is over, or never was");
        };
        let (fresh, its_number) = self.take_over(session, number, outbox);
        hub.disconnected(&fresh, its_number, now, true);
        tracing::debug!(client = %self.session.id(), "session resumed");
    }
}

/// Answers a request for a special service, in its time.
fn answer_special(hub: Arc<Hub>, session: Arc<Session>, request_id: RequestId, served: Served) {
    let answer = {
        let hub = hub.clone();
        let request_id = request_id.clone();
        let session = session.clone();
        move |outcome| hub.answer(&session, ServerMessage::Response { request_id, outcome })
    };
    match served {
        Served::Now(outcome) => answer(outcome),
        Served::OnceDurable(outcome) => {
            hub.after_commit(move |durable: Result<(), Unavailable>| {
                let lost = |_| {
                    let reason = "it could not be made durable, and is undone";
                    ServiceError::new(ServiceErrorCode::Failed, reason)
                };
                answer(durable.map_err(lost).and(outcome));
            })
        }
        Served::Reads(read) => read_settled(&hub, move || answer(read())),
        Served::ReadsThenDurable(read) => {
            let then = hub.clone();
            read_settled(&hub, move || {
                answer_special(then, session, request_id, Served::OnceDurable(read()));
            });
        }
    }
}

/// Has the worker run something that reads, once all that is accepted by now is settled.
fn read_settled(hub: &Arc<Hub>, read: impl FnOnce() + Send + 'static) {
    let worker = hub.config().worker.clone();
    hub.engine().before_reading(Box::new(move || worker.run(Box::new(read))));
}
