//! Bundles of a shape that no sandbox's export has.

use bzzz_actors::ports::code::Code;

use crate::fixture::{git, git_with, task};
use crate::import::{Stage, bundle_of_bytes, crafted};

const CRAFT: &str = include_str!("craft.py");

crate::cases! {
    a_bundle_with_two_references,
    a_bundle_with_two_prerequisites,
    a_bundle_without_a_prerequisite,
    a_bundle_on_another_commit,
    a_bundle_of_the_base_itself,
    a_bundle_of_version_3,
    a_bundle_with_an_endless_header,
    a_truncated_bundle,
    a_bundle_with_bytes_behind_its_pack,
    a_bundle_with_a_changed_byte,
    garbage_for_a_bundle,
    garbage_for_a_pack,
    a_tip_that_is_not_in_the_bundle,
    a_tip_that_is_a_file,
    a_hostile_tree_behind_an_honest_one,
    a_delta_on_an_object_that_nobody_has,
    deltas_that_lead_nowhere,
    a_forged_author_committer_and_message,
    a_commit_with_a_forged_past,
}

async fn a_bundle_with_two_references() {
    let stage = Stage::new().await;
    stage.sandbox.write("new", "x");
    drop(stage.sandbox.export());
    stage.sandbox.git(&["update-ref", "refs/heads/other", "refs/heads/export"]);
    let base = format!("^{}", stage.sandbox.base);
    let bundle = stage.sandbox.bundle(&["refs/heads/export", "refs/heads/other", &base]);
    stage.refused(bundle, "2 references").await;
}

async fn a_bundle_with_two_prerequisites() {
    let stage = Stage::new().await;
    let sandbox = &stage.sandbox;
    sandbox.write("new", "x");
    drop(sandbox.export());
    let tree = sandbox.git(&["write-tree"]);
    let other = sandbox.git(&["commit-tree", &tree, "-m", "another past"]);
    let merge = ["commit-tree", &tree, "-p", sandbox.base.as_str(), "-p", &other, "-m", "both"];
    let merge = sandbox.git(&merge);
    sandbox.git(&["update-ref", "refs/heads/merge", &merge]);
    let (base, other) = (format!("^{}", sandbox.base), format!("^{other}"));
    stage.refused(sandbox.bundle(&["refs/heads/merge", &base, &other]), "2 prerequisites").await;
}

async fn a_bundle_without_a_prerequisite() {
    let stage = Stage::new().await;
    stage.sandbox.write("new", "x");
    drop(stage.sandbox.export());
    stage.refused(stage.sandbox.bundle(&["refs/heads/export"]), "0 prerequisites").await;
}

async fn a_bundle_on_another_commit() {
    let stage = Stage::new().await;
    let sandbox = &stage.sandbox;
    sandbox.write("new", "x");
    drop(sandbox.export());
    let tree = sandbox.git(&["write-tree"]);
    let rogue = sandbox.git(&["commit-tree", &tree, "-m", "no base"]);
    let child = sandbox.git(&["commit-tree", &tree, "-p", &rogue, "-m", "child"]);
    sandbox.git(&["update-ref", "refs/heads/child", &child]);
    let bundle = sandbox.bundle(&["refs/heads/child", &format!("^{rogue}")]);
    stage.refused(bundle, "does not build on").await;
}

async fn a_bundle_of_the_base_itself() {
    let stage = Stage::new().await;
    let empty_pack = git_with(&stage.sandbox.tree, &["pack-objects", "pack"], b"");
    let pack = std::fs::read(stage.sandbox.tree.join(format!("pack-{empty_pack}.pack"))).unwrap();
    let base = &stage.sandbox.base;
    let header = format!("# v2 git bundle\n-{base} \n{base} refs/heads/work\n\n");
    stage.refused(bundle_of_bytes(&[header.as_bytes(), &pack].concat()), "nothing was changed").await;
}

async fn a_bundle_of_version_3() {
    let stage = Stage::new().await;
    stage.sandbox.write("new", "x");
    let bundle = stage.sandbox.export();
    let base = format!("^{}", stage.sandbox.base);
    let file = bundle.file.to_str().unwrap();
    stage.sandbox.git(&["bundle", "create", "--quiet", "--version=3", file, "refs/heads/export", &base]);
    assert!(std::fs::read(&bundle.file).unwrap().starts_with(b"# v3 git bundle\n@object-format=sha1\n"));
    stage.refused(bundle, "no git bundle of version 2").await;
}

