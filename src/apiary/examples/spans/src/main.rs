//! Reads spans from standard input, one on each line, and prints them merged.

use std::io::{self, BufRead};
use std::process::ExitCode;

fn run() -> Result<(), String> {
    let mut spans = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|e| e.to_string())?;
        if !line.trim().is_empty() {
            spans.push(line.parse()?);
        }
    }
    for span in spans::merge(spans) {
        println!("{}", span);
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("spans: {}", problem);
            ExitCode::FAILURE
        }
    }
}
