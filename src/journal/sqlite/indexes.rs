//! Whether what is not found is really not there.
//!
//! A damaged page may lose a row without a trace. A run that is missing leaves a gap, but a topic's record
//! does not: it would seem never to have been, and be made anew. So the names of topics stand in two
//! tables, and the journal keeps a tally of them, as it does of who changed which topic. Each tally is
//! compared once, when something is first not found or sought.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use rusqlite::{Connection, Row};

use super::fault::{Fault, damage};
use super::rows::{Meta, Tally, author_sum, number, text, topic_sum};
use super::sum::Sum;
use crate::topic::{ClientId, TopicName};

/// What is known by now of what can be found.
#[derive(Default)]
pub(super) struct Indexes {
    names: Mutex<Option<Names>>,
    /// Whether all authors are noted.
    authors: Mutex<Option<bool>>,
}

/// What is known of names that are not found.
enum Names {
    /// All that are there are found.
    Sound,
    /// These are there.
    Known(BTreeSet<String>),
}

/// Compares a table with its tally; `false` also if the table cannot be read to its end.
fn is_whole(
    connection: &Connection,
    sql: &str,
    tally: Tally,
    mut each: impl FnMut(&Row) -> Result<Sum, rusqlite::Error>,
) -> Result<bool, Fault> {
    let mut found = Tally::default();
    let mut count = || {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            found.add(each(row)?);
        }
        Ok(())
    };
    match count() {
        Ok(()) => Ok(found == tally),
        Err(error) => {
            let fault = Fault::Sqlite(error);
            if fault.is_damage() { Ok(false) } else { Err(fault) }
        }
    }
}

impl Names {
    fn read(connection: &Connection) -> Result<Names, Fault> {
        let tally = Meta::read(connection)?.topics;
        let sum = |row: &Row| Ok(topic_sum(row.get(0)?, text(row, 1)?));
        if is_whole(connection, "SELECT id, name FROM topics", tally, sum)? {
            return Ok(Names::Sound);
        }
        let mut names = BTreeSet::new();
        let sum = |row: &Row| {
            names.insert(text(row, 1)?.to_owned());
            sum(row)
        };
        if is_whole(connection, "SELECT topic, name FROM logs", tally, sum)? {
            return Ok(Names::Known(names));
        }
        Err(damage("the list of topics", "some of it is lost"))
    }
}

impl Indexes {
    /// Checks that there is no topic of a name that was not found. O(n) the first time, n being the number
    /// of topics.
    pub(crate) fn check_absent(
        &self,
        connection: &Connection,
        name: &TopicName,
    ) -> Result<(), Fault> {
        let mut names = self.names.lock();
        let names = match &mut *names {
            Some(names) => names,
            none => none.insert(Names::read(connection)?),
        };
        match names {
            Names::Known(names) if names.contains(&**name) => {
                Err(damage("its record", "it cannot be found"))
            }
            _ => Ok(()),
        }
    }

    /// The topics that `author` may have changed, by their numbers: those that are noted, or all if some
    /// notes are lost. O(n) the first time, n being the number of notes.
    pub(crate) fn topics_of(
        &self,
        connection: &Connection,
        author: ClientId,
    ) -> Result<Vec<i64>, Fault> {
        let noted = match *self.authors.lock() {
            Some(noted) => noted,
            None => {
                let tally = Meta::read(connection)?.authors;
                // Left to itself, SQLite would go through the index by topic.
                let sum = |row: &Row| Ok(author_sum(ClientId(number(row, 0)?), row.get(1)?));
                is_whole(connection, "SELECT author, topic FROM authors NOT INDEXED", tally, sum)?
            }
        };
        *self.authors.lock() = Some(noted);
        let (noted_with, all) =
            ("SELECT topic FROM authors WHERE author = ?1", "SELECT topic FROM logs WHERE ?1 = ?1");
        let mut statement = connection.prepare_cached(if noted { noted_with } else { all })?;
        let ids = statement.query_map([author.0 as i64], |row| row.get(0))?;
        Ok(ids.collect::<Result<Vec<i64>, rusqlite::Error>>()?)
    }
}
