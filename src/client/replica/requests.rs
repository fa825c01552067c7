//! Services, both ways: what this client offers, and what it asks for.

use std::collections::BTreeMap;

use ecow::EcoString;

use super::Replica;
use crate::client::event::{CallError, Event};
use crate::client::pending::Order;
use crate::protocol::message::{ClientMessage, Outcome, RequestId};
use crate::topic::ClientId;
use crate::value::Value;

/// The services that only read: to ask them twice does no harm (R39).
const READING: [&str; 4] =
    ["_topicsync/value_at", "_topicsync/history", "_topicsync/cut", "_topicsync/stats"];

/// Names one request of this client, until its outcome is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

#[derive(Debug, Default)]
pub(super) struct Requests {
    made: u64,
    /// In the order made.
    waiting: Vec<Call>,
    /// By the id that they were sent under.
    sent: BTreeMap<RequestId, Call>,
    /// Those of `sent` that are to be sent again under their ids, in order.
    resend: Vec<RequestId>,
    offers: BTreeMap<EcoString, Offer>,
}

#[derive(Debug, Clone)]
struct Call {
    id: CallId,
    service_name: EcoString,
    args: Value,
    timeout_ms: Option<u64>,
    /// For undo and redo: stands in the queue behind this action (R16).
    after: Option<Order>,
}

/// A service of this client, or one that it is about to take back.
#[derive(Debug, Clone, Copy)]
struct Offer {
    wanted: bool,
    /// The session was told.
    sent: bool,
    /// The session answered.
    answered: bool,
}

impl Requests {
    /// The last action made before an undo or redo that was not sent yet.
    pub(super) fn last_barrier(&self) -> Option<Order> {
        self.waiting.iter().rev().find_map(|call| call.after)
    }

    /// The first such action: nothing that was made after it goes out.
    pub(super) fn first_barrier(&self) -> Option<Order> {
        self.waiting.iter().find_map(|call| call.after)
    }
}

impl Replica {
    /// Offers a service, now and in every later session (R41).
    pub fn register_service(&mut self, service_name: impl Into<EcoString>) {
        let new = Offer { wanted: true, sent: false, answered: false };
        let offer = self.requests.offers.entry(service_name.into()).or_insert(new);
        if !offer.wanted {
            *offer = new;
        }
    }

    /// Takes back an offer.
    pub fn unregister_service(&mut self, service_name: &str) {
        if self.session.is_none() {
            self.requests.offers.remove(service_name);
        } else if let Some(offer) = self.requests.offers.get_mut(service_name) {
            *offer = Offer { wanted: false, sent: false, answered: false };
        }
    }

