//! A span of numbers that holds both of its ends.

use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || format!("not a span: {:?}", text);
        let (start, end) = text.trim().split_once('-').ok_or_else(problem)?;
        let span = Span {
            start: start.parse().map_err(|_| problem())?,
            end: end.parse().map_err(|_| problem())?,
        };
        if span.start <= span.end {
            Ok(span)
        } else {
            Err(format!("{} ends before it starts", text.trim()))
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}
