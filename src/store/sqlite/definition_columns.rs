//! Job definitions as columns. The fields that most jobs have are columns of their own, which are cheap to read; the
//! rest is JSON, which most jobs don't need. Loading a site reads all of its definitions.

use std::mem::take;
use std::sync::{Arc, LazyLock};

use compact_str::CompactString;
use rusqlite::{Result, Row, ToSql};

use super::columns::Json;
use crate::model::{Call, Definition, Program, Script};

/// The columns of a row of `definitions`.
pub(super) struct DefinitionColumns {
    name: Option<Arc<str>>,
    title: String,
    digest: Option<i64>,
    run: Option<String>,
    command: Option<Json<Vec<String>>>,
    rest: Option<Json<Definition>>,
}

impl DefinitionColumns {
    /// Splits a definition into columns.
    pub(super) fn of(definition: &Definition) -> Self {
        let mut rest = definition.clone();
        let (name, title, digest) = (rest.name.take(), take(&mut rest.title).into(), rest.digest.take());
        let (mut run, mut command) = (None, None);
        if let Call::Script(script) = &mut rest.call {
            match &mut script.program {
                Program::Run { text, .. } => run = Some(take(text).into()),
                Program::Command(words) => command = Some(Json(take(words))),
            }
        }
        let is_blank = rest == *BlankDefinitions::shared().blank_for(run.is_none());
        Self { name, title, digest, run, command, rest: (!is_blank).then_some(Json(rest)) }
    }

    /// The values of all columns in order, preceded by the job's id.
    pub(super) fn with<'a>(&'a self, job: &'a dyn ToSql) -> [&'a dyn ToSql; 7] {
        [job, &self.name, &self.title, &self.digest, &self.run, &self.command, &self.rest]
    }
}

/// Reads a definition from a row whose definition columns start at `first`.
pub(super) fn definition(row: &Row<'_>, first: usize, blanks: &BlankDefinitions) -> Result<Arc<Definition>> {
    let run = row.get_ref(first + 3)?.as_str_or_null()?;
    let mut definition = match row.get::<_, Option<_>>(first + 5)? {
        Some(Json(rest)) => rest,
        None => blanks.blank_for(run.is_none()).clone(),
    };
    definition.name = row.get(first)?;
    definition.title = row.get_ref(first + 1)?.as_str()?.into();
    definition.digest = row.get(first + 2)?;
    if let Call::Script(script) = &mut definition.call {
        match (&mut script.program, run) {
            (Program::Run { text, .. }, Some(run)) => *text = run.into(),
            (program, _) => {
                let Json(mut words): Json<Vec<String>> = row.get(first + 4)?;
                // Many of these are held in memory.
                words.shrink_to_fit();
                *program = Program::Command(words);
            }
        }
    }
    Ok(Arc::new(definition))
}

/// Definitions in which all fields with columns of their own are empty.
pub(super) struct BlankDefinitions {
    run: Definition,
    command: Definition,
}

impl BlankDefinitions {
    /// Definitions that share their parts with all jobs of this process.
    pub(super) fn shared() -> &'static Self {
        static SHARED: LazyLock<BlankDefinitions> = LazyLock::new(|| {
            let run = Program::Run { text: CompactString::default(), shell: Program::default_shell() };
            let of = |program| Definition::new(Script::new(program));
            BlankDefinitions { run: of(run), command: of(Program::Command(Vec::new())) }
        });
        &SHARED
    }

    /// Definitions with parts of their own. Copying shared parts updates their reference counts, on which threads that
    /// load in parallel would contend.
    pub(super) fn unshared() -> Self {
        let Self { run, command } = Self::shared();
        let apart = |definition: &Definition| {
            let mut apart = definition.clone();
            apart.arguments = Arc::new((*apart.arguments).clone());
            apart.scheduling = Arc::new((*apart.scheduling).clone());
            if let Call::Script(script) = &mut apart.call {
                script.exec = Arc::new((*script.exec).clone());
                if let Program::Run { shell, .. } = &mut script.program {
                    *shell = Arc::new((**shell).clone());
                }
            }
            apart
        };
        Self { run: apart(run), command: apart(command) }
    }

    pub(super) fn blank_for(&self, is_command: bool) -> &Definition {
        if is_command { &self.command } else { &self.run }
    }
}
