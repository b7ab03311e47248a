//! What stands in a Markdown text and its page does not show: declarations and instructions of HTML, the attributes of
//! its tags, definitions of links, their titles, descriptions of pictures, footnotes that nothing refers to. It is taken
//! out before a model reads the text, so that nobody is told what nobody could read; what a page shows stays as it was
//! written, code above all. The places are those that CommonMark's rules give.

use std::ops::Range;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

use super::hidden::readable;

/// What a forge reads beside CommonMark.
const FLAVOR: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS);
/// A text is read anew when something was taken out of it, as its rests may make something new. Texts of people need two.
const MAX_READINGS: usize = 8;
/// The longest address that is left in a text.
const MAX_ADDRESS_BYTES: usize = 500;
/// The longest name of a tag: of those that HTML knows, the longest has ten letters. `Vec<u8>` has one too.
const MAX_TAG_BYTES: usize = 20;

/// A Markdown text as a person sees it on its page.
pub fn on_page(markdown: &str) -> String {
    let mut text = readable(markdown);
    for _ in 0..MAX_READINGS {
        let shown = readable(&without_unseen(&text));
        if shown == text {
            break;
        }
        text = shown;
    }
    text
}

fn without_unseen(text: &str) -> String {
    let mut reading = Reading::default();
    for (event, range) in Parser::new_ext(text, FLAVOR).into_offset_iter() {
        reading.take(text, event, range);
    }
    apply(text, reading.edits(text))
}

/// What is to stand in the place of a piece of the text.
struct Edit {
    range: Range<usize>,
    with: String,
}

#[derive(Default)]
struct Reading {
    edits: Vec<Edit>,
    /// What stands for something on the page, in the order of the text.
    shown: Vec<Range<usize>>,
    /// Pieces of HTML; what follows without a gap belongs together.
    html: Vec<Range<usize>>,
    /// Links that are open, with the end of what was in them so far.
    links: Vec<(Range<usize>, usize)>,
    /// How deep in descriptions of pictures.
    pictures: usize,
    footnotes: Vec<(String, Range<usize>)>,
    referred: Vec<String>,
}

impl Reading {
    fn take(&mut self, text: &str, event: Event<'_>, range: Range<usize>) {
        let is_container = matches!(
            event,
            Event::Start(Tag::BlockQuote(_) | Tag::List(_) | Tag::Item | Tag::FootnoteDefinition(_))
                | Event::End(
                    TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::Item | TagEnd::FootnoteDefinition
                )
        );
        if !is_container {
            self.shown.push(range.clone());
        }
        if let (Some((link, inner)), false) =
            (self.links.last_mut(), matches!(event, Event::End(TagEnd::Link)))
        {
            *inner = range.end.clamp(*inner, link.end);
        }
        match event {
            Event::Start(Tag::Link { .. }) => self.links.push((range.clone(), range.start + 1)),
            Event::End(TagEnd::Link) => {}
            Event::Html(_) | Event::InlineHtml(_) if self.pictures == 0 => match self.html.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => self.html.push(range.clone()),
            },
            Event::FootnoteReference(ref label) => self.referred.push(label.to_string()),
            Event::Start(Tag::FootnoteDefinition(ref label)) => {
                let marker = text[range.clone()].find("]:").map_or(0, |at| at + 2);
                self.shown.push(range.start..range.start + marker);
                self.footnotes.push((label.to_string(), range.clone()));
            }
            _ => {}
        }
        self.take_links(event, range);
    }

    fn take_links(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(Tag::Link { link_type, dest_url, title, .. }) if self.pictures == 0 => {
                let is_reference =
                    matches!(link_type, LinkType::Reference | LinkType::Collapsed | LinkType::Shortcut);
                let is_unseen = !title.is_empty() || *address(&dest_url) != *dest_url;
                if is_reference || (link_type == LinkType::Inline && is_unseen) {
                    // Its beginning is known when its end is met.
                    self.edits.push(Edit { range, with: format!("]({})", target(&dest_url)) });
                }
            }
            Event::End(TagEnd::Link) => {
                let Some((link, inner)) = self.links.pop() else { return };
                if let Some(edit) = self.edits.iter_mut().rev().find(|edit| edit.range == link) {
                    edit.range.start = inner;
                }
            }
            Event::Start(Tag::Image { dest_url, .. }) => {
                if self.pictures == 0 {
                    self.edits.push(Edit { range, with: format!("![image]({})", target(&dest_url)) });
                }
                self.pictures += 1;
            }
            Event::End(TagEnd::Image) => self.pictures = self.pictures.saturating_sub(1),
            _ => {}
        }
    }

    fn edits(mut self, text: &str) -> Vec<Edit> {
        for range in std::mem::take(&mut self.html) {
            let with = bare_tags(&text[range.clone()]);
            self.edits.push(Edit { range, with });
        }
        for (label, range) in &self.footnotes {
            if !self.referred.contains(label) {
                self.edits.push(Edit { range: range.clone(), with: "\n".to_owned() });
            }
        }
        self.shown.sort_unstable_by_key(|range| range.start);
        let mut at = 0;
        for range in self.shown.iter().cloned().chain(std::iter::once(text.len()..text.len())) {
            if at < range.start {
                self.edits.extend(definitions(text, at..range.start));
            }
            at = at.max(range.end);
        }
        self.edits
    }
}

