use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::topic::{ActionId, ActionMark, ChangeId, Reverses};

/// Values of any kind, many of them alike.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..400i64).prop_map(Value::from),
        (-limits::INT_MAX..=limits::INT_MAX).prop_map(Value::from),
        (-1e300..1e300f64).prop_map(Value::from),
        Just(Value::Float(-0.0)),
        "[a-z]{0,3}|é😀{1,2}".prop_map(Value::from),
        "x{250,300}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 18, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..18).prop_map(Value::from),
            prop::collection::vec((0..18u8, inner), 0..18).prop_map(|entries| {
                let key = |key: u8| Key::from(format!("k{key}"));
                Value::Dict(entries.into_iter().map(|(at, value)| (key(at), value)).collect())
            }),
        ]
    })
}

fn fields() -> impl Strategy<Value = Fields> {
    let named = prop_oneof![
        (0..99i64, "[a-c]").prop_map(|(position, text)| Fields::of_type("insert")
            .with("position", position)
            .with("insertion", text)),
        value().prop_map(|value| Fields::of_type("set").with("value", value)),
        value().prop_map(|value| Fields::default().with("value", value).with("type", "last")),
        Just(Fields::default()),
        Just(Fields::default().with("type", 7)),
        Just(Fields::of_type(&"long".repeat(100)).with("type", "twice")),
    ];
    named.boxed()
}

fn id(author: u64) -> impl Strategy<Value = ChangeId> {
    let author = ClientId(author);
    prop_oneof![
        (0..9u64).prop_map(move |counter| ChangeId::of(author, counter)),
        (0..9u64).prop_map(move |counter| ChangeId::of_server_for(author, counter % 3, counter)),
        Just(ChangeId::of(author, u64::MAX)),
        Just(ChangeId::of(ClientId(77), 1)),
        Just(ChangeId::new("07_007").unwrap()),
        Just(ChangeId::new("7_any thing").unwrap()),
    ]
}

fn action() -> impl Strategy<Value = Option<Arc<ActionMark>>> {
    let action = |id| ActionId::new(id).unwrap();
    let reverses = (any::<u64>(), "[a-c]", any::<bool>()).prop_map(move |(commit, id, redo)| {
        Reverses { commit: CommitNumber(commit), original: action(id), redo }
    });
    let mark = ("[ab]?", prop::option::of(reverses))
        .prop_map(move |(id, reverses)| Arc::new(ActionMark { id: action(id), reverses }));
    prop::option::of(mark)
}

fn change() -> impl Strategy<Value = Logged> {
    let author = prop_oneof![Just(1u64), 0..4u64, Just(u64::MAX)];
    (author, any::<u64>(), 0..9u64, prop::option::of(fields()), action()).prop_flat_map(
        |(author, commit, time, change, action)| {
            id(author).prop_map(move |id| Logged {
                version: Version(0),
                commit: CommitNumber(commit),
                change: change.clone(),
                author: ClientId(author),
                id,
                action: action.clone(),
                time: Timestamp(time),
            })
        },
    )
}

/// As `==`, and telling `1` from `1.0`.
fn check_same(left: &[Logged], right: &[Logged]) -> Result<(), TestCaseError> {
    prop_assert_eq!(left, right);
    prop_assert_eq!(format!("{left:?}"), format!("{right:?}"));
    Ok(())
}

proptest! {
    #[test]
    fn a_run_survives(mut changes in prop::collection::vec(change(), 1..20)) {
        changes.iter_mut().enumerate().for_each(|(at, it)| it.version = Version(at as u64 + 7));
        let borrowed: Vec<&Logged> = changes.iter().collect();
        let bytes = encode(&borrowed).unwrap();
        let span = Span::of(&borrowed).unwrap();
        check_same(&decode(span, &bytes).unwrap(), &changes)?;
        let moments: Vec<_> = changes.iter().map(|it| (it.commit, it.time)).collect();
        prop_assert_eq!(super::moments(span, &bytes).unwrap(), moments);
        for len in (0..bytes.len()).rev().step_by(1 + bytes.len() / 16) {
            prop_assert!(decode(span, &bytes[..len]).is_err());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, count in 0..20u64) {
        let (first, last) = (Version(1), Version(count));
        let span = Span { first, last, commit: CommitNumber(1), time: Timestamp(1) };
        if let Ok(changes) = decode(span, &bytes) {
            prop_assert_eq!(changes.len() as u64, count);
        }
    }

    #[test]
    fn a_damaged_run_is_read_or_refused(
        mut changes in prop::collection::vec(change(), 1..10),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..4),
    ) {
        changes.iter_mut().enumerate().for_each(|(at, it)| it.version = Version(at as u64 + 7));
        let borrowed: Vec<&Logged> = changes.iter().collect();
        let mut bytes = encode(&borrowed).unwrap();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        let _ = decode(Span::of(&borrowed).unwrap(), &bytes);
    }
}

#[test]
fn what_no_value_may_hold_is_not_encoded() {
    let change = Logged {
        version: Version(1),
        commit: CommitNumber(1),
        change: Some(Fields::of_type("set").with("value", f64::NAN)),
        author: ClientId(1),
        id: ChangeId::of(ClientId(1), 1),
        action: None,
        time: Timestamp(1),
    };
    assert_eq!(encode(&[&change]), Err(LimitError::NotFinite));
}

/// A keystroke takes a few bytes even before it is compressed.
#[test]
fn typing_takes_few_bytes() {
    let change = |version: u64| Logged {
        version: Version(version),
        commit: CommitNumber(version * 3),
        change: Some(
            Fields::of_type("insert").with("position", version as i64).with("insertion", "x"),
        ),
        author: ClientId(5),
        id: ChangeId::of(ClientId(5), version),
        action: None,
        time: Timestamp(1_700_000_000_000 + version * 120),
    };
    let changes: Vec<Logged> = (1..=1000).map(change).collect();
    let bytes = encode(&changes.iter().collect::<Vec<_>>()).unwrap();
    assert!(bytes.len() < 10 * changes.len(), "{} bytes", bytes.len());
}

/// They were written by hand, from the description of the format alone.
#[test]
fn the_fuzzers_seeds_are_runs() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/journal_run");
    let mut seeds = 0;
    for seed in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(seed.unwrap().path()).unwrap();
        let (first, last) = (Version(1), Version(bytes[0].into()));
        let span = Span { first, last, commit: CommitNumber(1), time: Timestamp(1) };
        let changes = decode(span, &bytes[1..]).unwrap();
        assert_eq!(changes.len(), usize::from(bytes[0]));
        seeds += 1;
    }
    assert!(seeds > 2);
}
