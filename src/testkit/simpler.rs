//! Simpler forms of plain values and changes: what a failing case is shortened by.
//!
//! It works on the plain form, so that it knows nothing of a type, and can shorten a case that came out
//! of somebody's bug report as well as one that was just found. What does not decode, or does not fit,
//! is for the caller to pass over.

use crate::value::{Fields, Key, Value};

/// How many simpler forms are offered at a time.
const OFFERS_MAX: usize = 128;

/// Simpler forms of `value`, the simplest first.
pub(super) fn of_value(value: &Value) -> Vec<Value> {
    let mut offers: Vec<Value> = match value {
        Value::Null => Vec::new(),
        Value::Bool(it) => {
            if *it {
                vec![Value::Bool(false)]
            } else {
                Vec::new()
            }
        }
        Value::Int(int) => of_int(*int).into_iter().map(Value::Int).collect(),
        Value::Float(float) => of_float(*float).into_iter().map(Value::Float).collect(),
        Value::String(text) => {
            let chars: Vec<char> = text.chunks().flat_map(str::chars).collect();
            of_chars(&chars).into_iter().map(Value::from).collect()
        }
        Value::List(list) => {
            let items: Vec<Value> = list.iter().cloned().collect();
            of_row(&items, of_value)
                .into_iter()
                .map(|it| Value::List(it.into_iter().collect()))
                .collect()
        }
        Value::Dict(dict) => {
            let entries: Vec<(Key, Value)> =
                dict.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            let rows = of_row(&entries, |(key, value)| {
                of_value(value).into_iter().map(|value| (key.clone(), value)).collect()
            });
            rows.into_iter().map(|it| Value::Dict(it.into_iter().collect())).collect()
        }
    };
    offers.truncate(OFFERS_MAX);
    offers
}

/// Simpler forms of a change: one field simpler, its type as it is.
pub(super) fn of_fields(fields: &Fields) -> Vec<Fields> {
    let all: Vec<(Key, Value)> =
        fields.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let mut offers = Vec::new();
    for (index, (_, value)) in all.iter().enumerate().filter(|(_, (key, _))| key != "type") {
        for simpler in of_value(value) {
            let mut offer = Fields::default();
            for (other, (name, kept)) in all.iter().enumerate() {
                let value = if other == index { simpler.clone() } else { kept.clone() };
                offer.push(name.clone(), value);
            }
            offers.push(offer);
        }
    }
    offers.truncate(2 * OFFERS_MAX);
    offers
}

/// A change all of whose whole numbers are one less, if any is above 0: what a position becomes when an
/// item before it is left out.
pub(super) fn one_less(fields: &Fields) -> Fields {
    let mut less = Fields::default();
    for (key, value) in fields.iter() {
        let value = match value {
            Value::Int(int) if *int > 0 => Value::Int(int - 1),
            other => other.clone(),
        };
        less.push(key.clone(), value);
    }
    less
}

/// A row with fewer items, or one that is simpler.
fn of_row<T: Clone>(items: &[T], simpler: impl Fn(&T) -> Vec<T>) -> Vec<Vec<T>> {
    let mut rows = fewer(items);
    for (index, item) in items.iter().enumerate() {
        for offer in simpler(item) {
            let mut row = items.to_vec();
            row[index] = offer;
            rows.push(row);
        }
        if rows.len() > OFFERS_MAX {
            break;
        }
    }
    rows
}

/// A row without some of its items: without all, a half, a quarter, one.
pub(super) fn fewer<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let mut rows = Vec::new();
    let mut size = items.len();
    while size > 0 {
        for start in (0..items.len()).step_by(size) {
            let end = items.len().min(start + size);
            rows.push([&items[..start], &items[end..]].concat());
        }
        size /= 2;
    }
    rows
}

fn of_int(int: i64) -> Vec<i64> {
    let mut offers = vec![0, int.signum(), int / 2, int - int.signum()];
    if int < 0 {
        offers.push(-int);
    }
    offers.dedup();
    offers.retain(|offer| *offer != int && offer.abs() <= int.abs());
    offers
}

fn of_float(float: f64) -> Vec<f64> {
    // The simplest first: 0, 1, a half, then whole numbers, the smaller the simpler.
    let rank = |it: f64| match it {
        0.0 => (0, 0.0),
        1.0 => (1, 0.0),
        0.5 => (2, 0.0),
        _ if it.fract() == 0.0 => (3, it.abs()),
        _ => (4, it.abs()),
    };
    let mut offers = vec![0.0, 1.0, 0.5, float.trunc(), (float / 2.0).trunc()];
    offers.retain(|offer| rank(*offer) < rank(float));
    offers
}

fn of_chars(chars: &[char]) -> Vec<String> {
    let plain: String = chars.iter().map(|_| 'a').collect();
    let mut offers: Vec<String> = fewer(chars).into_iter().map(String::from_iter).collect();
    if chars.iter().any(|char| *char != 'a') {
        offers.push(plain);
    }
    offers
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simplifying greedily comes to an end, at the simplest there is.
    fn simplest(value: Value, still: impl Fn(&Value) -> bool) -> Value {
        let mut value = value;
        while let Some(simpler) = of_value(&value).into_iter().find(|it| still(it)) {
            value = simpler;
        }
        value
    }

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_value_becomes_the_simplest_that_still_fails() {
        let value = json(r#"{"a":[1,2,{"b":"xyz"}],"c":-700.5,"d":true}"#);
        assert_eq!(simplest(value.clone(), |_| true), json("{}"));
        let has_d = |it: &Value| matches!(it, Value::Dict(it) if it.contains_key("d"));
        assert_eq!(simplest(value.clone(), has_d), json(r#"{"d":false}"#));
        let low = |it: &Value| matches!(it, Value::Dict(it) if it.get("c").is_some_and(|it| it < &Value::Int(-3)));
        let Value::Dict(low) = simplest(value, low) else { panic!("a dict") };
        assert_eq!(low.len(), 1);
    }

    #[test]
    fn a_change_keeps_its_type() {
        let fields = Fields::of_type("insert").with("position", Value::Int(3)).with("item", "ab");
        let offers = of_fields(&fields);
        assert!(offers.iter().all(|it| it.change_type() == "insert"));
        let first = &offers[0];
        assert_eq!(
            (first.get("position"), first.get("item")),
            (Some(&Value::Int(0)), Some(&"ab".into()))
        );
    }
}
