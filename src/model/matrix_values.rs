//! The combination of a matrix that a job was made for.

use std::fmt;
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

impl fmt::Display for MatrixValues {
    /// Writes the parameters with their values: `n=23, mode=slow`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        f.write_str(&values.join(", "))
    }
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
