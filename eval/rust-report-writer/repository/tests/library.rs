use kassa::{amount, journal};

#[test]
fn amounts_have_up_to_two_decimals() {
    assert_eq!(amount::read("12"), Some(1200));
    assert_eq!(amount::read("-12.5"), Some(-1250));
    assert_eq!(amount::read("0.05"), Some(5));
    for wrong in ["", "-", "1.", ".5", "1.234", "1,5", "--1", "+1"] {
        assert_eq!(amount::read(wrong), None, "{wrong}");
    }
}

#[test]
fn amounts_are_written_with_two_decimals() {
    assert_eq!(amount::write(-5), "-0.05");
    assert_eq!(amount::write(120000), "1200.00");
}

#[test]
fn comments_are_left_out() {
    let journal = journal::read("# 2024\n\n2024-01-03 food -12.50\n");
    assert_eq!(journal.entries.len(), 1);
    assert_eq!(journal.entries[0].cents, -1250);
}
