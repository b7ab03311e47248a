//! The forge: GitHub's REST interface and git over smart HTTP, on real bare repositories.
//!
//! ```text
//!   request ─ gate (faults, log) ─┬─ /{owner}/{repo}[.git]/info/refs, git-*-pack ─ git_http ─ git http-backend
//!                                 ├─ /{owner}/{repo}/…  pages for a browser
//!                                 └─ REST at / and /api/v3 ─ finish (token, rate, ETag) ─ rest/*
//! ```
//!
//! What holds true: git decides what git decides (references, commits, merges); `state` holds the rest; `pulls` keeps
//! the pull requests true to the branches. Simpler than GitHub: a token is all the authority there is (no roles), and
//! rebase merges, webhooks, search, GraphQL, reactions, milestones and projects are not there.

mod answer;
mod call;
mod finish;
mod git_http;
mod keywords;
mod listing;
mod pages;
mod pulls;
mod rate;
mod repository;
mod rest;
mod seed;
mod show;
mod snapshot;
mod state;
mod token;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use actix_web::middleware::from_fn;
use actix_web::web;

pub use seed::{NewRepository, RepositoryFile};
pub(crate) use snapshot::Snapshot;
pub use state::{
    Association, Comment, Issue, IssueState, Pull, RepoKey, Review, ReviewComment, ReviewState, StatusState,
};
pub use token::{Access, Permission, Token};

use super::git::Git;
use super::options::ApiaryOptions;
use super::store::Store;
use super::{ApiaryError, clock};
use rate::RateLimits;
use repository::Repository;
use state::{ForgeState, Repo};

/// Owners that the REST interface's first path segments would shadow.
const RESERVED_OWNERS: [&str; 8] =
    ["repos", "user", "users", "rate_limit", "api", "_apiary", "orgs", "search"];

/// The forge's state and git, and the interface by which a test or a demo fills it.
pub struct Forge {
    store: Store<ForgeState>,
    tokens: RwLock<Vec<Token>>,
    rate: RateLimits,
    git: Arc<Git>,
    root: PathBuf,
    base_url: String,
    /// One bringing-up-to-date of pull requests at a time, so that an older look never overwrites a newer one.
    syncing: tokio::sync::Mutex<()>,
}

impl Forge {
    pub(crate) fn open(
        options: &ApiaryOptions,
        git: Arc<Git>,
        base_url: String,
    ) -> Result<Self, ApiaryError> {
        let root = std::path::absolute(&options.state_dir)
            .map_err(|source| ApiaryError::Io { path: options.state_dir.clone(), source })?;
        let forge = Self {
            store: Store::open(root.join("forge.json"))?,
            tokens: RwLock::default(),
            rate: RateLimits::new(options.rate_limit),
            git,
            root,
            base_url,
            syncing: tokio::sync::Mutex::new(()),
        };
        forge.add_token(Token::full(&options.token, &options.login))?;
        Ok(forge)
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn token(&self, secret: &str) -> Option<Token> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.iter().find(|t| t.secret == secret).cloned()
    }

    fn repository(&self, key: &RepoKey) -> Option<Repository> {
        let path = self.store.read(|state| state.repo(key).map(|repo| repo_path(&self.root, repo)))?;
        Some(Repository::new(Arc::clone(&self.git), path))
    }
}

/// Where a repository is under the apiary's folder, or a snapshot's.
fn repo_path(root: &Path, repo: &Repo) -> PathBuf {
    root.join("repos").join(&repo.owner).join(format!("{}.git", repo.name))
}

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .configure(git_http::routes)
        // Before the pages, which take any name for an owner's.
        .service(rest::graphql("/graphql").wrap(from_fn(finish::finish)))
        .service(rest::graphql("/api/graphql").wrap(from_fn(finish::finish)))
        .configure(pages::routes)
        .service(web::scope("/api/v3").wrap(from_fn(finish::finish)).configure(rest::routes))
        .service(web::scope("").wrap(from_fn(finish::finish)).configure(rest::routes));
}
