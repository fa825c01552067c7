//! Whole numbers in JSON that do not fit in 64 bits.
//!
//! serde_json makes floats of them, so that a reader no longer sees that a whole number was written:
//! 2^64 would be rounded in silence where 2^63 is refused. Here each of them is replaced by the nearest
//! number that fits, which is still beyond the range of whole numbers and is refused like the others.

use std::borrow::Cow;

/// How many digits in a row a whole number has at least that does not fit: −2^63 − 1 has 19.
const DIGITS_MIN: usize = 19;

const TOO_LARGE: &[u8] = b"18446744073709551615";
const TOO_SMALL: &[u8] = b"-9223372036854775808";

/// `json` with whole numbers that do not fit in 64 bits replaced by ones that do. Nothing moves: spaces
/// fill what is left of a replaced number.
///
/// Where no number is so long, which is nearly always, this looks at one byte in 19.
pub(crate) fn narrowed(json: &[u8]) -> Cow<'_, [u8]> {
    let mut narrowed = Cow::Borrowed(json);
    if !has_long_run(json) {
        return narrowed;
    }
    let mut at = 0;
    while at < json.len() {
        at += match json[at] {
            b'"' => string_len(&json[at..]),
            b'-' | b'0'..=b'9' => {
                let number = &json[at..at + number_len(&json[at..])];
                if let Some(nearest) = nearest_that_fits(number) {
                    let place = &mut narrowed.to_mut()[at..at + number.len()];
                    place.fill(b' ');
                    place[..nearest.len()].copy_from_slice(nearest);
                }
                number.len()
            }
            _ => 1,
        };
    }
    narrowed
}

/// As [`narrowed`], of text.
pub(crate) fn narrowed_text(json: &str) -> Cow<'_, str> {
    match narrowed(json.as_bytes()) {
        Cow::Borrowed(_) => Cow::Borrowed(json),
        // Digits were replaced by digits and spaces, so it is text as before.
        Cow::Owned(bytes) => String::from_utf8(bytes).map_or(Cow::Borrowed(json), Cow::Owned),
    }
}

/// Whether there are [`DIGITS_MIN`] digits in a row anywhere, in a string or not.
fn has_long_run(json: &[u8]) -> bool {
    // A run so long covers one of these places.
    (DIGITS_MIN - 1..json.len()).step_by(DIGITS_MIN).any(|place| {
        if !json[place].is_ascii_digit() {
            return false;
        }
        let is_digit = |byte: &&u8| byte.is_ascii_digit();
        let before = json[..place].iter().rev().take_while(is_digit).count();
        let from = json[place..].iter().take(DIGITS_MIN).take_while(is_digit).count();
        before + from >= DIGITS_MIN
    })
}

/// The length of the string that `json` begins with, quotes included.
fn string_len(json: &[u8]) -> usize {
    let mut at = 1;
    while at < json.len() {
        at += match json[at] {
            b'"' => return at + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    json.len()
}

/// The length of the number that `json` begins with.
fn number_len(json: &[u8]) -> usize {
    let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    json.iter().take_while(is_part).count()
}

/// What takes the place of `number`, if it is whole and does not fit in 64 bits.
fn nearest_that_fits(number: &[u8]) -> Option<&'static [u8]> {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    let is_whole = digits.iter().all(u8::is_ascii_digit);
    // What begins with a zero is no JSON.
    if !is_whole || digits.len() < DIGITS_MIN || digits[0] == b'0' {
        return None;
    }
    let text = std::str::from_utf8(number).ok()?;
    if text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok() {
        return None;
    }
    Some(if digits.len() < number.len() { TOO_SMALL } else { TOO_LARGE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{LimitError, Value};

    #[test]
    fn what_does_not_fit_in_64_bits_becomes_what_does_and_nothing_moves() {
        for (json, expected) in [
            ("[18446744073709551616]", "[18446744073709551615]"),
            ("[18446744073709551615]", "[18446744073709551615]"),
            ("[-9223372036854775809,1]", "[-9223372036854775808,1]"),
            ("[-9223372036854775808]", "[-9223372036854775808]"),
            (r#"{"a":123456789012345678901234}"#, r#"{"a":18446744073709551615    }"#),
            // Floats and texts stay as they are.
            ("18446744073709551616.0", "18446744073709551616.0"),
            ("18446744073709551616e3", "18446744073709551616e3"),
            (r#""18446744073709551616""#, r#""18446744073709551616""#),
            (r#"["\"18446744073709551616"]"#, r#"["\"18446744073709551616"]"#),
            (r#"["\\",18446744073709551616]"#, r#"["\\",18446744073709551615]"#),
            (r#"["18446744073709551616"#, r#"["18446744073709551616"#),
            ("", ""),
        ] {
            assert_eq!(narrowed_text(json), expected);
        }
    }

    #[test]
    fn one_rule_holds_for_all_whole_numbers_beyond_the_range() {
        for digits in 16..400 {
            for sign in ["", "-"] {
                for before in 0..20 {
                    let json = format!("{}[{sign}{}]", " ".repeat(before), "9".repeat(digits));
                    let mut problem = None;
                    let narrowed = narrowed_text(&json);
                    let mut deserializer = serde_json::Deserializer::from_str(&narrowed);
                    let seed = crate::value::decode::ValueSeed::new(&mut problem);
                    let value = serde::de::DeserializeSeed::deserialize(seed, &mut deserializer);
                    assert_eq!(value.unwrap(), Value::from(vec![Value::Null]));
                    assert_eq!(problem, Some(LimitError::IntRange), "{json}");
                }
            }
        }
    }
}
