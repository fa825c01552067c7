//! Code of a topic's type, and of validators, is somebody else's: it may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::topic::Rejection;
use crate::types::TypeRef;

/// Runs code of a topic's type, and gives a panic in it back as a rejection. What the code had in hand may be
/// half done then.
pub(super) fn guarded<T>(kind: TypeRef, run: impl FnOnce() -> T) -> Result<T, Rejection> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| panicked(kind))
}

#[cold]
fn panicked(kind: TypeRef) -> Rejection {
    tracing::error!(topic_type = kind.name(), "a panic in the code of a type or validator");
    Rejection::Panicked { type_name: kind.name() }
}
