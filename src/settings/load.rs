//! Puts the layers together and finds everything that is wrong with them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Map, Source, Value, ValueKind};

use super::check;
use super::known::{Known, called_by};
use super::layers::{self, Given, Layer};
use super::problem::{Origin, Problem, SettingsErrors};
use super::resolve;
use super::sections::Settings;

/// Everything outside the program that the configuration is made from.
#[derive(Clone)]
pub struct Sources {
    /// `--config`; it must exist.
    pub file: Option<PathBuf>,
    /// `--set`, in order; the last of the same key counts.
    pub set: Vec<String>,
    pub environment: Vec<(OsString, OsString)>,
    /// Absolute.
    pub working_dir: PathBuf,
    pub host_name: String,
}

impl Sources {
    /// This process's environment, working folder and host.
    pub fn of_process(file: Option<PathBuf>, set: Vec<String>) -> std::io::Result<Self> {
        Ok(Self {
            file,
            set,
            environment: std::env::vars_os().collect(),
            working_dir: std::env::current_dir()?,
            host_name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        })
    }

    pub(super) fn variable(&self, name: &str) -> Option<&OsString> {
        let value = self.environment.iter().find(|(variable, _)| variable == name).map(|(_, value)| value);
        value.filter(|value| !value.is_empty())
    }

    /// The file that is read: the one named, else `bzzz.toml` in the working folder, else the user's, else none.
    pub fn file_in_use(&self) -> Option<PathBuf> {
        if let Some(file) = &self.file {
            return Some(self.working_dir.join(file));
        }
        let of_user = |folder: PathBuf| folder.join("bzzz").join("bzzz.toml");
        let config_home =
            self.variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = self.variable("HOME").map(|home| Path::new(home).join(".config"));
        let candidates = [Some(self.working_dir.join("bzzz.toml")), config_home.or(home).map(of_user)];
        candidates.into_iter().flatten().find(|path| path.exists())
    }
}

/// The effective configuration.
pub struct Loaded {
    pub settings: Settings,
    /// What is allowed and yet probably not meant, for a person.
    pub warnings: Vec<String>,
    /// The configuration file that was read.
    pub file: Option<PathBuf>,
    /// Where each key's value came from, in the order of `config/default.toml`.
    pub origins: Vec<(String, Origin)>,
}

impl Loaded {
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.origins.iter().find(|(known, _)| known == key).map(|(_, origin)| origin)
    }

    /// What a node needs beyond valid settings before it can work on tasks.
    pub fn missing_to_run(&self) -> Vec<Problem> {
        check::missing_to_run(self)
    }
}

/// The values by key, as far as they are good.
pub(super) type Values = BTreeMap<String, Given>;

impl Settings {
    pub fn load(sources: &Sources) -> Result<Loaded, SettingsErrors> {
        let defaults = layers::defaults();
        let known = Known::of(&defaults.given);
        let file = sources.file_in_use();
        let given = [
            file.as_deref().map(layers::from_file).unwrap_or_default(),
            layers::from_environment(&sources.environment, &known),
            layers::from_flags(&sources.set, &known),
        ];

        let mut problems = defaults.problems;
        let mut values: Values = defaults.given.into_iter().map(|given| (given.key.clone(), given)).collect();
        let mut base = values.clone();
        resolve::put_placeholders(&mut base);
        for layer in given {
            take(layer, &known, &mut values, &mut problems);
        }
        problems.extend(resolve::fill_in(&mut values, sources));
        problems.extend(reject_untyped(&base, &mut values));

        let mut settings = match deserialize(values.values()) {
            Ok(settings) => settings,
            Err(error) => {
                problems.push(Problem::general(words(&error), ""));
                return Err(SettingsErrors(problems));
            }
        };
        let mut warnings = Vec::new();
        problems.extend(resolve::read_secrets(&mut settings, &mut values, sources, &mut warnings));
        let bad: BTreeSet<String> =
            problems.iter().flat_map(|problem| &problem.keys).map(|(key, _)| key.clone()).collect();
        problems.extend(check::all(&settings, &values, bad, &mut warnings));
        if !problems.is_empty() {
            return Err(SettingsErrors(problems));
        }

        let origin = |key: &str| Some((key.to_owned(), values.get(key)?.origin.clone()));
        let origins = known.keys().filter_map(origin).collect();
        Ok(Loaded { settings, warnings, file, origins })
    }
}

