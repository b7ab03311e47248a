use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use kassa::journal::{self, Journal};
use kassa::report;

const BOOK: &str = "# 2024\n2024-01-03 food -12.50\n2024-01-31 wages 2000.00\n\n2024-02-02 food -7.25\n";
const REGISTER: &str = "2024-01-03 food           -12.50     -12.50\n\
    2024-01-31 wages         2000.00    1987.50\n\
    2024-02-02 food            -7.25    1980.25\n";
const BALANCE: &str =
    "food           -19.75\nwages         2000.00\n---------------------\n              1980.25\n";
const MONTHLY: &str = "2024-01   1987.50\n2024-02     -7.25\n";

fn written(report: impl Fn(&mut Vec<u8>, &Journal) -> io::Result<()>, book: &str) -> String {
    let mut text = Vec::new();
    report(&mut text, &journal::read(book).unwrap()).unwrap();
    String::from_utf8(text).unwrap()
}

/// A writer that takes so many bytes, and fails in every call from then on.
struct Full {
    room: usize,
    taken: Vec<u8>,
    failures: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let some = bytes.len().min(self.room - self.taken.len());
        if some == 0 && !bytes.is_empty() {
            self.failures += 1;
            return Err(io::Error::new(io::ErrorKind::Other, "no more room"));
        }
        self.taken.extend(&bytes[..some]);
        Ok(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn a_book(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("kassa-hidden-{}-{name}.txt", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

fn kassa(report: &str, path: &PathBuf) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kassa"));
    command.arg(report).arg(path);
    command
}

#[test]
fn reports_write_to_what_they_are_given() {
    assert_eq!(written(|out, journal| report::register(out, journal), BOOK), REGISTER);
    assert_eq!(written(|out, journal| report::balance(out, journal), BOOK), BALANCE);
    assert_eq!(written(|out, journal| report::monthly(out, journal), BOOK), MONTHLY);
}

#[test]
fn reports_of_an_empty_book_are_what_they_were() {
    assert_eq!(written(|out, journal| report::register(out, journal), ""), "");
    assert_eq!(
        written(|out, journal| report::balance(out, journal), ""),
        "---------------------\n                 0.00\n"
    );
    assert_eq!(written(|out, journal| report::monthly(out, journal), "# none\n"), "no entries\n");
}

#[test]
fn the_first_error_of_a_writer_is_returned_and_nothing_more_written() {
    let journal = journal::read(BOOK).unwrap();
    for (number, whole) in [REGISTER, BALANCE, MONTHLY].into_iter().enumerate() {
        for room in 0..whole.len() {
            let mut full = Full { room, taken: Vec::new(), failures: 0 };
            let result = match number {
                0 => report::register(&mut full, &journal),
                1 => report::balance(&mut full, &journal),
                _ => report::monthly(&mut full, &journal),
            };
            assert_eq!(
                result.unwrap_err().to_string(),
                "no more room",
                "report {number} with room for {room}"
            );
            assert_eq!(full.failures, 1, "report {number} went on after an error");
            assert_eq!(full.taken, &whole.as_bytes()[..room]);
        }
    }
}

#[test]
fn what_is_malformed_is_returned() {
    for (book, expected) in [
        ("\n2024-01-03 food 1\n2024-01-04 food\n", "line 3: no amount"),
        ("2024-01-03\n", "line 1: no purpose"),
        ("2024-1-3 food 1\n", "line 1: \"2024-1-3\" is no date"),
        ("2024-01-03 food 1,50\n", "line 1: \"1,50\" is no amount"),
        ("2024-01-03 food 1 2\n2024-01-03 food\n", "line 1: \"2\" is too much"),
    ] {
        let malformed: Box<dyn Error> = Box::new(journal::read(book).unwrap_err());
        assert_eq!(malformed.to_string(), expected);
        let path = a_book("malformed", book);
        let output = kassa("balance", &path).output().unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("kassa: {expected}\n"));
        assert_eq!(output.stdout, b"");
    }
}

#[test]
fn the_command_prints_what_it_printed() {
    let path = a_book("same", BOOK);
    for (report, expected) in [("register", REGISTER), ("balance", BALANCE), ("monthly", MONTHLY)] {
        let output = kassa(report, &path).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
        assert_eq!(output.stderr, b"");
        assert_eq!(output.status.code(), Some(0));
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(kassa("weekly", &path).output().unwrap().status.code(), Some(2));
    let output = kassa("balance", &path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("kassa: can't read "));
}

#[test]
fn the_command_ends_quietly_when_nobody_reads_on() {
    let path = a_book("large", &"2024-01-03 food -12.50\n".repeat(40_000));
    let mut child = kassa("register", &path).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    {
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
    }
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    let status = child.wait().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(line, "2024-01-03 food           -12.50     -12.50\n");
    assert_eq!(told, "");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn the_command_tells_when_it_can_not_write() {
    for (name, book) in [("small", BOOK.to_string()), ("much", "2024-01-03 food 1\n".repeat(10_000))] {
        let path = a_book(name, &book);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = kassa("register", &path).stdout(full).output().unwrap();
        std::fs::remove_file(&path).unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.starts_with("kassa: can't write: "), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert_eq!(output.status.code(), Some(1));
    }
}
