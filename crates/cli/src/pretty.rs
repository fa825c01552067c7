//! JSON for people: a container stands in one line where it fits, and is broken up where it does not.

use serde::Serialize;
use topicsync::value::Value;

/// How wide a line is before a container is broken up.
const WIDTH: usize = 88;

/// The compact JSON of a value.
pub fn compact(value: &impl Serialize) -> String {
    // Values have string keys and finite numbers: nothing in them can fail.
    serde_json::to_string(value).unwrap_or_else(|error| format!("\"{error}\""))
}

/// The value as JSON, in as few lines as are easy to read.
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0, 0);
    out
}

/// Writes a value at some depth, `used` being how much of its line is taken.
fn write(out: &mut String, value: &Value, depth: usize, used: usize) {
    let open = match value {
        Value::List(list) if !list.is_empty() => '[',
        Value::Dict(dict) if !dict.is_empty() => '{',
        _ => return out.push_str(&compact(value)),
    };
    if let Some(line) = in_one_line(value, WIDTH.saturating_sub(2 * depth + used)) {
        return out.push_str(&line);
    }
    out.push(open);
    let mut first = true;
    let mut item = |key: Option<&str>, value: &Value| {
        out.push_str(if first { "\n" } else { ",\n" });
        first = false;
        out.push_str(&"  ".repeat(depth + 1));
        let start = out.len();
        if let Some(key) = key {
            out.push_str(&compact(&key));
            out.push_str(": ");
        }
        let used = out.len() - start;
        write(out, value, depth + 1, used);
    };
    match value {
        Value::List(list) => list.iter().for_each(|it| item(None, it)),
        Value::Dict(dict) => dict.iter().for_each(|(key, it)| item(Some(key), it)),
        _ => {}
    }
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
    out.push(if open == '[' { ']' } else { '}' });
}

/// The value in one line of at most `max` bytes, if that is enough.
fn in_one_line(value: &Value, max: usize) -> Option<String> {
    let mut line = String::new();
    one_line(&mut line, value, max).then_some(line)
}

fn one_line(line: &mut String, value: &Value, max: usize) -> bool {
    match value {
        Value::List(list) => {
            line.push('[');
            for (at, item) in list.iter().enumerate() {
                line.push_str(if at > 0 { ", " } else { "" });
                if !one_line(line, item, max) {
                    return false;
                }
            }
            line.push(']');
        }
        Value::Dict(dict) => {
            line.push('{');
            for (at, (key, item)) in dict.iter().enumerate() {
                line.push_str(if at > 0 { ", " } else { "" });
                line.push_str(&compact(key));
                line.push_str(": ");
                if !one_line(line, item, max) {
                    return false;
                }
            }
            line.push('}');
        }
        // A long text is not worth encoding to see that it does not fit.
        Value::String(text) if text.len_bytes() > max => return false,
        _ => line.push_str(&compact(value)),
    }
    line.len() <= max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stands_in_one_line_and_all_reads_back() {
        let small = serde_json::json!({"x": 10, "y": [1, 2.5, null], "e": {}});
        let value = Value::from(small);
        assert_eq!(pretty(&value), r#"{"e": {}, "x": 10, "y": [1, 2.5, null]}"#);
        let items: Vec<Value> = (0..40).map(|_| value.clone()).collect();
        let large = Value::from(serde_json::json!({"a\u{1b}": "x".repeat(200)}));
        let both = Value::from(vec![items.into(), large]);
        let text = pretty(&both);
        assert_eq!(text.lines().count(), 40 + 2 + 3 + 2);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), both);
    }
}
