//! Trees that would harm whoever checks them out, runs what is in them, or trusts who agreed to them.

use crate::fixture::Fixture;
use crate::import::{Stage, bundle_of_bytes, crafted};

const CRAFT: &str = include_str!("craft.py");

crate::cases! {
    a_git_folder,
    a_git_folder_in_upper_case,
    a_git_folder_by_its_short_name,
    a_git_folder_with_a_sign_of_no_width,
    a_git_folder_as_a_stream,
    a_git_folder_with_dots_and_spaces_behind_it,
    a_git_folder_below_another,
    an_absolute_link,
    a_link_that_climbs_out,
    a_link_out_through_another_link,
    a_link_into_the_git_folder,
    a_link_to_a_name_with_control_characters,
    a_link_with_an_endless_target,
    a_link_in_place_of_a_folder,
    a_gitlink,
    a_submodule_address_that_is_an_option,
    a_submodule_of_a_tame_address,
    a_gitmodules_in_disguise,
    a_name_with_a_leading_dash,
    a_name_with_a_backslash,
    a_name_with_control_characters,
    a_name_that_is_not_utf_8,
    a_name_that_is_too_long,
    a_path_that_is_too_long,
    a_path_that_is_too_deep,
    a_name_that_is_empty_or_dots,
    names_that_differ_in_case_only,
    one_name_twice,
    an_unsorted_tree,
    a_mode_that_gives_privileges,
    a_tree_that_is_a_file,
    an_edited_workflow,
    a_removed_workflow,
    a_workflow_folder_that_is_a_link,
    an_edit_of_the_owners,
    attributes_that_name_a_filter,
    an_edit_of_what_checks_the_work,
    a_pointer_to_a_large_file,
    signs_in_a_diff_that_hide_or_move_text,
}

async fn a_git_folder() {
    Stage::new().await.refused_folder(b".git", "hasDotgit").await;
}

async fn a_git_folder_in_upper_case() {
    let stage = Stage::new().await;
    for name in [b".GIT", b".Git", b".giT"] {
        stage.refused_folder(name, "").await;
    }
}

async fn a_git_folder_by_its_short_name() {
    let stage = Stage::new().await;
    for name in [b"git~1", b"GIT~1"] {
        stage.refused_folder(name, "").await;
    }
}

async fn a_git_folder_with_a_sign_of_no_width() {
    let stage = Stage::new().await;
    for name in [".g\u{200c}it", "\u{200b}.git", ".git\u{feff}", "\u{202e}.git", ".gi\u{2060}t", ".\u{ad}git"]
    {
        stage.refused_folder(name.as_bytes(), "").await;
    }
}

async fn a_git_folder_as_a_stream() {
    let stage = Stage::new().await;
    for name in [".git::$INDEX_ALLOCATION", ".git:stream", "git~1::$DATA"] {
        stage.refused_folder(name.as_bytes(), "").await;
    }
}

async fn a_git_folder_with_dots_and_spaces_behind_it() {
    let stage = Stage::new().await;
    for name in [".git ", ".git.", ".git . .", ".GIT..."] {
        stage.refused_folder(name.as_bytes(), "").await;
    }
}

async fn a_git_folder_below_another() {
    let stage = Stage::new().await;
    let blob = stage.sandbox.blob("#!/bin/sh\n");
    let config = stage.sandbox.folder_with(&[&format!("100644 blob {blob}\tconfig")]);
    let inner = stage.sandbox.folder_with(&[&format!("040000 tree {config}\t.Git")]);
    stage.refused_tree(&[&format!("040000 tree {inner}\tvendor")], "").await;
}

async fn an_absolute_link() {
    Stage::new().await.refused_link("link", "/etc/passwd").await;
}

async fn a_link_that_climbs_out() {
    let stage = Stage::new().await;
    stage.refused_link("link", "../../etc/passwd").await;
    std::fs::remove_file(stage.sandbox.tree.join("link")).unwrap();
    stage.refused_link("src/link", "../..").await;
}

async fn a_link_out_through_another_link() {
    let stage = Stage::new().await;
    // Where `d` is, `..` leads out of the repository and not to its top.
    std::os::unix::fs::symlink(".", stage.sandbox.tree.join("d")).unwrap();
    stage.refused_link("link", "d/../../etc/passwd").await;
    std::fs::remove_file(stage.sandbox.tree.join("link")).unwrap();
    stage.refused_link("link", "src/..").await;
}

async fn a_link_into_the_git_folder() {
    let stage = Stage::new().await;
    for target in [".git/config", ".GIT/hooks", "src/../.git", "./.git", "git~1"] {
        stage.refused_link("link", target).await;
        std::fs::remove_file(stage.sandbox.tree.join("link")).unwrap();
    }
}

async fn a_link_to_a_name_with_control_characters() {
    Stage::new().await.refused_link("link", "src/\u{1b}]0;owned\u{7}").await;
}

