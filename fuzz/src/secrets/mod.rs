//! The search for secrets of `src/secrets`, and what holds of it.
//!
//! Inputs are kept in the repository, where nothing that looks like a key should lie: most bytes below 32 of an input
//! stand for beginnings of keys and for what follows them ([`PIECES`]).

#[path = "../../../src/secrets/forms.rs"]
mod forms;
#[path = "../../../src/secrets/runs.rs"]
mod runs;
#[allow(unreachable_pub, reason = "it is public there")]
#[path = "../../../src/secrets/scan.rs"]
mod scan;
#[path = "../../../src/secrets/steps.rs"]
mod steps;
#[path = "../../../src/secrets/utf16.rs"]
mod utf16;

use scan::{Finding, Own, find};

/// What a byte may cost.
const MAX_STEPS_A_BYTE: u64 = 64;
/// An input means a text of at most so many: longer ones tell nothing new, and take the time of many others.
const MAX_TEXT_BYTES: usize = 1024;
/// An input is tried as a row of itself too: so long that one that costs the square of its length is seen.
const ROW_BYTES: usize = 4 * 1024;
const OWN: [Own<'_>; 1] = [("the node's token", b"a-value-of-the-settings")];

/// Forty signs that look random.
const SIGNS: &str = "a8Bk2Zx9QwE7rTy3Ui5Op1As6Df4GhJ0LcVbN8Mq";
/// What the bytes 1 to 31 stand for; an empty one is the byte itself.
const PIECES: [&str; 32] = [
    "",
    SIGNS,
    "a8Bk2Zx9QwE7rTy3Ui5O",
    "A8BK2ZX9QWE7RTY3",
    "ghp_",
    "github_pat_",
    "glpat-",
    "AKIA",
    "xoxb-",
    "",
    "",
    "AIza",
    "sk-ant-",
    "",
    "sk-",
    "npm_",
    "pypi-AgE",
    "hf_",
    "sk_live_",
    "dckr_pat_",
    "-----BEGIN ",
    "RSA ",
    "PRIVATE KEY-----",
    "PRIVATE KEY BLOCK-----",
    "example",
    "a-value-of-the-settings",
    "xxxxxxxxxxxxxxxxxxxx",
    "\u{feff}",
    "慡",
    "",
    "",
    "",
];

pub(crate) fn hold(bytes: &[u8]) {
    let text: Vec<u8> = bytes.iter().flat_map(meaning_of).copied().take(MAX_TEXT_BYTES).collect();
    hold_of(&text);
    let text = String::from_utf8_lossy(&text);
    for is_big in [false, true] {
        hold_of(&wide(&text, is_big));
    }
    if text.is_ascii() && !text.contains('\0') {
        is_the_same_in_utf_16(&text);
    }
    if !text.is_empty() {
        search(&text.bytes().cycle().take(ROW_BYTES).collect::<Vec<u8>>());
    }
}

fn meaning_of(byte: &u8) -> &[u8] {
    match PIECES.get(usize::from(*byte)) {
        Some(piece) if !piece.is_empty() => piece.as_bytes(),
        _ => std::slice::from_ref(byte),
    }
}

fn wide(text: &str, is_big: bool) -> Vec<u8> {
    let units = text.encode_utf16();
    units.flat_map(|unit| if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

/// What is found, at a bounded cost.
fn search(text: &[u8]) -> Vec<Finding> {
    let (found, steps) = find(text, &OWN);
    let max = MAX_STEPS_A_BYTE * text.len() as u64;
    assert!(steps.count() <= max, "{} bytes cost {} steps", text.len(), steps.count());
    found
}

/// What holds of any bytes.
fn hold_of(text: &[u8]) {
    let found = search(text);
    let mut end = 0;
    for it in &found {
        assert!(it.at.start >= end && it.at.start < it.at.end && it.at.end <= text.len(), "{found:?}");
        assert!(text[it.at.clone()].is_ascii(), "{it:?} is no key's letters");
        end = it.at.end;
    }
    // Whatever stands before it, a key is found.
    let token = format!("\n{}{SIGNS}\n", "ghp_");
    for key in [token.as_bytes(), &wide(&token, false), &wide(&token, true)] {
        let with_key = [text, key].concat();
        let found = search(&with_key);
        let middle = text.len() + key.len() / 2;
        assert!(found.iter().any(|it| it.at.contains(&middle)), "a key behind it is not found: {found:?}");
    }
}

fn is_the_same_in_utf_16(text: &str) {
    let places = |found: Vec<Finding>, unit: usize| -> Vec<(&str, usize)> {
        found.into_iter().map(|it| (it.what, it.at.start / unit)).collect()
    };
    let narrow = places(search(text.as_bytes()), 1);
    for is_big in [false, true] {
        assert_eq!(places(search(&wide(text, is_big)), 2), narrow);
    }
}
