//! The shells and interpreters that can be named as the `shell` of a job.

/// An interpreter that takes a script as an argument, or from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpreter {
    /// A shell with the options of POSIX: sh, dash, ksh, mksh, zsh.
    Posix,
    /// bash.
    Bash,
    /// fish.
    Fish,
    /// PowerShell.
    PowerShell,
    /// Python.
    Python,
    /// Node.js.
    Node,
    /// Perl.
    Perl,
    /// Ruby.
    Ruby,
}

impl Interpreter {
    /// The names under which interpreters are known.
    pub const NAMES: [&str; 13] =
        ["sh", "bash", "dash", "ksh", "mksh", "zsh", "fish", "pwsh", "python", "python3", "node", "perl", "ruby"];

    /// Returns the interpreter with this name or path. Pythons may have a version: `python3.12`.
    pub fn from_program(program: &str) -> Option<Self> {
        let name = program.rsplit('/').next().unwrap_or_default();
        Some(match name {
            "sh" | "dash" | "ksh" | "mksh" | "zsh" => Self::Posix,
            "bash" => Self::Bash,
            "fish" => Self::Fish,
            "pwsh" => Self::PowerShell,
            "node" => Self::Node,
            "perl" => Self::Perl,
            "ruby" => Self::Ruby,
            _ => {
                let version = name.strip_prefix("python")?;
                version.chars().all(|c| c.is_ascii_digit() || c == '.').then_some(Self::Python)?
            }
        })
    }

    /// The option that is followed by the text of a script.
    pub fn script_option(self) -> &'static str {
        match self {
            Self::Posix | Self::Bash | Self::Fish | Self::Python => "-c",
            Self::PowerShell => "-Command",
            Self::Node | Self::Perl | Self::Ruby => "-e",
        }
    }

    /// Whether this is a shell that reads a script from the argument after `-c`, and otherwise takes the argument for
    /// the name of a file.
    pub fn is_unix_shell(self) -> bool {
        matches!(self, Self::Posix | Self::Bash | Self::Fish)
    }

    /// Whether a Unix shell takes the argument after `option` for a script: `-c`, or options that end with it.
    pub fn takes_script(option: &str) -> bool {
        option.starts_with('-') && !option.starts_with("--") && option.ends_with('c') || option == "--command"
    }
}
