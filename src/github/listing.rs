//! The listing of open issues, and what is kept of it so that asking again costs nothing.
//!
//! Every page has its own validator (ETag). A page that did not change (304) comes without its content, so the parsed
//! issues are kept with the validator, in memory and in a file: a node that starts again asks conditionally at once.
//! A validator belongs to the token that it was given to.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bzzz_actors::ports::forge::{ForgeError, IssueList};
use bzzz_actors::task::{Issue, RepoId};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::api::{Api, Call};
use super::wire::WireIssue;

/// The largest page that GitHub gives.
const PER_PAGE: &str = "100";
/// Issues beyond these pages wait until older ones are closed.
const MAX_PAGES: usize = 10;
/// A longer file is not read and not written; the listings are then fetched whole once after each start.
const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptPage {
    etag: String,
    issues: Vec<Issue>,
    has_next: bool,
}

/// The pages of all listings, each under its token's fingerprint and its URL.
#[derive(Debug, Clone)]
pub(super) struct ListingCache {
    pages: Arc<Mutex<BTreeMap<String, KeptPage>>>,
    /// Kept while the file is written, so that an older state never overwrites a newer one.
    file: Arc<tokio::sync::Mutex<Option<PathBuf>>>,
    fingerprint: String,
}

impl ListingCache {
    /// A file that is missing or damaged is an empty cache.
    pub(super) fn open(file: Option<PathBuf>, token: &SecretString) -> Self {
        let mut pages = file.as_deref().map(load).unwrap_or_default();
        let hash = blake3::derive_key("bzzz 2026 forge token fingerprint", token.expose_secret().as_bytes());
        let fingerprint = blake3::Hash::from(hash).to_hex()[..16].to_owned();
        pages.retain(|key, _| key.starts_with(&fingerprint));
        Self {
            pages: Arc::new(Mutex::new(pages)),
            file: Arc::new(tokio::sync::Mutex::new(file)),
            fingerprint,
        }
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, KeptPage>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, url: &str) -> Option<KeptPage> {
        self.pages().get(&self.key(url)).cloned()
    }

    fn set(&self, url: &str, page: Option<KeptPage>) {
        match page {
            Some(page) => self.pages().insert(self.key(url), page),
            None => self.pages().remove(&self.key(url)),
        };
    }

    fn key(&self, url: &str) -> String {
        format!("{} {url}", self.fingerprint)
    }

    /// A cache that can't be written costs quota after the next start and nothing else.
    async fn save(&self) {
        let file = self.file.clone().lock_owned().await;
        let Some(path) = file.clone() else { return };
        let bytes = match serde_json::to_vec(&*self.pages()) {
            Ok(bytes) if bytes.len() <= MAX_FILE_BYTES => bytes,
            Ok(bytes) => {
                return tracing::warn!(bytes = bytes.len(), "listing cache is too long to be kept on disk");
            }
            Err(error) => return tracing::warn!(%error, "listing cache can't be written"),
        };
        let written = tokio::task::spawn_blocking(move || {
            let _writing = file;
            write_atomically(&path, &bytes).map_err(|error| format!("{}: {error}", path.display()))
        });
        if let Ok(Err(problem)) = written.await {
            tracing::warn!(problem, "listing cache can't be written");
        }
    }
}

fn load(path: &Path) -> BTreeMap<String, KeptPage> {
    let length = std::fs::metadata(path).map_or(0, |m| m.len());
    if length == 0 || length > MAX_FILE_BYTES as u64 {
        return BTreeMap::new();
    }
    let read = std::fs::read(path).map_err(|e| e.to_string());
    read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| e.to_string())).unwrap_or_else(
        |problem| {
            tracing::warn!(file = %path.display(), problem, "listing cache can't be read and starts empty");
            BTreeMap::new()
        },
    )
}

fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

pub(super) async fn open_issues(
    api: &Api,
    cache: &ListingCache,
    repo: &RepoId,
    label: &str,
) -> Result<IssueList, ForgeError> {
    let call = Call::new(format!("list issues of {repo}"), "issues: read");
    let mut list = IssueList { issues: Vec::new(), changed: false, not_before: None };
    for number in 1.. {
        let url = page_url(api, repo, label, number);
        let (page, changed, not_before) = fetch_page(api, cache, &call, &url).await?;
        list.issues.extend(page.issues);
        list.changed |= changed;
        list.not_before = list.not_before.max(not_before);
        if page.has_next && number == MAX_PAGES {
            tracing::warn!(%repo, issues = list.issues.len(), "more labelled issues than are listed");
        }
        if !page.has_next || number == MAX_PAGES {
            // A page that is no longer there would be taken for unchanged if it came back.
            cache.set(&page_url(api, repo, label, number + 1), None);
            break;
        }
    }
    if list.changed {
        cache.save().await;
    }
    // An issue that moved between pages while they were fetched stands on both.
    list.issues.sort_by_key(|issue| issue.number);
    list.issues.dedup_by_key(|issue| issue.number);
    Ok(list)
}

fn page_url(api: &Api, repo: &RepoId, label: &str, number: usize) -> String {
    let number = number.to_string();
    let mut query = vec![
        ("labels", label),
        ("state", "open"),
        ("sort", "created"),
        ("direction", "asc"),
        ("per_page", PER_PAGE),
    ];
    if number != "1" {
        query.push(("page", &number));
    }
    api.route(&["repos", repo.owner(), repo.name(), "issues"], &query)
}

async fn fetch_page(
    api: &Api,
    cache: &ListingCache,
    call: &Call,
    url: &str,
) -> Result<(KeptPage, bool, Option<Duration>), ForgeError> {
    let kept = cache.get(url);
    let reply = api.get(call, url, kept.as_ref().map(|page| page.etag.as_str())).await?;
    let not_before = reply.header("x-poll-interval").and_then(|s| s.parse().ok()).map(Duration::from_secs);
    if reply.status == StatusCode::NOT_MODIFIED {
        let kept = kept.ok_or_else(|| ForgeError::Malformed {
            call: call.name.clone(),
            problem: "304 to a request that was not conditional".to_owned(),
        })?;
        return Ok((kept, false, not_before));
    }
    let issues: Vec<WireIssue> = reply.parse(call)?;
    let issues = issues.into_iter().filter_map(WireIssue::into_issue).collect();
    let etag = reply.header("etag").map(str::to_owned);
    let page = KeptPage { etag: etag.clone().unwrap_or_default(), issues, has_next: reply.has_next_page() };
    cache.set(url, etag.map(|_| page.clone()));
    Ok((page, true, not_before))
}
