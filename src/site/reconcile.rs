//! Reconciles a site with its `jobs.yaml`.

use std::path::Path;

use crate::clock;
use crate::definition;
use crate::model::Command;
use crate::store::{Store, StoreError};

/// Reconciles the site with its file if the file has changed since it was last applied. Returns the errors of the file; a
/// file with errors changes nothing.
pub fn reconcile_with_file(store: &mut dyn Store, file: &Path) -> Result<Option<definition::Error>, StoreError> {
    let version = definition::file_version(file).ok();
    if version.is_some() && version == store.file_version()? {
        return Ok(None);
    }
    match definition::read(file) {
        Ok(desired) => {
            store.execute(&[Command::Reconcile(Box::new(desired))], clock::now())?;
            Ok(None)
        }
        Err(error) => Ok(Some(error)),
    }
}