    /// Whether the session has a service of this client, as the server said.
    pub fn is_registered(&self, service_name: &str) -> bool {
        let offer = self.requests.offers.get(service_name);
        offer.is_some_and(|offer| offer.wanted && offer.answered)
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

    /// Undoes this client's newest action. What was made here before is sent and answered first, and what
    /// is made after it is sent after it (R16).
    pub fn undo(&mut self) -> CallId {
        self.call("_topicsync/undo".into(), Value::Null, None, Some(self.actions_made))
    }

    /// Redoes what was undone last.
    pub fn redo(&mut self) -> CallId {
        self.call("_topicsync/redo".into(), Value::Null, None, Some(self.actions_made))
    }

    /// Gives up a request: if it was not sent, it never is, and its answer is passed over (R40). Tells
    /// whether it had no outcome yet.
    pub fn forget_call(&mut self, call: CallId) -> bool {
        let Requests { waiting, sent, .. } = &mut self.requests;
        let before = waiting.len() + sent.len();
        waiting.retain(|it| it.id != call);
        sent.retain(|_, it| it.id != call);
        before > waiting.len() + sent.len()
    }

    /// Answers somebody's request.
    pub fn respond(&mut self, request_id: RequestId, outcome: Outcome) {
        self.messages.push(ClientMessage::Response { request_id, outcome });
    }

    fn call(
        &mut self,
        service_name: EcoString,
        args: Value,
        timeout_ms: Option<u64>,
        after: Option<Order>,
    ) -> CallId {
        self.requests.made += 1;
        let id = CallId(self.requests.made);
        let call = Call { id, service_name, args, timeout_ms, after };
        match self.closed {
            true => self.end_call(call, |service_name| CallError::Closed { service_name }),
            false => self.requests.waiting.push(call),
        }
        id
    }

    fn end_call(&mut self, call: Call, error: impl Fn(EcoString) -> CallError) {
        let outcome = Err(error(call.service_name));
        self.events.push(Event::Response { call: call.id, outcome });
    }

    /// Services that the session does not know of yet, and those that it is to forget.
    pub(super) fn offers_to_send(&mut self) -> Vec<ClientMessage> {
        let unsent = self.requests.offers.iter_mut().filter(|(_, offer)| !offer.sent);
        let told = unsent.map(|(service_name, offer)| {
            offer.sent = true;
            let service_name = service_name.clone();
            match offer.wanted {
                true => ClientMessage::RegisterService { service_name },
                false => ClientMessage::UnregisterService { service_name },
            }
        });
        told.collect()
    }

    /// Requests that can go out now.
    pub(super) fn requests_to_send(&mut self, client_id: ClientId) -> Vec<ClientMessage> {
        let mut messages = Vec::new();
        for request_id in std::mem::take(&mut self.requests.resend) {
            let call = self.requests.sent.get(&request_id).cloned();
            messages.extend(call.map(|call| request(call, request_id)));
        }
        // Presence stands in no queue, so an undo does not wait for it.
        let logged = |order: &&Order| !self.is_presence(&self.actions[*order].topics);
        let oldest = self.actions.keys().find(logged).copied();
        let answered = |after: Order| oldest.is_none_or(|oldest| oldest > after);
        let ready = |call: &mut Call| call.after.is_none_or(answered);
        let ready: Vec<Call> = self.requests.waiting.extract_if(.., ready).collect();
        for call in ready {
            let request_id: RequestId = self.next_id(client_id).to_string().into();
            self.requests.sent.insert(request_id.clone(), call.clone());
            messages.push(request(call, request_id));
        }
        messages
    }

    pub(super) fn response(&mut self, request_id: &str, outcome: Outcome) {
        if let Some(Call { id, service_name, .. }) = self.requests.sent.remove(request_id) {
            let outcome = outcome.map_err(|error| CallError::Service { service_name, error });
            self.events.push(Event::Response { call: id, outcome });
        }
    }

    /// The session has a service of this client, or has it no more.
    pub(super) fn offer_answered(&mut self, service_name: EcoString, registered: bool) {
        let offer = self.requests.offers.get_mut(&service_name);
        match offer.filter(|offer| offer.sent && offer.wanted == registered) {
            Some(offer) if registered => offer.answered = true,
            Some(_) => drop(self.requests.offers.remove(&service_name)),
            None => {}
        }
        self.events.push(match registered {
            true => Event::Registered { service_name },
            false => Event::Unregistered { service_name },
        });
    }

    pub(super) fn offer_refused(&mut self, service_name: &str) {
        self.requests.offers.remove(service_name);
    }

    /// Whether the server has yet to answer a request, or a service that is offered or taken back.
    pub(super) fn has_open_requests(&self) -> bool {
        let Requests { waiting, sent, offers, .. } = &self.requests;
        !waiting.is_empty() || !sent.is_empty() || offers.values().any(|offer| !offer.answered)
    }

    /// What was asked and has no answer, in the order asked.
    pub(super) fn open_requests(&self) -> Vec<EcoString> {
        let mut calls: Vec<&Call> = self.requests.sent.values().collect();
        calls.extend(&self.requests.waiting);
        calls.sort_unstable_by_key(|call| call.id);
        calls.into_iter().map(|call| call.service_name.clone()).collect()
    }

    /// The connection is lost. Reading requests are asked again; whether others were done is not known
    /// (R39). What the session was told of services may not have come.
    pub(super) fn requests_disconnected(&mut self) {
        let reads = |call: &Call| READING.contains(&&*call.service_name);
        let lost = self.requests.sent.extract_if(.., |_, call| !reads(call));
        let mut lost: Vec<Call> = lost.map(|(_, call)| call).collect();
        lost.sort_unstable_by_key(|call| call.id);
        for call in lost {
            self.end_call(call, |service_name| CallError::Lost { service_name });
        }
        let mut again: Vec<(CallId, RequestId)> =
            self.requests.sent.iter().map(|(id, call)| (call.id, id.clone())).collect();
        again.sort_unstable();
        self.requests.resend = again.into_iter().map(|(_, id)| id).collect();
        for offer in self.requests.offers.values_mut().filter(|offer| !offer.answered) {
            offer.sent = false;
        }
    }

    /// The session is gone, and with it its services. What is asked again is asked under new ids.
    pub(super) fn requests_session_lost(&mut self) {
        let Requests { waiting, sent, resend, offers, .. } = &mut self.requests;
        resend.clear();
        waiting.extend(std::mem::take(sent).into_values());
        waiting.sort_unstable_by_key(|call| call.id);
        offers.retain(|_, offer| offer.wanted);
        offers.values_mut().for_each(|offer| (offer.sent, offer.answered) = (false, false));
    }

    /// Gives up all requests (R38).
    pub(super) fn end_requests(&mut self) {
        let mut sent: Vec<Call> = std::mem::take(&mut self.requests.sent).into_values().collect();
        sent.sort_unstable_by_key(|call| call.id);
        for call in sent {
            self.end_call(call, |service_name| CallError::Lost { service_name });
        }
        for call in std::mem::take(&mut self.requests.waiting) {
            self.end_call(call, |service_name| CallError::Closed { service_name });
        }
        self.requests.resend.clear();
        self.requests.offers.clear();
    }
}

fn request(call: Call, request_id: RequestId) -> ClientMessage {
    let Call { service_name, args, timeout_ms, .. } = call;
    ClientMessage::Request { service_name, args, request_id, timeout_ms }
}
