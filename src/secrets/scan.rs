//! Looks a text through for secrets, once from its beginning to its end. Pure.
//!
//! Holds true: the work is in proportion to the length of the text, whatever its bytes are. It is done on texts that a
//! model wrote, and a text on which it took hours would stop a node.

use std::ops::Range;

use super::forms::{self, AWS};
use super::runs::Runs;
use super::steps::Steps;
use super::utf16;

/// A secret's place in a text, and what it is, in words that follow "holds".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub what: &'static str,
    pub at: Range<usize>,
}

/// The node's own: what it is, and its value.
pub(super) type Own<'a> = (&'static str, &'a [u8]);

/// How far from an access key's name its secret is looked for, in bytes.
const AWS_NEAR_BYTES: usize = 400;
const PEM_BEGIN: &[u8] = b"-----BEGIN ";
const PEM_END: &[u8] = b"PRIVATE KEY-----";
const PGP_END: &[u8] = b"PRIVATE KEY BLOCK-----";
/// "ENCRYPTED", "OPENSSH", "RSA" and the like, or nothing.
const MAX_PEM_KIND_BYTES: usize = 20;
/// Within so many bytes behind the first line is a line of the key itself: headers and blanks may stand before it.
const PEM_NEAR_BYTES: usize = 2000;

/// Every secret in `bytes`, in ASCII or UTF-16, by its beginning; none overlaps another. Beside them, what it cost.
pub(super) fn find(bytes: &[u8], own: &[Own<'_>]) -> (Vec<Finding>, Steps) {
    let mut steps = Steps::default();
    let mut found = Scan::of(bytes, own, &mut steps).find();
    for reading in utf16::readings(bytes) {
        steps.add(bytes.len());
        let wide = Scan::of(&reading.letters, own, &mut steps).find();
        found.extend(wide.into_iter().map(|it| Finding { at: reading.place_of(&it.at), ..it }));
    }
    (disjoint(found), steps)
}

/// The same letters are found in more than one reading.
fn disjoint(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by_key(|it| it.at.start);
    let mut whole: Vec<Finding> = Vec::with_capacity(found.len());
    for next in found {
        match whole.last_mut() {
            Some(last) if next.at.start < last.at.end => last.at.end = last.at.end.max(next.at.end),
            _ => whole.push(next),
        }
    }
    whole
}

struct Scan<'a> {
    text: &'a [u8],
    own: &'a [Own<'a>],
    aws_secrets: Runs,
    pem_lines: Runs,
    steps: &'a mut Steps,
}

impl<'a> Scan<'a> {
    fn of(text: &'a [u8], own: &'a [Own<'a>], steps: &'a mut Steps) -> Self {
        Self { text, own, aws_secrets: Runs::of_aws_secrets(), pem_lines: Runs::of_pem_lines(), steps }
    }

    fn find(mut self) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.text.len() {
            self.steps.add(1 + self.own.len());
            match self.own_at(at).or_else(|| self.form_at(at)) {
                Some((what, length)) => {
                    found.push(Finding { what, at: at..at + length });
                    at += length;
                }
                None => at += 1,
            }
        }
        found
    }

    fn own_at(&self, at: usize) -> Option<(&'static str, usize)> {
        let here = &self.text[at..];
        self.own.iter().find(|(_, value)| here.starts_with(value)).map(|(what, value)| (*what, value.len()))
    }

    /// What begins at `at`, and its length.
    fn form_at(&mut self, at: usize) -> Option<(&'static str, usize)> {
        let here = &self.text[at..];
        if here.starts_with(PEM_BEGIN) {
            return self.private_key_at(at).map(|length| ("a private key", length));
        }
        let before = at.checked_sub(1).map(|before| self.text[before]);
        let (form, length) = forms::form_of(here, before, self.steps)?;
        let is_key = form.what != AWS || {
            let near = at.saturating_sub(AWS_NEAR_BYTES)..at + AWS_NEAR_BYTES;
            self.aws_secrets.has_one_in(self.text, near, self.steps)
        };
        is_key.then_some((form.what, length))
    }

