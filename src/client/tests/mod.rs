//! Stories of who did what when, and random ones, against a toy server.

mod convergence;
mod sim;
mod stories;
mod toy;