async fn a_bundle_with_an_endless_header() {
    let stage = Stage::new().await;
    let line = format!("-{} {}\n", stage.sandbox.base, "x".repeat(80));
    let endless = format!("# v2 git bundle\n{}", line.repeat(500_000));
    stage.refused(bundle_of_bytes(endless.as_bytes()), "header").await;
}

async fn a_truncated_bundle() {
    let stage = Stage::new().await;
    stage.sandbox.write("new", "x".repeat(9000));
    let bytes = std::fs::read(&stage.sandbox.export().file).unwrap();
    let pack_at = bytes.windows(4).position(|it| it == b"PACK").unwrap();
    for (length, words) in [
        (bytes.len() - 1, "git does not accept"),
        (bytes.len() - 30, "git does not accept"),
        (pack_at + 13, "git does not accept"),
        (pack_at + 4, "git does not accept"),
        (pack_at, "no pack"),
        (pack_at - 1, "header"),
        (20, "header"),
    ] {
        stage.refused(bundle_of_bytes(&bytes[..length]), words).await;
    }
}

async fn a_bundle_with_bytes_behind_its_pack() {
    let stage = Stage::new().await;
    stage.sandbox.write("new", "x");
    let bytes = std::fs::read(&stage.sandbox.export().file).unwrap();
    let bundle = bundle_of_bytes(&[&bytes, b"PACK and more".as_slice()].concat());
    stage.refused(bundle, "git does not accept").await;
}

/// Everywhere in the pack; its checksum is made to fit again, so that only the objects can tell.
async fn a_bundle_with_a_changed_byte() {
    let stage = Stage::new().await;
    stage.sandbox.write("new", "some words that are compressed\n".repeat(9));
    let file = stage.sandbox.export();
    let path = file.file.to_str().unwrap();
    for at in ["0.2", "0.5", "0.9"] {
        let bytes = crafted(CRAFT, &["flip", path, at]);
        stage.refused(bundle_of_bytes(&bytes), "").await;
    }
    assert_eq!(stage.import(file).await.unwrap().files, 1, "as it was it is taken");
}

async fn garbage_for_a_bundle() {
    let stage = Stage::new().await;
    let mut noise = vec![0; 100_000];
    getrandom::fill(&mut noise).unwrap();
    for bytes in [b"".as_slice(), b"PACK", b"\0", b"# v2 git bundle", b"\x1f\x8b\x08", &noise] {
        stage.refused(bundle_of_bytes(bytes), "can't be taken out of the sandbox").await;
    }
}

async fn garbage_for_a_pack() {
    let stage = Stage::new().await;
    let base = &stage.sandbox.base;
    let header = format!("# v2 git bundle\n-{base} \n{base} refs/heads/work\n\nPACK");
    let mut noise = vec![0; 100_000];
    getrandom::fill(&mut noise).unwrap();
    for rest in [noise.as_slice(), b"\0\0\0\x02\xff\xff\xff\xff", b"\0\0\0\x63\0\0\0\x01"] {
        let bundle = bundle_of_bytes(&[header.as_bytes(), rest].concat());
        stage.refused(bundle, "git does not accept").await;
    }
}

async fn a_tip_that_is_not_in_the_bundle() {
    let stage = Stage::new().await;
    stage.sandbox.write("new", "x");
    refused_with_tip(&stage, &"0123456789".repeat(4)).await;
}

async fn a_tip_that_is_a_file() {
    let stage = Stage::new().await;
    stage.sandbox.write("new", "x");
    let blob = stage.sandbox.blob("x");
    refused_with_tip(&stage, &blob).await;
}

async fn refused_with_tip(stage: &Stage, tip: &str) {
    let bundle = stage.sandbox.export();
    let bytes = std::fs::read(&bundle.file).unwrap();
    let commit = stage.sandbox.git(&["rev-parse", "refs/heads/export"]);
    let at = bytes.windows(40).position(|it| it == commit.as_bytes()).unwrap();
    std::fs::write(&bundle.file, [&bytes[..at], tip.as_bytes(), &bytes[at + 40..]].concat()).unwrap();
    stage.refused(bundle, "no commit").await;
}

