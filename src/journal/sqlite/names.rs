//! Whether a topic that is not found is really not there.
//!
//! A damaged page may lose a row without a trace. A run that is missing leaves a gap, but a topic's record
//! does not: it would seem never to have been, and be made anew. So each topic stands in two tables, of
//! which one at least has to hold all of them, by number and checksum. This is looked into once, when
//! a name is first not found.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::fault::{Fault, damage};
use super::rows::{Meta, number, text, topic_sum};
use crate::topic::TopicName;

/// What is known of names that cannot be found.
pub(super) struct Names {
    /// Of topics whose record is damaged or missing.
    lost: BTreeSet<String>,
}

/// The names in a table, and whether they are all.
struct Found {
    names: BTreeSet<String>,
    all: bool,
}

fn found(connection: &Connection, meta: &Meta, sql: &str) -> Result<Found, Fault> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(())?;
    let (mut names, mut count, mut sum) = (BTreeSet::new(), 0, 0u64);
    while let Some(row) = rows.next()? {
        // A name that is no text is lost; the others may be all the same.
        let Ok(name) = text(row, 1) else { continue };
        sum = sum.wrapping_add(topic_sum(number(row, 0)? as i64, name));
        count += 1;
        names.insert(name.to_owned());
    }
    Ok(Found { names, all: (count, sum) == (meta.topics, meta.topics_sum) })
}

impl Names {
    /// O(n log n), n being the number of topics.
    pub fn read(connection: &Connection) -> Result<Names, Fault> {
        let meta = Meta::read(connection)?;
        let topics = found(connection, &meta, "SELECT id, name FROM topics");
        let logs = found(connection, &meta, "SELECT topic, name FROM logs");
        let lost = match (topics, logs) {
            (Ok(topics), _) if topics.all => BTreeSet::new(),
            (Ok(topics), Ok(logs)) if logs.all => &logs.names - &topics.names,
            (Err(_), Ok(logs)) if logs.all => logs.names,
            (Err(fault), _) if !fault.is_damage() => return Err(fault),
            _ => return Err(damage("the list of topics", "some of it is lost")),
        };
        Ok(Names { lost })
    }

    /// Checks that there is no topic of a name that was not found.
    pub fn check(&self, name: &TopicName) -> Result<(), Fault> {
        if self.lost.contains(&**name) {
            return Err(damage("its record", "it is missing"));
        }
        Ok(())
    }
}
