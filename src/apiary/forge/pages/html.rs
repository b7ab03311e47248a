//! HTML that can't be broken by what is in it: markup is written in the program, everything else is escaped.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

const STYLE: &str = include_str!("style.css");
/// The pages load nothing and run nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// A part of a page.
#[derive(Default)]
pub(crate) struct Html(String);

impl Html {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Markup. It must stand in the program: that keeps a person's words from becoming any.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Text, or an attribute's value in double quotes.
    pub(crate) fn text(&mut self, text: impl std::fmt::Display) -> &mut Self {
        for c in text.to_string().chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        self
    }

    /// A link inside the forge; `path` is escaped as a URL's path, slashes aside.
    pub(crate) fn link(&mut self, path: &str, text: impl std::fmt::Display) -> &mut Self {
        self.raw("<a href=\"").text(path_encoded(path)).raw("\">").text(text).raw("</a>")
    }

    pub(crate) fn part(&mut self, part: &Html) -> &mut Self {
        self.0.push_str(&part.0);
        self
    }

    /// The whole page.
    pub(crate) fn page(self, status: StatusCode, title: &str) -> HttpResponse {
        let mut page = Html::new();
        page.raw("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
            .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>")
            .text(title)
            .raw(" · apiary</title><style>")
            .raw(STYLE)
            .raw("</style></head><body><header><a href=\"/\">apiary</a> <span class=\"quiet\">")
            .raw("a stand-in forge on this machine</span></header><main>")
            .part(&self)
            .raw("</main></body></html>\n");
        HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header(("content-security-policy", POLICY))
            .insert_header(("x-content-type-options", "nosniff"))
            .insert_header(("referrer-policy", "no-referrer"))
            .body(page.0)
    }
}

/// A path with everything encoded that could end it or be taken for more than a path.
pub(crate) fn path_encoded(path: &str) -> String {
    let mut encoded = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_never_becomes_markup() {
        let mut html = Html::new();
        html.text("<script>alert('1')</script> & \"x\"").link("/a/b c\"?#", "<b>");
        assert_eq!(
            html.0,
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;\
             <a href=\"/a/b%20c%22%3F%23\">&lt;b&gt;</a>"
        );
    }
}
