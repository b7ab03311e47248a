//! What must hold of text that people, terminals and models see.

/// Neither a control character but line feed and tab, nor a sign that reorders what stands around it.
pub(crate) fn assert_shown(text: &str, max_bytes: usize) {
    assert!(text.len() <= max_bytes, "{} bytes, more than {max_bytes}", text.len());
    for sign in text.chars() {
        let code = u32::from(sign);
        let is_control = (code < 0x20 && code != 0x0a && code != 0x09) || (0x7f..0xa0).contains(&code);
        let is_reordering = matches!(code, 0x200e | 0x200f | 0x202a..=0x202e | 0x2066..=0x2069);
        assert!(!is_control && !is_reordering, "U+{code:04X} in {text:?}");
    }
}
