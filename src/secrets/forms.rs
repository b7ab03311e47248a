//! The forms of keys that tell by their beginning what they are. Pure.

use super::steps::Steps;

/// A beginning, the signs that follow it, and how many of them at least.
pub(super) struct Form {
    pub(super) what: &'static str,
    pub(super) begin: &'static [u8],
    is_sign: fn(u8) -> bool,
    pub(super) least: usize,
    /// Where a key has exactly so many signs, more of them are something else.
    is_exact: bool,
}

const fn form(
    what: &'static str,
    begin: &'static [u8],
    is_sign: fn(u8) -> bool,
    least: usize,
    is_exact: bool,
) -> Form {
    Form { what, begin, is_sign, least, is_exact }
}

fn alnum(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn url_safe(b: u8) -> bool {
    word(b) || b == b'-'
}

fn upper(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}

const GITHUB: &str = "what looks like a GitHub token";
pub(super) const AWS: &str = "what looks like an AWS access key with its secret";
const SLACK: &str = "what looks like a Slack token";
const OPENAI: &str = "what looks like an OpenAI key";
const STRIPE: &str = "what looks like a Stripe key";

/// Of several that fit, the first.
pub(super) const FORMS: [Form; 28] = [
    form(GITHUB, b"ghp_", alnum, 36, false),
    form(GITHUB, b"gho_", alnum, 36, false),
    form(GITHUB, b"ghu_", alnum, 36, false),
    form(GITHUB, b"ghs_", alnum, 36, false),
    form(GITHUB, b"ghr_", alnum, 36, false),
    form(GITHUB, b"github_pat_", word, 50, false),
    form("what looks like a GitLab token", b"glpat-", url_safe, 20, false),
    form(AWS, b"AKIA", upper, 16, true),
    form(AWS, b"ASIA", upper, 16, true),
    form(SLACK, b"xoxa-", url_safe, 20, false),
    form(SLACK, b"xoxb-", url_safe, 20, false),
    form(SLACK, b"xoxe-", url_safe, 20, false),
    form(SLACK, b"xoxo-", url_safe, 20, false),
    form(SLACK, b"xoxp-", url_safe, 20, false),
    form(SLACK, b"xoxr-", url_safe, 20, false),
    form(SLACK, b"xoxs-", url_safe, 20, false),
    form(SLACK, b"xapp-", url_safe, 20, false),
    form("what looks like a Google API key", b"AIza", url_safe, 35, true),
    form("what looks like an Anthropic key", b"sk-ant-", url_safe, 30, false),
    form(OPENAI, b"sk-proj-", url_safe, 30, false),
    form(OPENAI, b"sk-svcacct-", url_safe, 30, false),
    form(OPENAI, b"sk-", alnum, 40, false),
    form("what looks like an npm token", b"npm_", alnum, 36, true),
    form("what looks like a PyPI token", b"pypi-AgE", url_safe, 40, false),
    form("what looks like a Hugging Face token", b"hf_", alnum, 34, true),
    form(STRIPE, b"sk_live_", alnum, 20, false),
    form(STRIPE, b"rk_live_", alnum, 20, false),
    form("what looks like a Docker Hub token", b"dckr_pat_", url_safe, 24, false),
];

/// Fewer different signs are a placeholder, such as a row of `x`.
const MIN_DIFFERENT_SIGNS: usize = 8;
/// So many signs behind a beginning tell whether it is a key's. More, and a text in which one beginning follows another
/// costs as much more; fewer than the longest form asks for, and that one is never found.
const MAX_TELLING_SIGNS: usize = 128;

/// The form that `here` begins with, and its length. `before` is the byte before it.
pub(super) fn form_of(here: &[u8], before: Option<u8>, steps: &mut Steps) -> Option<(&'static Form, usize)> {
    let first = here.first()?;
    // In the middle of a word it is something else, such as hexadecimal digits.
    if !b"gAxsnphrd".contains(first) || before.is_some_and(word) {
        return None;
    }
    steps.add(FORMS.len());
    let form = FORMS.iter().find(|form| form.fits(here, steps))?;
    Some((form, form.length(here, steps)))
}

impl Form {
    fn fits(&self, here: &[u8], steps: &mut Steps) -> bool {
        if !here.starts_with(self.begin) {
            return false;
        }
        let max = if self.is_exact { self.least + 1 } else { MAX_TELLING_SIGNS };
        let signs = self.signs(here, max, steps);
        let is_long = if self.is_exact { signs.len() == self.least } else { signs.len() >= self.least };
        is_long && is_varied(signs)
    }

    /// Only for what fits: the search goes on behind it, so that no sign is counted twice.
    fn length(&self, here: &[u8], steps: &mut Steps) -> usize {
        self.begin.len() + self.signs(here, usize::MAX, steps).len()
    }

    fn signs<'a>(&self, here: &'a [u8], max: usize, steps: &mut Steps) -> &'a [u8] {
        let rest = &here[self.begin.len()..];
        let count = rest.iter().take(max).take_while(|b| (self.is_sign)(**b)).count();
        steps.add(count);
        &rest[..count]
    }
}

/// Unlike `xxxxxxxx` and AWS's own `AKIAIOSFODNN7EXAMPLE`. The signs are ASCII.
pub(super) fn is_varied(signs: &[u8]) -> bool {
    let seen = signs.iter().fold(0_u128, |seen, sign| seen | 1 << (sign & 0x7f));
    let is_example = || signs.windows(7).any(|it| it.eq_ignore_ascii_case(b"example"));
    seen.count_ones() as usize >= MIN_DIFFERENT_SIGNS && !is_example()
}
