//! Turns a script and its arguments into a program and its argument list.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::model::{Arguments, Failure, FailureKind, Program, Script, Value};

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
struct Interpreter {
    /// The options before the text.
    flags: &'static [&'static str],
    /// The argument between the text and the script's arguments: a shell's `$0`, or `--` to end the interpreter's options.
    separator: Option<&'static str>,
    /// Makes a one-line script that runs a file as if its text had been passed.
    load_file: fn(&str) -> String,
}

/// Builds the command line of a script with these arguments.
pub(super) fn build_invocation(script: &Script, arguments: &Arguments) -> Result<Invocation, Failure> {
    let (words, text) = match &script.program {
        Program::Command(words) => (words.as_slice(), None),
        Program::Run { text, shell } => (&**shell, Some(text)),
    };
    let Some((program, first)) = words.split_first() else {
        return Err(not_started("no program to run".to_owned()));
    };
    let mut invocation = Invocation { program: program.clone(), arguments: first.to_vec(), file: None };
    if let Some(text) = text {
        let interpreter = if first.is_empty() { known_interpreter(program) } else { None };
        invocation.add_script(text, interpreter.as_ref())?;
    }
    let list = &mut invocation.arguments;
    list.extend(arguments.args.iter().map(to_argument));
    for (name, value) in &arguments.kwargs {
        match value {
            Value::Null | Value::Bool(false) => {}
            Value::Bool(true) => list.push(format!("--{name}")),
            value => list.extend([format!("--{name}"), to_argument(value)]),
        }
    }
    Ok(invocation)
}

/// The failure of a run that could not start.
pub(super) fn not_started(message: String) -> Failure {
    Failure { kind: FailureKind::NotStarted, message }
}

impl Invocation {
    fn add_script(&mut self, text: &str, interpreter: Option<&Interpreter>) -> Result<(), Failure> {
        let is_too_long = text.len() > MAX_ARGUMENT_BYTES;
        let Some(interpreter) = interpreter else {
            if is_too_long {
                let program = &self.program;
                let message = format!("the script is too long for {program}: one argument holds at most 128 KiB");
                return Err(not_started(message));
            }
            self.arguments.push(text.to_owned());
            return Ok(());
        };
        self.arguments.extend(interpreter.flags.iter().copied().map(str::to_owned));
        if is_too_long {
            let file = ScriptFile::create(text)
                .map_err(|error| not_started(format!("the script can't be written to a temporary file: {error}")))?;
            self.arguments.push((interpreter.load_file)(&file.0.to_string_lossy()));
            self.file = Some(file);
        } else {
            self.arguments.push(text.to_owned());
        }
        self.arguments.extend(interpreter.separator.map(str::to_owned));
        Ok(())
    }
}

fn known_interpreter(program: &str) -> Option<Interpreter> {
    let name = Path::new(program).file_name()?.to_str()?;
    let sourced = |path: &str| format!(". '{}'", path.replace('\'', r"'\''"));
    Some(match name {
        "sh" => Interpreter { flags: &["-e", "-c"], separator: Some("sh"), load_file: sourced },
        "zsh" => Interpreter { flags: &["-e", "-c"], separator: Some("zsh"), load_file: sourced },
        "bash" => Interpreter { flags: &["-e", "-o", "pipefail", "-c"], separator: Some("bash"), load_file: sourced },
        "python3" => Interpreter {
            flags: &["-c"],
            separator: None,
            load_file: |path| format!("exec(compile(open({}, 'rb').read(), '<string>', 'exec'))", single_quoted(path)),
        },
        "node" => Interpreter {
            flags: &["-e"],
            separator: Some("--"),
            load_file: |path| {
                format!("require('vm').runInThisContext(require('fs').readFileSync({}, 'utf8'))", single_quoted(path))
            },
        },
        "perl" => Interpreter {
            flags: &["-e"],
            separator: Some("--"),
            load_file: |path| format!("do {}; die $@ if $@", single_quoted(path)),
        },
        "ruby" => Interpreter {
            flags: &["-e"],
            separator: Some("--"),
            load_file: |path| format!("eval(File.read({}), TOPLEVEL_BINDING, '-e')", single_quoted(path)),
        },
        _ => return None,
    })
}

/// The path as a single-quoted literal that Python, JavaScript, Perl and Ruby all accept.
fn single_quoted(path: &str) -> String {
    format!("'{}'", path.replace('\\', r"\\").replace('\'', r"\'"))
}

fn to_argument(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

impl ScriptFile {
    fn create(text: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let name = format!("setlist-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
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
