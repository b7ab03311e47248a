//! Reading a cash book.

use crate::amount;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As `2024-01-31`.
    pub date: String,
    pub purpose: String,
    pub cents: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Journal {
    pub entries: Vec<Entry>,
}

/// Reads a cash book: one entry on each line; empty lines and those that begin with `#` are left out.
pub fn read(text: &str) -> Journal {
    let mut journal = Journal::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        journal.entries.push(entry(line, index + 1));
    }
    journal
}

fn entry(line: &str, number: usize) -> Entry {
    let mut words = line.split_whitespace();
    let date = words.next().unwrap_or_default().to_string();
    if !is_date(&date) {
        malformed(number, &format!("{date:?} is no date"));
    }
    let purpose = match words.next() {
        Some(purpose) => purpose.to_string(),
        None => malformed(number, "no purpose"),
    };
    let cents = match words.next() {
        Some(word) => match amount::read(word) {
            Some(cents) => cents,
            None => malformed(number, &format!("{word:?} is no amount")),
        },
        None => malformed(number, "no amount"),
    };
    if let Some(word) = words.next() {
        malformed(number, &format!("{word:?} is too much"));
    }
    Entry { date, purpose, cents }
}

fn is_date(text: &str) -> bool {
    let form = |(index, byte): (usize, u8)| match index {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    text.len() == 10 && text.bytes().enumerate().all(form)
}

fn malformed(number: usize, what: &str) -> ! {
    eprintln!("kassa: line {number}: {what}");
    std::process::exit(1)
}
