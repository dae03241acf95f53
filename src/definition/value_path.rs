//! The path from the top of a file to one of its values, such as `queues.build.jobs[3].timeout`.

use std::fmt;

use super::spelling::excerpt;

/// A path as a linked list on the stack. It is formatted only when a problem is reported.
#[derive(Clone, Copy)]
pub(crate) enum ValuePath<'a> {
    Top,
    Key(&'a ValuePath<'a>, &'a str),
    Item(&'a ValuePath<'a>, usize),
}

impl<'a> ValuePath<'a> {
    pub(crate) fn key(&'a self, key: &'a str) -> ValuePath<'a> {
        ValuePath::Key(self, key)
    }

    pub(crate) fn item(&'a self, index: usize) -> ValuePath<'a> {
        ValuePath::Item(self, index)
    }
}

impl fmt::Display for ValuePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => Ok(()),
            Self::Key(parent, key) => {
                parent.fmt(f)?;
                if !matches!(parent, Self::Top) {
                    f.write_str(".")?;
                }
                if !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '<')) {
                    f.write_str(&excerpt(key))
                } else {
                    write!(f, "\"{}\"", excerpt(key))
                }
            }
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
