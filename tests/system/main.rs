//! The whole system over real sockets: each test's name states a fact of the protocol.
//!
//! | module | the facts |
//! |---|---|
//! | [`hello`] | subprotocols, frames, limits |
//! | [`subscribing`] | subscriptions and what follows them |
//! | [`changes`] | every change's published form, confirmation, bases, ids |
//! | [`actions`] | all or nothing over several topics |
//! | [`services`], [`special`] | remote calls; topics and services of the server |
//! | [`sessions`] | resuming, presence, `latest` delivery |
//! | [`slow`] | a subscriber that does not read |
//! | [`closing`] | close codes, pings, floods |
//! | [`durable`] | what a restart keeps; a folder or disk that is not as it should be |
//! | [`hostile`] | bad input, each time beside a session that keeps working |
//! | [`pages`] | what the port has beside the socket |

mod actions;
mod changes;
mod closing;
mod durable;
mod hello;
mod hostile;
mod pages;
mod services;
mod sessions;
mod slow;
mod special;
mod subscribing;

use topicsync_test_support::system as common;
