//! A run: consecutive changes of one topic, as the bytes of one row.
//!
//! What is alike stands together, column by column, so that a change that is like the one before takes
//! few bytes, and fewer once compressed. `docs/format.md` says what each byte means. A run is encoded
//! from plain fields: its topic's type need not be known.
//!
//! Decoding takes any bytes, never panics, and builds at most a bounded multiple of what it is given.

mod columns;
mod marks;

use std::collections::HashMap;

use super::bytes::{Malformed, Reader, put_distance, put_number, put_text};
use crate::journal::Logged;
use crate::topic::{ClientId, CommitNumber, Timestamp, Version};
use crate::value::{Fields, Key, LimitError, Value, limits};

pub(super) use columns::{put_value, take_value};

/// What a run's row says beside its bytes: which versions its changes made, and where the first stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The version that the first change made.
    pub first: Version,
    /// The version that the last change made.
    pub last: Version,
    /// Of the first change.
    pub commit: CommitNumber,
    /// Of the first change.
    pub time: Timestamp,
}

impl Span {
    /// That of `changes`, which are not empty and without gaps.
    pub fn of(changes: &[&Logged]) -> Option<Span> {
        let (first, last) = (changes.first()?, changes.last()?);
        let (commit, time) = (first.commit, first.time);
        Some(Span { first: first.version, last: last.version, commit, time })
    }

    /// How many changes there are; `None` if it ends before it begins.
    fn count(&self) -> Option<usize> {
        let more = self.last.0.checked_sub(self.first.0)?;
        usize::try_from(more).ok()?.checked_add(1)
    }
}

/// What changes that have the same fields share.
#[derive(PartialEq)]
struct Shape {
    names: Vec<Key>,
    /// Where the change's type stands among the fields, and its text.
    of_type: Option<(usize, Key)>,
}

impl Shape {
    fn of(fields: &Fields) -> Shape {
        let names = fields.iter().map(|(name, _)| name.clone()).collect();
        Shape { names, of_type: type_of(fields).map(|(at, text)| (at, text.into())) }
    }

    fn fits(&self, fields: &Fields) -> bool {
        let of_type = self.of_type.as_ref().map(|(at, text)| (*at, text.as_str()));
        self.names.iter().eq(fields.iter().map(|(name, _)| name)) && of_type == type_of(fields)
    }

    /// The fields that have a column: all but the type.
    fn columns(&self) -> impl Iterator<Item = usize> {
        let of_type = self.of_type.as_ref().map(|(at, _)| *at);
        (0..self.names.len()).filter(move |at| Some(*at) != of_type)
    }
}

/// Longer names of a type are a value like others.
const TYPE_BYTES_MAX: usize = 64;

/// Where a change's type stands among its fields, and its text.
fn type_of(fields: &Fields) -> Option<(usize, &str)> {
    let at = fields.iter().position(|(name, _)| name == "type")?;
    let (_, value) = fields.iter().nth(at)?;
    let text = value.as_text()?.as_str().filter(|text| text.len() <= TYPE_BYTES_MAX)?;
    Some((at, text))
}

/// Encodes changes that follow one another.
///
/// # Errors
/// A change holds what no value may.
pub fn encode(changes: &[&Logged]) -> Result<Vec<u8>, LimitError> {
    changes.iter().filter_map(|change| change.change.as_ref()).try_for_each(Fields::check)?;
    let mut out = Vec::with_capacity(32 + changes.len() * 16);
    for pair in changes.windows(2) {
        put_distance(&mut out, pair[0].commit.0, pair[1].commit.0);
    }
    for pair in changes.windows(2) {
        put_distance(&mut out, pair[0].time.0, pair[1].time.0);
    }
    let (author_ids, authors) = authors(changes);
    put_number(&mut out, author_ids.len() as u64);
    author_ids.iter().for_each(|author| put_number(&mut out, author.0));
    if author_ids.len() > 1 {
        authors.iter().for_each(|author| put_number(&mut out, *author as u64));
    }
    marks::put_ids(&mut out, changes, &authors, author_ids.len());
    marks::put_actions(&mut out, changes);
    put_changes(&mut out, changes);
    Ok(out)
}

