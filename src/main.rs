//! The program: hands its arguments to [`setlist::cli`] and exits with the answer.

use std::process::ExitCode;

fn main() -> ExitCode {
    setlist::cli::main()
}
