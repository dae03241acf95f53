//! Names of variables for jobs, pools and inputs.

/// The name of a variable for something named: in capitals, with `_` for what a variable can't have in its name.
pub fn variable_name(prefix: &str, name: &str) -> String {
    let capital = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    prefix.chars().chain(name.chars().map(capital)).collect()
}
