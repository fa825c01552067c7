//! Moments, as people write them.
//!
//! A number alone is a version, in every command, and so it means something only where one topic is named:
//! see [`When::of`].

use std::str::FromStr;

use topicsync::journal::Journal;
use topicsync::replay::{ReplayError, Scope};
use topicsync::topic::{CommitNumber, Moment, Timestamp, TopicName, Version};

use super::out::CommandError;

/// From this on a bare number is a time in milliseconds: no version gets there, and every time since 1973
/// is beyond.
const MS_MIN: u64 = 100_000_000_000;

/// A moment of the past, or now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When(pub Moment);

/// How moments are written, for the help of each command.
pub const HELP: &str = "a version of the one topic that is named (42), commit:8412, a time \
                        (2026-11-23T13:49:00Z, or milliseconds since 1970), or head";

impl When {
    pub const HEAD: When = When(Moment::Commit(CommitNumber(u64::MAX)));
}

impl When {
    /// The moment that is meant, where a command looks at these topics.
    ///
    /// # Errors
    /// A version where no topic, or more than one, is named; a version or commit that is not there yet.
    pub fn of(self, journal: &dyn Journal, topics: &[TopicName]) -> Result<Moment, CommandError> {
        match (self.0, topics) {
            (Moment::Version(version), [topic]) => {
                let head = journal.extent(topic)?.head;
                if version > head {
                    let topic = topic.clone();
                    return Err(ReplayError::NotYet { topic, version, head }.into());
                }
            }
            (Moment::Version(version), _) => {
                return Err(CommandError::Usage(format!(
                    "{version} is a version, which is one of a topic: name one topic, or give a commit \
                     (commit:{version}) or a time"
                )));
            }
            (Moment::Commit(commit), _) if self != When::HEAD => {
                let newest = Scope::of(journal, |_| true)?.newest;
                if commit > newest {
                    return Err(CommandError::Usage(format!(
                        "there is no commit {commit} yet, the newest is {newest}"
                    )));
                }
            }
            _ => {}
        }
        Ok(self.0)
    }

    /// The newest commit that is not after the moment, of these topics.
    ///
    /// # Errors
    /// As those of [`of`](Self::of).
    pub fn commit(
        self,
        journal: &dyn Journal,
        scope: &Scope,
        topics: &[TopicName],
    ) -> Result<CommitNumber, CommandError> {
        let moment = self.of(journal, topics)?;
        if let Moment::Commit(commit) = moment {
            return Ok(commit);
        }
        let mut newest = CommitNumber(0);
        for (record, extent) in &scope.topics {
            let version = match moment {
                Moment::Version(version) => version,
                moment => journal.version_at(&record.name, moment)?.min(extent.head),
            };
            if version > extent.oldest {
                let made = journal.read(&record.name, Version(version.0 - 1), version)?;
                newest = made.last().map_or(newest, |change| newest.max(change.commit));
            }
        }
        Ok(newest)
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<When, String> {
        let number = |text: &str| {
            text.parse::<u64>().map_err(|_| format!("{text:?} is no number; a moment is {HELP}"))
        };
        if text == "head" {
            return Ok(When::HEAD);
        }
        if let Some(commit) = text.strip_prefix("commit:") {
            return Ok(When(Moment::Commit(CommitNumber(number(commit)?))));
        }
        if let Some(version) = text.strip_prefix("version:") {
            return Ok(When(Moment::Version(Version(number(version)?))));
        }
        if let Ok(number) = text.parse::<u64>() {
            return Ok(When(match number {
                MS_MIN.. => Moment::Time(Timestamp(number)),
                _ => Moment::Version(Version(number)),
            }));
        }
        time(text)
            .map(|time| When(Moment::Time(time)))
            .ok_or_else(|| format!("{text:?} is no moment, which is {HELP}"))
    }
}

/// Reads a time; without an offset it is UTC, without a time of day the day's beginning.
fn time(text: &str) -> Option<Timestamp> {
    let instant = text.parse::<jiff::Timestamp>().or_else(|_| {
        let civil = text.parse::<jiff::civil::DateTime>()?;
        jiff::tz::Offset::UTC.to_timestamp(civil)
    });
    let ms = u64::try_from(instant.ok()?.as_millisecond()).ok()?;
    Some(Timestamp(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        let cases = [
            ("42", Moment::Version(Version(42))),
            ("version:42", Moment::Version(Version(42))),
            ("commit:8412", Moment::Commit(CommitNumber(8412))),
            ("1764000000000", Moment::Time(Timestamp(1_764_000_000_000))),
            ("1970-01-01T00:00:01.5Z", Moment::Time(Timestamp(1_500))),
            ("1970-01-01T01:00:00+01:00", Moment::Time(Timestamp(0))),
            ("1970-01-02", Moment::Time(Timestamp(86_400_000))),
            ("1970-01-01 00:01", Moment::Time(Timestamp(60_000))),
        ];
        for (text, moment) in cases {
            assert_eq!(text.parse(), Ok(When(moment)), "{text}");
        }
        for text in ["", "-1", "commit:", "commit:x", "yesterday", "1969-01-01"] {
            let error = text.parse::<When>().unwrap_err();
            assert!(error.contains("commit:8412"), "{error}");
        }
    }
}
