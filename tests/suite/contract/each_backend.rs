//! Runs each function of the contract for each backend.

/// Makes every function of the contract a test of every backend.
macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        contract!(@backend memory, BackendSite::memory, $($promise),*);
        contract!(@backend sqlite, BackendSite::sqlite, $($promise),*);
    };
    (@backend $backend:ident, $create:path, $($promise:ident),*) => {
        mod $backend {
            use super::BackendSite;
            $(#[test]
            fn $promise() {
                super::$promise(&$create());
            })*
        }
    };
}