    /// The length of its first line.
    fn private_key_at(&mut self, at: usize) -> Option<usize> {
        let kind = &self.text[at + PEM_BEGIN.len()..];
        let is_kind = |b: &&u8| b.is_ascii_uppercase() || **b == b' ';
        let name = kind.iter().take(MAX_PEM_KIND_BYTES).take_while(is_kind).count();
        self.steps.add(2 * (name + 1));
        let words = (0..=name).find_map(|skip| {
            let rest = &kind[skip..];
            [PEM_END, PGP_END].iter().find(|end| rest.starts_with(end)).map(|end| skip + end.len())
        })?;
        let first_line = PEM_BEGIN.len() + words;
        let body = at + first_line..at + first_line + PEM_NEAR_BYTES;
        self.pem_lines.has_one_in(self.text, body, self.steps).then_some(first_line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::forms::FORMS;
    use super::*;

    /// Signs that look random. In pieces, so that this file holds nothing that looks like a key.
    fn random(count: usize) -> String {
        let signs = "a8Bk2Zx9QwE7rTy3Ui5Op1As6Df4GhJ0Lc";
        signs.chars().cycle().take(count).collect()
    }

    fn found(text: &str) -> Option<&'static str> {
        find(text.as_bytes(), &[]).0.first().map(|it| it.what)
    }

    #[test]
    fn every_form_is_found_in_its_place() {
        for form in FORMS.iter().filter(|form| form.what != AWS) {
            let key = format!("{}{}", String::from_utf8_lossy(form.begin), random(form.least));
            for text in [key.clone(), format!("token = \"{key}\"\n"), format!("x:{key}@host")] {
                assert_eq!(found(&text), Some(form.what), "{text}");
            }
            assert_eq!(found(&format!("my{key}")), None, "in the middle of a word");
            assert_eq!(found(&key[..key.len() - 1]), None, "{key} without its end");
            let placeholder = format!("{}{}", String::from_utf8_lossy(form.begin), "x".repeat(form.least));
            assert_eq!(found(&placeholder), None, "{placeholder}");
        }
    }

    #[test]
    fn all_of_a_long_key_is_found() {
        let key = format!("sk-proj-{}", random(700));
        let text = format!("a {key} b");
        assert_eq!(find(text.as_bytes(), &[]).0[0].at, 2..2 + key.len());
    }

    #[test]
    fn an_access_key_counts_with_its_secret() {
        let name = format!("AKIA{}", random(60).to_uppercase().chars().take(16).collect::<String>());
        let secret = random(40);
        assert_eq!(found(&name), None);
        assert_eq!(found(&format!("key={name}\nsecret={secret}\n")), Some(AWS));
        assert_eq!(found(&format!("secret={secret}\nkey={name}\n")), Some(AWS));
        let far = ".".repeat(AWS_NEAR_BYTES);
        assert_eq!(found(&format!("{name}{far}{secret}{far}{name}")), None, "too far apart");
        assert_eq!(found(&format!("{name}{far}{secret} {name}")), Some(AWS), "the second one's");
        assert_eq!(found(&format!("key=AKIAIOSFODNN7EXAMPLE\nsecret={secret}\n")), None, "the manual's own");
    }

    #[test]
    fn a_private_key_counts_with_its_body() {
        let body = random(64);
        for kind in ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "] {
            let begin = format!("-----BEGIN {kind}PRIVATE KEY-----");
            assert_eq!(found(&format!("{begin}\n{body}\n")), Some("a private key"), "{kind}");
            assert_eq!(found(&format!("\"{begin}\\n{body}\\n\"")), Some("a private key"), "{kind}");
            assert_eq!(found(&format!("if line == \"{begin}\" {{ return true; }}")), None);
            assert_eq!(found(&format!("{body}\n{begin}\n")), None, "before it");
        }
        assert_eq!(found(&format!("-----BEGIN CERTIFICATE-----\n{body}\n")), None);
    }

