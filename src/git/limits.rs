//! How much of everything is taken from a server or a sandbox.

use std::time::Duration;

/// What comes from outside is held to these.
#[derive(Debug, Clone)]
pub struct GitLimits {
    /// For a fetch of the mirror. Too short, and a large repository is never had.
    pub fetch_timeout: Duration,
    /// For reading or writing a claim. A renewal that takes longer counts as unknown.
    pub claim_timeout: Duration,
    /// For the push of the work.
    pub publish_timeout: Duration,
    /// For each command of an import, and as much of processor time.
    pub import_timeout: Duration,
    /// Own memory of a command of an import; a pack of a few bytes may unfold to gigabytes.
    pub import_memory_bytes: u64,
    /// The largest pack that is fetched.
    pub repository_bytes: u64,
    /// The largest bundle that is imported.
    pub bundle_bytes: u64,
    pub changed_files: usize,
    pub file_bytes: u64,
    /// All changed files together.
    pub changed_bytes: u64,
    /// The archives kept for sandboxes; the least recently used are dropped first.
    pub archives_bytes: u64,
    /// Paths given free that otherwise need a person: a file, or a folder with `/` at its end.
    pub allowed_sensitive: Vec<String>,
}

const MIB: u64 = 1024 * 1024;

impl Default for GitLimits {
    fn default() -> Self {
        Self {
            fetch_timeout: Duration::from_secs(15 * 60),
            claim_timeout: Duration::from_secs(30),
            publish_timeout: Duration::from_secs(2 * 60),
            import_timeout: Duration::from_secs(60),
            import_memory_bytes: 1024 * MIB,
            repository_bytes: 4096 * MIB,
            bundle_bytes: 64 * MIB,
            changed_files: 1000,
            file_bytes: 10 * MIB,
            changed_bytes: 50 * MIB,
            archives_bytes: 2048 * MIB,
            allowed_sensitive: Vec::new(),
        }
    }
}
