//! The server from within: a Rust program's way to topics, services and clients.
//!
//! A [`Host`] is a handle, cheap to clone, that works from any thread. Topics come as [`TopicHandle`]s
//! of their type, whose changes go the same way as those of clients: validated, ordered, logged,
//! published.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ecow::EcoString;
use thiserror::Error;
use tokio::sync::mpsc;

use super::shared::Shared;
use crate::engine::{
    Body, ChangeBody, OpenError, Publication, Receipt, Submission, Submitted, Subscriber,
    TopicCell, Unavailable,
};
use crate::protocol::ServiceErrorCode;
use crate::protocol::message::ServiceError;
use crate::topic::{
    ActionId, ClientId, CommitNumber, NameError, Rejection, TopicName, TopicOptions, Version,
};
use crate::types::{AnyValue, TopicType, TypeRef};
use crate::value::Value;

/// The program that a server is embedded in.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

/// Why a topic could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HostError {
    /// The name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The topic cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl Host {
    pub(super) fn new(shared: Arc<Shared>) -> Host {
        Host { shared }
    }

    /// The topic of this name, made with the default options if there is none.
    ///
    /// # Errors
    /// The name cannot be one, or the topic is of another type.
    pub fn topic<T: TopicType>(&self, name: &str) -> Result<TopicHandle<T>, HostError> {
        self.topic_with(name, TopicOptions::default())
    }

    /// The topic of this name, made with `options` if there is none.
    ///
    /// # Errors
    /// The name cannot be one, the topic is of another type, or the options do not fit the type.
    pub fn topic_with<T: TopicType>(
        &self,
        name: &str,
        options: TopicOptions,
    ) -> Result<TopicHandle<T>, HostError> {
        let name = TopicName::new(name)?;
        let cell = self.shared.hub.engine().make(&name, TypeRef::of::<T>(), options)?;
        Ok(TopicHandle { host: self.clone(), cell, kind: PhantomData })
    }

    /// Removes a topic; its subscribers are told. `false` if there is none.
    pub fn remove_topic(&self, name: &str) -> bool {
        TopicName::new(name).is_ok_and(|name| self.shared.hub.engine().remove(&name))
    }

    /// Makes changes to one or more topics that take effect together or not at all.
    ///
    /// # Errors
    /// Why the first change that failed did; nothing happened.
    pub fn action(
        &self,
        build: impl FnOnce(&mut ActionBuilder),
    ) -> Result<CommitNumber, Rejection> {
        let mut action = ActionBuilder { changes: Vec::new() };
        build(&mut action);
        let commit = self.shared.hub.engine().commit().0;
        let action_id = ActionId::new(ecow::eco_format!("0_{commit}_{}", next_number()));
        let action_id = action_id.expect("two numbers are short enough");
        self.submit(Some(action_id), action.changes).map(|receipt| receipt.commit)
    }

    /// Offers a service to clients. `false` if the name is taken.
    ///
    /// `serve` gets the arguments and who asks, and its outcome is what the client gets.
    pub fn service<F, Fut>(&self, name: &str, serve: F) -> bool
    where
        F: Fn(Value, ClientId) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, String>> + Send + 'static,
    {
        let service = move |args, client| {
            let outcome = serve(args, client);
            let answer = async move {
                outcome.await.map_err(|reason| ServiceError::new(ServiceErrorCode::Failed, reason))
            };
            Box::pin(answer) as crate::session::Answer
        };
        self.shared.hub.offer_service(name, Arc::new(service))
    }

    /// Says something to one client, in its topic `_topicsync/client_message/<id>`.
    pub fn tell(&self, client: ClientId, words: &str) {
        self.shared.hub.tell(client, words);
    }

    /// Is done once all changes made by now are as durable as their topics ask for, and published.
    ///
    /// # Errors
    /// Some of them could not be made durable, and are undone.
    pub async fn settled(&self) -> Result<(), Unavailable> {
        self.shared.settled().await
    }

    fn submit(
        &self,
        action_id: Option<ActionId>,
        changes: Vec<Submitted>,
    ) -> Result<Receipt, Rejection> {
        let submission = Submission { action_id, changes: changes.into() };
        let result = self.shared.hub.engine().submit_now(self.shared.hub.author(), submission);
        let receipt = result.map_err(|rejected| rejected.rejection)?;
        self.shared.hub.counters().changes.add(receipt.versions.len() as u64);
        Ok(receipt)
    }
}

/// Numbers that no two listeners or actions of this process share.
fn next_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// Collects the changes of one action.
pub struct ActionBuilder {
    changes: Vec<Submitted>,
}

impl ActionBuilder {
    /// Adds a change, which sees the effect of those before it.
    pub fn change<T: TopicType>(
        &mut self,
        topic: &TopicHandle<T>,
        change: T::Change,
    ) -> &mut ActionBuilder {
        self.changes.push(topic.submitted(&change));
        self
    }
}

/// A topic of type `T`, by a program's hand. A clone is a pointer.
pub struct TopicHandle<T: TopicType> {
    host: Host,
    cell: Arc<TopicCell>,
    kind: PhantomData<fn() -> T>,
}

