//! Values of one field over many changes, kind by kind.
//!
//! What is alike stands together: positions as distances, texts one after the other. So a compressor
//! sees what repeats, and a value that is like the one before takes a byte or two.

use serde::de::DeserializeSeed;

use super::super::bytes::{Malformed, Reader, put_number, put_signed, put_text};
use crate::value::decode::ValueSeed;
use crate::value::{Dict, Key, List, Text, Value, limits};

/// MessagePack, one value after the other: any values.
const MIXED: u8 = 0;
const INTS: u8 = 1;
const FLOATS: u8 = 2;
const TEXTS: u8 = 3;
/// Lists of one length, at least 1: a column for each position.
const LISTS: u8 = 4;
/// Dicts of the same keys, at least one: a column for each.
const DICTS: u8 = 5;
/// Values of several forms: which of them each one has, and a column for each form.
const FORMS: u8 = 6;

/// Longer lists and larger dicts are [`MIXED`].
const PARTS_MAX: usize = 16;
/// Of more forms than these, all are [`MIXED`].
const FORMS_MAX: usize = 8;

/// What values must have in common to stand in one column.
#[derive(Clone, Copy)]
enum Form<'a> {
    Mixed,
    Ints,
    Floats,
    Texts,
    Lists(usize),
    /// As this one.
    Dicts(&'a Dict),
}

impl<'a> Form<'a> {
    fn of(value: &'a Value) -> Form<'a> {
        match value {
            Value::Int(_) => Form::Ints,
            Value::Float(_) => Form::Floats,
            Value::String(_) => Form::Texts,
            Value::List(list) if (1..=PARTS_MAX).contains(&list.len()) => Form::Lists(list.len()),
            Value::Dict(dict) if (1..=PARTS_MAX).contains(&dict.len()) => Form::Dicts(dict),
            _ => Form::Mixed,
        }
    }

    fn is(self, other: Form) -> bool {
        match (self, other) {
            (Form::Lists(a), Form::Lists(b)) => a == b,
            (Form::Dicts(a), Form::Dicts(b)) => a.len() == b.len() && a.keys().eq(b.keys()),
            _ => std::mem::discriminant(&self) == std::mem::discriminant(&other),
        }
    }
}

/// Writes a column of values, which keep the limits of values.
pub(super) fn put_column(out: &mut Vec<u8>, values: &[&Value]) {
    let mut forms: Vec<(Form, Vec<&Value>)> = Vec::new();
    let mut numbers = Vec::with_capacity(values.len());
    for value in values {
        let form = Form::of(value);
        let number = forms.iter().position(|(known, _)| known.is(form)).unwrap_or(forms.len());
        if number == FORMS_MAX {
            return put_form(out, Form::Mixed, values);
        }
        if number == forms.len() {
            forms.push((form, Vec::new()));
        }
        forms[number].1.push(value);
        numbers.push(number as u8);
    }
    if forms.len() > 1 {
        out.extend([FORMS, forms.len() as u8]);
        out.extend(numbers);
    }
    for (form, values) in forms {
        put_form(out, form, &values);
    }
}

fn put_form(out: &mut Vec<u8>, form: Form, values: &[&Value]) {
    match form {
        Form::Mixed => {
            out.push(MIXED);
            for value in values {
                put_value(out, value);
            }
        }
        Form::Ints => {
            out.push(INTS);
            let ints = values.iter().map(|value| value.as_int().unwrap_or_default());
            // Within the limits of values, no distance overflows.
            ints.fold(0, |before, int| {
                put_signed(out, int - before);
                int
            });
        }
        Form::Floats => {
            out.push(FLOATS);
            let floats = values.iter().map(|value| value.as_float().unwrap_or_default());
            floats.for_each(|float| out.extend(float.to_le_bytes()));
        }
        Form::Texts => {
            out.push(TEXTS);
            let texts = || values.iter().filter_map(|value| value.as_text());
            texts().for_each(|text| put_number(out, text.len_bytes() as u64));
            let chunks = texts().flat_map(Text::chunks);
            chunks.for_each(|chunk| out.extend_from_slice(chunk.as_bytes()));
        }
        Form::Lists(len) => {
            out.extend([LISTS, len as u8]);
            for at in 0..len {
                put_column(
                    out,
                    &parts(values, |value| match value {
                        Value::List(list) => list.get(at),
                        _ => None,
                    }),
                );
            }
        }
        Form::Dicts(first) => {
            out.extend([DICTS, first.len() as u8]);
            first.keys().for_each(|key| put_text(out, key));
            for key in first.keys() {
                put_column(
                    out,
                    &parts(values, |value| match value {
                        Value::Dict(dict) => dict.get(key),
                        _ => None,
                    }),
                );
            }
        }
    }
}

fn parts<'a>(
    values: &[&'a Value],
    part: impl Fn(&'a Value) -> Option<&'a Value>,
) -> Vec<&'a Value> {
    values.iter().copied().filter_map(part).collect()
}

/// Writes one value as MessagePack.
pub(in crate::journal::sqlite) fn put_value(out: &mut Vec<u8>, value: &Value) {
    // Neither a vector nor a value that keeps the limits gives it a reason to fail.
    rmp_serde::encode::write(out, value).expect("a value is encoded into memory");
}

/// Reads one value from MessagePack.
pub(in crate::journal::sqlite) fn take_value(
    reader: &mut Reader,
    nesting: usize,
) -> Result<Value, Malformed> {
    let mut problem = None;
    let seed = ValueSeed { problem: &mut problem, nesting };
    // It takes what it reads off the reader's bytes.
    let value = seed.deserialize(&mut rmp_serde::Deserializer::new(&mut reader.0));
    match (value, problem) {
        (Ok(value), None) => Ok(value),
        _ => Err(Malformed("a value cannot be read")),
    }
}

/// Reads a column of `count` values; each takes a byte at least.
pub(super) fn take_column(
    reader: &mut Reader,
    count: usize,
    nesting: usize,
) -> Result<Vec<Value>, Malformed> {
    match reader.byte()? {
        FORMS => take_forms(reader, count, nesting),
        kind => take_form(reader, kind, count, nesting),
    }
}

fn take_forms(reader: &mut Reader, count: usize, nesting: usize) -> Result<Vec<Value>, Malformed> {
    let forms = usize::from(reader.byte()?);
    if forms > FORMS_MAX {
        return Err(Malformed("a column has too many forms"));
    }
    let numbers = reader.bytes(count)?;
    let mut columns = Vec::with_capacity(forms);
    for number in 0..forms {
        let count = numbers.iter().filter(|it| usize::from(**it) == number).count();
        let kind = reader.byte()?;
        columns.push(take_form(reader, kind, count, nesting)?.into_iter());
    }
    let next = |number: &u8| columns.get_mut(usize::from(*number)).and_then(Iterator::next);
    let values: Option<Vec<Value>> = numbers.iter().map(next).collect();
    values.ok_or(Malformed("a value has no form"))
}

fn take_form(
    reader: &mut Reader,
    kind: u8,
    count: usize,
    nesting: usize,
) -> Result<Vec<Value>, Malformed> {
    if count > reader.0.len() {
        return Err(Malformed("a column ends too early"));
    }
    match kind {
        MIXED => (0..count).map(|_| take_value(reader, nesting)).collect(),
        INTS => take_ints(reader, count),
        FLOATS => (0..count).map(|_| take_float(reader)).collect(),
        TEXTS => take_texts(reader, count),
        LISTS => take_lists(reader, count, inner(nesting)?),
        DICTS => take_dicts(reader, count, inner(nesting)?),
        _ => Err(Malformed("a column is of no known kind")),
    }
}

fn inner(nesting: usize) -> Result<usize, Malformed> {
    nesting.checked_sub(1).ok_or(Malformed("too many containers nest"))
}

fn take_ints(reader: &mut Reader, count: usize) -> Result<Vec<Value>, Malformed> {
    let mut int: i64 = 0;
    let mut next = || {
        int = int.wrapping_add(reader.signed()?);
        let int = limits::check_int(int);
        int.map(Value::Int).map_err(|_| Malformed("a whole number is too large"))
    };
    (0..count).map(|_| next()).collect()
}

fn take_float(reader: &mut Reader) -> Result<Value, Malformed> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(reader.bytes(8)?);
    let float = limits::check_float(f64::from_le_bytes(bytes));
    float.map(Value::Float).map_err(|_| Malformed("a number is not finite"))
}

