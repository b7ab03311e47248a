//! The four places that a value can come from, each read into the same form: defaults, file, environment, flags.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use config::{Value, ValueKind};
use toml::de::{DeTable, DeValue};

use super::known::{Kind, Known};
use super::problem::{Origin, Problem};

/// The defaults, with their explanations.
pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");
/// Before a setting's variable: `BZZZ__FORGE__TOKEN`.
pub(super) const PREFIX: &str = "BZZZ__";
/// The longest configuration file that is read; the defaults with all their comments have some 10 KiB.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// So many syntax errors of a file are shown; the rest are mostly consequences of these.
const MAX_SYNTAX_ERRORS: usize = 5;

/// One value and its place. Not `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) key: String,
    pub(super) value: ValueKind,
    pub(super) origin: Origin,
}

#[derive(Default)]
pub(super) struct Layer {
    pub(super) given: Vec<Given>,
    pub(super) problems: Vec<Problem>,
}

pub(super) fn defaults() -> Layer {
    from_toml(DEFAULTS, |_| Origin::Default)
}

pub(super) fn from_file(path: &Path) -> Layer {
    let problem = |what: String| {
        let problem = Problem::general(format!("{}: {what}", path.display()), "");
        Layer { problems: vec![problem], ..Layer::default() }
    };
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return problem(format!("can't be read: {error}"));
    }
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return problem(format!("is longer than {MAX_FILE_BYTES} bytes"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => from_toml(&text, |line| Origin::File { path: path.to_owned(), line }),
        Err(error) => problem(format!("is not UTF-8 text: byte {}", error.utf8_error().valid_up_to() + 1)),
    }
}

fn from_toml(text: &str, origin: impl Fn(usize) -> Origin) -> Layer {
    let line_of = |byte: usize| text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1;
    let mut layer = Layer::default();
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(MAX_SYNTAX_ERRORS) {
        // The error's own display quotes the line, which may hold a secret.
        let line = line_of(error.span().map_or(0, |span| span.start));
        let what = format!("{}: not TOML: {}", origin(line), error.message());
        layer.problems.push(Problem::general(what, "texts stand in quotes: key = \"text\""));
    }
    if errors.is_empty() {
        let mut leaves = Vec::new();
        flatten("", table.get_ref(), &mut leaves);
        leaves.sort_by_key(|(_, start, _)| *start);
        let given = |(key, start, value)| Given { key, value, origin: origin(line_of(start)) };
        layer.given = leaves.into_iter().map(given).collect();
    }
    layer
}

/// Lists the leaves of `table`: dotted key, place in the text, value. An empty table counts as a leaf, so that a
/// misspelt section without keys is not passed over.
fn flatten(prefix: &str, table: &DeTable<'_>, into: &mut Vec<(String, usize, ValueKind)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => flatten(&key, inner, into),
            leaf => into.push((key, name.span().start, to_value(leaf))),
        }
    }
}

fn to_value(value: &DeValue<'_>) -> ValueKind {
    match value {
        DeValue::String(text) => ValueKind::String(text.to_string()),
        // A number out of range stays text, which no numeric key accepts.
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => ValueKind::I64(number),
            Err(_) => ValueKind::String(number.to_string()),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => ValueKind::Float(number),
            Err(_) => ValueKind::String(number.to_string()),
        },
        DeValue::Boolean(flag) => ValueKind::Boolean(*flag),
        DeValue::Datetime(time) => ValueKind::String(time.to_string()),
        DeValue::Array(items) => {
            ValueKind::Array(items.iter().map(|item| Value::new(None, to_value(item.get_ref()))).collect())
        }
        DeValue::Table(table) => {
            let entry = |(key, value): (&_, &toml::Spanned<DeValue<'_>>)| {
                (ToString::to_string(key), Value::new(None, to_value(value.get_ref())))
            };
            ValueKind::Table(table.iter().map(entry).collect())
        }
    }
}

/// The variables that begin with `BZZZ__`. One with a single underscore that was surely meant is a problem too: it
/// would be passed over in silence.
pub(super) fn from_environment(environment: &[(OsString, OsString)], known: &Known) -> Layer {
    let squeezed = |name: &str| name.replace("__", "_").to_ascii_lowercase();
    let mut layer = Layer::default();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with("BZZZ_")) else { continue };
        let origin = Origin::Environment(name.to_owned());
        let Some(rest) = name.strip_prefix(PREFIX) else {
            if let Some(meant) = known.keys().map(variable).find(|meant| squeezed(meant) == squeezed(name)) {
                layer.problems.push(Problem::general(
                    format!("the variable {name} is not read"),
                    format!("did you mean {meant}, with two underscores?"),
                ));
            }
            continue;
        };
        let key = rest.to_ascii_lowercase().replace("__", ".");
        match (known.kind(&key), value.to_str()) {
            (None, _) => layer.problems.push(Problem::general(
                format!("the variable {name} names no setting"),
                format!("did you mean {}?", variable(known.nearest(&key))),
            )),
            (_, None) => layer.problems.push(Problem::at(&key, &origin, "is not UTF-8 text", "")),
            (Some(kind), Some(text)) => layer.given.push(Given { key, value: parse(text, kind), origin }),
        }
    }
    layer
}

/// The variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// `section.key=value`, each.
pub(super) fn from_flags(set: &[String], known: &Known) -> Layer {
    let mut layer = Layer::default();
    for (n, assignment) in set.iter().enumerate() {
        // Without "=" the whole may be a secret: it is not repeated.
        let Some((key, text)) = assignment.split_once('=') else {
            let what = format!("--set number {} has no \"=\"", n + 1);
            layer.problems.push(Problem::general(what, "allowed: --set section.key=value"));
            continue;
        };
        let key = key.trim().to_owned();
        match known.kind(&key) {
            None => {
                let what = "there is no such setting";
                layer.problems.push(Problem::at(&key, &Origin::Flag, what, known.advice(&key)));
            }
            Some(kind) => {
                layer.given.push(Given { key, value: parse(text, kind), origin: Origin::Flag });
            }
        }
    }
    layer
}

/// Reads a value that has no quotes around it: texts as they are, lists as TOML or with commas between. What can't be
/// read stays text and is refused by its kind.
fn parse(text: &str, kind: Kind) -> ValueKind {
    let as_text = || ValueKind::String(text.to_owned());
    let trimmed = text.trim();
    match kind {
        Kind::Text | Kind::Duration | Kind::Size => as_text(),
        Kind::Whole => trimmed.parse().map_or_else(|_| as_text(), ValueKind::I64),
        Kind::Decimal => trimmed.parse().map_or_else(|_| as_text(), ValueKind::Float),
        Kind::Flag => trimmed.parse().map_or_else(|_| as_text(), ValueKind::Boolean),
        Kind::List | Kind::Tables if trimmed.starts_with('[') => {
            DeValue::parse(trimmed).map_or_else(|_| as_text(), |value| to_value(value.get_ref()))
        }
        Kind::Tables => as_text(),
        Kind::List => {
            let items = trimmed.split(',').map(str::trim).filter(|item| !item.is_empty());
            ValueKind::Array(items.map(|item| Value::new(None, item)).collect())
        }
    }
}
