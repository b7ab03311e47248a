//! What a command does to the repository in its sandbox, and what then comes out: with real sandboxes and the node's real
//! git, the honest part of the work and nothing else, or words that help.

use std::time::{Duration, Instant};

use bzzz_actors::ports::code::{Code, CodeError};
use bzzz_actors::ports::sandbox::{Sandbox, SandboxError};
use bzzz_actors::task::Sha;

use crate::fixture::{Fixture, repo, task};
use crate::git::Git;
use crate::on_each_backend;
use crate::place::{Place, output};

/// Attacks after which the work comes out as if there had been none.
const HARMLESS: &[(&str, &str)] = &[
    (
        "hooks",
        "for it in post-index-change pre-commit post-checkout reference-transaction update; do \
               printf '#!/bin/sh\\ntouch /tmp/ran\\nsleep 1000\\n' >.git/hooks/$it; chmod +x .git/hooks/$it; done",
    ),
    (
        "a_folder_of_hooks",
        "mkdir /tmp/hooks; printf '#!/bin/sh\\ntouch /tmp/ran\\n' >/tmp/hooks/post-index-change; chmod +x /tmp/hooks/*; \
                           git config core.hooksPath /tmp/hooks; git config --global core.hooksPath /tmp/hooks",
    ),
    (
        "a_clean_filter",
        "git config filter.bad.clean 'touch /tmp/ran; sleep 1000'; git config filter.bad.required true; \
                        echo '* filter=bad' >.git/info/attributes",
    ),
    (
        "a_smudge_filter",
        "git config --global filter.bad.smudge 'touch /tmp/ran; sleep 1000'; echo '* filter=bad' >.git/info/attributes",
    ),
    (
        "a_filter_process",
        "git config filter.bad.process 'touch /tmp/ran; sleep 1000'; echo '* filter=bad' >.git/info/attributes",
    ),
    (
        "a_monitor_of_the_file_system",
        "git config core.fsmonitor 'touch /tmp/ran; sleep 1000'; git config --global core.fsmonitor 'touch /tmp/ran'",
    ),
    (
        "an_external_diff",
        "git config diff.external 'touch /tmp/ran'; git config --global diff.external 'touch /tmp/ran'",
    ),
    (
        "a_text_conversion",
        "git config diff.bad.textconv 'touch /tmp/ran'; git config diff.bad.command 'touch /tmp/ran'; echo '* diff=bad' >.git/info/attributes",
    ),
    (
        "a_merge_driver",
        "git config merge.bad.driver 'touch /tmp/ran'; echo '* merge=bad' >.git/info/attributes",
    ),
    (
        "an_alias_an_editor_and_a_pager",
        "for it in alias.add alias.bundle core.editor core.pager core.sshCommand credential.helper gpg.program; do \
                                        git config $it '!touch /tmp/ran'; git config --global $it '!touch /tmp/ran'; done",
    ),
    (
        "ignoring_everything",
        "git config --global core.excludesFile /tmp/all; echo '*' >/tmp/all; mkdir -p ~/.config/git; \
                             echo '*' >~/.config/git/ignore; echo '*' >.git/info/exclude",
    ),
    (
        "an_included_configuration",
        "printf '[include]\\n\\tpath = /proc/self/environ\\n\\tpath = /dev/zero\\n' >>.git/config",
    ),
    (
        "alternates",
        "mkdir -p .git/objects/info; printf '/etc\\n/proc/1/root\\n../../../../..\\n' >.git/objects/info/alternates",
    ),
    (
        "grafts_and_replaced_objects",
        "echo \"$(git rev-parse HEAD)\" >.git/info/grafts; git replace --graft HEAD 2>/dev/null; \
                                     git replace -f \"$(git rev-parse HEAD:README.md)\" \"$(git rev-parse HEAD:src/engine.rs)\"",
    ),
    ("a_broken_index", "echo garbage >.git/config; echo garbage >.git/index; touch .git/index.lock"),
    ("a_broken_head", "echo garbage >.git/HEAD; rm -rf .git/refs"),
    ("no_git_folder", "rm -rf .git"),
    ("another_git_folder", "rm -rf .git; git init -q . && git add -Af && git commit -qm anew"),
    ("a_git_folder_that_is_a_file", "rm -rf .git; echo 'gitdir: /tmp' >.git"),
    ("a_git_folder_that_is_a_link", "rm -rf .git; ln -s /tmp .git"),
    (
        "a_sparse_and_assumed_index",
        "git update-index --assume-unchanged README.md; git update-index --skip-worktree src/engine.rs; \
                                    git config core.sparseCheckout true; echo none >.git/info/sparse-checkout",
    ),
    ("locks_of_the_store", "touch /work/.bzzz/store/index.lock; echo garbage >/work/.bzzz/store/index"),
    ("no_store", "rm -rf /work/.bzzz"),
    (
        "hooks_of_the_store",
        "mkdir -p /work/.bzzz/store/hooks; for it in post-index-change reference-transaction; do \
                            printf '#!/bin/sh\\ntouch /tmp/ran\\n' >/work/.bzzz/store/hooks/$it; chmod +x /work/.bzzz/store/hooks/$it; done; \
                            git --git-dir /work/.bzzz/store config core.fsmonitor 'touch /tmp/ran'",
    ),
];

