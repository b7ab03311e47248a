//! The node's own log: lines for people or JSON for collectors, on standard error. Nothing in a line can act on the
//! terminal that shows it, or hide: a line may quote what anybody said.

mod clean;

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;

use clean::Clean;

use crate::settings::{Log, LogFormat, LogLevel};

/// The crates whose lines the configured level is for. Of others only warnings and errors are shown: their lines on
/// each connection would bury the node's own.
const OWN_CRATES: [&str; 3] = ["bzzz", "bzzz_actors", "sandboxd"];

/// Warns of every lone node that it knows no peers.
const QUIET: &str = "libp2p_kad=error";

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the variable RUST_LOG is not a log filter: {0}; an example: RUST_LOG=info,bzzz=debug")]
    Filter(String),
    #[error("the log file {} can't be written: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("logging is set up already")]
    AlreadySet(#[from] TryInitError),
}

/// Sets up logging for the whole process, once. `RUST_LOG` takes the place of the configured level.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    use tracing_subscriber::util::SubscriberInitExt;

    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(log.level, std::env::var("RUST_LOG").ok().as_deref())?)
        .with_writer(|| Clean(io::stderr()))
        // Standard error may go away while the node runs, as when a log collector restarts. Complaining about it there
        // would panic.
        .log_internal_errors(false);
    match log.format {
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
        LogFormat::Text => builder.with_ansi(wants_colour()).finish().try_init()?,
    }
    Ok(())
}

/// The same into a new file, for commands whose standard error belongs to a person.
pub fn init_to_file(log: &Log, file: &Path) -> Result<(), TelemetryError> {
    use tracing_subscriber::util::SubscriberInitExt;

    let opened = File::create(file);
    let writer = opened.map_err(|source| TelemetryError::File { path: file.to_owned(), source })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(log.level, std::env::var("RUST_LOG").ok().as_deref())?)
        .with_writer(Mutex::new(Clean(writer)))
        .log_internal_errors(false);
    match log.format {
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init()?,
        LogFormat::Text => builder.with_ansi(false).finish().try_init()?,
    }
    Ok(())
}

fn wants_colour() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn filter(level: LogLevel, rust_log: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    let directives = match rust_log.filter(|directives| !directives.trim().is_empty()) {
        Some(directives) => directives.to_owned(),
        None => {
            let others = if level == LogLevel::Error { "error" } else { "warn" };
            let own = OWN_CRATES.map(|name| format!("{name}={}", name_of(level)));
            format!("{others},{QUIET},{}", own.join(","))
        }
    };
    EnvFilter::try_new(directives).map_err(|error| TelemetryError::Filter(error.to_string()))
}

fn name_of(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_for_the_nodes_own_lines() {
        let shown = |level, rust_log| filter(level, rust_log).unwrap().to_string();
        let own = shown(LogLevel::Debug, None);
        for directive in ["bzzz=debug", "bzzz_actors=debug", "sandboxd=debug", "warn"] {
            assert!(own.split(',').any(|d| d == directive), "{own}");
        }
        assert!(shown(LogLevel::Error, Some("")).split(',').any(|d| d == "error"));
        assert_eq!(shown(LogLevel::Debug, Some("hyper=trace")), "hyper=trace");
    }

    #[test]
    fn a_bad_rust_log_is_an_error_that_names_it() {
        let error = filter(LogLevel::Info, Some("bzzz=loud")).unwrap_err().to_string();
        assert!(error.contains("RUST_LOG") && error.contains("bzzz=debug"), "{error}");
    }
}
