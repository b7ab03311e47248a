//! What a journal's entries say to a person, in one place: `words` has the text of each, `page` makes it printable and lays
//! it out.

mod network;
mod page;
#[cfg(test)]
pub(in crate::cli) mod samples;
mod words;

pub(in crate::cli) use network::Connections;
pub(in crate::cli) use page::{Page, Tone};
pub(in crate::cli) use words::{Line, Who, Words, of_node, short};
