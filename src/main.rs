//! The program `bzzz`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bzzz::cli::main()
}
