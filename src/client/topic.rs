//! A topic as a program holds it, with the changes of its type.
//!
//! Positions, additions to a dict and removals go with a base: others' changes carry them along.
//! Writes of a register come in two: the plain one simply wins, as when somebody drags a node; the
//! one with `_if_unchanged` is rejected if somebody else was faster.

use std::marker::PhantomData;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::oneshot;

use super::event::{Event, Origin};
use super::handle::{Client, Listening, Pending};
use super::replica::{LocalChange, LocalError};
use super::shared::WaitError;
use crate::protocol::ErrorCode;
use crate::protocol::message::ErrorMessage;
use crate::topic::{NameError, TopicName};
use crate::types::bool::Bool;
use crate::types::dict::{Dict, DictChange};
use crate::types::event::{Emit, Event as EventType};
use crate::types::float::{Float, FloatChange};
use crate::types::generic::{Generic, SetTo};
use crate::types::int::{Int, IntChange};
use crate::types::list::{List, ListChange};
use crate::types::place::Place;
use crate::types::set::{Set, SetChange};
use crate::types::string::{String as StringType, StringChange};
use crate::types::{AnyValue, TopicType};
use crate::value::{self, Key, Value};

/// A topic of type `T`. A clone is another handle to the same one.
pub struct Topic<T> {
    client: Client,
    name: TopicName,
    of_type: PhantomData<fn() -> T>,
}

impl<T> Clone for Topic<T> {
    fn clone(&self) -> Topic<T> {
        Topic { client: self.client.clone(), name: self.name.clone(), of_type: PhantomData }
    }
}

/// Why a topic cannot be had.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SubscribeError {
    /// The name cannot be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It is subscribed here with another type.
    #[error("topic {topic_name:?} is subscribed here, and is no {topic_type} topic")]
    AnotherType {
        /// The topic.
        topic_name: TopicName,
        /// The type that was asked for.
        topic_type: &'static str,
    },
}

/// How a topic's view moved.
#[derive(Debug)]
pub struct Changed<'a, T: TopicType> {
    /// The view as it is now.
    pub value: &'a T::Value,
    /// What leads here from the view as it was. Empty if the value is to be taken as a whole.
    pub changes: Vec<&'a T::Change>,
    /// What moved it.
    pub origin: Origin,
}

type Made = Result<Pending, LocalError>;

impl<T: TopicType> Topic<T> {
    pub(super) fn new(client: Client, name: TopicName) -> Topic<T> {
        Topic { client, name, of_type: PhantomData }
    }

    /// The topic's name.
    pub fn name(&self) -> &TopicName {
        &self.name
    }

    /// The value as it is seen here, own pending changes included. Until it came, and once the
    /// subscription is over, it is the type's initial one.
    pub fn value(&self) -> T::Value {
        let view = |state: &mut super::shared::State| state.replica.view(&self.name).cloned();
        let view: Option<AnyValue> = self.client.shared.with(view);
        view.and_then(|view| view.get::<T>().cloned()).unwrap_or_else(T::initial)
    }

    /// Waits for the first value.
    ///
    /// # Errors
    /// Why there will be none: the topic has another type, say. Or it did not come in time.
    pub async fn ready(&self) -> Result<(), WaitError> {
        let what = format!("topic {:?}", self.name);
        let (ready, answer) = oneshot::channel();
        self.client.shared.with(|state| {
            match state.replica.topic(&self.name).map(|topic| topic.is_ready()) {
                Some(true) => drop(ready.send(Ok(()))),
                // Once closed, nobody would answer.
                Some(false) if state.replica.is_closed() => {}
                Some(false) => state.ready.entry(self.name.clone()).or_default().push(ready),
                None => {
                    let reason = "it is not subscribed";
                    let error = ErrorMessage::new(ErrorCode::UnknownTopic, "subscribe", reason);
                    drop(ready.send(Err(error.topic(&*self.name))));
                }
            }
        });
        self.client.shared.answered(what, answer).await
    }

    /// Calls back whenever the view moves, in order, until the answer is dropped. See
    /// [`Client::on_event`].
    pub fn on_change(
        &self,
        callback: impl Fn(Changed<'_, T>) + Send + Sync + 'static,
    ) -> Listening {
        let callback = move |event: &Event| {
            let Event::Changed { value, changes, origin, .. } = event else { return };
            let changes = changes.iter().filter_map(|change| change.get::<T>()).collect();
            if let Some(value) = value.get::<T>() {
                callback(Changed { value, changes, origin: *origin });
            }
        };
        self.client.listen(Some(self.name.clone()), Arc::new(callback))
    }

    /// A change of this topic, to be made in an [action](Client::action). It goes with a base if it
    /// can, unless it is [overwriting](LocalChange::overwriting).
    pub fn of(&self, change: &T::Change) -> LocalChange {
        LocalChange::new(self.name.clone(), T::encode_change(change))
    }

    /// Makes a change, with a base if it can have one.
    ///
    /// # Errors
    /// It does not fit the value that is seen here.
    pub fn change(&self, change: &T::Change) -> Made {
        self.client.action([self.of(change)])
    }

    /// Makes a change of whatever is there by then.
    ///
    /// # Errors
    /// It does not fit the value that is seen here.
    pub fn overwrite(&self, change: &T::Change) -> Made {
        self.client.action([self.of(change).overwriting()])
    }

    /// Ends the subscription, once what is pending is answered. Every handle of the topic is of no
    /// further use then.
    pub fn unsubscribe(self) {
        self.client.shared.act(|state| state.replica.unsubscribe(&self.name));
    }
}

/// `set` and `set_if_unchanged`, for a type that is set to such a value.
macro_rules! set {
    ($kind:ty, $value:ty, $change:expr) => {
        impl Topic<$kind> {
            /// Sets the whole value, whatever it is by then.
            ///
            /// # Errors
            /// It is no such value.
            pub fn set(&self, value: impl Into<$value>) -> Made {
                self.overwrite(&$change(value.into()))
            }

            /// Sets the whole value, unless somebody else changed it.
            ///
            /// # Errors
            /// It is no such value.
            pub fn set_if_unchanged(&self, value: impl Into<$value>) -> Made {
                self.change(&$change(value.into()))
            }
        }
    };
}

set!(Generic, Value, SetTo);
set!(Bool, bool, SetTo);
set!(Int, i64, IntChange::Set);
set!(Float, f64, FloatChange::Set);
set!(StringType, value::Text, StringChange::Set);
set!(List, value::List<Value>, ListChange::Set);
set!(Set, im::OrdSet<Value>, SetChange::Set);
set!(Dict, value::Dict, DictChange::Set);

impl Topic<Int> {
    /// Adds, to whatever is there by then.
    ///
    /// # Errors
    /// The sum leaves the range of numbers.
    pub fn add(&self, summand: i64) -> Made {
        self.overwrite(&IntChange::Add(summand))
    }
}

impl Topic<Float> {
    /// Adds, to whatever is there by then.
    ///
    /// # Errors
    /// The sum leaves the range of numbers.
    pub fn add(&self, summand: f64) -> Made {
        self.overwrite(&FloatChange::Add(summand))
    }
}

/// Positions count code points.
impl Topic<StringType> {
    /// Inserts text at a position.
    ///
    /// # Errors
    /// The position is beyond the end.
    pub fn insert(&self, position: usize, text: impl Into<Key>) -> Made {
        self.change(&StringChange::insert(position, text))
    }

