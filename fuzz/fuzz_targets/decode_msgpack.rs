//! Any bytes as MessagePack: a value or a change is read or refused, and what was read survives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeSeed;
use topicsync::value::ValueSeed;
use topicsync::value::FieldsSeed;
use topicsync_fuzz::{check_fields, check_value, hold};

fuzz_target!(|bytes: &[u8]| {
    let mut problem = None;
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    let value = ValueSeed::new(&mut problem).deserialize(&mut deserializer);
    if let Ok(value) = value {
        // What broke a limit is null by now; what is left is a value either way.
        hold(check_value(&value));
    }

    let mut problem = None;
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    let fields = FieldsSeed { problem: &mut problem }.deserialize(&mut deserializer);
    if let (Ok(fields), None) = (fields, problem) {
        hold(check_fields(&fields));
    }
});
