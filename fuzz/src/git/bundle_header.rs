//! The beginning of a bundle.

use super::bundle::{MAX_HEADER_BYTES, parse_header};

pub(crate) fn hold(bytes: &[u8]) {
    let read = parse_header(bytes);
    let beginning = &bytes[..bytes.len().min(MAX_HEADER_BYTES)];
    assert_eq!(read, parse_header(beginning), "bytes behind the longest header were looked at");
    let Ok(header) = read else { return };
    assert!(header.pack_at + 4 <= beginning.len());
    let (text, pack) = beginning.split_at(header.pack_at);
    assert!(pack.starts_with(b"PACK"));

    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    let [b"# v2 git bundle", one, other, b"", b""] = lines.as_slice() else { panic!("{lines:?}") };
    let (prerequisite, tip) = if one.starts_with(b"-") { (one, other) } else { (other, one) };
    assert_eq!(&prerequisite[..41], format!("-{}", header.prerequisite).as_bytes());
    assert_eq!(&tip[..41], format!("{} ", header.tip).as_bytes());
}
