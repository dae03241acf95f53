//! A placeholder in a text of `jobs.yaml`, such as `${matrix.os}` or `${item}`.

/// A placeholder in a text.
pub(super) struct Placeholder<'t> {
    /// The text before it.
    pub(super) before: &'t str,
    /// The placeholder as written.
    pub(super) text: &'t str,
    /// The variable's name, or `None` if the placeholder is malformed.
    pub(super) name: Option<&'t str>,
    /// The text after it.
    pub(super) after: &'t str,
}
