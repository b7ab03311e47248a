use colum::{cell, Table};

#[test]
fn columns_are_as_wide_as_their_widest_value() {
    let table = Table::read("name\tcity\nann\tBonn\nbenedict\tUlm\n", 0);
    assert_eq!(table.print(), "name     city\n-------- ----\nann      Bonn\nbenedict Ulm\n");
}

#[test]
fn numbers_are_aligned_to_the_right() {
    let table = Table::read("name\tbeehives\nann\t3\nben\t12\n", 0);
    assert_eq!(table.print(), "name beehives\n---- --------\nann         3\nben        12\n");
}

#[test]
fn what_is_too_long_is_cut() {
    assert_eq!(cell::cut("benedict", 5), "bene…");
    assert_eq!(cell::cut("ben", 3), "ben");
    assert_eq!(cell::cut("benedict", 0), "benedict");
}

#[test]
fn a_row_may_be_short() {
    let table = Table::read("a\tb\n1\n", 0);
    assert_eq!(table.print(), "a b\n- -\n1\n");
}

#[test]
fn no_rows_no_table() {
    assert_eq!(Table::read("", 0).print(), "");
}
