//! The known keys: those of `config/default.toml`, in its order, each with the kind of its default.

use config::{Value, ValueKind};

use super::layers::Given;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Duration,
    Size,
    Whole,
    Decimal,
    Flag,
    /// Of texts.
    List,
    /// Of tables: those of [`TABLES`] alone.
    Tables,
}

/// The keys whose values are tables, each with the key that every one of its tables has and is called by.
pub(super) const TABLES: [(&str, &str); 5] =
    [(FOLLOWED, "key"), (FORKS, "name"), (REPOSITORIES, "name"), (SERVERS, "url"), (ROUTES, "names")];
pub(super) const FOLLOWED: &str = "audit.follow";
pub(super) const FORKS: &str = "forge.fork";
pub(super) const REPOSITORIES: &str = "sandbox.repository";
pub(super) const SERVERS: &str = "model.server";
pub(super) const ROUTES: &str = "model.route";

/// What the tables of a key are called by, if its values are tables.
pub(super) fn called_by(key: &str) -> Option<&'static str> {
    TABLES.iter().find(|(tables, _)| *tables == key).map(|(_, called_by)| *called_by)
}

impl Kind {
    fn of(default: &ValueKind) -> Option<Self> {
        match default {
            ValueKind::String(text) if text.parse::<super::HumanDuration>().is_ok() => Some(Self::Duration),
            ValueKind::String(text) if text.parse::<super::HumanSize>().is_ok() => Some(Self::Size),
            ValueKind::String(_) => Some(Self::Text),
            ValueKind::I64(_) => Some(Self::Whole),
            ValueKind::Float(_) => Some(Self::Decimal),
            ValueKind::Boolean(_) => Some(Self::Flag),
            ValueKind::Array(_) => Some(Self::List),
            _ => None,
        }
    }

    /// Whether a value is of this kind. A duration or size that is a bare number passes: its type says what is missing.
    pub(super) fn fits(self, value: &ValueKind) -> bool {
        let is_text = |value: &ValueKind| matches!(value, ValueKind::String(_));
        let is_whole = |value: &ValueKind| matches!(value, ValueKind::I64(_));
        let is_number = |value: &ValueKind| is_whole(value) || matches!(value, ValueKind::Float(_));
        match self {
            Self::Text => is_text(value),
            Self::Duration | Self::Size => is_text(value) || is_number(value),
            Self::Whole => is_whole(value),
            Self::Decimal => is_number(value),
            Self::Flag => matches!(value, ValueKind::Boolean(_)),
            Self::List => {
                matches!(value, ValueKind::Array(items) if items.iter().all(|item| is_text(&item.kind)))
            }
            Self::Tables => {
                let is_table = |item: &Value| matches!(item.kind, ValueKind::Table(_));
                matches!(value, ValueKind::Array(items) if items.iter().all(is_table))
            }
        }
    }

    pub(super) fn wanted(self, key: &str) -> String {
        let allowed = match self {
            Self::Text => "allowed: a text in quotes",
            Self::Duration => "allowed: a duration with its unit, in quotes, such as \"15m\"",
            Self::Size => "allowed: a size with its unit, in quotes, such as \"512 MiB\"",
            Self::Whole => "allowed: a whole number without quotes",
            Self::Decimal => "allowed: a number without quotes, such as 2.0",
            Self::Flag => "allowed: true or false, without quotes",
            Self::List => "allowed: a list of texts, such as [\"one\", \"two\"]",
            Self::Tables => {
                let called_by = called_by(key).unwrap_or_default();
                return format!("allowed: tables [[{key}]], each with its {called_by}");
            }
        };
        allowed.to_owned()
    }
}

/// The known keys and their kinds, in the order of `config/default.toml`.
pub(super) struct Known(Vec<(String, Kind)>);

impl Known {
    pub(super) fn of(defaults: &[Given]) -> Self {
        let kind = |given: &Given| {
            let kind = called_by(&given.key).map_or_else(|| Kind::of(&given.value), |_| Some(Kind::Tables));
            Some((given.key.clone(), kind?))
        };
        Self(defaults.iter().filter_map(kind).collect())
    }

    pub(super) fn kind(&self, key: &str) -> Option<Kind> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, kind)| *kind)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// The known key that looks most like `key`: as a whole, or with its section left out or wrong.
    pub(super) fn nearest(&self, key: &str) -> &str {
        /// Tips the balance between equals towards the key that is alike as a whole.
        const LAST_PART_WEIGHT: f64 = 0.9;
        let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
        let likeness = |known: &str| {
            let whole = strsim::normalized_damerau_levenshtein(known, key);
            let part = strsim::normalized_damerau_levenshtein(&last(known), &last(key));
            whole.max(part * LAST_PART_WEIGHT)
        };
        self.keys().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or_default()
    }

    /// What to do about a key that is not known.
    pub(super) fn advice(&self, key: &str) -> String {
        if self.keys().any(|known| known.split('.').next() == Some(key)) {
            return format!("{key} is a section: its keys stand below [{key}]");
        }
        format!("did you mean {}?", self.nearest(key))
    }
}