impl<T: TopicType> Clone for TopicHandle<T> {
    fn clone(&self) -> Self {
        TopicHandle { host: self.host.clone(), cell: self.cell.clone(), kind: PhantomData }
    }
}

impl<T: TopicType> fmt::Debug for TopicHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cell.fmt(f)
    }
}

impl<T: TopicType> TopicHandle<T> {
    /// The name of the topic.
    pub fn name(&self) -> &TopicName {
        self.cell.name()
    }

    /// The value at the head, which may not be durable yet. A pointer: it stays as it is, whatever comes.
    pub fn value(&self) -> T::Value {
        own::<T>(&self.cell.snapshot().value).clone()
    }

    /// The newest version.
    pub fn version(&self) -> Version {
        self.cell.head()
    }

    /// Makes a change on whatever the value is, and gives the version that it made.
    ///
    /// # Errors
    /// Why it was not accepted.
    pub fn change(&self, change: T::Change) -> Result<Version, Rejection> {
        let receipt = self.host.submit(None, vec![self.submitted(&change)])?;
        Ok(receipt.versions[0])
    }

    /// The change as a client would send it, so that it is checked like a client's.
    fn submitted(&self, change: &T::Change) -> Submitted {
        let fields = T::encode_change(change);
        Submitted {
            topic: self.cell.name().clone(),
            // A topic that was made again under this name is another one.
            epoch: Some(self.cell.epoch().clone()),
            change: match fields.check() {
                Ok(()) => ChangeBody::Fields(fields),
                Err(limit) => ChangeBody::Malformed(limit.into()),
            },
            id: None,
            base: None,
        }
    }

    /// Has `listener` called for each change from here on, one after the other and in order, off the
    /// topic's lock: it may make changes itself. It is called until the [`Listening`] is dropped.
    pub fn on_change(&self, listener: impl Fn(Changed<'_, T>) + Send + 'static) -> Listening {
        let (sender, receiver) = mpsc::unbounded_channel();
        let id = ClientId(u64::MAX - next_number());
        let subscriber: Arc<dyn Subscriber> = Arc::new(Listener { id, sender });
        self.cell.attach(subscriber.clone());
        let snapshot = self.cell.published();
        let calls = call(self.cell.clone(), snapshot.value, snapshot.version, receiver, listener);
        self.host.shared.spawn(calls);
        Listening { topic: self.cell.clone(), subscriber }
    }
}

/// A value of the topic's own type.
fn own<T: TopicType>(value: &AnyValue) -> &T::Value {
    value.get::<T>().expect("the handle was opened with the topic's type")
}

/// A change that was made, by whomever.
pub struct Changed<'a, T: TopicType> {
    /// The version that the change made.
    pub version: Version,
    /// The place of the change in the server-wide order.
    pub commit: CommitNumber,
    /// Whose change it was.
    pub author: ClientId,
    /// `None` where rebasing left nothing to do, or where a `latest` topic changed as a whole.
    pub change: Option<&'a T::Change>,
    /// The value after it.
    pub value: &'a T::Value,
}

/// Keeps a listener listening.
#[must_use = "the listener is called until this is dropped"]
pub struct Listening {
    topic: Arc<TopicCell>,
    subscriber: Arc<dyn Subscriber>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.topic.detach(&*self.subscriber);
    }
}

/// A change on its way to a listener.
struct Heard {
    version: Version,
    commit: CommitNumber,
    author: ClientId,
    body: Body,
}

/// Passes what a topic publishes on to the task that calls the listener.
struct Listener {
    id: ClientId,
    sender: mpsc::UnboundedSender<Heard>,
}

impl Subscriber for Listener {
    fn client_id(&self) -> ClientId {
        self.id
    }

    fn deliver(&self, publication: &Arc<Publication>) {
        for item in &publication.items {
            for part in &item.parts {
                let author = item.author.unwrap_or(ClientId::SERVER);
                let (version, commit, body) = (part.version, item.commit, part.body.clone());
                // A listener that is gone has nobody to tell.
                let _ = self.sender.send(Heard { version, commit, author, body });
            }
        }
    }

    fn topic_removed(&self, _topic: &Arc<TopicCell>) {}
}

