//! Panics that are looked for are not told on the terminal, each of a thousand times.

use std::any::Any;
use std::cell::Cell;
use std::panic;
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Calls `act`; a panic on this thread meanwhile says nothing.
pub(super) fn quietly<T>(act: impl FnOnce() -> T) -> T {
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    let before = QUIET.replace(true);
    let done = act();
    QUIET.set(before);
    done
}

/// What a panic said.
pub(super) fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it does not say why")
}

/// Calls what may panic; gives the panic, which says nothing on the terminal.
pub(super) fn caught<T>(act: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    quietly(|| panic::catch_unwind(panic::AssertUnwindSafe(act)))
}
