//! Runs each function of the contract for each backend.

/// Makes every function of the contract a test of every backend. A backend without a server is skipped.
macro_rules! contract {
    ($($promise:ident),* $(,)?) => {
        contract!(@backend memory, BackendSite::memory, $($promise),*);
        contract!(@backend memory_with_leases, BackendSite::memory_with_leases, $($promise),*);
        contract!(@backend sqlite, BackendSite::sqlite, $($promise),*);
        contract!(@backend postgres, BackendSite::postgres, $($promise),*);
    };
    (@backend $backend:ident, $create:path, $($promise:ident),*) => {
        mod $backend {
            use super::BackendSite;
            $(#[test]
            fn $promise() {
                Option::<BackendSite>::from($create()).iter().for_each(super::$promise);
            })*
        }
    };
}
