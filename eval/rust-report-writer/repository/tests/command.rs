use std::process::{Command, Output};

fn kassa(report: &str, name: &str, book: &str) -> Output {
    let path = std::env::temp_dir().join(format!("kassa-{}-{name}.txt", std::process::id()));
    std::fs::write(&path, book).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kassa")).arg(report).arg(&path).output().unwrap();
    std::fs::remove_file(&path).unwrap();
    output
}

const BOOK: &str = "2024-01-03 food -12.50\n2024-01-31 wages 2000.00\n2024-02-02 food -7.25\n";

#[test]
fn balance_has_a_line_for_each_purpose() {
    let output = kassa("balance", "balance", BOOK);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "food           -19.75\nwages         2000.00\n---------------------\n              1980.25\n"
    );
}

#[test]
fn monthly_has_a_line_for_each_month() {
    let output = kassa("monthly", "monthly", BOOK);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "2024-01   1987.50\n2024-02     -7.25\n");
}

#[test]
fn a_malformed_line_is_told() {
    let output = kassa("balance", "malformed", "2024-01-03 food\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "kassa: line 1: no amount\n");
}
