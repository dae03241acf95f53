//! A value that one level of a file sets or clears for the levels below it.

/// What a field says at one level, where it says anything.
#[derive(Clone, Copy)]
pub(super) enum Override<T> {
    /// `none` or `all`: removes the value of an outer level.
    Clear,
    /// Replaces the value of an outer level.
    Set(T),
}

impl<T> Override<T> {
    /// The value, unless it is cleared.
    pub(super) fn into_option(self) -> Option<T> {
        match self {
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}