fn take_texts(reader: &mut Reader, count: usize) -> Result<Vec<Value>, Malformed> {
    let lens = (0..count).map(|_| reader.count()).collect::<Result<Vec<usize>, Malformed>>()?;
    let text = |len| {
        let text = std::str::from_utf8(reader.bytes(len)?);
        text.map(Value::from).map_err(|_| Malformed("a text is not UTF-8"))
    };
    lens.into_iter().map(text).collect()
}

fn take_part_count(reader: &mut Reader) -> Result<usize, Malformed> {
    let parts = usize::from(reader.byte()?);
    // None would let many values be read from few bytes.
    let known = (1..=PARTS_MAX).contains(&parts);
    if known { Ok(parts) } else { Err(Malformed("a column has too many parts, or none")) }
}

fn take_columns(
    reader: &mut Reader,
    parts: usize,
    count: usize,
    nesting: usize,
) -> Result<Vec<std::vec::IntoIter<Value>>, Malformed> {
    let column = |_| take_column(reader, count, nesting).map(Vec::into_iter);
    (0..parts).map(column).collect()
}

fn take_lists(reader: &mut Reader, count: usize, nesting: usize) -> Result<Vec<Value>, Malformed> {
    let len = take_part_count(reader)?;
    let mut columns = take_columns(reader, len, count, nesting)?;
    let list = |_| -> List<Value> { columns.iter_mut().filter_map(Iterator::next).collect() };
    Ok((0..count).map(list).map(Value::List).collect())
}

fn take_dicts(reader: &mut Reader, count: usize, nesting: usize) -> Result<Vec<Value>, Malformed> {
    let len = take_part_count(reader)?;
    let keys = (0..len).map(|_| reader.text().map(Key::from));
    let keys = keys.collect::<Result<Vec<Key>, Malformed>>()?;
    let mut columns = take_columns(reader, len, count, nesting)?;
    let mut dict = || {
        let values = columns.iter_mut().filter_map(Iterator::next);
        Dict::from_entries(keys.iter().cloned().zip(values).collect())
    };
    let value = |_| dict().map(Value::Dict).map_err(|_| Malformed("a key stands twice"));
    (0..count).map(value).collect()
}
