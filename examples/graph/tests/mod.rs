//! What shows that a graph keeps its promises.
//!
//! | module | shows |
//! |---|---|
//! | `laws` | every law of topic types, for both types |
//! | `invariants` | that each change leaves a sound graph, the one that plain maps come to |
//! | `conflicts` | the table of `rebase.rs`, line by line, and undo |
//! | `undo` | that undo and redo lead exactly back, alone and among others |
//! | `system` | a server and clients that edit at random over sockets end in one sound graph |

mod conflicts;
mod invariants;
mod laws;
mod notation;
mod strategies;
mod system;
mod undo;