/// Lets a layer replace the values before it, except where a key is unknown or a value of the wrong kind.
fn take(layer: Layer, known: &Known, values: &mut Values, problems: &mut Vec<Problem>) {
    problems.extend(layer.problems);
    for given in layer.given {
        match known.kind(&given.key) {
            Some(kind) if kind.fits(&given.value) => {
                values.insert(given.key.clone(), given);
            }
            Some(kind) => {
                let what = format!("is {}", name_of_kind(&given.value));
                problems.push(Problem::at(&given.key, &given.origin, what, kind.wanted(&given.key)));
            }
            None => {
                let is_empty_section = matches!(given.value, ValueKind::Table(_))
                    && known.keys().any(|key| key.split('.').next() == Some(&given.key));
                if !is_empty_section {
                    let what = "there is no such setting";
                    problems.push(Problem::at(&given.key, &given.origin, what, known.advice(&given.key)));
                }
            }
        }
    }
}

fn name_of_kind(value: &ValueKind) -> &'static str {
    match value {
        ValueKind::String(_) => "a text",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::Float(_) => "a number with a fraction",
        ValueKind::Array(_) => "a list, or one of other things than texts",
        ValueKind::Table(_) => "a section",
        ValueKind::Nil => "nothing",
        _ => "a whole number",
    }
}

/// Tries each value alone on top of the defaults, so that one that its type refuses hides no other. It is taken back.
fn reject_untyped(base: &Values, values: &mut Values) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (key, default) in base {
        let Some(given) = values.get(key).filter(|given| given.origin != Origin::Default).cloned() else {
            continue;
        };
        let others = base.values().filter(|other| other.key != *key);
        if let Some(called_by) = called_by(key) {
            let found = reject_untyped_tables(&others.collect::<Vec<_>>(), &given, called_by);
            if !found.is_empty() {
                values.insert(key.clone(), default.clone());
            }
            problems.extend(found);
            continue;
        }
        if let Err(error) = deserialize(others.chain([&given])) {
            let what = match given.value {
                ValueKind::I64(number) if !(0..=i64::from(u32::MAX)).contains(&number) => {
                    format!("is {number}, which is out of every range")
                }
                _ => words(&error),
            };
            problems.push(Problem::at(key, &given.origin, what, ""));
            values.insert(key.clone(), default.clone());
        }
    }
    problems
}

/// Tries each key of each table alone, so that each one's problem is told with its place.
fn reject_untyped_tables(others: &[&Given], given: &Given, called_by: &str) -> Vec<Problem> {
    let ValueKind::Array(tables) = &given.value else { return Vec::new() };
    let problem = |table: Map<String, Value>, place: &str| {
        let value = ValueKind::Array(vec![Value::new(None, ValueKind::Table(table))]);
        let alone = Given { value, ..given.clone() };
        let error = deserialize(others.iter().copied().chain([&alone])).err()?;
        Some(Problem::at(&format!("{}{place}", given.key), &given.origin, words(&error), ""))
    };
    let mut problems = Vec::new();
    for (number, table) in (1..).zip(tables) {
        let ValueKind::Table(keys) = &table.kind else { continue };
        let name = keys.get(called_by);
        let place = name.map_or_else(|| format!("[number {number}]"), |name| format!("[{}]", name.kind));
        let only_name: Map<_, _> =
            name.map(|name| (called_by.to_owned(), name.clone())).into_iter().collect();
        let Some(of_all) = problem(keys.clone(), &place) else { continue };
        // One that needs more keys than its name is told of as a whole.
        if problem(only_name.clone(), &place).is_some() {
            problems.push(of_all);
            continue;
        }
        for (key, value) in keys {
            let with_name = only_name.clone().into_iter().chain([(key.clone(), value.clone())]).collect();
            problems.extend(problem(with_name, &format!("{place}.{key}")));
        }
    }
    problems
}

fn deserialize<'v>(values: impl Iterator<Item = &'v Given>) -> Result<Settings, ConfigError> {
    let mut sections: Map<String, Map<String, Value>> = Map::new();
    for given in values {
        let (section, key) = given.key.split_once('.').unwrap_or_default();
        let value = Value::new(None, given.value.clone());
        sections.entry(section.to_owned()).or_default().insert(key.to_owned(), value);
    }
    Config::builder().add_source(Sections(sections)).build()?.try_deserialize()
}

/// Values as a source of the configuration crate.
#[derive(Clone)]
struct Sections(Map<String, Map<String, Value>>);

impl std::fmt::Debug for Sections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sections(…)")
    }
}

impl Source for Sections {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let table = |(name, keys): (&String, &Map<String, Value>)| (name.clone(), Value::from(keys.clone()));
        Ok(self.0.iter().map(table).collect())
    }
}

/// What a type said, without the configuration crate's own words on the place.
fn words(error: &ConfigError) -> String {
    match error {
        ConfigError::At { error, .. } => words(error),
        ConfigError::Type { unexpected, expected, .. } => format!("is {unexpected}, not {expected}"),
        other => other.to_string(),
    }
}
