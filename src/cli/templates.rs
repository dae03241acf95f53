//! The templates of `setlist init --from`: the files in `examples`.

use super::error::CliError;

/// A template: its name and its text.
pub(super) struct Template {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

macro_rules! templates {
    ($($name:literal),*) => {
        [$(Template { name: $name, text: include_str!(concat!("../../examples/", $name, ".yaml")) }),*]
    };
}

/// All templates, the most useful first.
pub(super) static TEMPLATES: [Template; 16] = templates![
    "backup",
    "encode",
    "sweep",
    "gpus",
    "release",
    "version",
    "data-load",
    "nightly",
    "archive",
    "mail",
    "ntfy",
    "slack",
    "health-check",
    "server",
    "parameter",
    "shared-parts"
];

impl Template {
    /// Finds a template by its name.
    pub(super) fn find(name: &str) -> Result<&'static Self, CliError> {
        TEMPLATES.iter().find(|template| template.name == name).ok_or_else(|| {
            let names: Vec<&str> = TEMPLATES.iter().map(|template| template.name).collect();
            let hint = match closest(name) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => format!("the templates are {}", names.join(", ")),
            };
            CliError::Usage(format!("there is no template {name:?}; {hint} (`setlist init --list` describes them)"))
        })
    }

    /// What it is for: its first line, which is a comment.
    pub(super) fn summary(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches(['#', ' '])
    }

    /// The programs that its jobs run, besides those of every system: from its comment `# Needs: a, b.`
    pub(super) fn programs(&self) -> Vec<&'static str> {
        let line = self.text.lines().find_map(|line| line.strip_prefix("# Needs: "));
        let names = line.unwrap_or_default().trim_end_matches('.').split(", ");
        names.filter(|name| !name.is_empty()).collect()
    }
}

fn closest(name: &str) -> Option<&'static str> {
    const MIN_SIMILARITY: f64 = 0.8;
    let score = |template: &&Template| strsim::jaro_winkler(name, template.name);
    let best = TEMPLATES.iter().max_by(|a, b| score(a).total_cmp(&score(b)))?;
    (score(&best) > MIN_SIMILARITY).then_some(best.name)
}
