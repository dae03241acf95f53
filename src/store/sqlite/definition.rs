//! What a job is, in columns: what nearly every job has stands in one of its own, which is read without ceremony, and
//! the rest, for most jobs nothing, is JSON. Whoever follows a site reads all of its definitions at once.

use std::mem::take;
use std::sync::Arc;

use rusqlite::{Result, Row, ToSql};

use super::codec::Json;
use crate::model::{Call, Definition, Program, Script};

/// A definition taken apart, as a row of `definitions` has it.
pub(super) struct Columns {
    name: Option<Arc<str>>,
    title: String,
    digest: Option<i64>,
    run: Option<String>,
    command: Option<Json<Vec<String>>>,
    rest: Option<Json<Definition>>,
}

impl Columns {
    /// Takes a definition apart.
    pub(super) fn of(definition: &Definition) -> Self {
        let mut rest = definition.clone();
        let (name, title, digest) = (rest.name.take(), take(&mut rest.title), rest.digest.take());
        let (mut run, mut command) = (None, None);
        if let Call::Script(script) = &mut rest.call {
            match &mut script.program {
                Program::Run { text, .. } => run = Some(take(text)),
                Program::Command(words) => command = Some(Json(take(words))),
            }
        }
        let plain = rest == bare(run.is_none());
        Self { name, title, digest, run, command, rest: (!plain).then_some(Json(rest)) }
    }

    /// The columns in their order, behind the number of the job.
    pub(super) fn with<'a>(&'a self, job: &'a dyn ToSql) -> [&'a dyn ToSql; 7] {
        [job, &self.name, &self.title, &self.digest, &self.run, &self.command, &self.rest]
    }
}

/// A definition from a row in which its columns begin with `first`.
pub(super) fn definition(row: &Row<'_>, first: usize) -> Result<Arc<Definition>> {
    let run: Option<String> = row.get(first + 3)?;
    let mut definition = match row.get::<_, Option<_>>(first + 5)? {
        Some(Json(rest)) => rest,
        None => bare(run.is_none()),
    };
    definition.name = row.get(first)?;
    definition.title = row.get(first + 1)?;
    definition.digest = row.get(first + 2)?;
    if let Call::Script(script) = &mut definition.call {
        match (&mut script.program, run) {
            (Program::Run { text, .. }, Some(run)) => *text = run,
            (program, _) => {
                let Json(mut words): Json<Vec<String>> = row.get(first + 4)?;
                // Many are held in memory.
                words.shrink_to_fit();
                *program = Program::Command(words);
            }
        }
    }
    Ok(Arc::new(definition))
}

/// A definition that says nothing but what has columns of its own, and these empty.
fn bare(command: bool) -> Definition {
    let program = if command {
        Program::Command(Vec::new())
    } else {
        Program::Run { text: String::new(), shell: Program::default_shell() }
    };
    Definition::new(Script::new(program))
}