/// Between what is shown stand marks of quotes and lists, and definitions of links, which begin with a bracket.
fn definitions(text: &str, gap: Range<usize>) -> Option<Edit> {
    let unseen = &text[gap.clone()];
    let from = unseen.find('[')?;
    let with = if unseen[from..].contains('\n') { "\n" } else { "" };
    Some(Edit { range: gap.start + from..gap.end, with: with.to_owned() })
}

/// Of those that lie in one another the outermost counts.
fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| (edit.range.start, std::cmp::Reverse(edit.range.end)));
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for Edit { range, with } in edits {
        if range.start >= at {
            shown.push_str(&text[at..range.start]);
            shown.push_str(&with);
            at = range.end;
        }
    }
    shown.push_str(&text[at..]);
    shown
}

/// An address is for machines: words don't fit into one, and what is too long is none.
fn address(text: &str) -> &str {
    let is_plain = text.len() <= MAX_ADDRESS_BYTES
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"'));
    if is_plain { text } else { "" }
}

fn target(text: &str) -> String {
    match address(text) {
        text if text.contains(['(', ')', '\\']) => format!("<{text}>"),
        text => text.to_owned(),
    }
}

/// HTML without all that its page does not show: of a tag its name is left, and where it leads.
fn bare_tags(html: &str) -> String {
    let mut shown = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        shown.push_str(&rest[..at]);
        rest = &rest[at..];
        let hidden = [("<?", "?>"), ("<![CDATA[", "]]>"), ("<!", ">")];
        if let Some((_, end)) = hidden.iter().find(|(begin, _)| rest.starts_with(begin)) {
            rest = rest.find(end).map_or("", |at| &rest[at + end.len()..]);
            continue;
        }
        let body = rest[1..].strip_prefix('/').unwrap_or(&rest[1..]);
        if !body.starts_with(|c: char| c.is_ascii_alphabetic()) {
            shown.push('<');
            rest = &rest[1..];
            continue;
        }
        let Some(end) = end_of_tag(rest) else { return shown };
        shown.push_str(&bare_tag(&rest[..end]));
        rest = &rest[end..];
    }
    shown.push_str(rest);
    shown
}

/// Behind the sign that closes the tag at the text's beginning; one in quotes does not.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (c, quote) {
            ('>', None) => return Some(at + 1),
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

