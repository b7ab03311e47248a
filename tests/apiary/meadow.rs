//! An apiary with one repository, and clients for it.

use std::path::{Path, PathBuf};
use std::process::Output;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bzzz::apiary::forge::{NewRepository, RepositoryFile};
use bzzz::apiary::{Apiary, ApiaryOptions};
use bzzz_actors::task::{RepoId, TaskId};
use octocrab::Octocrab;
use reqwest::Method;
use reqwest::header::USER_AGENT;

pub(crate) const TOKEN: &str = "test-token";
pub(crate) const LOGIN: &str = "bzzz-bot";

/// An apiary with the repository `meadow/ledger`, whose branch `main` has one commit.
pub(crate) struct Meadow {
    // Before the folder: it must be ended before its files go.
    pub(crate) apiary: Apiary,
    pub(crate) repo: RepoId,
    folder: tempfile::TempDir,
}

impl Meadow {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ApiaryOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = ApiaryOptions::new(folder.path().join("state"), TOKEN);
        change(&mut options);
        let apiary = Apiary::start(options).unwrap();
        let repo: RepoId = "meadow/ledger".parse().unwrap();
        let files = vec![
            RepositoryFile::text("README.md", "# Ledger\n"),
            RepositoryFile::text("src/a.txt", "one\ntwo\nthree\n"),
        ];
        apiary
            .forge()
            .create_repository(&repo, NewRepository { files, ..NewRepository::default() })
            .await
            .unwrap();
        Self { apiary, repo, folder }
    }

    pub(crate) fn task(&self, number: u64) -> TaskId {
        TaskId::new(self.repo.clone(), number)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn octocrab(&self) -> Octocrab {
        self.octocrab_with(TOKEN)
    }

    pub(crate) fn octocrab_with(&self, token: &str) -> Octocrab {
        provide_tls();
        Octocrab::builder()
            .personal_token(token.to_owned())
            .base_uri(self.apiary.forge_url())
            .unwrap()
            .build_with_reqwest(reqwest::Client::builder().no_proxy().build().unwrap())
            .unwrap()
    }

    /// A `GET` of the forge with the token.
    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.request_as(Some(TOKEN), method, path)
    }

    pub(crate) fn request_as(
        &self,
        token: Option<&str>,
        method: Method,
        path: &str,
    ) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.apiary.forge_url());
        let request = client().request(method, url).header(USER_AGENT, "test");
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Clones the repository to `name` and returns the folder.
    pub(crate) async fn clone(&self, name: &str) -> PathBuf {
        let url = self.apiary.forge().clone_url(&self.repo);
        let to = self.path(name);
        let done = git(self.folder.path(), TOKEN, &["clone", "-q", &url, &to.to_string_lossy()]).await;
        assert!(done.status.success(), "{}", error_of(&done));
        to
    }

    /// A branch with one commit on top of `main`, pushed by git.
    pub(crate) async fn push_branch(&self, branch: &str, file: &str, text: &str) -> String {
        let files = [RepositoryFile::text(file, text)];
        let main = self.apiary.forge().read_ref(&self.repo, "refs/heads/main").await.unwrap().unwrap();
        let clone = self.clone(&format!("clone-{}", branch.replace('/', "-"))).await;
        std::fs::write(clone.join(file), &files[0].bytes).unwrap();
        ok(&clone, &["checkout", "-q", "-b", branch, &main]).await;
        ok(&clone, &["add", "-A"]).await;
        ok(&clone, &["commit", "-q", "-m", &format!("Change {file}")]).await;
        ok(&clone, &["push", "-q", "origin", branch]).await;
        ok(&clone, &["rev-parse", "HEAD"]).await
    }
}

/// No request here uses TLS, but clients want a provider of it.
fn provide_tls() {
    // An error means that another test installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A plain HTTP client.
pub(crate) fn client() -> reqwest::Client {
    provide_tls();
    reqwest::Client::new()
}

/// Runs git as a client with `token`, free of this machine's configuration.
pub(crate) async fn git(folder: &Path, token: &str, args: &[&str]) -> Output {
    let basic = STANDARD.encode(format!("x-access-token:{token}"));
    let mut command = tokio::process::Command::new("git");
    command
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "ann")
        .env("GIT_AUTHOR_EMAIL", "ann@example.com")
        .env("GIT_COMMITTER_NAME", "ann")
        .env("GIT_COMMITTER_EMAIL", "ann@example.com")
        .kill_on_drop(true);
    if !token.is_empty() {
        command
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {basic}"));
    }
    command.output().await.unwrap()
}

/// Runs git with the token and returns its output; panics when it fails.
pub(crate) async fn ok(folder: &Path, args: &[&str]) -> String {
    let done = git(folder, TOKEN, args).await;
    assert!(done.status.success(), "git {args:?}: {}", error_of(&done));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

pub(crate) fn error_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
