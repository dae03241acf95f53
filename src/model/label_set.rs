//! Labels of workers.

use std::sync::Arc;

/// The labels that a job needs.
pub type LabelSet = Vec<Arc<str>>;
