//! Tests of `jobs.yaml`: what valid files mean and how invalid files are reported. The reports are snapshots in the
//! folder `definition`, with the file as the description.

pub(crate) mod arbitrary_input;
mod expectations;
mod files;
mod include;
mod inputs;
mod invalid_files;
mod items;
mod matrix;
mod message_coverage;
mod names_and_digests;
mod needs;
mod options;
mod pools;
mod roundtrip;
mod save;
mod schedules;
pub(crate) mod schema;
mod script_variables;
mod valid_files;
mod values;

use setlist::definition::{self, Diagnostics};
use setlist::model::{Call, Definition, DesiredState, Program, Script};

#[track_caller]
fn parse_valid(yaml: &str) -> DesiredState {
    let plan =
        definition::parse("jobs.yaml", yaml).unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(false)));
    if yaml.len() < 20_000 {
        schema::assert_schema_accepts(yaml);
    }
    plan
}

fn parse_invalid(yaml: &str) -> Diagnostics {
    match definition::parse("jobs.yaml", yaml) {
        Ok(_) => panic!("the file is unexpectedly valid"),
        Err(diagnostics) => diagnostics,
    }
}

/// Compares the report of an invalid file with its snapshot.
fn assert_report(name: &str, yaml: &str) {
    assert_report_with_description(name, yaml, yaml);
}

/// Like [`assert_report`], for a file that is too long for the description.
fn assert_report_of_long_file(name: &str, yaml: &str) {
    assert_report_with_description(name, yaml, &format!("{} bytes", yaml.len()));
}

fn assert_report_with_description(name: &str, yaml: &str, description: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("definition");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(description);
    settings.bind(|| insta::assert_snapshot!(name, parse_invalid(yaml).render(false)));
}

fn job_names(plan: &DesiredState, queue: usize) -> Vec<&str> {
    plan.queues[queue].jobs.iter().map(|job| job.name.as_deref().unwrap_or_default()).collect()
}

fn script(job: &Definition) -> &Script {
    match &job.call {
        Call::Script(script) => script,
        Call::Function(_) => panic!("jobs from files are scripts"),
    }
}

fn shell(text: &str) -> Program {
    Program::Run { text: text.into(), shell: Program::default_shell() }
}
