//! The name of one host, as an operator allows it and a command asks for it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// A domain name in lower case, with a dot in it; never an address. There are no wildcards: under "*.example.com" may be
/// hosts that anybody can write to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

impl HostName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_label = |label: &str| {
            (1..=MAX_LABEL_BYTES).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.contains('*') {
            return Err(format!("{text:?} has a wildcard: name each host"));
        }
        if text.contains(['/', ':']) {
            return Err(format!(
                "{text:?} has a scheme, port or path: only the host's name, such as \"crates.io\""
            ));
        }
        // What stands last in an address is a number, however it is written.
        let is_number = |label: &str| label.starts_with(|c: char| c.is_ascii_digit());
        let last = text.rsplit('.').next().unwrap_or_default();
        if text.len() > MAX_NAME_BYTES
            || !text.contains('.')
            || !text.split('.').all(is_label)
            || is_number(last)
        {
            return Err(format!("{text:?} is not the name of a host, such as \"crates.io\""));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for HostName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_whatever_its_case() {
        assert_eq!("Static.Crates.IO".parse::<HostName>().unwrap().as_str(), "static.crates.io");
        assert!("xn--bcher-kva.example".parse::<HostName>().is_ok());
    }

    #[test]
    fn addresses_wildcards_and_what_is_no_name_are_refused() {
        for bad in [
            "",
            "localhost",
            "*.crates.io",
            "https://crates.io",
            "crates.io:443",
            "crates.io/x",
            "1.1.1.1",
            "0x7f.1",
            "127.0x0.0.1",
            "2130706433",
            "[::1]",
            "::1",
            "crates.io.",
            ".crates.io",
            "a..b",
            "-a.b",
            "a-.b",
            "a b.c",
            "bücher.example",
            "a_b.example",
            "crates.io\n",
        ] {
            assert!(bad.parse::<HostName>().is_err(), "{bad}");
        }
        assert!(format!("{}.io", "a".repeat(64)).parse::<HostName>().is_err());
        assert!("a.".repeat(130).parse::<HostName>().is_err());
    }
}
