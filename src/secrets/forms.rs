//! The forms of keys that tell by their beginning what they are. Pure.

/// A beginning, the signs that follow it, and how many of them at least.
struct Form {
    what: &'static str,
    begin: &'static [u8],
    is_sign: fn(u8) -> bool,
    least: usize,
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

fn base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')
}

const GITHUB: &str = "what looks like a GitHub token";
const AWS: &str = "what looks like an AWS access key with its secret";
const SLACK: &str = "what looks like a Slack token";
const OPENAI: &str = "what looks like an OpenAI key";
const STRIPE: &str = "what looks like a Stripe key";

/// Of several that fit, the first.
const FORMS: [Form; 28] = [
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
/// How far from an access key's name its secret is looked for, in bytes.
const AWS_NEAR_BYTES: usize = 400;
const AWS_SECRET_SIGNS: usize = 40;
const PEM_BEGIN: &[u8] = b"-----BEGIN ";
const PEM_END: &[u8] = b"PRIVATE KEY-----";
const PGP_END: &[u8] = b"PRIVATE KEY BLOCK-----";
/// A line of a key's own has 64 or 70; code that speaks of keys has none behind the words.
const MIN_PEM_SIGNS: usize = 40;

/// What begins at `at`, and its length.
pub(super) fn form_at(bytes: &[u8], at: usize) -> Option<(&'static str, usize)> {
    let here = &bytes[at..];
    match here.first()? {
        b'-' => private_key(here).map(|length| ("a private key", length)),
        b'g' | b'A' | b'x' | b's' | b'n' | b'p' | b'h' | b'r' | b'd' => {
            // In the middle of a word it is something else, such as hexadecimal digits.
            if at > 0 && word(bytes[at - 1]) {
                return None;
            }
            let form = FORMS.iter().find(|form| form.fits(here))?;
            if form.what == AWS && !has_aws_secret_near(bytes, at) {
                return None;
            }
            Some((form.what, form.length(here)))
        }
        _ => None,
    }
}

impl Form {
    fn length(&self, here: &[u8]) -> usize {
        self.begin.len() + here[self.begin.len()..].iter().take_while(|b| (self.is_sign)(**b)).count()
    }

    fn fits(&self, here: &[u8]) -> bool {
        if !here.starts_with(self.begin) {
            return false;
        }
        let signs = &here[self.begin.len()..self.length(here)];
        let is_long = if self.is_exact { signs.len() == self.least } else { signs.len() >= self.least };
        is_long && is_varied(signs)
    }
}

/// Unlike `xxxxxxxx` and AWS's own `AKIAIOSFODNN7EXAMPLE`.
fn is_varied(signs: &[u8]) -> bool {
    let mut seen = [false; 256];
    signs.iter().for_each(|b| seen[usize::from(*b)] = true);
    let is_example = signs.windows(7).any(|it| it.eq_ignore_ascii_case(b"example"));
    !is_example && seen.iter().filter(|seen| **seen).count() >= MIN_DIFFERENT_SIGNS
}

/// An access key's name alone opens nothing: it counts with a text of its secret's form beside it.
fn has_aws_secret_near(bytes: &[u8], at: usize) -> bool {
    let near = &bytes[at.saturating_sub(AWS_NEAR_BYTES)..bytes.len().min(at + AWS_NEAR_BYTES)];
    near.split(|b| !base64(*b)).any(|run| {
        run.len() == AWS_SECRET_SIGNS
            && is_varied(run)
            && run.iter().any(u8::is_ascii_lowercase)
            && run.iter().any(u8::is_ascii_uppercase)
            && run.iter().any(u8::is_ascii_digit)
    })
}

/// The length of the first line and what of the key follows it; `\n` may be spelled out, as in JSON.
fn private_key(here: &[u8]) -> Option<usize> {
    let kind = here.strip_prefix(PEM_BEGIN)?;
    // "ENCRYPTED", "OPENSSH", "RSA" and the like, or nothing.
    let name = kind.iter().take(20).take_while(|b| b.is_ascii_uppercase() || matches!(b, b' ')).count();
    let words = (0..=name).find_map(|skip| {
        let rest = &kind[skip..];
        [PEM_END, PGP_END].iter().find(|end| rest.starts_with(end)).map(|end| skip + end.len())
    })?;
    let first_line = PEM_BEGIN.len() + words;
    let body = &here[first_line..here.len().min(first_line + 2000)];
    // Headers and blanks may stand before the key itself.
    let run = body.split(|b| !(base64(*b) || *b == b'=')).map(|run| run.strip_prefix(b"n").unwrap_or(run));
    run.map(<[u8]>::len).any(|length| length >= MIN_PEM_SIGNS).then_some(first_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signs that look random. In pieces, so that this file holds nothing that looks like a key.
    fn random(count: usize) -> String {
        let signs = "a8Bk2Zx9QwE7rTy3Ui5Op1As6Df4GhJ0Lc";
        signs.chars().cycle().take(count).collect()
    }

    fn found(text: &str) -> Option<&'static str> {
        (0..text.len()).find_map(|at| form_at(text.as_bytes(), at)).map(|(what, _)| what)
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
    fn an_access_key_counts_with_its_secret() {
        let name = format!("AKIA{}", random(60).to_uppercase().chars().take(16).collect::<String>());
        let secret = random(AWS_SECRET_SIGNS);
        assert_eq!(found(&name), None);
        assert_eq!(found(&format!("key={name}\nsecret={secret}\n")), Some(AWS));
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
}
