//! Reads `jobs.yaml` into the model and reports every error with its position.
//!
//! [`parse`] works in three steps: `spanned_value` reads the text into a tree whose values know their positions,
//! `merge_keys` merges merge keys and rejects duplicate keys, and `desired_state` checks the fields and builds a
//! [`DesiredState`](crate::model::DesiredState). Needs are resolved last, when all jobs are known. Problems are collected on the way
//! and turned into [`Diagnostics`] at the end, so one run reports all errors of a file.

mod arrivals;
mod cycles;
mod dependencies;
mod desired_state;
mod diagnostic;
mod digest;
mod discovery;
mod expect;
mod fields;
mod file;
mod file_glob;
mod file_text;
mod hook;
mod include;
mod inherited_fields;
mod input_check;
mod inputs;
mod interner;
mod item_data;
mod item_placeholders;
mod item_sources;
mod items;
mod job;
mod job_lookup;
mod job_names;
mod job_variant;
mod keep;
mod labels;
mod limits;
mod matrix;
mod matrix_placeholders;
mod merge_keys;
mod needs;
mod overrides;
mod parse;
mod pass_env;
mod placeholder;
mod pool_check;
mod pool_keys;
mod pools;
mod problems;
mod program;
mod queue_jobs;
mod retry;
mod returned_items;
mod root;
pub mod save;
mod schedule;
mod schema;
mod script_variables;
mod size_limits;
mod source;
mod spanned_value;
mod spelling;
mod stall;
mod start_checks;
mod unique_field;
pub mod units;
mod unknown_fields;
mod value;
mod value_check;
mod value_path;
mod variable_level;
mod yaml_errors;
pub(crate) mod yaml_file;

pub use diagnostic::{Diagnostic, Diagnostics, Related, Snippet};
pub use discovery::{CONFIG_FILE_NAME, FILE_NAME, config_home, find, find_all, user_config_file, user_file};
pub use file::{
    ReadFile, field_place_in_file, place_in_file, read, read_with_files, read_with_values, read_with_warnings,
};
pub use file_text::{Error, describe_missing, file_version, may_include};
pub use item_sources::{Arrivals, ReturnedValues, has_items_from_elsewhere, look_for_arrivals, version_of_file_alone};
pub use labels::parse_label;
pub use matrix_placeholders::find_variable;
pub use parse::{line_of, parse};
pub use returned_items::check_item_list;
pub use schema::schema;
pub use source::MAX_FILE_BYTES;
pub use variable_level::{VariableLevel, variable_levels};

/// A short, commented `jobs.yaml` to start from. Its jobs have no side effects.
pub const STARTER: &str = include_str!("starter.yaml");

/// A `jobs.yaml` with an empty queue.
pub const BARE: &str = include_str!("bare.yaml");
