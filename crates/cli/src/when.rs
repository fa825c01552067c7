//! Moments, as people write them.

use std::str::FromStr;

use topicsync::topic::{CommitNumber, Moment, Timestamp, Version};

/// From this on a bare number is a time in milliseconds: no version gets there, and every time since 1973
/// is beyond.
const MS_MIN: u64 = 100_000_000_000;

/// A moment of the past, or now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When(pub Moment);

/// How moments are written, for the help of each command.
pub const HELP: &str = "a version (42), commit:8412, a time (2026-11-23T13:49:00Z, or milliseconds since \
                        1970), or head";

impl When {
    pub const HEAD: When = When(Moment::Commit(CommitNumber(u64::MAX)));
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
