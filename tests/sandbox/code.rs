//! Code into a sandbox and out of it again, with real git at both ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use bzzz_actors::ports::code::CodeIn;
use bzzz_actors::ports::sandbox::{Sandbox, SandboxError, WorkBundle};
use bzzz_actors::task::Sha;

use crate::place::{MIB, Place, Sizes, git, output};

crate::on_each_backend! {
    the_code_stands_in_the_sandbox_as_it_was,
    what_was_changed_comes_out_and_goes_in_again,
    the_same_tree_makes_the_same_commit,
    only_what_changed_comes_out_when_only_that_is_asked_for,
    a_store_that_was_removed_is_made_again_or_missed,
    what_cannot_leave_is_refused_in_words_that_help,
    what_earlier_exports_wrote_does_not_fill_the_disk,
    a_repository_that_does_not_fit_is_the_operators_matter,
    what_cannot_be_imported_is_said,
}

const MAX_BYTES: u64 = 8 * MIB;

/// A repository on the host, and the tar of a shallow bare clone of it.
pub(crate) struct Upstream {
    folder: tempfile::TempDir,
    pub(crate) base: Sha,
    pub(crate) code: CodeIn,
}

impl Upstream {
    pub(crate) fn new() -> Self {
        Self::with_files(|_| {})
    }

