//! The command.

use std::process::ExitCode;

use kassa::{journal, report};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, path) = match &arguments[..] {
        [name, path] if ["register", "balance", "monthly"].contains(&name.as_str()) => (name, path),
        _ => {
            eprintln!("usage: kassa register|balance|monthly FILE");
            return ExitCode::from(2);
        }
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("kassa: can't read {path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let journal = journal::read(&text);
    match name.as_str() {
        "register" => report::register(&journal),
        "balance" => report::balance(&journal),
        _ => report::monthly(&journal),
    }
    ExitCode::SUCCESS
}