async fn a_link_with_an_endless_target() {
    let stage = Stage::new().await;
    let target = stage.sandbox.blob("x/".repeat(100_000));
    stage.refused_tree(&[&format!("120000 blob {target}\tlink")], "").await;
}

async fn a_link_in_place_of_a_folder() {
    let stage = Stage::new().await;
    std::fs::remove_dir_all(stage.sandbox.tree.join("src")).unwrap();
    stage.refused_link("src", "/usr/src").await;
}

async fn a_gitlink() {
    let stage = Stage::new().await;
    let gitlink = format!("160000 commit {}\tvendor", stage.sandbox.base);
    stage.refused_tree(&[&gitlink], "submodule").await;
}

async fn a_submodule_address_that_is_an_option() {
    let stage = Stage::new().await;
    stage.sandbox.write(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = -u./payload\n");
    stage.refused(stage.sandbox.export(), "").await;
}

async fn a_submodule_of_a_tame_address() {
    let stage = Stage::new().await;
    stage.sandbox.write(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = https://example.org/x.git\n");
    stage.refused(stage.sandbox.export(), "submodules are not taken").await;
}

async fn a_gitmodules_in_disguise() {
    let stage = Stage::new().await;
    let hostile = "[submodule \"x\"]\n\tpath = x\n\turl = -u./payload\n";
    for name in [".GITMODULES", "GITMOD~1", ".git\u{200c}modules", ".gitmodules::$DATA"] {
        stage.sandbox.write(name, hostile);
        stage.refused(stage.sandbox.export(), "").await;
        std::fs::remove_file(stage.sandbox.tree.join(name)).unwrap();
    }
}

async fn a_name_with_a_leading_dash() {
    let stage = Stage::new().await;
    for name in ["-rf", "--upload-pack=touch ran", "-"] {
        stage.refused_name(name.as_bytes(), "dash").await;
    }
}

async fn a_name_with_a_backslash() {
    let stage = Stage::new().await;
    for name in ["..\\..\\x", "src\\.git\\config", "C:\\x"] {
        stage.refused_name(name.as_bytes(), "").await;
    }
}

async fn a_name_with_control_characters() {
    let stage = Stage::new().await;
    for name in ["a\nb", "a\rb", "\u{1b}[2J", "a\u{7f}b", "a\u{85}b"] {
        stage.refused_name(name.as_bytes(), "control character").await;
    }
}

async fn a_name_that_is_not_utf_8() {
    Stage::new().await.refused_name(b"caf\xe9", "not UTF-8").await;
}

async fn a_name_that_is_too_long() {
    Stage::new().await.refused_name(&[b'n'; 256], "longer than 255 bytes").await;
}

/// A folder in a folder in a folder.
fn nested(stage: &Stage, name: &str, depth: usize) -> String {
    let mut tree = stage.sandbox.folder_with(&[&format!("100644 blob {}\tx", stage.sandbox.blob("x"))]);
    for _ in 0..depth {
        tree = stage.sandbox.folder_with(&[&format!("040000 tree {tree}\t{name}")]);
    }
    format!("040000 tree {tree}\tdeep")
}

async fn a_path_that_is_too_long() {
    let stage = Stage::new().await;
    let tree = nested(&stage, &"n".repeat(200), 6);
    stage.refused_tree(&[&tree], "longer than 1024 bytes").await;
}

async fn a_path_that_is_too_deep() {
    let stage = Stage::new().await;
    let tree = nested(&stage, "d", 70);
    stage.refused_tree(&[&tree], "deeper than 64 folders").await;
}

/// A tree of exactly these modes and names: what no git would make.
async fn refused_entries(stage: &Stage, entries: &[&str]) {
    let arguments = ["tree", stage.sandbox.base.as_str()];
    let bundle = crafted(CRAFT, &[&arguments, entries].concat());
    stage.refused(bundle_of_bytes(&bundle), "git does not accept").await;
}

async fn a_name_that_is_empty_or_dots() {
    let stage = Stage::new().await;
    for entry in ["100644 ", "100644 .", "100644 ..", "100644 a/../../b"] {
        refused_entries(&stage, &[entry]).await;
    }
}

/// Where case is not told apart, one of them is written over the other.
async fn names_that_differ_in_case_only() {
    let stage = Stage::new().await;
    for name in ["readme.md", "SRC/engine.rs", "Src", "liesmich"] {
        stage.sandbox.write(name, "x");
        stage.refused(stage.sandbox.export(), "upper and lower case").await;
        let first = name.split('/').next().unwrap();
        let _ = std::fs::remove_dir_all(stage.sandbox.tree.join(first));
        let _ = std::fs::remove_file(stage.sandbox.tree.join(name));
    }
    // The link that a folder's files would be written through.
    stage.sandbox.write("Lib/x", "x");
    std::os::unix::fs::symlink("src", stage.sandbox.tree.join("lib")).unwrap();
    stage.refused(stage.sandbox.export(), "upper and lower case").await;
}

async fn one_name_twice() {
    let stage = Stage::new().await;
    refused_entries(&stage, &["100644 a", "100755 a"]).await;
    refused_entries(&stage, &["100644 a", "120000 a"]).await;
}

async fn an_unsorted_tree() {
    refused_entries(&Stage::new().await, &["100644 b", "100644 a"]).await;
}

async fn a_mode_that_gives_privileges() {
    let stage = Stage::new().await;
    for mode in ["104755", "102755", "100777", "020644", "0100644", "140000", "7777777"] {
        refused_entries(&stage, &[&format!("{mode} tool")]).await;
    }
}

async fn a_tree_that_is_a_file() {
    refused_entries(&Stage::new().await, &["40000 folder"]).await;
}

async fn an_edited_workflow() {
    let stage = Stage::new().await;
    for name in [".github/workflows/ci.yml", ".GitHub/Workflows/x.yaml", ".github/actions/x/action.yml"] {
        stage.sandbox.write(name, "on: push\n");
        stage.refused(stage.sandbox.export(), "no node may change it").await;
        std::fs::remove_file(stage.sandbox.tree.join(name)).unwrap();
    }
    let allowing =
        Stage::with(|it| it.limits.allowed_sensitive = vec![".github/workflows/".to_owned()]).await;
    allowing.sandbox.write(".github/workflows/x.yml", "on: push\n");
    assert_eq!(allowing.import(allowing.sandbox.export()).await.unwrap().files, 1, "the operator's word");
}

/// A repository that has these too.
async fn with_files(files: &[(&str, &str)]) -> Stage {
    let fixture = Fixture::new();
    for (path, content) in files {
        let path = fixture.path("people").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    fixture.commit_and_push("Rules");
    Stage::of(fixture, |_| {}).await
}

async fn a_removed_workflow() {
    let stage = with_files(&[(".github/workflows/ci.yml", "on: push\n")]).await;
    std::fs::remove_file(stage.sandbox.tree.join(".github/workflows/ci.yml")).unwrap();
    stage.refused(stage.sandbox.export(), "no node may change it").await;
}

async fn a_workflow_folder_that_is_a_link() {
    let stage = Stage::new().await;
    stage.sandbox.write("ci/x.yml", "on: push\n");
    std::fs::create_dir(stage.sandbox.tree.join(".github")).unwrap();
    std::os::unix::fs::symlink("../ci", stage.sandbox.tree.join(".github/workflows")).unwrap();
    stage.refused(stage.sandbox.export(), "no node may change it").await;
}

async fn an_edit_of_the_owners() {
    let stage = with_files(&[("CODEOWNERS", "* @maya\n")]).await;
    stage.sandbox.write("CODEOWNERS", "* @bzzz-bot\n");
    stage.refused(stage.sandbox.export(), "no node may change it").await;
    std::fs::remove_file(stage.sandbox.tree.join("CODEOWNERS")).unwrap();
    stage.refused(stage.sandbox.export(), "no node may change it").await;
}

async fn attributes_that_name_a_filter() {
    let stage = Stage::new().await;
    for name in [".gitattributes", "src/.GitAttributes"] {
        stage.sandbox.write(name, "* filter=x diff=x merge=x export-ignore\n");
        stage.refused(stage.sandbox.export(), "no node may change it").await;
        std::fs::remove_file(stage.sandbox.tree.join(name)).unwrap();
    }
}

async fn an_edit_of_what_checks_the_work() {
    let stage = with_files(&[(".bzzz.toml", "checks = [\"make test\"]\n")]).await;
    stage.sandbox.write(".bzzz.toml", "checks = [\"true\"]\n");
    stage.refused(stage.sandbox.export(), "no node may change it").await;
}

async fn a_pointer_to_a_large_file() {
    let stage = Stage::new().await;
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    stage.sandbox.write("model.bin", pointer);
    stage.refused(stage.sandbox.export(), "LFS").await;
}

/// Taken, but whoever reads the diff sees them.
async fn signs_in_a_diff_that_hide_or_move_text() {
    let stage = Stage::new().await;
    stage.sandbox.write("src/fins.rs", "\u{202e}/* harmless */\u{2066} \u{1b}[2Khidden\u{200b}\r no\n");
    let diff = stage.import(stage.sandbox.export()).await.unwrap().diff;
    for sign in ["<U+202E>", "<U+2066>", "<U+001B>[2K", "<U+200B>", "<U+000D>"] {
        assert!(diff.contains(sign), "{sign}: {diff}");
    }
    let is_plain = |c: char| c == '\n' || c == '\t' || !c.is_control();
    assert!(diff.chars().all(is_plain), "{diff:?}");
    stage.goes_on().await;
}