/// Attacks that are refused, and what the model is told; then what undoes them.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    (
        "a_repository_in_the_repository",
        "git init -q sub && git -C sub commit -q --allow-empty -m x",
        "sub",
        "rm -rf sub",
    ),
    (
        "a_nested_git_folder_of_another_case",
        "mkdir -p sub/.GIT && echo x >sub/.GIT/config",
        "sub/.GIT",
        "rm -rf sub",
    ),
    ("a_link_to_the_host", "ln -s /etc/passwd users", "symbolic link", "rm users"),
    ("a_link_through_a_link", "ln -s . here; ln -s here/../.. up", "symbolic link", "rm here up"),
    (
        "a_bottomless_folder",
        "python3 -c 'import os\nfor _ in range(500): os.mkdir(\"d\"); os.chdir(\"d\")\nopen(\"x\", \"w\")'",
        "d/d",
        "rm -rf d",
    ),
    ("a_name_of_noise", "touch \"$(printf 'a\\x1b[2Jb')\"", "control character", "rm -f a*b"),
    ("an_option_for_a_name", "touch -- --exec=sh", "dash", "rm -- --exec=sh"),
    ("a_file_that_nobody_may_read", "echo x >closed; chmod 000 closed", "Permission denied", "rm -f closed"),
    ("a_file_that_is_too_large", "head -c 12M /dev/zero >big", "12582912 bytes", "rm big"),
    (
        "a_work_tree_that_leads_elsewhere",
        "cd /; mv /work/repo /work/away; ln -s /etc /work/repo",
        "can't",
        "cd /; rm /work/repo; mv /work/away /work/repo",
    ),
];

pub(crate) const NAMES: &[&str] = &names();

const fn names() -> [&'static str; HARMLESS.len() + REFUSED.len()] {
    let mut names = [""; HARMLESS.len() + REFUSED.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = if at < HARMLESS.len() { HARMLESS[at].0 } else { REFUSED[at - HARMLESS.len()].0 };
        at += 1;
    }
    names
}

const MAX_BYTES: u64 = 64 << 20;
/// An export and an import, on a machine that runs other tests too.
const SOON: Duration = Duration::from_secs(30);

/// A node's git, and a sandbox that has the code from it.
struct Bench<'a> {
    node: Git,
    base: Sha,
    sandbox: &'a dyn Sandbox,
}

impl Bench<'_> {
    /// What comes out, as the paths that differ from the base.
    async fn taken(&self) -> Result<Vec<String>, String> {
        let exported = self.sandbox.export_changes(&self.base, None, MAX_BYTES).await;
        let bundle = match exported {
            Ok(bundle) => bundle.expect("something was changed"),
            Err(SandboxError::Refused(text)) => return Err(text),
            Err(other) => panic!("{other}"),
        };
        match self.node.import(&task(), &self.base, bundle, &[]).await {
            Ok(tree) => {
                Ok(tree.diff.lines().filter(|it| it.starts_with("diff ")).map(str::to_owned).collect())
            }
            Err(CodeError::Refused(text)) => Err(text),
            Err(other) => panic!("{other}"),
        }
    }
}

async fn try_all(place: &Place) {
    let fixture = Fixture::new();
    let node = fixture.node("ann").await;
    let base = node.refresh(&repo(), "main").await.unwrap().commit;
    let code = node.code_in(&task(), &base, None).await.unwrap();
    let sandbox = place.start().await;
    sandbox.import(&code).await.unwrap();
    let bench = Bench { node, base, sandbox: &*sandbox };
    output(&*sandbox, 0, "cp -a .git /home/agent/git; echo work >work.txt").await;
    let honest = vec!["diff --git a/work.txt b/work.txt".to_owned()];

    let mut failed = Vec::new();
    let mut step = 1;
    let anew = "cd /work/repo && rm -rf .git && cp -a /home/agent/git .git && mkdir -p .git/hooks .git/info && \
                rm -rf ~/.config ~/.gitconfig /tmp/*";
    for (name, attack) in HARMLESS {
        output(&*sandbox, step, anew).await;
        output(&*sandbox, step + 1, &format!("{attack}; true")).await;
        let started = Instant::now();
        let taken = bench.taken().await;
        let ran = output(&*sandbox, step + 2, "ls /tmp | grep -x ran || true").await;
        println!("{name}: {taken:?} within {:?}", started.elapsed());
        if taken.as_ref() != Ok(&honest) || !ran.is_empty() || started.elapsed() > SOON {
            failed.push(format!("{name}: {taken:?} {ran}"));
        }
        step += 3;
    }
    output(&*sandbox, step, anew).await;
    for (name, attack, words, remedy) in REFUSED {
        step += 2;
        output(&*sandbox, step - 1, &format!("{attack}; true")).await;
        let told = bench.taken().await;
        println!("{name}: {told:?}");
        let is_clean =
            |text: &String| text.contains(words) && !text.contains(|c: char| c.is_control() && c != '\n');
        if !told.as_ref().is_err_and(is_clean) {
            failed.push(format!("{name}: {told:?}"));
        }
        output(&*sandbox, step, remedy).await;
        let taken = bench.taken().await;
        if taken.as_ref() != Ok(&honest) {
            failed.push(format!("after {name}: {taken:?}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

on_each_backend!(try_all);
