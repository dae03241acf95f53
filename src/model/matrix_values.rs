//! The combination of a matrix, or the item of a list, that a job was made for.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The entry of `jobs.yaml` that has the `matrix` or `for_each`, and the values of this job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatrixValues {
    /// The name of the entry; the jobs of one matrix share it.
    pub entry: Arc<str>,
    /// The parameters with their values, in the order of the file.
    pub values: Vec<(Arc<str>, Arc<str>)>,
    /// Whether the entry has `for_each`. The values are then `item`, or `item.NAME` of an item that is a map.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_item: bool,
    /// The version of an item that is a file which has arrived (`for_each: {watch: …}`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The parts of an item that is a path.
pub const ITEM_PARTS: [&str; 4] = ["name", "stem", "ext", "dir"];

/// A part of an item that is a path: its file name, that without its extension, the extension, or the folder.
pub fn item_part<'t>(item: &'t str, part: &str) -> Option<&'t str> {
    let (dir, name) = item.rsplit_once('/').unwrap_or((".", item));
    let (stem, ext) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).unwrap_or((name, ""));
    match part {
        "name" => Some(name),
        "stem" => Some(stem),
        "ext" => Some(ext),
        "dir" => Some(if dir.is_empty() { "/" } else { dir }),
        _ => None,
    }
}

impl fmt::Display for MatrixValues {
    /// Writes the parameters with their values: `n=23, mode=slow`. An item that is no map is written without a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ([(_, item)], true) = (&self.values[..], self.is_item && self.get("item").is_some()) {
            return f.write_str(item);
        }
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
