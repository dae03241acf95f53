//! What reaches a run in a pseudo-terminal from outside.

/// Something that a screen has for a run in a pseudo-terminal. It is never kept: it may be a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// What a terminal sends for the keys that were pressed.
    Bytes(Vec<u8>),
    /// The terminal has another size.
    Size(WindowSize),
}

/// The size of a terminal in character cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named for what they count")]
pub struct WindowSize {
    pub columns: u16,
    pub rows: u16,
}

impl Default for WindowSize {
    fn default() -> Self {
        Self { columns: 80, rows: 24 }
    }
}
