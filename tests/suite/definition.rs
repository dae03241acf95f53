//! `jobs.yaml`: what it means, and what is said of one that is wrong. The reports stand beside this file, one file for
//! each bad file, with the file as the description.

pub(crate) mod anything;
mod bad;
mod every;
mod files;
mod good;
mod matrix;
mod names;
mod needs;
mod save;
pub(crate) mod schema;
mod terms;
mod written;

use setlist::definition::{self, Diagnostics};
use setlist::model::{Call, Definition, Plan, Program, Script};

#[track_caller]
fn good(yaml: &str) -> Plan {
    let plan =
        definition::parse("jobs.yaml", yaml).unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(false)));
    if yaml.len() < 20_000 {
        schema::takes(yaml);
    }
    plan
}

fn refused(yaml: &str) -> Diagnostics {
    match definition::parse("jobs.yaml", yaml) {
        Ok(_) => panic!("the file is bad"),
        Err(diagnostics) => diagnostics,
    }
}

/// Compares the report of a bad file with the one that was agreed on.
fn bad(name: &str, yaml: &str) {
    reported(name, yaml, yaml);
}

/// The same for a file that is too long to be shown.
fn bad_and_long(name: &str, yaml: &str) {
    reported(name, yaml, &format!("{} bytes", yaml.len()));
}

fn reported(name: &str, yaml: &str, description: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("definition");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(description);
    settings.bind(|| insta::assert_snapshot!(name, refused(yaml).render(false)));
}

fn names(plan: &Plan, queue: usize) -> Vec<&str> {
    plan.queues[queue].jobs.iter().map(|job| job.name.as_deref().unwrap_or_default()).collect()
}

fn script(job: &Definition) -> &Script {
    match &job.call {
        Call::Script(script) => script,
        Call::Function(_) => panic!("a job from a file is a script"),
    }
}

fn shell(text: &str) -> Program {
    Program::Run { text: text.into(), shell: Program::default_shell() }
}