    #[test]
    fn ordinary_text_is_no_key() {
        for text in [
            "skip-the-line and risk-averse-people-do-so-with-care-and-patience-always",
            "sk-learn is scikit; npm_config_registry=https://registry.example",
            "commit 59807616e1fa2540724bfbac14d7976d7e4a3860",
            "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
            "sha512-AKIAtooLowercaseForAnAccessKey==",
            "ghp_short hf_transfer pypi-publish xoxb-your-token",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    fn wide(text: &str, is_big: bool) -> Vec<u8> {
        let units = text.encode_utf16();
        units.flat_map(|unit| if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn a_key_in_utf_16_is_found_with_either_order_of_bytes_and_anywhere() {
        let pem = format!("-----BEGIN RSA {}-----\r\n{}\r\n", "PRIVATE KEY", random(64));
        let token = format!("ghp_{}", random(36));
        for (key, what, length) in
            [(&pem, "a private key", 31), (&token, "what looks like a GitHub token", 40)]
        {
            for before in ["", "\u{feff}", "慡", "a=", "\u{100}"] {
                for (is_big, odd) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
                    let text =
                        [&vec![b'!'; odd], wide(&format!("{before}{key}"), is_big).as_slice()].concat();
                    let found = find(&text, &[]).0;
                    let start = odd + wide(before, is_big).len();
                    let case = format!("{what} behind {before:?}, {is_big} {odd}: {found:?}");
                    assert_eq!(found.len(), 1, "{case}");
                    assert_eq!(found[0].what, what, "{case}");
                    let start = start + usize::from(is_big);
                    assert_eq!(found[0].at, start..start + 2 * length - 1, "{case}");
                }
            }
        }
        let own: [Own<'_>; 1] = [("the node's token", b"a-value-of-the-settings")];
        assert_eq!(find(&wide("x a-value-of-the-settings", false), &own).0[0].what, "the node's token");
    }

    /// What a byte may cost. Four texts are looked through beside the first where there may be UTF-16.
    const MAX_STEPS_A_BYTE: u64 = 64;

    #[test]
    fn no_row_of_beginnings_costs_more_than_in_proportion() {
        let rows = FORMS.iter().map(|form| form.begin).chain([
            b"-----BEGIN ".as_slice(),
            b"-----BEGIN PRIVATE KEY-----",
            b"-----BEGIN AAAAAAAAAAAAAAAAAAAAAAAA",
            b"AKIA2ZXQWETYUIOPASDF ",
            b"AKIA2ZXQWETYUIOPASDF-abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz-",
            b"-g",
        ]);
        for row in rows {
            for joint in ["", "-", "_", " ", "a", "\0"] {
                let piece = [row, joint.as_bytes()].concat();
                let text: Vec<u8> = piece.iter().copied().cycle().take(8 * 1024).collect();
                for text in [wide(&String::from_utf8_lossy(&text), false), text] {
                    let steps = find(&text, &[]).1.count();
                    let shown = String::from_utf8_lossy(&piece);
                    assert!(steps <= MAX_STEPS_A_BYTE * text.len() as u64, "{shown:?}: {steps}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn utf_16_is_read_as_the_same_text_in_ascii_is(text in "([ -~\n]|sk-ant-|xoxb-|example|[a-z0-9-]{20,40}){0,9}") {
            let narrow = find(text.as_bytes(), &[]).0;
            for is_big in [false, true] {
                let wide = find(&wide(&text, is_big), &[]).0;
                let places = |found: &[Finding], unit: usize| -> Vec<_> {
                    found.iter().map(|it| (it.what, it.at.start / unit)).collect()
                };
                prop_assert_eq!(places(&narrow, 1), places(&wide, 2));
            }
        }
    }
}