fn bare_tag(tag: &str) -> String {
    let body = tag.trim_start_matches('<').trim_end_matches('>');
    let (slash, body) = body.strip_prefix('/').map_or(("", body), |body| ("/", body));
    let name: &str =
        body.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).next().unwrap_or_default();
    if name.len() > MAX_TAG_BYTES {
        return String::new();
    }
    let leads = ["href", "src"].into_iter().filter_map(|attribute| {
        let at = body.to_ascii_lowercase().find(&format!("{attribute}=\""))? + attribute.len() + 2;
        let value = address(body.get(at..)?.split('"').next()?);
        value.starts_with("http").then(|| format!(" {attribute}=\"{value}\""))
    });
    format!("<{slash}{name}{}>", leads.collect::<String>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_page_does_not_show_is_not_there() {
        for (text, shown) in [
            ("[//]: # (do evil)\n\nfix it", "fix it"),
            ("fix it\n\n[x]: https://e/x 'do\nevil'\n\nnow", "fix it\n\n\nnow"),
            ("> quoted\n>\n> [do evil]: #\n> [do evil]: <more evil>\n\nseen", "> quoted\n>\n> \nseen"),
            ("a <?do evil?> b <!X do evil> c <![CDATA[do evil]]> d", "a  b  c  d"),
            ("<?do evil\n\nmore", ""),
            ("see <x please do evil> this <b title='do evil'>thing</b>", "see <x> this <b>thing</b>"),
            ("<div data-x=\"do > evil\">\nseen\n</div>", "<div>\nseen\n</div>"),
            ("<div do evil", ""),
            ("<please-do-all-the-evil-there-is> seen", "seen"),
            ("<img alt='do evil' src=\"https://e/x.png\">", "<img src=\"https://e/x.png\">"),
            ("![do evil](https://e/x.png 'evil') seen", "![image](https://e/x.png) seen"),
            ("![do\nevil][1] seen\n\n[1]: https://e/x.png", "![image](https://e/x.png) seen"),
            ("[text](https://e/x 'do evil') [two](<do evil>)", "[text](https://e/x) [two]()"),
            (
                "[text][do evil] [it]\n\n[do evil]: https://e/x 'evil'\n[it]: /y",
                "[text](https://e/x) [it](/y)",
            ),
            ("seen[^1]\n\n[^1]: a note\n\n[^2]: do evil\n", "seen[^1]\n\n[^1]: a note"),
        ] {
            assert_eq!(on_page(text).trim(), shown, "{text:?}");
        }
    }

    #[test]
    fn what_a_page_shows_stays_as_it_is() {
        for text in [
            "Vec<u8> and a < b > c, HashMap<String, Vec<T>> and x[0]: y",
            "`<?php echo 1 ?>` and `<a href='x'>` and `[x]: y`",
            "```php\n<?php\n// <!DOCTYPE html>\n[x]: y\n<div class=\"a\">\n```\n",
            "    <?php indented ?>\n    [x]: y\n",
            "- [ ] one\n- [x] two\n  - [link](https://e/a_(b))\n",
            "| a | b |\n|---|---|\n| [x] | <https://e/x> |\n",
            "> [!NOTE]\n> Look at [this](src/x.rs).\n",
            "1. `a`\n2. **b** _c_ ~~d~~\n\n---\n\n# Title\n\nText with a  \nbreak and \\[escapes\\] &amp; entities.\n",
            "<details>\n<summary>Log</summary>\n\n[error] broken: a[1]\n\n</details>\n",
            "[error] connection: lost\n[warn]\n\t[x]\n",
        ] {
            assert_eq!(on_page(text), text);
        }
    }

    /// Text in which hidden things are likely.
    fn hostile() -> impl Strategy<Value = String> {
        let pieces = [
            "<",
            ">",
            "<?",
            "?>",
            "<!",
            "<![CDATA[",
            "]]>",
            "<!--",
            "-->",
            "<x ",
            "evil",
            "=\"",
            "\"",
            "'",
            "[",
            "]",
            "]:",
            "](",
            ")",
            "![",
            "[^1]",
            "[^1]:",
            "#",
            " ",
            "\n",
            "\n\n",
            "> ",
            "- ",
            "    ",
            "`",
            "```",
            "```\n",
            "|",
            "\\",
            "*",
            "_",
            "~~",
            "a",
            "https://e/x",
            "é",
            "<div ",
            "</div>",
            "(",
            "\t",
        ];
        let piece = prop_oneof![
            8 => prop::sample::select(pieces.to_vec()).prop_map(str::to_owned),
            1 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn nothing_unseen_is_left(text in hostile()) {
            let shown = on_page(&text);
            let reader = Parser::new_ext(&shown, FLAVOR);
            let definitions: Vec<_> = reader.reference_definitions().iter().map(|(label, _)| label.to_owned()).collect();
            prop_assert!(definitions.is_empty(), "{:?} in {:?} of {:?}", definitions, shown, text);
            for event in reader {
                if let Event::Html(html) | Event::InlineHtml(html) = event {
                    prop_assert!(!html.contains("<?") && !html.contains("<!"), "{:?} of {:?}", shown, text);
                }
            }
        }

        #[test]
        fn what_is_seen_on_a_page_is_seen_again(text in hostile()) {
            let shown = on_page(&text);
            prop_assert_eq!(on_page(&shown), shown, "{:?}", text);
        }
    }
}
