//! A task's own objects: what its imports brought, and the commits made of it.
//!
//! Holds true: only checked packs are in it; an import never takes away what the one before brought, since a node that
//! dies between an import and its record goes on from the earlier one.

use std::path::{Path, PathBuf};

use bzzz_actors::ports::code::{CodeError, ImportedTree};
use bzzz_actors::ports::sandbox::WorkBundle;
use bzzz_actors::task::{PathPattern, Sha, TaskId};

use super::Git;
use super::command::{Input, Run};
use super::failure::{code_error, disk_error};
use super::import::{Import, init_borrowing};
use super::left_overs;

/// The imports that are kept: the recorded one, the one being recorded, and one more for a person who looks.
const KEPT_IMPORTS: usize = 3;
/// The longest message of a commit, in bytes. What people write is far shorter.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

impl Git {
    pub(super) async fn import_into_store(
        &self,
        task: &TaskId,
        base: &Sha,
        bundle: WorkBundle,
        paths: &[PathPattern],
    ) -> Result<ImportedTree, CodeError> {
        self.import_by(task, base, paths, async |import| import.take(&bundle).await).await
    }

    /// Into the task's store what `take` takes into a throw-away repository.
    pub(super) async fn import_by(
        &self,
        task: &TaskId,
        base: &Sha,
        paths: &[PathPattern],
        take: impl AsyncFnOnce(&Import<'_>) -> Result<ImportedTree, CodeError>,
    ) -> Result<ImportedTree, CodeError> {
        let _one_at_a_time = self.task_locks.lock(task).await;
        let mirror = self.mirrors.hold_with(&task.repo, base).await?;
        let folder = self.home.work_folder().map_err(disk_error)?;
        let repository = folder.path().join("import.git");
        init_borrowing(&self.program, &repository, &mirror.path.join("objects")).await?;
        let import = self.import_in(repository, base, paths);
        let imported = take(&import).await?;
        self.keep(task, &import).await?;
        Ok(imported)
    }

    /// An import whose objects are in `repository`.
    fn import_in<'a>(&'a self, repository: PathBuf, base: &'a Sha, paths: &'a [PathPattern]) -> Import<'a> {
        Import {
            program: &self.program,
            limits: &self.options.limits,
            secrets: &self.options.secrets,
            base,
            paths,
            repository,
        }
    }

    /// Takes what was imported into the task's store.
    async fn keep(&self, task: &TaskId, import: &Import<'_>) -> Result<(), CodeError> {
        self.open_store(task).await?;
        let packs = import.repository.join("objects/pack");
        keep_packs(&packs, &self.home.store(task).join("objects/pack")).map_err(disk_error)
    }

    /// Makes the task's store when it is missing.
    pub(super) async fn open_store(&self, task: &TaskId) -> Result<PathBuf, CodeError> {
        let store = self.home.store(task);
        if !store.exists() {
            let folder = self.home.work_folder().map_err(disk_error)?;
            let fresh = folder.path().join("objects.git");
            init_borrowing(&self.program, &fresh, &self.home.mirror(&task.repo).join("objects")).await?;
            std::fs::create_dir_all(self.home.task(task)).map_err(disk_error)?;
            std::fs::rename(&fresh, &store).map_err(disk_error)?;
        }
        Ok(store)
    }

    /// A commit of `tree` on `base`, the same for the same arguments: its date comes from the base.
    pub(super) async fn commit_tree(
        &self,
        task: &TaskId,
        base: &Sha,
        tree: &Sha,
        message: &str,
    ) -> Result<Sha, CodeError> {
        if message.len() > MAX_MESSAGE_BYTES || message.contains('\0') || message.trim().is_empty() {
            return Err(CodeError::Refused(
                "the commit's message is empty, has a zero byte or is longer than 64 KiB".to_owned(),
            ));
        }
        let _mirror = self.mirrors.hold_with(&task.repo, base).await?;
        let store = self.open_store(task).await?;
        let date = format!("{} +0000", self.committed_at(&store, base).await? + 1);
        let run = Run::new("commit-tree")
            .in_repository(&store)
            .arg(tree.as_str())
            .args(["-p", base.as_str(), "-F", "-"])
            .input(Input::Bytes(format!("{}\n", message.trim_end()).into_bytes()));
        let run = self.as_author(run).env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        self.id_of(run).await
    }

    /// When the commit was made, in seconds since 1970.
    async fn committed_at(&self, repository: &Path, commit: &Sha) -> Result<u64, CodeError> {
        let run = Run::new("show").in_repository(repository).args([
            "--no-patch",
            "--format=%ct",
            commit.as_str(),
            "--",
        ]);
        let output = self.program.run(run).await.and_then(|output| output.checked()).map_err(code_error)?;
        let seconds = output.text().parse();
        seconds.map_err(|_| CodeError::Failed(format!("the commit {commit} has no date that can be read")))
    }

    pub(super) fn as_author(&self, run: Run) -> Run {
        let (name, email) = (&self.options.author_name, &self.options.author_email);
        run.env("GIT_AUTHOR_NAME", name)
            .env("GIT_AUTHOR_EMAIL", email)
            .env("GIT_COMMITTER_NAME", name)
            .env("GIT_COMMITTER_EMAIL", email)
    }

    async fn id_of(&self, run: Run) -> Result<Sha, CodeError> {
        let output = self.program.run(run).await.and_then(|output| output.checked()).map_err(code_error)?;
        output.text().parse().map_err(|error| CodeError::Failed(format!("git: {error}")))
    }

    /// A bundle of the work so far, and the commit in it that has `tree`.
    pub(super) async fn changes_bundle(
        &self,
        task: &TaskId,
        base: &Sha,
        tree: &Sha,
    ) -> Result<(PathBuf, Sha), CodeError> {
        let _one_at_a_time = self.task_locks.lock(task).await;
        let commit = self.commit_tree(task, base, tree, "The work so far").await?;
        let store = self.home.store(task);
        let name = "refs/heads/work";
        left_overs::clear(&store);
        let update = Run::new("update-ref").in_repository(&store).args([name, commit.as_str()]);
        self.program.run(update).await.and_then(|output| output.checked()).map_err(code_error)?;
        let folder = self.home.work_folder().map_err(disk_error)?;
        let file = folder.path().join("changes.bundle");
        let bundle = Run::new("bundle")
            .in_repository(&store)
            .args(["create", "--quiet", "--version=2"])
            .arg(&file)
            .arg(name)
            .arg(format!("^{base}"))
            .timeout(self.options.limits.import_timeout);
        self.program.run(bundle).await.and_then(|output| output.checked()).map_err(code_error)?;
        let place = self.home.task(task).join("changes.bundle");
        std::fs::rename(&file, &place).map_err(disk_error)?;
        Ok((place, commit))
    }

    pub(super) async fn forget_store(&self, task: &TaskId) -> Result<(), CodeError> {
        let _one_at_a_time = self.task_locks.lock(task).await;
        match tokio::fs::remove_dir_all(self.home.task(task)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(disk_error(error)),
            _ => Ok(()),
        }
    }
}

/// Moves the packs over, each index last: git sees a pack by its index. Then drops the oldest ones.
fn keep_packs(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(from)?.flatten().map(|entry| entry.path()).collect();
    files.sort_by_key(|path| path.extension().is_some_and(|extension| extension == "idx"));
    for path in &files {
        if let Some(name) = path.file_name() {
            std::fs::rename(path, to.join(name))?;
        }
    }
    let mut indexes: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(to)?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "idx") {
            indexes.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    indexes.sort();
    let surplus = indexes.len().saturating_sub(KEPT_IMPORTS);
    for (_, index) in indexes.into_iter().take(surplus) {
        for extension in ["idx", "rev", "pack"] {
            match std::fs::remove_file(index.with_extension(extension)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
