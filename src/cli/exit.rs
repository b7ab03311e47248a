//! The exit statuses of `bzzz`; those above 63 are of `sysexits.h`, which service managers know.

use std::process::ExitCode;

use bzzz_actors::ports::sandbox::SandboxError;

use crate::demo::DemoError;
use crate::eval::EvalError;
use crate::journal::JournalOpenError;
use crate::node::StartError;
use crate::settings::SettingsErrors;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All done; for `run`: stopped in order.
    Ok,
    /// What was asked for failed; the message says how.
    Failed,
    /// The command line is wrong.
    Usage,
    /// What sandboxes or clones are made with can't be used: Docker, bubblewrap, git. (A forge or a model server
    /// that is away is waited for, and says so in the log.)
    Unavailable,
    /// A part of the node that it can't live without kept failing. A service manager should start the node again.
    CoreGaveUp,
    /// In the way is something that passes: another node holds the data folder.
    TryLater,
    /// The configuration is wrong; starting again without changing it is useless.
    Config,
    /// That of the command that `bzzz sandbox` ran.
    OfCommand(u8),
}

impl Exit {
    pub fn status(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 64,
            Self::Unavailable => 69,
            Self::CoreGaveUp => 70,
            Self::TryLater => 75,
            Self::Config => 78,
            Self::OfCommand(status) => status,
        }
    }

    /// The status for an error that ends the program.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.downcast_ref::<SettingsErrors>().is_some() {
            return Self::Config;
        }
        if let Some(error) = error.downcast_ref::<StartError>() {
            return error.into();
        }
        if let Some(error) = error.downcast_ref::<EvalError>() {
            return error.into();
        }
        if let Some(error) = error.downcast_ref::<DemoError>() {
            return error.into();
        }
        match error.downcast_ref::<SandboxError>() {
            Some(SandboxError::Misconfigured(_)) => return Self::Config,
            Some(SandboxError::Unavailable(_)) => return Self::Unavailable,
            _ => {}
        }
        match error.downcast_ref::<JournalOpenError>() {
            Some(JournalOpenError::Locked { .. }) => Self::TryLater,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::GitSetupError;

    #[test]
    fn what_can_not_be_used_is_told_from_what_is_wrongly_set() {
        let text = String::new;
        let cases = [
            (StartError::Git(GitSetupError::Git { problem: text() }), Exit::Unavailable),
            (StartError::Git(GitSetupError::Folder { folder: text(), problem: text() }), Exit::Failed),
            (StartError::Sandbox(SandboxError::Unavailable(text())), Exit::Unavailable),
            (StartError::Sandbox(SandboxError::Misconfigured(text())), Exit::Config),
        ];
        for (error, exit) in cases {
            assert_eq!(Exit::of(&anyhow::Error::new(error)), exit);
        }
    }
}