/// The authors in the order in which they appear, and which of them made each change.
fn authors(changes: &[&Logged]) -> (Vec<ClientId>, Vec<usize>) {
    let mut ids = Vec::new();
    let mut indexes = HashMap::new();
    let index = |change: &&Logged| {
        *indexes.entry(change.author).or_insert_with(|| {
            ids.push(change.author);
            ids.len() - 1
        })
    };
    let authors = changes.iter().map(index).collect();
    (ids, authors)
}

fn put_changes(out: &mut Vec<u8>, changes: &[&Logged]) {
    let mut shapes: Vec<(Shape, Vec<&Fields>)> = Vec::new();
    let mut numbers = Vec::with_capacity(changes.len());
    for change in changes {
        let Some(fields) = &change.change else {
            numbers.push(0);
            continue;
        };
        let known = shapes.iter().position(|(shape, _)| shape.fits(fields));
        let index = known.unwrap_or_else(|| {
            shapes.push((Shape::of(fields), Vec::new()));
            shapes.len() - 1
        });
        shapes[index].1.push(fields);
        numbers.push(index + 1);
    }
    put_number(out, shapes.len() as u64);
    shapes.iter().for_each(|(shape, _)| put_shape(out, shape));
    numbers.iter().for_each(|number| put_number(out, *number as u64));
    for (shape, changes) in &shapes {
        for at in shape.columns() {
            let values = changes.iter().filter_map(|fields| fields.iter().nth(at));
            columns::put_column(out, &values.map(|(_, value)| value).collect::<Vec<_>>());
        }
    }
}

fn put_shape(out: &mut Vec<u8>, shape: &Shape) {
    put_number(out, shape.names.len() as u64);
    shape.names.iter().for_each(|name| put_text(out, name));
    match &shape.of_type {
        None => put_number(out, 0),
        Some((at, text)) => {
            put_number(out, *at as u64 + 1);
            put_text(out, text);
        }
    }
}

/// The commits and times of what [`encode`] made of the changes of `span`, without the rest.
///
/// # Errors
/// The bytes are not such changes, as far as they are looked at.
pub fn moments(span: Span, bytes: &[u8]) -> Result<Vec<(CommitNumber, Timestamp)>, Malformed> {
    let (commits, times) = take_moments(&mut Reader(bytes), span)?;
    let commits = commits.into_iter().map(CommitNumber);
    Ok(commits.zip(times.into_iter().map(Timestamp)).collect())
}

fn take_moments(reader: &mut Reader, span: Span) -> Result<(Vec<u64>, Vec<u64>), Malformed> {
    let count = span.count().filter(|count| *count <= reader.0.len());
    let count = count.ok_or(Malformed("it holds fewer changes than it should"))?;
    let commits = take_distances(reader, span.commit.0, count)?;
    Ok((commits, take_distances(reader, span.time.0, count)?))
}

/// Decodes what [`encode`] made of the changes of `span`.
///
/// # Errors
/// The bytes are not such changes.
pub fn decode(span: Span, bytes: &[u8]) -> Result<Vec<Logged>, Malformed> {
    let reader = &mut Reader(bytes);
    let (commits, times) = take_moments(reader, span)?;
    let count = commits.len();
    let (author_ids, authors) = take_authors(reader, count)?;
    let ids = marks::take_ids(reader, &authors, &author_ids)?;
    let actions = marks::take_actions(reader, count)?;
    let changes = take_changes(reader, count)?;
    reader.end()?;
    let changes = changes.into_iter().zip(ids).zip(actions).enumerate();
    Ok(changes
        .map(|(at, ((change, id), action))| Logged {
            version: Version(span.first.0 + at as u64),
            commit: CommitNumber(commits[at]),
            change,
            author: author_ids[authors[at]],
            id,
            action,
            time: Timestamp(times[at]),
        })
        .collect())
}

