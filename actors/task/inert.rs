//! Somebody's words (a model's, an issue's, a check's) on a forge's page, where they must call nobody, close nothing,
//! link to no other issue, load no picture and be no HTML.
//!
//! A space after the sign that would begin such a thing makes it plain text: `@ ann`, `# 12`, `< img`. This is seen by
//! everybody, is the same inside code and outside, and depends on no parser of Markdown that might differ from the
//! forge's. (A backslash or an entity would not do: mentions are looked for after both are resolved.) Only spaces are
//! put in, so nothing new can come about. Fenced code is written anew, in a fence that certainly is one, and kept as it
//! is but for references.

use super::hidden::{one_line, printable};
use super::text::fenced;

/// The longest word of a fence that names its language.
const MAX_LANGUAGE_CHARS: usize = 20;

/// Markdown that acts on nothing.
pub fn inert(markdown: &str) -> String {
    let text = printable(markdown);
    let mut shown = String::with_capacity(text.len() + 16);
    for part in parts(&text) {
        match part {
            Part::Words(words) => shown.push_str(&spaced(words, |it| it.is_live_in_markdown())),
            Part::Code { language, code } => {
                if !shown.is_empty() {
                    shown.push_str("\n\n");
                }
                shown.push_str(&inert_code(&language, &code));
                shown.push_str("\n\n");
            }
        }
    }
    shown
}

/// Code in a fence of its own; what it holds is no Markdown, and closes no issue where a forge reads also code.
pub fn inert_code(language: &str, code: &str) -> String {
    let code = spaced(&printable(code), |it| it.is_reference());
    let fence = fenced(&code);
    match fence.find('\n') {
        Some(end) => format!("{}{language}{}", &fence[..end], &fence[end..]),
        None => fence,
    }
}

/// One line of plain text, such as a title or a commit's subject: no mention, no reference.
pub fn inert_line(line: &str) -> String {
    spaced(&one_line(line), |it| it.is_mention() || it.is_reference())
}

enum Part<'a> {
    /// Whole lines.
    Words(&'a str),
    Code {
        language: String,
        code: String,
    },
}

/// Splits at fences: a line of three or more backticks or tildes, up to a line of as many or the end.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut words_from, mut at) = (0, 0);
    let mut lines = text.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let line_from = at;
        at += line.len();
        let Some((sign, count, info)) = fence_of(line) else { continue };
        parts.push(Part::Words(&text[words_from..line_from]));
        let mut code = String::new();
        for line in lines.by_ref() {
            at += line.len();
            let closes =
                fence_of(line).is_some_and(|(s, n, info)| s == sign && n >= count && info.is_empty());
            if closes {
                break;
            }
            code.push_str(line);
        }
        words_from = at;
        let is_word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '_');
        let language = info.chars().take_while(is_word).take(MAX_LANGUAGE_CHARS).collect();
        parts.push(Part::Code { language, code });
    }
    parts.push(Part::Words(&text[words_from..]));
    parts
}

/// The sign, the length and the rest of a line that begins or ends fenced code.
fn fence_of(line: &str) -> Option<(char, usize, &str)> {
    let text = line.trim_start_matches(' ');
    let sign = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let count = text.chars().take_while(|c| *c == sign).count();
    let info = text[count..].trim();
    let is_fence = line.len() - text.len() <= 3 && count >= 3 && !(sign == '`' && info.contains('`'));
    is_fence.then_some((sign, count, info))
}

/// A sign in its place.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// Up to the sign and with it.
    before: &'a str,
    after: &'a str,
}

fn spaced(text: &str, is_live: impl Fn(Place<'_>) -> bool) -> String {
    let mut shown = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        shown.push(c);
        let (before, after) = text.split_at(at + c.len_utf8());
        if is_live(Place { before, after }) {
            shown.push(' ');
        }
    }
    shown
}

impl<'a> Place<'a> {
    fn last(self) -> char {
        self.before.chars().next_back().unwrap_or_default()
    }

    fn next(self) -> char {
        self.after.chars().next().unwrap_or_default()
    }

    /// Before the sign, or a sign that is no letter at the text's beginning.
    fn last_but_one(self) -> char {
        self.before.chars().nth_back(1).unwrap_or(' ')
    }

    fn is_live_in_markdown(self) -> bool {
        let (last, next) = (self.last(), self.next());
        match last {
            '<' => next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?'),
            '!' => next == '[',
            '&' => self.is_entity(),
            ']' => {
                (next == '(' && !is_safe_target(&self.after[1..])) || (next == ':' && self.is_definition())
            }
            ':' => self.is_other_scheme(),
            _ => self.is_mention() || self.is_reference(),
        }
    }

    /// `@name`, but for the `@` of an e-mail address. An underscore may be emphasis, which is no part of a word.
    fn is_mention(self) -> bool {
        self.last() == '@'
            && self.next().is_ascii_alphanumeric()
            && !self.last_but_one().is_ascii_alphanumeric()
    }

