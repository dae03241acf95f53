//! Reads `pass_env`: which variables a job gets of the user who asks for it.

use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind};
use super::spelling::{closest_keyword, quoted};
use super::value;
use super::value_path::ValuePath;
use crate::model::PassEnv;

/// The keywords. Anything else is a list of names.
pub(super) const KEYWORDS: [&str; 2] = ["all", "none"];

const EXPECTED: &str = "`all`, `none` or a list of names";

pub(super) fn read_pass_env(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<PassEnv> {
    match &node.kind {
        NodeKind::Scalar(_, text) => match &**text {
            "all" => Some(PassEnv::All),
            "none" => Some(PassEnv::None),
            text => {
                let problem = Problem::new(node.id, path, format!("expected {EXPECTED}, found {}", quoted(text)));
                problems.add(match closest_keyword(text, &KEYWORDS) {
                    Some(word) => problem.hint(format!("did you mean `{word}`?")),
                    None => problem.hint(format!("for one variable write `[{text}]`")),
                });
                None
            }
        },
        _ => value::list(node, path, EXPECTED, problems, read_name).map(PassEnv::Names),
    }
}

/// Reads a list of names of variables.
pub(super) fn read_names(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    value::list(node, path, "a list of names", problems, read_name)
}

fn read_name(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<String> {
    let name = value::non_empty_text(node, path, "the name", problems)?;
    if name.contains('=') {
        let problem = Problem::new(node.id, path, format!("{} is not the name of a variable", quoted(&name)));
        problems.add(problem.hint("to set a variable, use `env`"));
        return None;
    }
    Some(name)
}
