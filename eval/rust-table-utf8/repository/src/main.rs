//! The command.

use std::io::Read;
use std::process::ExitCode;

use colum::Table;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let max: Option<usize> = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some(0),
        ["--max", max] => max.parse().ok().filter(|max| *max > 0),
        _ => None,
    };
    let max = match max {
        Some(max) => max,
        None => {
            eprintln!("usage: colum [--max N] <FILE");
            return ExitCode::from(2);
        }
    };
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        eprintln!("colum: can't read the standard input: {error}");
        return ExitCode::FAILURE;
    }
    print!("{}", Table::read(&text, max).print());
    ExitCode::SUCCESS
}
