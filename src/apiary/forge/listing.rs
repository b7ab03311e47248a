//! Pages of a list: `page`, `per_page`, and the `Link` header.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;

use super::answer::{Answer, ApiError};

const DEFAULT_PER_PAGE: usize = 30;
const MAX_PER_PAGE: usize = 100;

/// Which part of a list is asked for. GitHub takes what makes no sense for the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    /// From 1.
    page: usize,
    per_page: usize,
}

impl Part {
    fn of(query: &str) -> Self {
        let number = |name: &str| {
            let pair = query.split('&').rev().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            pair.and_then(|text| text.parse::<usize>().ok()).filter(|n| *n > 0)
        };
        Self {
            page: number("page").unwrap_or(1),
            per_page: number("per_page").unwrap_or(DEFAULT_PER_PAGE).min(MAX_PER_PAGE),
        }
    }
}

/// Answers with one page of `items`, showing only those that are on it.
pub(crate) fn page<T>(
    request: &HttpRequest,
    items: Vec<T>,
    show: impl FnMut(T) -> Result<Value, ApiError>,
) -> Answer {
    let part = Part::of(request.query_string());
    let last = items.len().div_ceil(part.per_page).max(1);
    let skipped = (part.page - 1).saturating_mul(part.per_page);
    let shown = items.into_iter().skip(skipped).take(part.per_page).map(show);
    let shown = shown.collect::<Result<Vec<_>, _>>()?;
    let mut answer = HttpResponse::Ok();
    let here = request.connection_info();
    let url = format!("{}://{}{}", here.scheme(), here.host(), request.path());
    if let Some(links) = links(&url, request.query_string(), part.page, last) {
        answer.insert_header(("link", links));
    }
    Ok(answer.json(shown))
}

/// The `Link` header; `None` when everything is on one page.
fn links(url: &str, query: &str, page: usize, last: usize) -> Option<String> {
    let others: Vec<&str> = query.split('&').filter(|p| !p.is_empty() && !p.starts_with("page=")).collect();
    let link = |page: usize, rel: &str| {
        let mut pairs = others.clone();
        let number = format!("page={page}");
        pairs.push(&number);
        format!("<{url}?{}>; rel=\"{rel}\"", pairs.join("&"))
    };
    let mut links = Vec::new();
    if page > 1 {
        links.push(link((page - 1).min(last), "prev"));
    }
    if page < last {
        links.push(link(page + 1, "next"));
        links.push(link(last, "last"));
    }
    if page > 1 {
        links.push(link(1, "first"));
    }
    (!links.is_empty()).then(|| links.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_becomes_the_default_and_too_much_the_most() {
        assert_eq!(Part::of(""), Part { page: 1, per_page: 30 });
        assert_eq!(Part::of("per_page=1000&page=0"), Part { page: 1, per_page: 100 });
        assert_eq!(Part::of("page=x&per_page=-1"), Part { page: 1, per_page: 30 });
        assert_eq!(Part::of("labels=a&page=3&per_page=2"), Part { page: 3, per_page: 2 });
    }

    #[test]
    fn links_lead_forward_and_back_and_keep_the_query() {
        assert_eq!(links("u", "a=b", 1, 1), None);
        let first = "<u?a=b&per_page=2&page=2>; rel=\"next\", <u?a=b&per_page=2&page=3>; rel=\"last\"";
        assert_eq!(links("u", "a=b&per_page=2", 1, 3).as_deref(), Some(first));
        let last = "<u?page=2>; rel=\"prev\", <u?page=1>; rel=\"first\"";
        assert_eq!(links("u", "page=3", 3, 3).as_deref(), Some(last));
    }
}
