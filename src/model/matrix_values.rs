//! The combination of a matrix that a job was made for.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The entry of `jobs.yaml` that has the matrix, and the values of this job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixValues {
    /// The name of the entry; the jobs of one matrix share it.
    pub entry: Arc<str>,
    /// The parameters with their values, in the order of the file.
    pub values: Vec<(Arc<str>, Arc<str>)>,
}

impl MatrixValues {
    /// The names of the parameters.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|(name, _)| &**name)
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| **known == *name).map(|(_, value)| &**value)
    }
}