    fn is_entity(self) -> bool {
        let name: &str =
            self.after.split(|c: char| !(c.is_ascii_alphanumeric() || c == '#')).next().unwrap_or_default();
        !name.is_empty() && name.len() <= 40 && self.after[name.len()..].starts_with(';')
    }

    fn is_definition(self) -> bool {
        let target = self.after[1..].trim_start();
        !(target.starts_with("https://") || target.starts_with("http://"))
    }

    /// `ftp://`, `javascript:` and the like; a forge links some of them also where they stand alone.
    fn is_other_scheme(self) -> bool {
        let is_of_scheme = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let scheme: String = self.before.chars().rev().skip(1).take_while(is_of_scheme).collect();
        let scheme: String = scheme.chars().rev().collect::<String>().to_ascii_lowercase();
        // What stands before it without a gap is no part of a scheme: `1https:` links from its third sign on.
        if scheme.is_empty() || scheme.ends_with("http") || scheme.ends_with("https") {
            return false;
        }
        self.after.starts_with("//")
            || ["mailto", "xmpp", "javascript", "vbscript", "data"].iter().any(|it| scheme.ends_with(it))
    }

    /// What stands before the sign, of one byte, and before the backslashes that a page does not show.
    fn before_sign(self) -> &'a str {
        self.before[..self.before.len() - 1].trim_end_matches('\\')
    }

    /// `#12` (also behind `owner/name`), `GH-12`, or the address of an issue, pull request, discussion or commit.
    fn is_reference(self) -> bool {
        match self.last() {
            '#' => self.is_number(),
            '-' => {
                let word = self.before_sign();
                let is_gh = word.len() >= 2
                    && word.get(word.len() - 2..).is_some_and(|it| it.eq_ignore_ascii_case("gh"));
                let first = is_gh.then(|| word[..word.len() - 2].chars().next_back()).flatten();
                is_gh && !first.is_some_and(|c| c.is_ascii_alphanumeric()) && self.is_number()
            }
            '/' => {
                let folder = self.before_sign().rsplit('/').next().unwrap_or_default();
                let leads_to_one = ["issues", "pull", "pulls", "discussions", "commit"]
                    .iter()
                    .any(|it| folder.eq_ignore_ascii_case(it));
                leads_to_one && (self.next().is_ascii_alphanumeric() || self.next() == '%')
            }
            _ => false,
        }
    }

    /// Colours such as `#12ab34` count too: how a forge reads them in a commit's message is nowhere written.
    fn is_number(self) -> bool {
        self.next().is_ascii_digit()
    }
}

