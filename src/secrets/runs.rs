//! Texts of base64 that make a key of what stands near them. Pure.
//!
//! An access key's name alone opens nothing, and neither does the first line of a private key.

use std::ops::Range;

use super::forms::is_varied;
use super::steps::Steps;

const AWS_SECRET_SIGNS: usize = 40;
/// A line of a key's own has 64 or 70; code that speaks of keys has none behind the words.
const MIN_PEM_SIGNS: usize = 40;

/// Runs of one kind in a text. It goes forward only: however often it is asked, it looks at each byte once.
pub(super) struct Runs {
    is_sign: fn(u8) -> bool,
    is_wanted: fn(&[u8]) -> bool,
    looked_to: usize,
    /// Where the last one that is wanted begins.
    last: Option<usize>,
}

impl Runs {
    /// What may be the secret of an access key.
    pub(super) fn of_aws_secrets() -> Self {
        Self { is_sign: base64, is_wanted: is_aws_secret, looked_to: 0, last: None }
    }

    /// What may be a line of a private key.
    pub(super) fn of_pem_lines() -> Self {
        Self { is_sign: |b| base64(b) || b == b'=', is_wanted: is_pem_line, looked_to: 0, last: None }
    }

    /// Whether a wanted run begins within `place`. Each place ends where the one before it did, or later.
    pub(super) fn has_one_in(&mut self, text: &[u8], place: Range<usize>, steps: &mut Steps) -> bool {
        self.looked_to = self.looked_to.max(place.start);
        while self.looked_to < place.end.min(text.len()) {
            let rest = &text[self.looked_to..];
            let length = rest.iter().take_while(|b| (self.is_sign)(**b)).count();
            if (self.is_wanted)(&rest[..length]) {
                self.last = Some(self.looked_to);
            }
            steps.add(length + 1);
            self.looked_to += length + 1;
        }
        self.last.is_some_and(|at| place.contains(&at))
    }
}

fn base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')
}

fn is_aws_secret(run: &[u8]) -> bool {
    run.len() == AWS_SECRET_SIGNS
        && is_varied(run)
        && run.iter().any(u8::is_ascii_lowercase)
        && run.iter().any(u8::is_ascii_uppercase)
        && run.iter().any(u8::is_ascii_digit)
}

/// `\n` may be spelled out, as in JSON.
fn is_pem_line(run: &[u8]) -> bool {
    run.strip_prefix(b"n").unwrap_or(run).len() >= MIN_PEM_SIGNS
}
