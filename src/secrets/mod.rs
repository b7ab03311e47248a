//! Finds secrets in what is about to leave the node: its own (the very values of its settings) and what looks like
//! anybody's key. Nothing that it returns or prints holds the secret.
//!
//! The forms are those whose beginning tells them for sure; texts that merely look random are not refused, and a JSON
//! web token is none of them, since tests are full of harmless ones.

mod forms;
mod runs;
mod scan;
mod steps;
mod utf16;

use std::fmt;
use std::sync::Arc;

pub use scan::Finding;
use scan::Own;
use secrecy::{ExposeSecret, SecretString};

/// A shorter value of the settings stands in every other text, and is no secret worth the name.
const MIN_OWN_BYTES: usize = 8;

/// What is looked for; cheap to clone.
#[derive(Clone, Default)]
pub struct Secrets {
    own: Arc<Vec<(&'static str, SecretString)>>,
}

impl Secrets {
    /// Those of every node, and these values with what each is: "the node's forge token".
    pub fn with_own(own: impl IntoIterator<Item = (&'static str, SecretString)>) -> Self {
        let is_long = |it: &(&'static str, SecretString)| it.1.expose_secret().len() >= MIN_OWN_BYTES;
        Self { own: Arc::new(own.into_iter().filter(is_long).collect()) }
    }

    /// Every secret in `bytes`, in ASCII or UTF-16, by its beginning; none overlaps another. It takes time in proportion
    /// to their length: some 20 milliseconds for a mebibyte, and ten times as much for one that is made to be slow.
    pub fn find(&self, bytes: &[u8]) -> Vec<Finding> {
        let own: Vec<Own<'_>> =
            self.own.iter().map(|(what, value)| (*what, value.expose_secret().as_bytes())).collect();
        scan::find(bytes, &own).0
    }

    /// The text with words in the place of each secret.
    pub fn redacted(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut from = 0;
        for Finding { what, at } in self.find(text.as_bytes()) {
            // Secrets are ASCII, in UTF-16 with zeros between: their ends are no middle of a letter.
            shown.push_str(text.get(from..at.start).unwrap_or_default());
            shown.push_str(&format!("[removed: {what}]"));
            from = at.end;
        }
        shown + text.get(from..).unwrap_or_default()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("own", &self.own.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWN: &str = "a-value-of-the-settings";

    fn secrets() -> Secrets {
        Secrets::with_own([("the node's token", OWN.into()), ("a short one", "abc".into())])
    }

    #[test]
    fn the_nodes_own_values_are_found_anywhere_and_never_shown() {
        let text = format!("url = https://x:{OWN}@host, abc");
        assert_eq!(
            secrets().find(text.as_bytes()),
            [Finding { what: "the node's token", at: 16..16 + OWN.len() }]
        );
        assert_eq!(secrets().redacted(&text), "url = https://x:[removed: the node's token]@host, abc");
        assert!(!format!("{:?}", secrets()).contains(OWN));
    }

    proptest! {
        #[test]
        fn whatever_stands_around_it_is_kept_and_the_secret_is_not(before in ".{0,30}", after in ".{0,30}") {
            let shown = secrets().redacted(&format!("{before}{OWN}{after}"));
            prop_assert!(!shown.contains(OWN));
            prop_assert!(shown.starts_with(&before) && shown.ends_with(&after));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = secrets().find(&bytes);
        }
    }
}
