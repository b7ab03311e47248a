//! Commands of a hostile model, one after the other in one sandbox of each backend: none gets out, none hurts sandboxd,
//! and after each the next one runs in an empty house.

mod files;
mod kernel;
mod network;
mod pid1;
mod processes;

use std::time::{Duration, Instant};

use bzzz_actors::ports::sandbox::{CommandOutcome, Sandbox};
use bzzz_actors::task::Ending;

use crate::on_each_backend;
use crate::place::{Place, request, run, text};

/// One attack: a command, and what of it is to be seen.
pub(crate) struct Attack {
    name: &'static str,
    command: String,
    /// The command is killed then.
    timeout: Duration,
    held: Held,
}

enum Held {
    /// It ends well and says exactly this.
    Says(&'static str),
    /// It ends well and says exactly one of these: kernels differ in their words.
    OneOf(&'static [&'static str]),
    /// It ends well, and these words are in what it says.
    Contains(&'static str),
    /// It fails, and these words are in what it says.
    Fails(&'static str),
    /// It is killed at its deadline.
    TimesOut,
    /// Whatever becomes of it, the sandbox goes on.
    Survived,
}

/// Longer than any of them takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long after its deadline a command may take to be gone, on a machine that runs other tests too.
const SLACK: Duration = Duration::from_secs(10);

fn shell(name: &'static str, command: impl Into<String>, held: Held) -> Attack {
    Attack { name, command: command.into(), timeout: PATIENCE, held }
}

/// A script with what `attack.py` has.
fn python(name: &'static str, script: &str, held: Held) -> Attack {
    assert!(!script.contains('\''), "{name}");
    shell(name, format!("PYTHONPATH=/home/agent /usr/bin/python3 -c 'from attack import *\n{script}'"), held)
}

fn endless(name: &'static str, command: &str) -> Attack {
    Attack { timeout: Duration::from_millis(800), ..shell(name, command, Held::TimesOut) }
}

fn attacks() -> Vec<Attack> {
    [pid1::attacks(), kernel::attacks(), network::attacks(), files::attacks(), processes::attacks()]
        .into_iter()
        .flatten()
        .collect()
}

pub(crate) fn names() -> Vec<&'static str> {
    attacks().iter().map(|attack| attack.name).collect()
}

impl Attack {
    /// What held; the error is what did not.
    fn judge(&self, outcome: &CommandOutcome, took: Duration) -> Result<String, String> {
        let said = text(outcome);
        let shown: String = said.trim_end().escape_default().take(160).collect();
        let seen = format!("{:?} after {took:.1?}: {shown}", outcome.ending);
        let held = match &self.held {
            Held::Says(words) => outcome.ending.is_success() && said == *words,
            Held::OneOf(all) => outcome.ending.is_success() && all.contains(&said.as_str()),
            Held::Contains(words) => outcome.ending.is_success() && said.contains(words),
            Held::Fails(words) => {
                matches!(outcome.ending, Ending::Exited { code } if code != 0) && said.contains(words)
            }
            Held::TimesOut => matches!(outcome.ending, Ending::TimedOut { .. }),
            Held::Survived => true,
        };
        match held && took < self.timeout + SLACK {
            true => Ok(seen),
            false => Err(format!("{}: {seen}", self.name)),
        }
    }
}

/// Nobody but sandboxd, the shell, and what the shell runs here.
const LOOK: &str = "echo here; ls -d /proc/[0-9]* | wc -l";

async fn try_all(place: &Place) {
    let sandbox = place.start().await;
    let library = include_str!("attack.py");
    let put = format!("cat >/home/agent/attack.py <<'END'\n{library}\nEND");
    assert!(run(&*sandbox, 0, &put).await.unwrap().ending.is_success());
    let watch = network::Watch::new();
    let mut failed = Vec::new();
    for (step, attack) in (1..).map(|it| it * 2).zip(attacks()) {
        let command = watch.fill_in(&attack.command);
        let started = Instant::now();
        let outcome = sandbox.run(&request(step, &command, attack.timeout)).await;
        let took = started.elapsed();
        let judged = match outcome {
            Ok(outcome) => attack.judge(&outcome, took),
            Err(error) => Err(format!("{}: {error}", attack.name)),
        };
        match judged {
            Ok(seen) => println!("{}: {seen}", attack.name),
            Err(problem) => failed.push(problem),
        }
        failed.extend(
            goes_on(&*sandbox, step + 1)
                .await
                .map_err(|problem| format!("after {}: {problem}", attack.name))
                .err(),
        );
        if sandbox.is_lost() {
            break;
        }
    }
    failed.extend(watch.was_reached().then(|| "a command reached the host's socket".to_owned()));
    assert!(failed.is_empty(), "{failed:#?}");
}

async fn goes_on(sandbox: &dyn Sandbox, step: u32) -> Result<(), String> {
    let outcome = run(sandbox, step, LOOK).await.map_err(|error| error.to_string())?;
    let said = text(&outcome);
    let processes = said.strip_prefix("here\n").and_then(|it| it.trim().parse::<u32>().ok());
    match processes {
        Some(0..=4) => Ok(()),
        _ => Err(format!("the sandbox says {said:?} ({:?})", outcome.ending)),
    }
}

on_each_backend!(try_all);
