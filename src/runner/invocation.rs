//! From a script and its arguments to the words that are executed.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::model::{Arguments, Failure, FailureKind, Program, Script, Value};

/// What is executed.
pub(super) struct Invocation {
    /// The program.
    pub(super) program: String,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// The script's text, where it is too long for an argument. It has to live as long as the run.
    pub(super) file: Option<ScriptFile>,
}

/// A private copy of a script, removed when dropped.
#[derive(Debug)]
pub(super) struct ScriptFile(PathBuf);

/// Linux takes at most 128 KiB in one argument, the final NUL counted.
const LONGEST_ARGUMENT: usize = 128 * 1024 - 1;

/// How an interpreter takes its script.
struct Interpreter {
    /// What comes before the text.
    flags: &'static [&'static str],
    /// What comes between the text and the arguments: a shell's `$0`, or what ends a program's own options.
    between: Option<&'static str>,
    /// A one-line script that runs a file as if its text had been given.
    load: fn(&str) -> String,
}

/// What to execute for this script with these arguments.
pub(super) fn invocation(script: &Script, arguments: &Arguments) -> Result<Invocation, Failure> {
    let (words, text) = match &script.program {
        Program::Command(words) => (words.as_slice(), None),
        Program::Run { text, shell } => (&**shell, Some(text)),
    };
    let Some((program, first)) = words.split_first() else {
        return Err(not_started("there is no program to run".to_owned()));
    };
    let mut invocation = Invocation { program: program.clone(), arguments: first.to_vec(), file: None };
    if let Some(text) = text {
        let interpreter = if first.is_empty() { known(program) } else { None };
        invocation.add_script(text, interpreter.as_ref())?;
    }
    let list = &mut invocation.arguments;
    list.extend(arguments.args.iter().map(word));
    for (name, value) in &arguments.kwargs {
        match value {
            Value::Null | Value::Bool(false) => {}
            Value::Bool(true) => list.push(format!("--{name}")),
            value => list.extend([format!("--{name}"), word(value)]),
        }
    }
    Ok(invocation)
}

/// A run that could not start, and why.
pub(super) fn not_started(message: String) -> Failure {
    Failure { kind: FailureKind::NotStarted, message }
}

impl Invocation {
    fn add_script(&mut self, text: &str, interpreter: Option<&Interpreter>) -> Result<(), Failure> {
        let long = text.len() > LONGEST_ARGUMENT;
        let Some(interpreter) = interpreter else {
            if long {
                let program = &self.program;
                let message = format!("the script is too long for {program}: one argument holds at most 128 KiB");
                return Err(not_started(message));
            }
            self.arguments.push(text.to_owned());
            return Ok(());
        };
        self.arguments.extend(interpreter.flags.iter().copied().map(str::to_owned));
        if long {
            let file = ScriptFile::holding(text)
                .map_err(|error| not_started(format!("the script can't be written to a temporary file: {error}")))?;
            self.arguments.push((interpreter.load)(&file.0.to_string_lossy()));
            self.file = Some(file);
        } else {
            self.arguments.push(text.to_owned());
        }
        self.arguments.extend(interpreter.between.map(str::to_owned));
        Ok(())
    }
}

fn known(program: &str) -> Option<Interpreter> {
    let name = Path::new(program).file_name()?.to_str()?;
    let sourced = |path: &str| format!(". '{}'", path.replace('\'', r"'\''"));
    Some(match name {
        "sh" => Interpreter { flags: &["-e", "-c"], between: Some("sh"), load: sourced },
        "zsh" => Interpreter { flags: &["-e", "-c"], between: Some("zsh"), load: sourced },
        "bash" => Interpreter { flags: &["-e", "-o", "pipefail", "-c"], between: Some("bash"), load: sourced },
        "python3" => Interpreter {
            flags: &["-c"],
            between: None,
            load: |path| format!("exec(compile(open({}, 'rb').read(), '<string>', 'exec'))", quoted(path)),
        },
        "node" => Interpreter {
            flags: &["-e"],
            between: Some("--"),
            load: |path| {
                format!("require('vm').runInThisContext(require('fs').readFileSync({}, 'utf8'))", quoted(path))
            },
        },
        "perl" => Interpreter {
            flags: &["-e"],
            between: Some("--"),
            load: |path| format!("do {}; die $@ if $@", quoted(path)),
        },
        "ruby" => Interpreter {
            flags: &["-e"],
            between: Some("--"),
            load: |path| format!("eval(File.read({}), TOPLEVEL_BINDING, '-e')", quoted(path)),
        },
        _ => return None,
    })
}

/// In single quotes, as Python, JavaScript, Perl and Ruby all read them.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\\', r"\\").replace('\'', r"\'"))
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

impl ScriptFile {
    fn holding(text: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let name = format!("setlist-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            // A new file, or none: nobody else can have put one there to be read or overwritten.
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(mut file) => {
                    let held = Self(path);
                    file.write_all(text.as_bytes())?;
                    return Ok(held);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for ScriptFile {
    fn drop(&mut self) {
        // It lies in the folder for temporary files: what can't be removed now is removed by the system.
        let _ = std::fs::remove_file(&self.0);
    }
}
