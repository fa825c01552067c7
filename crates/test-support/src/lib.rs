//! What tests and benchmarks of several packages share.
//!
//! | module | holds |
//! |---|---|
//! | [`system`] | a server in this process, and a client that follows a script |
//! | [`program`] | a program that runs as a server, and ends with the test |
//! | [`vfs`] | a disk that fails on purpose |
//! | [`allocator`] | an allocator that counts what is in use |

pub mod allocator;
pub mod program;
pub mod system;
pub mod vfs;
