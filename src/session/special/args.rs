//! The arguments of one request for a special service.

use std::sync::Arc;

use ecow::{EcoString, eco_format};

use crate::engine::policy::Operation;
use crate::engine::{PastError, Principal, TopicCell};
use crate::protocol::ServiceErrorCode as Code;
use crate::protocol::message::ServiceError;
use crate::session::hub::Hub;
use crate::topic::{CommitNumber, Moment, Timestamp, TopicName, Version};
use crate::value::Value;

pub(super) fn invalid(reason: impl Into<EcoString>) -> ServiceError {
    ServiceError::new(Code::Invalid, reason)
}

/// Why something of the past cannot be had.
pub(super) fn unreadable(error: PastError) -> ServiceError {
    let code = match error {
        PastError::NotKept => Code::Invalid,
        PastError::Unsettled | PastError::Journal(_) | PastError::Change { .. } => Code::Failed,
    };
    ServiceError::new(code, eco_format!("{error}"))
}

/// The arguments of one request, and who makes it.
pub(super) struct Args {
    pub hub: Arc<Hub>,
    pub principal: Principal,
    pub args: Value,
}

impl Args {
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        match &self.args {
            Value::Dict(dict) => dict.get(name).filter(|value| **value != Value::Null),
            _ => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, ServiceError> {
        self.get(name).map(|value| whole(name, value)).transpose()
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<EcoString>, ServiceError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.into())),
            Some(_) => Err(invalid(eco_format!("{name:?} must be a string"))),
        }
    }

    /// A name that may be that of a topic.
    pub(super) fn name_of(&self, arg: &str) -> Result<TopicName, ServiceError> {
        let name = self.text(arg)?.ok_or_else(|| invalid(eco_format!("{arg:?} is missing")))?;
        TopicName::new(name).map_err(|error| invalid(eco_format!("{error}")))
    }

    /// Asks whether the client may do that.
    pub(super) fn authorize(&self, operation: &Operation<'_>) -> Result<(), ServiceError> {
        let denied = self.hub.engine().authorize(&self.principal, operation);
        denied.map_err(|denied| ServiceError::new(Code::Forbidden, denied.reason))
    }

    /// The topic whose past the client wants, and may read.
    pub(super) fn topic(&self) -> Result<Arc<TopicCell>, ServiceError> {
        let name = self.name_of("topic_name")?;
        self.authorize(&Operation::ReadPast { topic: &name })?;
        match self.hub.engine().find(&name) {
            Ok(Some(topic)) => Ok(topic),
            Ok(None) => {
                let reason = eco_format!("there is no topic {name:?}");
                Err(ServiceError::new(Code::UnknownTopic, reason))
            }
            Err(error) => Err(ServiceError::new(Code::Failed, eco_format!("{error}"))),
        }
    }

    /// The moment that the arguments themselves name.
    pub(super) fn moment(&self) -> Result<Moment, ServiceError> {
        self.optional_moment()?.ok_or_else(no_moment)
    }

    /// As [`moment`](Self::moment), if they name one.
    pub(super) fn optional_moment(&self) -> Result<Option<Moment>, ServiceError> {
        moment_in(|name| self.get(name))
    }

    /// A moment as one argument: a version, or a dict that names one.
    pub(super) fn moment_of(&self, arg: &str) -> Result<Option<Moment>, ServiceError> {
        match self.get(arg) {
            None => Ok(None),
            Some(Value::Dict(dict)) => moment_in(|name| dict.get(name)),
            Some(version) => Ok(Some(Moment::Version(Version(whole(arg, version)?)))),
        }
    }

    pub(super) fn topic_names(&self) -> Result<Option<Vec<EcoString>>, ServiceError> {
        let name = |name: &Value| name.as_text().map(EcoString::from);
        match self.get("topic_names") {
            None => Ok(None),
            Some(Value::List(names)) => {
                let names: Option<Vec<EcoString>> = names.iter().map(name).collect();
                names.map(Some).ok_or_else(|| invalid("\"topic_names\" must be strings"))
            }
            Some(_) => Err(invalid("\"topic_names\" must be a list")),
        }
    }
}

fn whole(name: &str, value: &Value) -> Result<u64, ServiceError> {
    match value.as_int().map(u64::try_from) {
        Some(Ok(number)) => Ok(number),
        _ => Err(invalid(eco_format!("{name:?} must be a whole number from 0"))),
    }
}

fn no_moment() -> ServiceError {
    invalid("one of \"version\", \"commit\" and \"time\" says when")
}

/// The one moment among some arguments, if there is one.
fn moment_in<'a>(get: impl Fn(&str) -> Option<&'a Value>) -> Result<Option<Moment>, ServiceError> {
    let number = |name| get(name).map(|value| whole(name, value)).transpose();
    let version = number("version")?.map(|it| Moment::Version(Version(it)));
    let commit = number("commit")?.map(|it| Moment::Commit(CommitNumber(it)));
    let time = number("time")?.map(|it| Moment::Time(Timestamp(it)));
    let mut moments = [version, commit, time].into_iter().flatten();
    match (moments.next(), moments.next()) {
        (moment, None) => Ok(moment),
        _ => Err(no_moment()),
    }
}