    /// Puts text at the end, wherever that is by then.
    ///
    /// # Errors
    /// None that a text can have.
    pub fn append(&self, text: impl Into<Key>) -> Made {
        self.change(&StringChange::Append(text.into()))
    }

    /// Deletes `len` code points.
    ///
    /// # Errors
    /// They reach beyond the end.
    pub fn delete(&self, position: usize, len: usize) -> Made {
        self.change(&StringChange::delete(position, len))
    }
}

/// Positions count items.
impl Topic<List> {
    /// Inserts an item at a position.
    ///
    /// # Errors
    /// The position is beyond the end.
    pub fn insert(&self, position: usize, item: impl Into<Value>) -> Made {
        self.change(&ListChange::Insert { position: Place::At(position), item: item.into() })
    }

    /// Puts an item at the end, wherever that is by then.
    ///
    /// # Errors
    /// The item is no value that a list can hold.
    pub fn append(&self, item: impl Into<Value>) -> Made {
        self.change(&ListChange::Insert { position: Place::End, item: item.into() })
    }

    /// Takes out the item at a position.
    ///
    /// # Errors
    /// There is no item at the position.
    pub fn pop(&self, position: usize) -> Made {
        self.change(&ListChange::Pop { position: Place::At(position) })
    }

    /// Puts another item in the place of one. It is rejected if somebody else replaced or took out that
    /// item; there is no form that wins, as without a base a position is that of another item.
    ///
    /// # Errors
    /// There is no item at the position.
    pub fn replace(&self, position: usize, item: impl Into<Value>) -> Made {
        self.change(&ListChange::Replace { position: Place::At(position), item: item.into() })
    }

    /// Moves an item; `to` counts without it.
    ///
    /// # Errors
    /// A position is beyond the end.
    pub fn move_item(&self, from: usize, to: usize) -> Made {
        self.change(&ListChange::Move { from: Place::At(from), to: Place::At(to) })
    }
}

impl Topic<Set> {
    /// Adds an item.
    ///
    /// # Errors
    /// The item is there already.
    pub fn append(&self, item: impl Into<Value>) -> Made {
        self.change(&SetChange::Append(item.into()))
    }

    /// Takes out an item.
    ///
    /// # Errors
    /// The item is not there.
    pub fn remove(&self, item: impl Into<Value>) -> Made {
        self.change(&SetChange::Remove(item.into()))
    }
}

impl Topic<Dict> {
    /// Adds an entry under a new key.
    ///
    /// # Errors
    /// The key is there already.
    pub fn add(&self, key: impl Into<Key>, value: impl Into<Value>) -> Made {
        self.change(&DictChange::Add { key: key.into(), value: value.into() })
    }

    /// Takes out the entry under a key.
    ///
    /// # Errors
    /// The key is not there.
    pub fn remove(&self, key: impl Into<Key>) -> Made {
        self.change(&DictChange::Remove { key: key.into() })
    }

    /// Puts another value under a key, whatever is there by then.
    ///
    /// # Errors
    /// The key is not there.
    pub fn change_value(&self, key: impl Into<Key>, value: impl Into<Value>) -> Made {
        self.overwrite(&DictChange::ChangeValue { key: key.into(), value: value.into() })
    }

    /// Puts another value under a key, unless somebody else did.
    ///
    /// # Errors
    /// The key is not there.
    pub fn change_value_if_unchanged(&self, key: impl Into<Key>, value: impl Into<Value>) -> Made {
        self.change(&DictChange::ChangeValue { key: key.into(), value: value.into() })
    }

    /// Of a presence topic: wants this client's entry to be this, or not to be. It is put there again
    /// in every later session.
    pub fn set_presence(&self, entry: Option<Value>) {
        self.client.shared.act(|state| state.replica.set_presence(&self.name, entry));
    }
}

impl Topic<EventType> {
    /// Sends an event to all who listen.
    ///
    /// # Errors
    /// The arguments are no values.
    pub fn emit(&self, args: impl Into<value::Dict>) -> Made {
        self.change(&Emit(args.into()))
    }
}
