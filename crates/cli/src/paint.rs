//! A value as lines, with what a change did to it marked.

use similar::{Algorithm, DiffOp, capture_diff_slices};
use topicsync::replay::text_edits;
use topicsync::value::{Text, Value};

use super::out::clean;
use super::pretty::pretty;

/// What became of a piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    Kept,
    Added,
    Removed,
    /// Stands for lines that were left out.
    Gap,
}

/// A line in pieces.
pub type Line = Vec<(Paint, String)>;

/// How many lines are kept about those that changed, where there are too many.
const CONTEXT: usize = 4;

/// How many lines are too many.
const LINES_MAX: usize = 60;

/// The lines of `after`, with what is new in them, and what is gone from `before`.
pub fn painted(before: &Value, after: &Value) -> Vec<Line> {
    let lines = match (before, after) {
        (Value::String(before), Value::String(after)) => texts(before, after),
        _ => lines(&pretty(before), &pretty(after)),
    };
    if lines.len() > LINES_MAX { shortened(lines) } else { lines }
}

fn lines(before: &str, after: &str) -> Vec<Line> {
    // A comma at the end of a line tells of what comes after it.
    let bare = |line: &'_ str| line.trim_end_matches(',').to_owned();
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let old_bare: Vec<String> = old.iter().map(|line| bare(line)).collect();
    let new_bare: Vec<String> = new.iter().map(|line| bare(line)).collect();
    let mut painted = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &old_bare, &new_bare) {
        let line = |paint, text: &&str| vec![(paint, clean(text))];
        if let DiffOp::Equal { .. } = op {
            painted.extend(new[op.new_range()].iter().map(|it| line(Paint::Kept, it)));
            continue;
        }
        painted.extend(old[op.old_range()].iter().map(|it| line(Paint::Removed, it)));
        painted.extend(new[op.new_range()].iter().map(|it| line(Paint::Added, it)));
    }
    painted
}

fn texts(before: &Text, after: &Text) -> Vec<Line> {
    let (old, new) = (before.to_string(), after.to_string());
    let (mut painted, mut seen) = (vec![Line::new()], 0);
    for edit in text_edits(&old, &new) {
        push(&mut painted, Paint::Kept, &after.slice(seen..edit.at));
        push(&mut painted, Paint::Removed, &edit.removed);
        push(&mut painted, Paint::Added, &edit.inserted);
        seen = edit.at + edit.inserted.chars().count();
    }
    push(&mut painted, Paint::Kept, &after.slice(seen..after.len_chars()));
    painted
}

/// Appends text that may go over several lines.
fn push(painted: &mut Vec<Line>, paint: Paint, text: &str) {
    for (at, piece) in text.split('\n').enumerate() {
        if at > 0 {
            painted.push(Line::new());
        }
        if let Some(line) = painted.last_mut().filter(|_| !piece.is_empty()) {
            line.push((paint, clean(piece)));
        }
    }
}

/// Whether something in the line is new or gone.
pub fn is_touched(line: &Line) -> bool {
    line.iter().any(|(paint, _)| matches!(paint, Paint::Added | Paint::Removed))
}

/// The lines that changed and some about them; what is left out is counted.
fn shortened(lines: Vec<Line>) -> Vec<Line> {
    let touched: Vec<usize> = (0..lines.len()).filter(|at| is_touched(&lines[*at])).collect();
    let is_near = |at: usize| {
        let next = touched.partition_point(|it| *it < at);
        let near = |touched: Option<&usize>| touched.is_some_and(|it| it.abs_diff(at) <= CONTEXT);
        near(touched.get(next)) || near(next.checked_sub(1).and_then(|last| touched.get(last)))
    };
    let (mut kept, mut left_out) = (Vec::new(), 0);
    let gap = |count: usize| vec![(Paint::Gap, format!("… {count} lines"))];
    for (at, line) in lines.into_iter().enumerate() {
        // Where nothing changed, the beginning is shown.
        if is_near(at) || touched.is_empty() && at < LINES_MAX {
            if left_out > 0 {
                kept.push(gap(std::mem::take(&mut left_out)));
            }
            kept.push(line);
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        kept.push(gap(left_out));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(before: serde_json::Value, after: serde_json::Value) -> String {
        let piece = |(paint, text): &(Paint, String)| match paint {
            Paint::Kept | Paint::Gap => text.clone(),
            Paint::Added => format!("+{text}+"),
            Paint::Removed => format!("-{text}-"),
        };
        let lines = painted(&before.into(), &after.into());
        let lines: Vec<String> = lines.iter().map(|it| it.iter().map(piece).collect()).collect();
        lines.join("\n")
    }

    #[test]
    fn texts_are_marked_to_the_letter_and_values_by_line() {
        let text = marked("one\nold way".into(), "one\nnew way\nend".into());
        assert_eq!(text, "one\n-old-+new+ way\n+end+");
        let value = marked(serde_json::json!({"a": 1}), serde_json::json!({"a": 2}));
        assert_eq!(value, "-{\"a\": 1}-\n+{\"a\": 2}+");
    }

    #[test]
    fn long_values_are_shortened_to_what_changed() {
        let old: Vec<i64> = (0..1_000).map(|it| it * 1_000).collect();
        let mut new = old.clone();
        new[500] = 1;
        let text = marked(old.into(), new.into());
        assert_eq!(text.lines().count(), 2 + 2 * CONTEXT + 2);
        assert!(text.contains("-  500000,-\n+  1,+"), "{text}");
    }
}
