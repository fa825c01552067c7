//! A topic: a value and its version log.
pub mod ids;
pub mod options;

pub use ids::{
    ActionId, ChangeId, ClientId, CommitNumber, Epoch, NameError, Timestamp, TopicName, Version,
};
pub use options::{Delivery, Durability, Keep, OptionError, TopicOptions};
