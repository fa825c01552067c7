//! Any bytes as a frame of messages in MessagePack: read or refused, and what was read survives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use topicsync::protocol::decode_binary;
use topicsync_fuzz::{check_frame, hold};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = decode_binary(bytes) {
        hold(check_frame(frame));
    }
});
