//! What a job is, in columns: what nearly every job has stands in one of its own, which is read without ceremony, and
//! the rest, for most jobs nothing, is JSON. Whoever follows a site reads all of its definitions at once.

use std::mem::take;
use std::sync::{Arc, LazyLock};

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
        let plain = rest == *Bare::shared().of(run.is_none());
        Self { name, title, digest, run, command, rest: (!plain).then_some(Json(rest)) }
    }

    /// The columns in their order, behind the number of the job.
    pub(super) fn with<'a>(&'a self, job: &'a dyn ToSql) -> [&'a dyn ToSql; 7] {
        [job, &self.name, &self.title, &self.digest, &self.run, &self.command, &self.rest]
    }
}

/// A definition from a row in which its columns begin with `first`.
pub(super) fn definition(row: &Row<'_>, first: usize, bare: &Bare) -> Result<Arc<Definition>> {
    let run: Option<String> = row.get(first + 3)?;
    let mut definition = match row.get::<_, Option<_>>(first + 5)? {
        Some(Json(rest)) => rest,
        None => bare.of(run.is_none()).clone(),
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

/// Definitions that say nothing but what has columns of its own, and these empty.
pub(super) struct Bare {
    run: Definition,
    command: Definition,
}

impl Bare {
    /// With what all jobs of this process share.
    pub(super) fn shared() -> &'static Self {
        static SHARED: LazyLock<Bare> = LazyLock::new(|| {
            let run = Program::Run { text: String::new(), shell: Program::default_shell() };
            let of = |program| Definition::new(Script::new(program));
            Bare { run: of(run), command: of(Program::Command(Vec::new())) }
        });
        &SHARED
    }

    /// With what nobody else shares: who copies it is counted, and two threads that count the same get in each other's
    /// way.
    pub(super) fn apart() -> Self {
        let Self { run, command } = Self::shared();
        let apart = |definition: &Definition| {
            let mut apart = definition.clone();
            apart.arguments = Arc::new((*apart.arguments).clone());
            apart.terms = Arc::new((*apart.terms).clone());
            if let Call::Script(script) = &mut apart.call {
                script.setup = Arc::new((*script.setup).clone());
                if let Program::Run { shell, .. } = &mut script.program {
                    *shell = shell.iter().cloned().collect();
                }
            }
            apart
        };
        Self { run: apart(run), command: apart(command) }
    }

    fn of(&self, command: bool) -> &Definition {
        if command { &self.command } else { &self.run }
    }
}
