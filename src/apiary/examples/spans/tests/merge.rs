use spans::{merge, Span};

fn merged(text: &str) -> String {
    let spans = text.split(' ').map(|s| s.parse::<Span>().unwrap()).collect();
    let merged: Vec<String> = merge(spans).iter().map(Span::to_string).collect();
    merged.join(" ")
}

#[test]
fn spans_that_overlap_become_one() {
    assert_eq!(merged("1-4 3-6 20-30 25-26"), "1-6 20-30");
}

#[test]
fn spans_with_a_gap_stay_apart() {
    assert_eq!(merged("5-6 1-3"), "1-3 5-6");
}

#[test]
fn spans_that_follow_each_other_become_one() {
    assert_eq!(merged("1-3 7-9 4-5"), "1-5 7-9");
}