fn take_distances(reader: &mut Reader, first: u64, count: usize) -> Result<Vec<u64>, Malformed> {
    let mut numbers = Vec::with_capacity(count);
    numbers.push(first);
    for at in 1..count {
        numbers.push(reader.distance(numbers[at - 1])?);
    }
    Ok(numbers)
}

fn take_authors(
    reader: &mut Reader,
    count: usize,
) -> Result<(Vec<ClientId>, Vec<usize>), Malformed> {
    let known = reader.count()?;
    let ids = (0..known).map(|_| reader.number().map(ClientId));
    let ids = ids.collect::<Result<Vec<ClientId>, Malformed>>()?;
    let mut author = || match ids.len() {
        1 => Ok(0),
        known => {
            let author = reader.number()?;
            let author = usize::try_from(author).ok().filter(|author| *author < known);
            author.ok_or(Malformed("an author is not known"))
        }
    };
    let authors = (0..count).map(|_| author()).collect::<Result<Vec<usize>, Malformed>>()?;
    Ok((ids, authors))
}

fn take_shape(reader: &mut Reader) -> Result<Shape, Malformed> {
    let count = reader.count()?;
    let names = (0..count).map(|_| reader.text().map(Key::from));
    let names = names.collect::<Result<Vec<Key>, Malformed>>()?;
    let of_type = match reader.number()? {
        0 => None,
        at if at <= names.len() as u64 => Some((at as usize - 1, Key::from(reader.text()?))),
        _ => return Err(Malformed("a change's type is none of its fields")),
    };
    if of_type.as_ref().is_some_and(|(_, text)| text.len() > TYPE_BYTES_MAX) {
        return Err(Malformed("a change's type has too long a name"));
    }
    Ok(Shape { names, of_type })
}

fn take_changes(reader: &mut Reader, count: usize) -> Result<Vec<Option<Fields>>, Malformed> {
    let shapes = reader.count()?;
    let shapes = (0..shapes).map(|_| take_shape(reader)).collect::<Result<Vec<_>, Malformed>>()?;
    let numbers = (0..count).map(|_| reader.number());
    let numbers = numbers.collect::<Result<Vec<u64>, Malformed>>()?;
    let mut uses = vec![0; shapes.len() + 1];
    for number in &numbers {
        let uses = usize::try_from(*number).ok().and_then(|number| uses.get_mut(number));
        *uses.ok_or(Malformed("a change has no shape"))? += 1;
    }
    let mut columns = Vec::with_capacity(shapes.len());
    for (shape, uses) in shapes.iter().zip(&uses[1..]) {
        let column = |_| columns::take_column(reader, *uses, limits::NESTING_MAX);
        let own = shape.columns().map(column).map(|column| column.map(Vec::into_iter));
        columns.push(own.collect::<Result<Vec<_>, Malformed>>()?);
    }
    let fields = |number: u64| {
        let index = number.checked_sub(1)? as usize;
        Some(fields_of(&shapes[index], &mut columns[index]))
    };
    Ok(numbers.into_iter().map(fields).collect())
}

/// The next change of a shape.
fn fields_of(shape: &Shape, columns: &mut [std::vec::IntoIter<Value>]) -> Fields {
    let mut values = columns.iter_mut().filter_map(Iterator::next);
    let mut fields = Fields::default();
    for (at, name) in shape.names.iter().enumerate() {
        let value = match &shape.of_type {
            Some((of_type, text)) if *of_type == at => Some(Value::from(text.as_str())),
            _ => values.next(),
        };
        // A column holds a value for each change of its shape.
        value.into_iter().for_each(|value| fields.push(name.clone(), value));
    }
    fields
}

#[cfg(test)]
mod tests;
