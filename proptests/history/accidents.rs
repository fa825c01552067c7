//! Exported files that people and programs have been at.

use proptest::prelude::*;
use topicsync::journal::{Journal, TopicRecord};
use topicsync::types::Registry;

use super::live::Live;
use super::{exported, histories, imported, scope, state_at};
use crate::hunt::hunt;
use topicsync::testkit::broken::same;
use topicsync::testkit::world::kinds;

/// What happens to a file that people and programs edit.
#[derive(Debug, Clone)]
enum Accident {
    Drop(usize),
    Double(usize),
    Swap(usize, usize),
    CutOff(usize),
    Byte(usize, u8),
    /// One number in a line becomes another.
    Number(usize, u64),
}

fn accident() -> impl Strategy<Value = Accident> {
    let at = || any::<u16>().prop_map(usize::from);
    let numbers = prop_oneof![0..20_u64, Just((1 << 53) - 1), Just(1 << 53), Just(u64::MAX)];
    prop_oneof![
        at().prop_map(Accident::Drop),
        at().prop_map(Accident::Double),
        (at(), at()).prop_map(|(a, b)| Accident::Swap(a, b)),
        at().prop_map(Accident::CutOff),
        (at(), any::<u8>()).prop_map(|(at, byte)| Accident::Byte(at, byte)),
        (at(), numbers).prop_map(|(at, number)| Accident::Number(at, number)),
    ]
}

fn befall(text: &mut Vec<u8>, accident: &Accident) {
    let mut lines: Vec<Vec<u8>> =
        text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (len, count) = (text.len().max(1), lines.len().max(1));
    match accident {
        Accident::CutOff(at) => return text.truncate(at % len),
        Accident::Byte(at, byte) => {
            return text.get_mut(at % len).map_or((), |it| *it = *byte);
        }
        Accident::Drop(at) => {
            drop(lines.drain(at % count..(at % count + 1).min(lines.len())).next())
        }
        Accident::Double(at) => lines.extend(lines.get(at % count).cloned()),
        Accident::Swap(a, b) if !lines.is_empty() => lines.swap(a % count, b % count),
        Accident::Number(at, number) => {
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            let Some(start) = text.iter().skip(at % len).position(is_digit) else { return };
            let start = start + at % len;
            let end =
                text[start..].iter().position(|it| !is_digit(it)).map_or(len, |it| start + it);
            text.splice(start..end, number.to_string().into_bytes());
            return;
        }
        Accident::Swap(..) => {}
    }
    *text = lines.concat();
}

#[test]
fn no_file_panics_and_what_is_read_from_one_is_written_again() {
    let cases = (histories(12), prop::collection::vec(accident(), 1..4));
    hunt("accidents", cases, |((steps, ..), accidents)| {
        let mut text = exported(&Live::played(&kinds(), steps).journal(5));
        accidents.iter().for_each(|accident| befall(&mut text, accident));
        match imported(&text) {
            Err(words) => same("a line is named", &words.starts_with("line "), &true),
            Ok(journal) => {
                let once = exported(&journal);
                let newest = scope(&journal).newest;
                // A type that the accident made up is carried along, and cannot be folded.
                let is_known = |it: &TopicRecord| Registry::default().get(&it.type_name).is_some();
                if journal.topics().map_err(|it| it.to_string())?.iter().all(is_known) {
                    state_at(&journal, newest)?;
                }
                same("written again", &exported(&imported(&once)?), &once)
            }
        }
    });
}
