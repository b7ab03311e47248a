//! What an apiary is started with, and its folder.

use std::fs::{self, File, TryLockError};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use super::error::ApiaryError;
use super::ollama::ModelScript;
use crate::file_lock::LockedFile;

/// Where and as whom an apiary runs. [`ApiaryOptions::new`] gives every field but two a default.
#[derive(Debug, Clone)]
pub struct ApiaryOptions {
    /// Holds the state and the repositories; created when missing.
    pub state_dir: PathBuf,
    /// The address of all four servers. Loopback, unless nodes run in containers of their own: the control
    /// interface under `/_apiary/` has no password.
    pub bind: IpAddr,
    /// 0 takes any free port, and so do the other three.
    pub forge_port: u16,
    pub hive_port: u16,
    pub n8n_port: u16,
    pub ollama_port: u16,
    /// A token of the forge that may do everything.
    pub token: String,
    /// The account that the token belongs to.
    pub login: String,
    /// With a key, Hive refuses requests without it.
    pub hive_key: Option<String>,
    /// With a key, the model server refuses requests to `/v1` without it.
    pub model_key: Option<String>,
    /// The forge's requests an hour and account.
    pub rate_limit: u32,
    pub model_script: ModelScript,
}

impl ApiaryOptions {
    pub fn new(state_dir: impl Into<PathBuf>, token: impl Into<String>) -> Self {
        Self {
            state_dir: state_dir.into(),
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            forge_port: 0,
            hive_port: 0,
            n8n_port: 0,
            ollama_port: 0,
            token: token.into(),
            login: "bzzz-bot".into(),
            hive_key: None,
            model_key: None,
            rate_limit: 5000,
            model_script: ModelScript::default(),
        }
    }
}

/// Creates the folder and takes its lock, which ends with the returned file.
pub(crate) fn take_state_dir(path: &Path) -> Result<LockedFile, ApiaryError> {
    let io = |source| ApiaryError::Io { path: path.to_owned(), source };
    fs::create_dir_all(path.join("repos")).map_err(io)?;
    let lock = File::create(path.join("lock")).map_err(io)?;
    match LockedFile::take(lock) {
        Ok(lock) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(ApiaryError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io(source)),
    }
}
