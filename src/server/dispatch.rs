//! What each message of a client leads to.

use std::sync::Arc;
use std::time::Duration;

use ecow::{EcoString, eco_format};
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::Connection;
use super::hub::Hub;
use super::outbox::Outgoing;
use super::services::{PassedOn, Provider};
use super::session::{Session, Waiting};
use super::special::{self, Served};
use crate::engine::{OpenError, Submission, TopicCell, Unavailable};
use crate::exchange::{reject_update, submitted};
use crate::protocol::decode::{Malformed, RawMessage};
use crate::protocol::message::{
    ClientMessage, ErrorMessage, Outcome, RejectUpdate, RequestId, ServiceError, Subscribe,
    TopicChange,
};
use crate::protocol::{ErrorCode, RejectCode, ServerMessage, ServiceErrorCode};
use crate::topic::{ActionId, Rejection, TopicName, TopicOptions};
use crate::value::Value;

/// The longest that a request may wait, whatever it says.
const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Handles one message of the client's.
    pub(super) fn handle(&mut self, message: RawMessage) {
        self.hub.metrics.messages_in.inc();
        match message.client() {
            Ok(ClientMessage::Update(change)) => self.update(change),
            Ok(ClientMessage::Action { action_id, changes }) => self.action(action_id, changes),
            Ok(ClientMessage::Subscribe(subscribe)) => self.subscribe(subscribe),
            Ok(ClientMessage::Unsubscribe { topic_name }) => self.unsubscribe(topic_name),
            Ok(ClientMessage::Request { service_name, args, request_id, timeout_ms }) => {
                self.request(service_name, args, request_id, timeout_ms);
            }
            Ok(ClientMessage::Response { request_id, outcome }) => {
                self.response(request_id, outcome);
            }
            Ok(ClientMessage::RegisterService { service_name }) => self.register(service_name),
            Ok(ClientMessage::UnregisterService { service_name }) => {
                self.hub.services.unregister(&service_name, &self.session);
                if self.session.services.lock().remove(&service_name) {
                    self.hub.record_services(&self.session);
                }
                self.answer(ServerMessage::Unregistered { service_name });
            }
            Ok(ClientMessage::Resume { session }) => self.resume(&session),
            Err(malformed) => self.refuse(*malformed),
        }
        self.started = true;
    }

    fn answer(&self, message: ServerMessage) {
        self.outbox.answer(&message);
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

    fn reject(&self, reject: RejectUpdate) {
        self.hub.metrics.rejects.with_label_values(&[reject.code.as_str()]).inc();
        tracing::debug!(
            client = %self.session.id,
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
        match self.hub.engine.submit(&self.session.author, submission, &mut self.group) {
            Ok(receipt) => self.hub.metrics.changes.inc_by(receipt.versions.len() as u64),
            Err(rejected) => self.reject(reject_update(*rejected)),
        }
    }

    fn subscribe(&mut self, subscribe: Subscribe) {
        let name = subscribe.topic_name.clone();
        if let Err(error) = self.try_subscribe(subscribe) {
            self.error(error.topic(name));
        }
    }

    fn try_subscribe(&mut self, subscribe: Subscribe) -> Result<(), ErrorMessage> {
        let error = |code, reason: EcoString| ErrorMessage::new(code, "subscribe", reason);
        let Subscribe { topic_name, topic_type, options, since } = subscribe;
        if !special::may_read(self.session.id, &topic_name) {
            return Err(error(ErrorCode::Forbidden, "that is another client's".into()));
        }
        let max = self.hub.config.subscriptions_max;
        if self.subscribed.len() >= max && !self.subscribed.contains(&topic_name) {
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
        self.subscribed.insert(topic_name);
        self.outbox.push(Outgoing::CatchUp { topic, since });
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
            if name.strip_prefix(special::CLIENT_MESSAGE).is_some() {
                hub.client_messages(self.session.id);
            }
            // The server's topics are there or not: no client makes them.
            if hub.engine.get(name).is_none() {
                let reason = eco_format!("there is no topic {name:?}");
                return Err(error(ErrorCode::UnknownTopic, reason));
            }
        }
        let makes = topic_type.is_some() && hub.engine.get(name).is_none();
        if makes && hub.engine.topics_len() >= hub.config.topics_max {
            return Err(error(ErrorCode::Limit, "the server has too many topics".into()));
        }
        hub.engine.open(name, topic_type, options).map_err(|failure| {
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

    fn unsubscribe(&mut self, topic_name: TopicName) {
        self.subscribed.remove(&topic_name);
        // From here on the client is told of its own changes as one that does not subscribe.
        if let Some(topic) = self.hub.engine.get(&topic_name) {
            topic.detach(&*self.outbox);
        }
        self.outbox.push(Outgoing::Unsubscribe(topic_name));
    }

    fn register(&self, service_name: EcoString) {
        let hub = &self.hub;
        let error = |code, reason: &str| {
            let error = ErrorMessage::new(code, "register_service", reason);
            self.error(error.service(service_name.clone()));
        };
        if service_name.starts_with("_topicsync/") {
            return error(
                ErrorCode::Forbidden,
                "names that begin with _topicsync/ are the server's",
            );
        }
        let mut services = self.session.services.lock();
        if services.len() >= hub.config.services_max && !services.contains(&service_name) {
            return error(ErrorCode::Limit, "the session provides too many services");
        }
        let provider = Provider::Session(self.session.clone());
        if !hub.services.register(service_name.clone(), provider) {
            return error(ErrorCode::ServiceTaken, "another client provides this service");
        }
        services.insert(service_name.clone());
        drop(services);
        hub.record_services(&self.session);
        self.answer(ServerMessage::Registered { service_name });
    }

    pub(super) fn request(
        &mut self,
        service_name: EcoString,
        args: Value,
        request_id: RequestId,
        timeout_ms: Option<u64>,
    ) {
        self.hub.metrics.requests.inc();
        let (hub, session) = (self.hub.clone(), self.session.clone());
        // What the client did before it asked goes out first, unless another connection has it in hand.
        hub.engine.publish(&mut self.group);
        let special = special::serve(&hub, &session, &service_name, &args, &mut self.group);
        if let Some(served) = special {
            hub.engine.publish(&mut self.group);
            return answer_special(hub, session, request_id, served);
        }
        let timeout = timeout_ms.map_or(hub.config.request_timeout, Duration::from_millis);
        let timeout = timeout.min(REQUEST_TIMEOUT_MAX);
        let failed = |error: ServiceError, request_id| {
            self.answer(ServerMessage::Response { request_id, outcome: Err(error) });
        };
        let provider = hub.services.provider(&service_name);
        let Some(waiting) = Waiting::begin(&session, hub.config.requests_max) else {
            let reason = "too many requests of this session wait for their answers";
            return failed(ServiceError::new(ServiceErrorCode::Failed, reason), request_id);
        };
        match provider {
            None => {
                let reason = eco_format!("nobody provides {service_name:?}");
                failed(ServiceError::new(ServiceErrorCode::NoSuchService, reason), request_id);
            }
            Some(Provider::Host(service)) => {
                let answer = service(args, session.id);
                hub.tasks.clone().spawn(async move {
                    let outcome =
                        tokio::time::timeout(timeout, answer).await.unwrap_or_else(|_| {
                            Err(ServiceError::new(
                                ServiceErrorCode::Timeout,
                                "no answer came in time",
                            ))
                        });
                    waiting.session().answer(ServerMessage::Response { request_id, outcome });
                });
            }
            Some(Provider::Session(provider)) => {
                let asked = request_id.clone();
                match hub.services.pass_on(&provider, waiting, service_name, args, request_id) {
                    Err(error) => failed(error, asked),
                    Ok(PassedOn { id, answered }) => drop(hub.tasks.clone().spawn(async move {
                        tokio::select! {
                            () = tokio::time::sleep(timeout) => hub.services.time_out(&id),
                            _ = answered => {}
                            () = hub.shutdown.cancelled() => {}
                        }
                    })),
                }
            }
        }
    }

    fn response(&self, request_id: RequestId, outcome: Outcome) {
        if !self.hub.services.answer(self.session.id, &request_id, outcome) {
            let reason = "no such request waits for this client: it was answered, or timed out";
            let error = ErrorMessage::new(ErrorCode::Invalid, "response", reason);
            self.error(error.request(request_id));
        }
    }

    fn resume(&mut self, token: &str) {
        let refuse = |code, reason: &str| self.error(ErrorMessage::new(code, "resume", reason));
        if self.started {
            return refuse(ErrorCode::Invalid, "resume comes first after hello, or not at all");
        }
        let Some(session) = self.hub.sessions.find(token) else {
            return refuse(ErrorCode::SessionUnknown, "the session is over, or never was");
        };
        if !self.take_over(session) {
            return self.error(ErrorMessage::new(
                ErrorCode::SessionUnknown,
                "resume",
                "the session is over",
            ));
        }
        tracing::debug!(client = %self.session.id, "session resumed");
        self.say_hello(true);
        self.hub.list_client(&self.session, true, false);
        self.session.send_backlog();
    }
}

/// Answers a request for a special service, in its time.
fn answer_special(hub: Arc<Hub>, session: Arc<Session>, request_id: RequestId, served: Served) {
    let lost = |_| {
        let reason = "it could not be made durable, and is undone";
        ServiceError::new(ServiceErrorCode::Failed, reason)
    };
    match served {
        Served::Now(outcome) => session.answer(ServerMessage::Response { request_id, outcome }),
        Served::OnceDurable(outcome) => {
            let answer = move |durable: Result<(), Unavailable>| {
                let outcome = durable.map_err(lost).and(outcome);
                session.answer(ServerMessage::Response { request_id, outcome });
            };
            hub.engine.after_commit(Box::new(answer));
        }
        Served::Reads(read) => read_settled(&hub, move || {
            let outcome = read();
            session.answer(ServerMessage::Response { request_id, outcome });
        }),
        Served::ReadsThenDurable(read) => {
            let then = hub.clone();
            read_settled(&hub, move || {
                answer_special(then, session, request_id, Served::OnceDurable(read()));
            });
        }
    }
}

/// Runs something that reads once all that is accepted by now is settled.
fn read_settled(hub: &Arc<Hub>, read: impl FnOnce() + Send + 'static) {
    let spawner = hub.clone();
    hub.engine.before_reading(Box::new(move || spawner.spawn_reading(read)));
}
