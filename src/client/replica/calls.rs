//! Services, both ways: what this client offers, and what it asks for.

use std::collections::BTreeMap;

use ecow::EcoString;

use super::Replica;
use crate::client::event::Event;
use crate::client::pending::BatchId;
use crate::protocol::ServiceErrorCode;
use crate::protocol::message::{ClientMessage, Outcome, RequestId, ServiceError};
use crate::topic::ClientId;
use crate::value::Value;

/// Names one request of this client, until its outcome is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

#[derive(Debug, Default)]
pub(super) struct Calls {
    made: u64,
    waiting: Vec<Call>,
    sent: BTreeMap<RequestId, CallId>,
    /// The services of this client, and whether its session knows.
    offers: BTreeMap<EcoString, bool>,
}

#[derive(Debug)]
struct Call {
    id: CallId,
    service_name: EcoString,
    args: Value,
    timeout_ms: Option<u64>,
    /// Goes out only when every batch up to this one has met its fate.
    after: Option<BatchId>,
}

impl Replica {
    /// Offers a service, now and in every later session.
    pub fn register_service(&mut self, service_name: impl Into<EcoString>) {
        self.calls.offers.entry(service_name.into()).or_insert(false);
    }

    /// Takes back an offer.
    pub fn unregister_service(&mut self, service_name: &str) {
        if self.calls.offers.remove(service_name) == Some(true) {
            let service_name = service_name.into();
            self.queue.push(ClientMessage::UnregisterService { service_name });
        }
    }

    /// Asks a service. It goes out as soon as there is a session; the outcome is an event.
    pub fn request(
        &mut self,
        service_name: impl Into<EcoString>,
        args: Value,
        timeout_ms: Option<u64>,
    ) -> CallId {
        self.call(service_name.into(), args, timeout_ms, None)
    }

    /// Undoes this client's newest action. What was made here before is sent and answered first.
    pub fn undo(&mut self) -> CallId {
        self.call("_topicsync/undo".into(), Value::Null, None, Some(self.batches_made))
    }

    /// Redoes what was undone last.
    pub fn redo(&mut self) -> CallId {
        self.call("_topicsync/redo".into(), Value::Null, None, Some(self.batches_made))
    }

    /// Answers somebody's request.
    pub fn respond(&mut self, request_id: RequestId, outcome: Outcome) {
        self.queue.push(ClientMessage::Response { request_id, outcome });
    }

    fn call(
        &mut self,
        service_name: EcoString,
        args: Value,
        timeout_ms: Option<u64>,
        after: Option<BatchId>,
    ) -> CallId {
        self.calls.made += 1;
        let id = CallId(self.calls.made);
        self.calls.waiting.push(Call { id, service_name, args, timeout_ms, after });
        id
    }

    /// Offers that the session does not know of yet.
    pub(super) fn offers_to_send(&mut self) -> Vec<ClientMessage> {
        let unsent = self.calls.offers.iter_mut().filter(|(_, sent)| !**sent);
        let register = unsent.map(|(service_name, sent)| {
            *sent = true;
            ClientMessage::RegisterService { service_name: service_name.clone() }
        });
        register.collect()
    }

    /// Requests that can go out now.
    pub(super) fn calls_to_send(&mut self, client_id: ClientId) -> Vec<ClientMessage> {
        let oldest = self.batches.keys().next().copied();
        let settled = |after: BatchId| oldest.is_none_or(|oldest| oldest > after);
        let ready: Vec<Call> =
            self.calls.waiting.extract_if(.., |call| call.after.is_none_or(settled)).collect();
        let mut messages = Vec::with_capacity(ready.len());
        for Call { id, service_name, args, timeout_ms, .. } in ready {
            let request_id: RequestId = self.next_id(client_id).to_string().into();
            self.calls.sent.insert(request_id.clone(), id);
            messages.push(ClientMessage::Request { service_name, args, request_id, timeout_ms });
        }
        messages
    }

    pub(super) fn response(&mut self, request_id: &str, outcome: Outcome) {
        if let Some(call) = self.calls.sent.remove(request_id) {
            self.events.push(Event::Response { call, outcome });
        }
    }

    pub(super) fn offer_refused(&mut self, service_name: &str) {
        self.calls.offers.remove(service_name);
    }

    /// The session is gone, and with it its services and what was asked in it.
    pub(super) fn calls_lost(&mut self) {
        self.calls.offers.values_mut().for_each(|sent| *sent = false);
        for call in std::mem::take(&mut self.calls.sent).into_values() {
            let reason = "the session ended before the answer";
            let outcome = Err(ServiceError::new(ServiceErrorCode::Failed, reason));
            self.events.push(Event::Response { call, outcome });
        }
    }
}
