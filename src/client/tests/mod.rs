//! Clients and a server over real sockets. What a replica does by itself is tested by the conformance
//! file and, at random, by `tests/conformance/order.rs` and the simulator.

#[cfg(all(feature = "client", feature = "server"))]
mod connection;
