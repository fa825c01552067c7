//! Any bytes as a run of changes: read or refused, and what was read survives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use topicsync::journal::Logged;
use topicsync::journal::sqlite_run::{Span, decode, encode, moments};
use topicsync::topic::{CommitNumber, Timestamp, Version};

fuzz_target!(|bytes: &[u8]| {
    let Some((count, bytes)) = bytes.split_first() else { return };
    let (first, last) = (Version(1), Version((*count).into()));
    let span = Span { first, last, commit: CommitNumber(1), time: Timestamp(1) };
    let Ok(changes) = decode(span, bytes) else { return };
    assert_eq!(changes.len(), usize::from(*count));
    let found = changes.iter().map(|change| (change.commit, change.time));
    assert!(found.eq(moments(span, bytes).unwrap()));
    let encoded = encode(&changes.iter().collect::<Vec<&Logged>>()).unwrap();
    let again = decode(span, &encoded).unwrap();
    // Which tells `1` from `1.0`, as `==` does not.
    assert_eq!(format!("{changes:?}"), format!("{again:?}"));
});
