use spans::Span;

#[test]
fn a_span_reads_back_as_it_prints() {
    let span: Span = " 3-12 ".parse().unwrap();
    assert_eq!((span.start, span.end, span.to_string().as_str()), (3, 12, "3-12"));
}

#[test]
fn what_is_no_span_is_refused() {
    for text in ["", "3", "3-", "a-b", "1-99999999999", "4-3"] {
        assert!(text.parse::<Span>().is_err(), "{:?}", text);
    }
}