    fn with_files(add: impl Fn(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repo = folder.path().join("repo");
        fs::create_dir(&repo).unwrap();
        git(&repo, &["init", "--quiet"]);
        fs::write(repo.join("README"), "first\n").unwrap();
        git(&repo, &["add", "."]);
        git(&repo, &["commit", "--quiet", "-m", "first"]);
        fs::write(repo.join("README"), "hello\n").unwrap();
        fs::write(repo.join("run.sh"), "#!/bin/sh\necho hi\n").unwrap();
        fs::write(repo.join(".gitignore"), "target/\n*.log\n").unwrap();
        fs::write(repo.join("kept.log"), "tracked although its name is ignored\n").unwrap();
        add(&repo);
        git(&repo, &["add", "--force", "."]);
        git(&repo, &["commit", "--quiet", "-m", "second"]);
        let base: Sha = git(&repo, &["rev-parse", "HEAD"]).parse().unwrap();
        let archive = archive_of(folder.path(), &repo);
        let code = CodeIn { archive, base: base.clone(), changes: None };
        Self { folder, base, code }
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("repo")
    }

    /// The files of the bundle's tree that differ from the base, as `git diff --name-status` says.
    pub(crate) fn changed(&self, bundle: &WorkBundle) -> String {
        let tip = self.unbundle(bundle);
        git(&self.repo(), &["diff", "--no-renames", "--name-status", self.base.as_str(), &tip])
            .replace('\t', " ")
    }

    fn unbundle(&self, bundle: &WorkBundle) -> String {
        let header = fs::read(&bundle.file).unwrap();
        let header =
            String::from_utf8_lossy(&header[..header.windows(2).position(|w| w == b"\n\n").unwrap()])
                .into_owned();
        let lines: Vec<_> = header.lines().collect();
        assert_eq!(lines.len(), 3, "one prerequisite and one reference: {header}");
        assert_eq!(lines[0], "# v2 git bundle");
        assert!(lines[1].starts_with(&format!("-{}", self.base)), "{header}");
        git(&self.repo(), &["bundle", "unbundle", bundle.file.to_str().unwrap()]);
        lines[2].split(' ').next().unwrap().to_owned()
    }
}

pub(crate) fn archive_of(folder: &Path, repo: &Path) -> PathBuf {
    let clone = folder.join("clone");
    fs::create_dir(&clone).unwrap();
    let source = format!("file://{}", repo.display());
    git(&clone, &["clone", "--quiet", "--bare", "--depth", "1", &source, ".git"]);
    let archive = folder.join("code.tar");
    let made =
        Command::new("tar").arg("-C").arg(&clone).arg("-cf").arg(&archive).arg(".git").status().unwrap();
    assert!(made.success());
    archive
}

async fn imported(place: &Place, upstream: &Upstream) -> std::sync::Arc<dyn Sandbox> {
    let sandbox = place.start().await;
    sandbox.import(&upstream.code).await.unwrap();
    sandbox
}

/// What was changed since `base`, which something was.
async fn exported(sandbox: &dyn Sandbox, base: &Sha, max_bytes: u64) -> Result<WorkBundle, SandboxError> {
    Ok(sandbox.export_changes(base, None, max_bytes).await?.expect("something was changed"))
}

async fn refused(sandbox: &dyn Sandbox, base: &Sha, max_bytes: u64) -> String {
    match exported(sandbox, base, max_bytes).await {
        Err(SandboxError::Refused(text)) => text,
        other => panic!("{other:?}"),
    }
}

async fn the_code_stands_in_the_sandbox_as_it_was(place: &Place) {
    let upstream = Upstream::new();
    let started = Instant::now();
    let sandbox = imported(place, &upstream).await;
    println!("start and import of a small repository: {:?}", started.elapsed());

    assert_eq!(
        output(&*sandbox, 1, "git status --porcelain; git rev-parse HEAD").await.trim(),
        upstream.base.as_str()
    );
    assert_eq!(
        output(&*sandbox, 2, "cat README kept.log").await,
        "hello\ntracked although its name is ignored\n"
    );
    assert_eq!(output(&*sandbox, 3, "git remote; git config --get-regexp 'remote|url' || true").await, "");
    assert_eq!(
        output(&*sandbox, 4, "git commit --allow-empty -qm work && git log --format=%an -1").await,
        "Bzzz sandbox\n"
    );
}

async fn what_was_changed_comes_out_and_goes_in_again(place: &Place) {
    let upstream = Upstream::new();
    let sandbox = imported(place, &upstream).await;

    let changes = "echo more >> README; rm run.sh; mkdir -p src target; echo 'fn main() {}' > src/main.rs; \
                   chmod +x src/main.rs; ln -s README link; echo built > target/a; echo noise > b.log; \
                   printf 'odd' > 'a name\twith tab'; git add README; git commit -qm mine; git rm -q --cached kept.log";
    output(&*sandbox, 1, changes).await;
    let bundle = exported(&*sandbox, &upstream.base, MAX_BYTES).await.unwrap();
    let expected = "M README\nA \"a name\\twith tab\"\nA link\nD run.sh\nA src/main.rs";
    assert_eq!(upstream.changed(&bundle), expected);
    // The model's own index and history are as it left them.
    assert_eq!(
        output(&*sandbox, 2, "git log --format=%s -1; git diff --cached --name-only").await,
        "mine\nkept.log\n"
    );

    let tip: Sha = upstream.unbundle(&bundle).parse().unwrap();
    sandbox.destroy().await.unwrap();
    let code = CodeIn { changes: Some((bundle.file.clone(), tip)), ..upstream.code.clone() };
    let sandbox = place.start().await;
    sandbox.import(&code).await.unwrap();
    assert_eq!(output(&*sandbox, 1, "git rev-parse HEAD").await.trim(), upstream.base.as_str());
    assert_eq!(
        output(&*sandbox, 2, "git diff --name-only; ls run.sh 2>&1; cat README; readlink link").await,
        "ls: cannot access 'run.sh': No such file or directory\nhello\nmore\nREADME\n"
    );
    let again = exported(&*sandbox, &upstream.base, MAX_BYTES).await.unwrap();
    assert_eq!(upstream.changed(&again), expected);

    let file = again.file.clone();
    drop(again);
    assert!(!file.exists());
}

async fn the_same_tree_makes_the_same_commit(place: &Place) {
    let upstream = Upstream::new();
    let sandbox = imported(place, &upstream).await;
    output(&*sandbox, 1, "echo x > x").await;
    let first = upstream.unbundle(&exported(&*sandbox, &upstream.base, MAX_BYTES).await.unwrap());
    output(&*sandbox, 2, "touch x README; sleep 1").await;
    assert_eq!(upstream.unbundle(&exported(&*sandbox, &upstream.base, MAX_BYTES).await.unwrap()), first);
}

async fn only_what_changed_comes_out_when_only_that_is_asked_for(place: &Place) {
    let upstream = Upstream::new();
    let sandbox = imported(place, &upstream).await;
    let started = Instant::now();
    let nothing = sandbox.export_changes(&upstream.base, None, MAX_BYTES).await.unwrap();
    println!("no change since the base: {:?}", started.elapsed());
    assert!(nothing.is_none());
    output(&*sandbox, 1, "cat README; touch README; mkdir target; echo built > target/a").await;
    assert!(sandbox.export_changes(&upstream.base, None, MAX_BYTES).await.unwrap().is_none());

    output(&*sandbox, 2, "echo more >> README").await;
    let bundle = sandbox.export_changes(&upstream.base, None, MAX_BYTES).await.unwrap().unwrap();
    assert_eq!(upstream.changed(&bundle), "M README");
    let tip = upstream.unbundle(&bundle);
    let tree: Sha = git(&upstream.repo(), &["rev-parse", &format!("{tip}^{{tree}}")]).parse().unwrap();
    let started = Instant::now();
    assert!(sandbox.export_changes(&upstream.base, Some(&tree), MAX_BYTES).await.unwrap().is_none());
    println!("no change since the last: {:?}", started.elapsed());

    // What was taken back is a change too.
    output(&*sandbox, 3, "git checkout -q README").await;
    assert!(sandbox.export_changes(&upstream.base, Some(&tree), MAX_BYTES).await.unwrap().is_some());
    assert!(sandbox.export_changes(&upstream.base, None, MAX_BYTES).await.unwrap().is_none());
}

async fn a_store_that_was_removed_is_made_again_or_missed(place: &Place) {
    let upstream = Upstream::new();
    let sandbox = imported(place, &upstream).await;
    output(&*sandbox, 1, "echo work > work.txt; rm -rf /work/.bzzz").await;
    let bundle = exported(&*sandbox, &upstream.base, MAX_BYTES).await.unwrap();
    assert_eq!(upstream.changed(&bundle), "A work.txt");

    output(&*sandbox, 2, "rm -f /work/.bzzz/store/index; touch /work/.bzzz/store/index.lock").await;
    let bundle = exported(&*sandbox, &upstream.base, MAX_BYTES).await.unwrap();
    assert_eq!(upstream.changed(&bundle), "A work.txt");

    output(&*sandbox, 3, "echo garbage > /work/.bzzz/store/index").await;
    let bundle = exported(&*sandbox, &upstream.base, MAX_BYTES).await.unwrap();
    assert_eq!(upstream.changed(&bundle), "A work.txt");

    output(&*sandbox, 4, "rm -rf /work/.bzzz .git").await;
    let text = refused(&*sandbox, &upstream.base, MAX_BYTES).await;
    assert!(text.contains(".git is gone"), "{text}");
    output(&*sandbox, 5, "git init -q . && git add -A && git -c user.name=a -c user.email=b commit -qm new")
        .await;
    let text = refused(&*sandbox, &upstream.base, MAX_BYTES).await;
    assert!(text.contains(upstream.base.as_str()), "{text}");
    output(&*sandbox, 6, "cd / && rm -rf /work/repo && ln -s /nowhere /work/repo").await;
    let text = refused(&*sandbox, &upstream.base, MAX_BYTES).await;
    assert!(text.contains("/work/repo is gone"), "{text}");
}

async fn what_cannot_leave_is_refused_in_words_that_help(place: &Place) {
    let upstream = Upstream::new();
    let sandbox = imported(place, &upstream).await;

    output(&*sandbox, 1, "head -c 3M /dev/urandom > big.bin").await;
    let text = refused(&*sandbox, &upstream.base, MIB).await;
    assert!(text.contains("1048576 bytes") && text.contains(".gitignore"), "{text}");
    assert!(exported(&*sandbox, &upstream.base, MAX_BYTES).await.is_ok());

    output(&*sandbox, 2, "rm big.bin; mkdir sub && git init -q sub").await;
    let text = refused(&*sandbox, &upstream.base, MAX_BYTES).await;
    assert!(text.contains("sub/"), "{text}");

    output(&*sandbox, 3, "rm -rf sub; echo secret > closed; chmod 000 closed").await;
    let text = refused(&*sandbox, &upstream.base, MAX_BYTES).await;
    assert!(text.contains("closed") && text.contains("Permission denied"), "{text}");

    output(&*sandbox, 4, "rm -f closed; head -c 60M /dev/urandom > a; (head -c 200M /dev/urandom > b.log) 2>/dev/null; df /work | tail -1").await;
    let text = refused(&*sandbox, &upstream.base, MAX_BYTES).await;
    assert!(text.contains("disk is full"), "{text}");
    output(&*sandbox, 5, "rm a b.log; echo fine > fine").await;
    let bundle = exported(&*sandbox, &upstream.base, MAX_BYTES).await.unwrap();
    assert_eq!(upstream.changed(&bundle), "A fine");
    let is_file =
        |entry: &std::io::Result<fs::DirEntry>| entry.as_ref().unwrap().file_type().unwrap().is_file();
    let files = fs::read_dir(place.temp_dir()).unwrap().filter(is_file).count();
    assert_eq!(files, 1, "a refused bundle's file is removed");
}

async fn what_earlier_exports_wrote_does_not_fill_the_disk(place: &Place) {
    let upstream = Upstream::new();
    let sizes = Sizes { work_bytes: 110 * MIB, ..Sizes::default() };
    let sandbox = place.start_with(sizes).await;
    sandbox.import(&upstream.code).await.unwrap();
    for step in 0..6 {
        output(&*sandbox, step, "head -c 20M /dev/urandom > data").await;
        let bundle = exported(&*sandbox, &upstream.base, 64 * MIB).await.unwrap();
        assert_eq!(upstream.changed(&bundle), "A data");
    }
}

async fn a_repository_that_does_not_fit_is_the_operators_matter(place: &Place) {
    let upstream = Upstream::with_files(|repo| {
        let noise =
            Command::new("head").args(["-c", "40M", "/dev/urandom"]).stderr(Stdio::null()).output().unwrap();
        fs::write(repo.join("noise"), noise.stdout).unwrap();
    });
    let sizes = Sizes { work_bytes: 32 * MIB, ..Sizes::default() };
    let sandbox = place.start_with(sizes).await;
    let Err(SandboxError::Misconfigured(text)) = sandbox.import(&upstream.code).await else { panic!() };
    assert!(text.contains("sandbox.work_size"), "{text}");
}

async fn what_cannot_be_imported_is_said(place: &Place) {
    let upstream = Upstream::new();
    let sandbox = place.start().await;

    let missing = CodeIn { archive: "/no/such/archive".into(), ..upstream.code.clone() };
    assert!(matches!(sandbox.import(&missing).await, Err(SandboxError::Unavailable(_))));
    let damaged = upstream.folder.path().join("damaged.tar");
    fs::write(&damaged, b"this is no tar").unwrap();
    let damaged = CodeIn { archive: damaged, ..upstream.code.clone() };
    let Err(SandboxError::Refused(text)) = sandbox.import(&damaged).await else { panic!() };
    assert!(text.contains("tar"), "{text}");
    let other_base = CodeIn { base: "1".repeat(40).parse().unwrap(), ..upstream.code.clone() };
    assert!(matches!(sandbox.import(&other_base).await, Err(SandboxError::Refused(_))));
    assert_eq!(output(&*sandbox, 1, "echo here").await, "here\n");
}
