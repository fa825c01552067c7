//! Any bytes as a frame of messages in JSON: read or refused, and what was read survives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use topicsync::protocol::decode_text;
use topicsync_fuzz::{check_frame, hold};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(frame) = decode_text(text) {
        hold(check_frame(frame));
    }
});
