//! Reads an exported history line by line, and tells what is wrong by its line.

use std::borrow::Cow;
use std::io::BufRead;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::value::wide::narrowed;

use super::format::{CommitLine, FORMAT, HeaderLine, KIND, TopicLine};
use super::{Commit, ImportError};

/// A line after the header.
pub(super) enum Line {
    Topic(TopicLine),
    Commit(Commit),
}

/// A line that tells of a topic has this field.
#[derive(Deserialize)]
struct Probe {
    topic: Option<IgnoredAny>,
}

/// The lines of an exported history.
pub(super) struct Lines<'a> {
    input: &'a mut dyn BufRead,
    text: Vec<u8>,
    /// The number of the line that was read last.
    number: u64,
    /// Topics come first.
    in_commits: bool,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(input: &'a mut dyn BufRead) -> Lines<'a> {
        Lines { input, text: Vec::new(), number: 0, in_commits: false }
    }

    /// Reads the next line into `text`, and gives its length; 0 at the end.
    fn read(&mut self) -> Result<usize, ImportError> {
        self.text.clear();
        let read = self.input.read_until(b'\n', &mut self.text)?;
        self.number += u64::from(read > 0);
        // A whole number that is too large for a value is refused, however large it is.
        if let Cow::Owned(narrowed) = narrowed(&self.text) {
            self.text = narrowed;
        }
        Ok(read)
    }

    /// Reads the first line, and gives its length.
    pub(crate) fn header(&mut self) -> Result<usize, ImportError> {
        let read = self.read()?;
        let header = serde_json::from_slice::<HeaderLine>(&self.text).ok();
        match header.filter(|header| header.topicsync == KIND).map(|header| header.format) {
            Some(1..=FORMAT) => Ok(read),
            Some(newer) => Err(self.wrong(format!(
                "written by a newer topicsync (format {newer}, this program reads up to {FORMAT}): \
                 use that program"
            ))),
            None if read == 0 => {
                self.number = 1;
                Err(self.wrong("the file is empty".to_owned()))
            }
            None => {
                let what = "this is no exported history: one begins with \
                            {\"topicsync\":\"export\",\"format\":1}";
                Err(self.wrong(what.to_owned()))
            }
        }
    }

    /// The next line that says something, and how many bytes were read; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(Line, usize)>, ImportError> {
        let mut total = 0;
        loop {
            match self.read()? {
                0 => return Ok(None),
                read => total += read,
            }
            if !self.text.trim_ascii().is_empty() {
                return Ok(Some((self.line()?, total)));
            }
        }
    }

    fn line(&mut self) -> Result<Line, ImportError> {
        if !self.in_commits && self.parse::<Probe>()?.topic.is_some() {
            return self.parse().map(Line::Topic);
        }
        self.in_commits = true;
        let line: CommitLine = self.parse()?;
        line.into_commit().map(Line::Commit).map_err(|what| self.wrong(what))
    }

    fn parse<'t, T: Deserialize<'t>>(&'t self) -> Result<T, ImportError> {
        serde_json::from_slice(&self.text).map_err(|error| {
            let words = error.to_string();
            // It counts lines from the line that it was given.
            let what = words.rsplit_once(" at line ").map_or(&*words, |(what, _)| what);
            let cut_off = if error.is_eof() {
                format!(
                    "; if the file was cut off here, `head -n {}` keeps the rest",
                    self.number - 1
                )
            } else {
                String::new()
            };
            self.wrong(format!("{what}, at column {}{cut_off}", error.column()))
        })
    }

    /// That something is wrong with the line that was read last.
    pub(crate) fn wrong(&self, what: String) -> ImportError {
        ImportError::Line { line: self.number, what }
    }
}