/// Calls a listener for each change after `version`, keeping the value up to date.
async fn call<T: TopicType>(
    topic: Arc<TopicCell>,
    mut value: AnyValue,
    version: Version,
    mut receiver: mpsc::UnboundedReceiver<Heard>,
    listener: impl Fn(Changed<'_, T>) + Send,
) {
    while let Some(heard) = receiver.recv().await {
        if heard.version <= version {
            continue;
        }
        let change = match &heard.body {
            Body::Snapshot(snapshot) => {
                value = snapshot.clone();
                None
            }
            Body::Change(change) => change.as_ref(),
        };
        if let Some(change) = change
            && let Err(error) = topic.kind().apply(&mut value, change)
        {
            tracing::error!(topic = %topic.name(), %error, "a published change does not apply");
            return;
        }
        listener(Changed {
            version: heard.version,
            commit: heard.commit,
            author: heard.author,
            change: change.and_then(|change| change.get::<T>()),
            value: own::<T>(&value),
        });
    }
}

/// A name, or all that begin with what stands before a final `*`.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

/// The built-in types by name, and their changes as methods.
mod built_in {
    use super::{EcoString, Host, HostError, Rejection, TopicHandle, Value, Version};
    use crate::types::bool::Bool;
    use crate::types::dict::{Dict, DictChange};
    use crate::types::event::{Emit, Event};
    use crate::types::float::{Float, FloatChange};
    use crate::types::generic::{Generic, SetTo};
    use crate::types::int::{Int, IntChange};
    use crate::types::list::{List, ListChange};
    use crate::types::place::Place;
    use crate::types::set::{Set, SetChange};
    use crate::types::string::{String as Text, StringChange};
    use crate::value::{Dict as DictValue, List as ListValue, Text as TextValue};

    type Made = Result<Version, Rejection>;

    macro_rules! open {
        ($($name:ident: $kind:ty,)*) => {
            impl Host {
                $(
                    /// The topic of this name and type, made if there is none.
                    ///
                    /// # Errors
                    /// As [`topic`](Host::topic).
                    pub fn $name(&self, name: &str) -> Result<TopicHandle<$kind>, HostError> {
                        self.topic(name)
                    }
                )*
            }
        };
    }

    open! {
        generic: Generic,
        bool: Bool,
        int: Int,
        float: Float,
        string: Text,
        list: List,
        set: Set,
        dict: Dict,
        event: Event,
    }

    /// Methods that make one change each; why it may fail is in [`Rejection`].
    macro_rules! changes {
        ($kind:ty { $($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) => $change:expr;)* }) => {
            #[allow(clippy::missing_errors_doc)]
            impl TopicHandle<$kind> {
                $(
                    $(#[$doc])*
                    pub fn $name(&self, $($arg: $type),*) -> Made {
                        self.change($change)
                    }
                )*
            }
        };
    }

    changes!(Generic {
        /// Sets the whole value.
        set(value: impl Into<Value>) => SetTo(value.into());
    });

    changes!(Bool {
        /// Sets the whole value.
        set(value: bool) => SetTo(value);
    });

    changes!(Int {
        /// Sets the whole value.
        set(value: i64) => IntChange::Set(value);
        /// Adds a number.
        add(value: i64) => IntChange::Add(value);
    });

    changes!(Float {
        /// Sets the whole value.
        set(value: f64) => FloatChange::Set(value);
        /// Adds a number.
        add(value: f64) => FloatChange::Add(value);
    });

    changes!(Text {
        /// Sets the whole value.
        set(value: impl Into<TextValue>) => StringChange::Set(value.into());
        /// Puts text before the code point at `position`.
        insert(position: usize, text: &str) => StringChange::insert(position, text);
        /// Puts text at the end.
        append(text: &str) => StringChange::Append(text.into());
        /// Deletes `len` code points from `position` on.
        delete(position: usize, len: usize) => StringChange::delete(position, len);
    });

    changes!(List {
        /// Sets the whole value.
        set(items: impl Into<ListValue<Value>>) => ListChange::Set(items.into());
        /// Puts `item` before the item at `position`.
        insert(position: usize, item: impl Into<Value>) =>
            ListChange::Insert { position: Place::At(position), item: item.into() };
        /// Puts `item` behind the last item.
        push(item: impl Into<Value>) =>
            ListChange::Insert { position: Place::End, item: item.into() };
        /// Takes out the item at `position`.
        pop(position: usize) => ListChange::Pop { position: Place::At(position) };
        /// Puts `item` in the place of the item at `position`.
        replace(position: usize, item: impl Into<Value>) =>
            ListChange::Replace { position: Place::At(position), item: item.into() };
        /// Takes out the item at `from` and puts it before the item that is at `to` by then.
        move_item(from: usize, to: usize) =>
            ListChange::Move { from: Place::At(from), to: Place::At(to) };
    });

    changes!(Set {
        /// Puts `item` into the set, if it is not there.
        append(item: impl Into<Value>) => SetChange::Append(item.into());
        /// Takes `item` out of the set, if it is there.
        remove(item: impl Into<Value>) => SetChange::Remove(item.into());
    });

    changes!(Dict {
        /// Sets the whole value.
        set(entries: impl Into<DictValue>) => DictChange::Set(entries.into());
        /// Puts `value` under a key that is not there.
        add(key: impl Into<EcoString>, value: impl Into<Value>) =>
            DictChange::Add { key: key.into(), value: value.into() };
        /// Takes out a key that is there.
        remove(key: impl Into<EcoString>) => DictChange::Remove { key: key.into() };
        /// Puts another value under a key that is there.
        change_value(key: impl Into<EcoString>, value: impl Into<Value>) =>
            DictChange::ChangeValue { key: key.into(), value: value.into() };
    });

    changes!(Event {
        /// Emits an event.
        emit(args: impl Into<DictValue>) => Emit(args.into());
    });
}
