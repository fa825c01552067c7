//! Stories of who did what when, and random ones, against a toy server.

#[cfg(all(feature = "client", feature = "server"))]
mod connection;
mod convergence;
mod sim;
mod stories;
mod toy;
