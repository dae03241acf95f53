//! The service file of libpq: named sets of connection parameters, in `~/.pg_service.conf` or `$PGSERVICEFILE`.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;

/// The parameters of a service, in their order. The error says why it can't be used.
pub(super) fn parameters(service: &str) -> Result<Vec<(String, String)>, String> {
    for path in files() {
        match fs::read_to_string(&path) {
            Ok(text) => {
                if let Some(found) = section(&text, service) {
                    return found.map_err(|line| format!("invalid line {line} in {}", path.display()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("can't read the service file {}: {error}", path.display())),
        }
    }
    Err(format!("no service file has a service {service:?}: see PGSERVICEFILE, ~/.pg_service.conf"))
}

/// The files in which a service is looked up, in this order.
fn files() -> impl Iterator<Item = PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let own = variable("PGSERVICEFILE").or_else(|| Some(variable("HOME")?.join(".pg_service.conf")));
    let shared = variable("PGSYSCONFDIR").map(|folder| folder.join("pg_service.conf"));
    own.into_iter().chain(shared)
}

/// The parameters in a section, or the number of a line that is none. `None` if there is no such section.
fn section(text: &str, service: &str) -> Option<Result<Vec<(String, String)>, usize>> {
    let header = format!("[{service}]");
    let mut lines = text.lines().zip(1..).map(|(line, nth)| (line.trim(), nth));
    lines.find(|(line, _)| *line == header)?;
    let mut parameters = Vec::new();
    for (line, nth) in lines.take_while(|(line, _)| !line.starts_with('[')) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else { return Some(Err(nth)) };
        parameters.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Some(Ok(parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_the_next_one_begins() {
        let text = "[one]\nhost=a\n# note\nport = 5433\n[two]\nhost=b\n[three]\nnonsense\n";
        let pairs = |name| section(text, name).map(|found| found.map(|found| found.len()));
        assert_eq!(
            (pairs("one"), pairs("two"), pairs("three"), pairs("four")),
            (Some(Ok(2)), Some(Ok(1)), Some(Err(8)), None)
        );
    }
}
