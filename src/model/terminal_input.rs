//! Input for a run in a pseudo-terminal.

/// Input that a screen sends to a run in a pseudo-terminal. It is never stored, because it may be a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalInput {
    /// The bytes that a terminal sends for the keys pressed.
    Bytes(Vec<u8>),
    /// The new size of the terminal.
    Size(WindowSize),
}

/// The size of a terminal in character cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say what they count")]
pub struct WindowSize {
    pub columns: u16,
    pub rows: u16,
}

impl Default for WindowSize {
    fn default() -> Self {
        Self { columns: 80, rows: 24 }
    }
}
