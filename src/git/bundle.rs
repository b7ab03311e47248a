//! The header of a bundle that a sandbox made: untrusted bytes, parsed strictly before git sees any of them.
//!
//! A bundle of version 2 is text lines, an empty line, and a pack. What a sandbox exports has exactly one
//! prerequisite, the base, and one reference; anything else is refused, since nothing else is ever asked for.

use bzzz_actors::task::Sha;

/// The longest header that is read: two lines of an id and a name each.
pub(super) const MAX_HEADER_BYTES: usize = 4096;

const SIGNATURE: &[u8] = b"# v2 git bundle\n";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// The commit that the bundle builds on.
    pub(super) prerequisite: Sha,
    pub(super) tip: Sha,
    /// Where the pack begins.
    pub(super) pack_at: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("it is no git bundle of version 2")]
    NoBundle,
    #[error("its header does not end within {MAX_HEADER_BYTES} bytes")]
    NoEnd,
    #[error("its header has a line that is neither a prerequisite nor a reference")]
    BadLine,
    #[error("it has {found} prerequisites, not 1")]
    Prerequisites { found: usize },
    #[error("it has {found} references, not 1")]
    References { found: usize },
    #[error("no pack follows its header")]
    NoPack,
}

/// Parses the beginning of a bundle; `bytes` past [`MAX_HEADER_BYTES`] are not looked at.
pub(super) fn parse_header(bytes: &[u8]) -> Result<Header, HeaderError> {
    let bytes = &bytes[..bytes.len().min(MAX_HEADER_BYTES)];
    let lines = bytes.strip_prefix(SIGNATURE).ok_or(HeaderError::NoBundle)?;
    let (mut prerequisites, mut references) = (Vec::new(), Vec::new());
    let mut rest = lines;
    loop {
        let end = rest.iter().position(|b| *b == b'\n').ok_or(HeaderError::NoEnd)?;
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        match line {
            [] => break,
            [b'-', line @ ..] => prerequisites.push(leading_id(line).ok_or(HeaderError::BadLine)?),
            line => references.push(reference(line).ok_or(HeaderError::BadLine)?),
        }
    }
    let pack_at = bytes.len() - rest.len();
    if prerequisites.len() != 1 {
        return Err(HeaderError::Prerequisites { found: prerequisites.len() });
    }
    if references.len() != 1 {
        return Err(HeaderError::References { found: references.len() });
    }
    if !rest.starts_with(b"PACK") {
        return Err(HeaderError::NoPack);
    }
    match (prerequisites.pop(), references.pop()) {
        (Some(prerequisite), Some(tip)) => Ok(Header { prerequisite, tip, pack_at }),
        _ => Err(HeaderError::NoBundle),
    }
}

/// The id of `ID` or `ID TEXT`. Version 2 knows only the short kind of ids.
fn leading_id(line: &[u8]) -> Option<Sha> {
    let (id, rest) = line.split_at_checked(40)?;
    if !matches!(rest, [] | [b' ', ..]) {
        return None;
    }
    std::str::from_utf8(id).ok()?.parse().ok()
}

/// The id of `ID NAME`. The name is not used, but a line without one is no reference.
fn reference(line: &[u8]) -> Option<Sha> {
    let id = leading_id(line)?;
    let name = line.get(41..)?;
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn parse(text: &str) -> Result<Header, HeaderError> {
        parse_header(text.as_bytes())
    }

    #[test]
    fn one_prerequisite_and_one_reference_are_read() {
        let text = format!("# v2 git bundle\n-{A} base of it\n{B} refs/heads/work\n\nPACK....");
        let header = parse(&text).unwrap();
        assert_eq!(
            header,
            Header { prerequisite: A.parse().unwrap(), tip: B.parse().unwrap(), pack_at: text.len() - 8 }
        );
        assert!(parse(&text.replace(" base of it", "")).is_ok());
    }

    #[test]
    fn anything_else_is_refused() {
        let body = |lines: &str| parse(&format!("# v2 git bundle\n{lines}\nPACK"));
        assert_eq!(body(&format!("{B} r\n")), Err(HeaderError::Prerequisites { found: 0 }));
        assert_eq!(body(&format!("-{A}\n-{B}\n{B} r\n")), Err(HeaderError::Prerequisites { found: 2 }));
        assert_eq!(body(&format!("-{A}\n{B} r\n{A} s\n")), Err(HeaderError::References { found: 2 }));
        assert_eq!(body(&format!("-{A}\n")), Err(HeaderError::References { found: 0 }));
        for line in [
            "x",
            &format!("{B}\n"),
            &format!("{B} \n"),
            &B.to_uppercase(),
            &format!("-{A}x"),
            &format!("@{A}=x"),
        ] {
            assert_eq!(body(&format!("-{A}\n{line}\n")), Err(HeaderError::BadLine), "{line}");
        }
        assert_eq!(parse(&format!("# v3 git bundle\n-{A}\n{B} r\n\nPACK")), Err(HeaderError::NoBundle));
        assert_eq!(parse(&format!("# v2 git bundle\n-{A}\n{B} r\n\nNOPE")), Err(HeaderError::NoPack));
        assert_eq!(parse(&format!("# v2 git bundle\n-{A}\n{B} r\n")), Err(HeaderError::NoEnd));
        assert_eq!(parse(&format!("# v2 git bundle\n-{A} {}", "x".repeat(9999))), Err(HeaderError::NoEnd));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..6000)) {
            let _ = parse_header(&bytes);
            let signed = [SIGNATURE, bytes.as_slice()].concat();
            let _ = parse_header(&signed);
        }

        #[test]
        fn what_is_read_is_what_was_written(a in "[0-9a-f]{40}", b in "[0-9a-f]{40}", comment in "[ -~]{0,80}", name in "[!-~]{1,80}") {
            let text = format!("# v2 git bundle\n-{a} {comment}\n{b} {name}\n\nPACKrest");
            let header = parse(&text).unwrap();
            prop_assert_eq!(header.prerequisite.as_str(), a);
            prop_assert_eq!(header.tip.as_str(), b);
            prop_assert_eq!(&text[header.pack_at..], "PACKrest");
        }
    }
}
