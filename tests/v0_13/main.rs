//! The vocabulary of topicsync 0.13: what its clients send and get, and what they and clients of
//! `docs/protocol.md` see of each other. A fresh server for each test, over real sockets; `direct` does
//! without them, so that a test says which thread does what.

mod converge;
mod direct;
mod exchanges;
mod hostile;
mod lists;
mod lives;
mod model;
mod old;
mod policy;
mod texts;
mod threads;
mod together;

use topicsync_test_support::system as common;