async fn a_hostile_tree_behind_an_honest_one() {
    let stage = Stage::new().await;
    let sandbox = &stage.sandbox;
    sandbox.write("new", "x");
    drop(sandbox.export());
    let blob = sandbox.blob("[core]\n\tfsmonitor = touch /tmp/ran\n");
    let config = stage.raw_tree(&[("100644", "config", &blob)]);
    let hostile = stage.raw_tree(&[("40000", ".git", &config)]);
    let hidden = sandbox.git(&["commit-tree", &hostile, "-p", sandbox.base.as_str(), "-m", "hidden"]);
    let tree = sandbox.git(&["write-tree"]);
    let tip = sandbox.git(&["commit-tree", &tree, "-p", &hidden, "-m", "honest"]);
    sandbox.git(&["update-ref", "refs/heads/export", &tip]);
    let bundle = sandbox.bundle(&["refs/heads/export", &format!("^{}", sandbox.base)]);
    stage.refused(bundle, "hasDotgit").await;
}

async fn a_delta_on_an_object_that_nobody_has() {
    let stage = Stage::new().await;
    let bytes = crafted(CRAFT, &["orphan-delta", stage.sandbox.base.as_str()]);
    stage.refused(bundle_of_bytes(&bytes), "git does not accept").await;
}

/// On itself, into the middle of another object, and before the beginning.
async fn deltas_that_lead_nowhere() {
    let stage = Stage::new().await;
    for distance in ["0", "5", "9999999"] {
        let bytes = crafted(CRAFT, &["delta-nowhere", stage.sandbox.base.as_str(), distance]);
        stage.refused(bundle_of_bytes(&bytes), "git does not accept").await;
    }
}

/// The commit that the node makes of the bundle's, as an object.
async fn published(stage: &Stage, commit: &str) -> String {
    let sandbox = &stage.sandbox;
    sandbox.git(&["update-ref", "refs/heads/export", commit]);
    let bundle = sandbox.bundle(&["refs/heads/export", &format!("^{}", sandbox.base)]);
    let tree = stage.import(bundle).await.unwrap().tree;
    let made = stage.node.commit(&task(), &sandbox.base, &tree, "Add new").await.unwrap();
    assert_ne!(made.as_str(), commit);
    let store = stage.fixture.path("nodes/ann/tasks/acme.rocket.7/objects.git");
    git(&store, &["cat-file", "commit", made.as_str()])
}

async fn a_forged_author_committer_and_message() {
    let stage = Stage::new().await;
    let sandbox = &stage.sandbox;
    sandbox.write("new", "x");
    drop(sandbox.export());
    let tree = sandbox.git(&["write-tree"]);
    let person = "Maya <maya@example.org> 1 +0000";
    let forged = format!(
        "tree {tree}\nparent {}\nauthor {person}\ncommitter {person}\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n \
         x\n -----END PGP SIGNATURE-----\n\nApproved\n\nSigned-off-by: Maya <maya@example.org>\n",
        sandbox.base
    );
    let store = ["hash-object", "-t", "commit", "-w", "--stdin"];
    let forged = git_with(&sandbox.tree, &store, forged.as_bytes());
    let made = published(&stage, &forged).await;
    let bzzz =
        |role: &str| made.lines().any(|line| line.starts_with(&format!("{role} Bzzz <bzzz@example.org> ")));
    assert!(bzzz("author") && bzzz("committer"), "{made}");
    assert!(!made.contains("aya") && !made.contains("gpgsig") && made.ends_with("\n\nAdd new"), "{made}");
}

async fn a_commit_with_a_forged_past() {
    let stage = Stage::new().await;
    let sandbox = &stage.sandbox;
    sandbox.write("new", "x");
    drop(sandbox.export());
    let tree = sandbox.git(&["write-tree"]);
    let mut tip = sandbox.base.to_string();
    for message in ["Reviewed by Maya", "Revert the fix of the last release"] {
        tip = sandbox.git(&["commit-tree", &tree, "-p", &tip, "-m", message]);
    }
    let made = published(&stage, &tip).await;
    let parents: Vec<_> = made.lines().filter(|line| line.starts_with("parent ")).collect();
    assert_eq!(parents, [format!("parent {}", sandbox.base)]);
}
