use std::io::Write;
use std::process::{Command, Stdio};

use colum::Table;

fn colum(arguments: &[&str], given: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_colum"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(given.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn columns_are_straight_beside_umlauts() {
    assert_eq!(
        colum(&[], "name\tcity\nMüller\tKöln\nMeyer\tBonn\n"),
        "name   city\n------ ----\nMüller Köln\nMeyer  Bonn\n"
    );
}

#[test]
fn a_name_is_cut_between_its_characters() {
    assert_eq!(colum(&["--max", "6"], "name\nFrançois\n"), "name\n------\nFranç…\n");
}

#[test]
fn every_length_of_every_name_can_be_cut() {
    for name in ["François", "Ångström", "日本語の名前", "🐝🐝🐝", "Zoë", "é", "plain"] {
        let characters: Vec<char> = name.chars().collect();
        for max in 1..=characters.len() + 1 {
            let expected: String = if characters.len() <= max {
                name.to_string()
            } else {
                characters[..max - 1].iter().chain(['…'].iter()).collect()
            };
            let table = Table::read(&format!("n\n{name}\n"), max).print();
            assert_eq!(table.lines().nth(2).unwrap(), expected, "{name} with --max {max}");
            assert_eq!(table.lines().nth(1).unwrap().len(), expected.chars().count());
        }
    }
}

#[test]
fn a_name_that_has_just_the_length_is_whole() {
    assert_eq!(colum(&["--max", "6"], "name\nMüller\nMüllers\n"), "name\n------\nMüller\nMülle…\n");
}

#[test]
fn numbers_stay_on_the_right() {
    assert_eq!(
        colum(&[], "Größe\tname\n3\tZoë\n-12.5\tAnn-Käthe\n"),
        "Größe name\n----- ---------\n    3 Zoë\n-12.5 Ann-Käthe\n"
    );
    assert_eq!(
        colum(&[], "name\tBeträge\nZoë\t7\nAnn\t12\n"),
        "name Beträge\n---- -------\nZoë        7\nAnn       12\n"
    );
}

#[test]
fn values_that_were_cut_stand_in_a_straight_column() {
    assert_eq!(
        colum(&["--max", "4"], "name\tcity\nbenedict\tUlm\nann\tBonn\n"),
        "name city\n---- ----\nben… Ulm\nann  Bonn\n"
    );
}
