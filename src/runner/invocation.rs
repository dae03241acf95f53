//! Turns a script and its arguments into a program and its argument list.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::model::{Arguments, Failure, FailureKind, Interpreter, Program, Script};

/// A program to execute.
pub(super) struct Invocation {
    /// The program: a path, or a name to look up in `PATH`.
    pub(super) program: String,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// The script's text, if it is too long for an argument. It has to live as long as the run.
    pub(super) file: Option<ScriptFile>,
}

/// A temporary file with the text of a script, removed when dropped.
#[derive(Debug)]
pub(super) struct ScriptFile(PathBuf);

/// The most that Linux accepts in one argument: 128 KiB including the final NUL.
const MAX_ARGUMENT_BYTES: usize = 128 * 1024 - 1;

/// How to pass a script to an interpreter.
struct ScriptPassing {
    /// The options before the text.
    options: &'static [&'static str],
    /// The argument between the text and the script's arguments: a shell's `$0`, or `--` to end the interpreter's options.
    separator: Option<String>,
    /// Makes a one-line script that runs a file as if its text had been passed. `None` if the interpreter can only run
    /// files.
    load_file: Option<fn(&str) -> String>,
}

/// Builds the command line of a script with these arguments.
pub(super) fn build_invocation(script: &Script, arguments: &Arguments) -> Result<Invocation, Failure> {
    let (words, text) = match &script.program {
        Program::Command(words) => (words.as_slice(), None),
        Program::Run { text, shell } => (shell.as_slice(), Some(text)),
    };
    let Some((program, first)) = words.split_first() else {
        return Err(not_started("no program to run".to_owned()));
    };
    let mut invocation = Invocation { program: program.clone(), arguments: first.to_vec(), file: None };
    if let Some(text) = text {
        let passing = if first.is_empty() { script_passing(program) } else { None };
        invocation.add_script(text, passing.as_ref())?;
        if let [.., option] = first
            && Interpreter::takes_script(option)
            && matches!(Interpreter::from_program(program), Some(Interpreter::Posix | Interpreter::Bash))
        {
            invocation.arguments.push(file_name(program));
        }
    }
    invocation.arguments.extend(arguments.words());
    Ok(invocation)
}

/// The failure of a run that could not start.
pub(super) fn not_started(message: String) -> Failure {
    Failure { kind: FailureKind::NotStarted, message }
}

impl Invocation {
    fn add_script(&mut self, text: &str, passing: Option<&ScriptPassing>) -> Result<(), Failure> {
        let is_too_long = text.len() > MAX_ARGUMENT_BYTES;
        let Some(passing) = passing else {
            if is_too_long {
                let program = &self.program;
                let message = format!("the script is too long for {program}: one argument holds at most 128 KiB");
                return Err(not_started(message));
            }
            self.arguments.push(text.to_owned());
            return Ok(());
        };
        self.arguments.extend(passing.options.iter().copied().map(str::to_owned));
        if is_too_long || passing.load_file.is_none() {
            let file = ScriptFile::create(text, if passing.load_file.is_none() { ".ps1" } else { "" })
                .map_err(|error| not_started(format!("the script can't be written to a temporary file: {error}")))?;
            let path = file.0.to_string_lossy().into_owned();
            self.arguments.push(passing.load_file.map_or_else(|| path.clone(), |load| load(&path)));
            self.file = Some(file);
        } else {
            self.arguments.push(text.to_owned());
        }
        self.arguments.extend(passing.separator.clone());
        Ok(())
    }
}

fn script_passing(program: &str) -> Option<ScriptPassing> {
    let sourced = |path: &str| format!(". '{}'", path.replace('\'', r"'\''"));
    let end_of_options = || Some("--".to_owned());
    Some(match Interpreter::from_program(program)? {
        Interpreter::Posix => {
            ScriptPassing { options: &["-e", "-c"], separator: Some(file_name(program)), load_file: Some(sourced) }
        }
        Interpreter::Bash => ScriptPassing {
            options: &["-e", "-o", "pipefail", "-c"],
            separator: Some(file_name(program)),
            load_file: Some(sourced),
        },
        Interpreter::Fish => ScriptPassing {
            options: &["-c"],
            separator: end_of_options(),
            load_file: Some(|path| format!("source {} $argv", single_quoted(path))),
        },
        // Arguments after `-Command` become part of the script.
        Interpreter::PowerShell => {
            ScriptPassing { options: &["-NoProfile", "-NonInteractive", "-File"], separator: None, load_file: None }
        }
        Interpreter::Python => ScriptPassing {
            options: &["-c"],
            separator: None,
            load_file: Some(|path| {
                format!("exec(compile(open({}, 'rb').read(), '<string>', 'exec'))", single_quoted(path))
            }),
        },
        Interpreter::Node => ScriptPassing {
            options: &["-e"],
            separator: end_of_options(),
            load_file: Some(|path| {
                format!("require('vm').runInThisContext(require('fs').readFileSync({}, 'utf8'))", single_quoted(path))
            }),
        },
        Interpreter::Perl => ScriptPassing {
            options: &["-e"],
            separator: end_of_options(),
            load_file: Some(|path| format!("do {}; die $@ if $@", single_quoted(path))),
        },
        Interpreter::Ruby => ScriptPassing {
            options: &["-e"],
            separator: end_of_options(),
            load_file: Some(|path| format!("eval(File.read({}), TOPLEVEL_BINDING, '-e')", single_quoted(path))),
        },
    })
}

fn file_name(program: &str) -> String {
    program.rsplit('/').next().unwrap_or_default().to_owned()
}

/// The path as a single-quoted literal that fish, Python, JavaScript, Perl and Ruby all accept.
fn single_quoted(path: &str) -> String {
    format!("'{}'", path.replace('\\', r"\\").replace('\'', r"\'"))
}

impl ScriptFile {
    fn create(text: &str, suffix: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("setlist-{}-{number}{suffix}", std::process::id());
            let path = std::env::temp_dir().join(name);
            // `create_new` fails if the file exists, so it can't be one that another user has prepared.
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(mut file) => {
                    let file_guard = Self(path);
                    file.write_all(text.as_bytes())?;
                    return Ok(file_guard);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for ScriptFile {
    fn drop(&mut self) {
        // If it fails, the system cleans up the folder for temporary files.
        let _ = std::fs::remove_file(&self.0);
    }
}