/// Whether what stands behind `](` leads to a page: `https`, `http`, or no scheme at all.
fn is_safe_target(target: &str) -> bool {
    let end = target.find([':', '/', '?', '#', ')']).unwrap_or(target.len());
    let scheme = &target[..end];
    if scheme.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '&' | '\\')) {
        return false;
    }
    let has_scheme = target[end..].starts_with(':');
    !has_scheme || scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_would_act_is_plain_text() {
        for (text, shown) in [
            ("thanks @ann and @org/team, ann@example.org", "thanks @ ann and @ org/team, ann@example.org"),
            ("_@ann_ **@ann** (@ann)", "_@ ann_ **@ ann** (@ ann)"),
            ("Fixes #12, closes a/b#3. GH-4", "Fixes # 12, closes a/b# 3. GH- 4"),
            (
                r"Fixes GH\-12, [x](https://github.com/a/b\/issues\/12) \#5 \@ann",
                r"Fixes GH\- 12, [x](https://github.com/a/b\/issues\/ 12) \# 5 \@ ann",
            ),
            (
                "resolves https://github.com/a/b/issues/12 and /pull/3",
                "resolves https://github.com/a/b/issues/ 12 and /pull/ 3",
            ),
            ("&#64;ann &commat;ann a && b; x & y;", "& # 64;ann & commat;ann a && b; x & y;"),
            (
                "![x](https://e/x.png) <img src=x> a<b <br/>",
                "! [x](https://e/x.png) < img src=x> a< b < br/>",
            ),
            (
                "[x](javascript:alert(1)) [y](https://e) [z](src/x.rs)",
                "[x] (javascript: alert(1)) [y](https://e) [z](src/x.rs)",
            ),
            ("[x]: data:text/html,hi", "[x] : data: text/html,hi"),
            ("ftp://x mailto:a@b", "ftp: //x mailto: a@b"),
            (
                "#fff #12ab34 #8x 1.2-3 weigh-12 list[0]: 1 < 2",
                "#fff # 12ab34 # 8x 1.2-3 weigh-12 list[0] : 1 < 2",
            ),
            ("@\u{200b}ann <!-- x", "@ ann < !-- x"),
        ] {
            assert_eq!(inert(text), shown, "{text}");
        }
    }

    #[test]
    fn fenced_code_is_kept_and_always_closed() {
        let text = "So:\n```python x=`1\n@dataclass\nclass A: # fixes #12\n";
        assert_eq!(inert(text), "So:\n```python x=`1\n@ dataclass\nclass A: # fixes # 12\n", "no fence");
        let text = "So:\n~~~rust,ignore\n#[test]\n```\nVec<u8> @x\n~~~~\nend @ann";
        assert_eq!(inert(text), "So:\n\n\n````rust\n#[test]\n```\nVec<u8> @x\n````\n\nend @ ann");
        assert_eq!(inert("```\nnever closed @x"), "```\nnever closed @x\n```\n\n");
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(inert_line("Fix #3\nfor @ann: Vec<u8>"), "Fix # 3 for @ ann: Vec<u8>");
    }

    /// Words that act, in pieces, so that they also come about where pieces meet.
    fn hostile() -> impl Strategy<Value = String> {
        let pieces = [
            "@",
            "ann",
            "#",
            "12",
            "fixes ",
            "Closes: ",
            "a/b",
            "GH-",
            "https://github.com/a/b",
            "/issues/",
            "/pull/",
            "<",
            "img src=x",
            "/",
            "!",
            "[x]",
            "(",
            ")",
            "&#64;",
            "&",
            "#35;",
            "`",
            "```",
            "\n",
            " ",
            "~~~\n",
            "\\",
            "GH\\-",
            "/issues\\/",
            "_",
            "*",
            ":",
            "javascript:",
            "\u{200b}",
            "|",
            ">",
            "-",
            "\r",
            "é",
        ];
        let piece = prop_oneof![
            8 => prop::sample::select(pieces.to_vec()).prop_map(str::to_owned),
            1 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..25).prop_map(|pieces| pieces.concat())
    }

    /// The lines outside of fences, by the plainest reading: a fence ends at the same line of backticks.
    fn outside_fences(text: &str) -> String {
        let mut fence: Option<&str> = None;
        let mut outside = String::new();
        for line in text.lines() {
            let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
            match fence {
                Some(open) if line == open => fence = None,
                Some(_) => {}
                None if ticks.len() >= 3 && !line[ticks.len()..].contains('`') => fence = Some(ticks),
                None => {
                    outside.push_str(line);
                    outside.push('\n');
                }
            }
        }
        assert!(fence.is_none(), "a fence is open: {text:?}");
        outside
    }

    /// Another reading than the code's: is any `sign` followed by what makes it live?
    fn has(text: &str, sign: &str, is_live: impl Fn(&str, &str) -> bool) -> bool {
        text.match_indices(sign).any(|(at, _)| is_live(&text[..at], &text[at + sign.len()..]))
    }

    fn begins_with_number(text: &str) -> bool {
        text.starts_with(|c: char| c.is_ascii_digit())
    }

    /// As a page shows it: a backslash before a sign goes.
    fn unescaped(text: &str) -> String {
        let mut shown = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match chars.next_if(|next| c == '\\' && next.is_ascii_punctuation()) {
                Some(sign) => shown.push(sign),
                None => shown.push(c),
            }
        }
        shown
    }

    fn refers(text: &str) -> bool {
        refers_as_it_stands(text) || refers_as_it_stands(&unescaped(text))
    }

    fn refers_as_it_stands(text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        has(&lower, "#", |_, after| begins_with_number(after))
            || has(&lower, "gh-", |before, after| {
                !before.ends_with(|c: char| c.is_ascii_alphanumeric()) && begins_with_number(after)
            })
            || ["/issues/", "/pull/"]
                .iter()
                .any(|it| has(&lower, it, |_, after| after.starts_with(|c: char| c.is_ascii_digit())))
    }

    fn mentions(text: &str) -> bool {
        has(text, "@", |before, after| {
            after.starts_with(|c: char| c.is_ascii_alphanumeric())
                && !before.ends_with(|c: char| c.is_ascii_alphanumeric())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn no_text_calls_anybody_or_touches_another_issue(text in hostile()) {
            let shown = inert(&text);
            prop_assert!(!refers(&shown), "{:?}", shown);
            let words = outside_fences(&shown);
            prop_assert!(!mentions(&words) && !mentions(&unescaped(&words)), "{:?}", shown);
            prop_assert!(!words.contains("!["), "{:?}", shown);
            let is_tag = |_: &str, after: &str| after.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c));
            prop_assert!(!has(&words, "<", is_tag), "{:?}", shown);
            prop_assert!(!words.contains("&#64;") && !words.contains("&#35;"), "{:?}", shown);
            prop_assert!(!words.contains("](javascript:"), "{:?}", shown);
        }

        #[test]
        fn no_line_does(text in hostile()) {
            let shown = inert_line(&text);
            prop_assert!(!refers(&shown) && !mentions(&shown) && !shown.contains('\n'), "{:?}", shown);
        }

        /// Nothing but spaces comes between the signs that a reader sees.
        #[test]
        fn words_stay_what_they_are(text in "[a-z@#<&!\\[\\]():/ 0-9\n]{0,60}") {
            let seen = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(seen(&inert(&text)), seen(&text));
        }
    }
}
