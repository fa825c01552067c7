//! A history as a test: an exported file has to end in the state that is expected of it.
//!
//! `cargo run --example regression`
//!
//! The files beside it were made so, and any history of yours makes two more:
//!
//! ```sh
//! topicsync export > history.jsonl
//! topicsync show --json > expected.json
//! ```

fn main() {
    // In a program of yours this line is a `#[test]`. Types of your own go in a third argument.
    topicsync::assert_replays!("regression/history.jsonl", "regression/expected.json");
    println!("the history ends as expected");

    // Where it does not, the panic says which topic differs, and how.
    let history = include_bytes!("regression/history.jsonl");
    let wrong =
        include_str!("regression/expected.json").replace("230", "240").replace("Snow", "Ice");
    let registry = topicsync::types::Registry::default();
    let why = topicsync::replay::check_replays(history, wrong.as_bytes(), &registry).unwrap_err();
    println!("of another state it says:\n{why}");
}
