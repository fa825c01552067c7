//! The dialect of topicsync 0.13 over real sockets: what its clients send and get, and what they and
//! clients of this server's own protocol see of each other. A fresh server for each test.

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
