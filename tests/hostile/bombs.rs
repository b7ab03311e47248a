//! Little that unfolds to much: memory, processor time, disk and lists are bounded, and the node's answer comes soon.

use std::time::Duration;

use crate::import::{Stage, bundle_of_bytes, crafted};

const CRAFT: &str = include_str!("craft.py");
const MIB: u64 = 1024 * 1024;

crate::cases! {
    two_gigabytes_in_two_megabytes,
    a_large_file_in_a_small_pack,
    a_delta_bomb,
    a_chain_of_deltas_without_end,
    a_bomb_in_too_little_memory,
    a_tree_bomb,
    a_tree_bomb_of_empty_folders,
    a_diff_that_takes_for_ever,
    too_many_files,
    too_many_bytes_in_all,
    too_many_bytes_packed,
}

/// How much longer than its limit an answer may take on a machine that runs other tests too.
const SLACK: Duration = Duration::from_secs(20);

async fn two_gigabytes_in_two_megabytes() {
    let limit = Duration::from_secs(2);
    let stage = Stage::with(|it| it.limits.import_timeout = limit).await;
    let bytes = crafted(CRAFT, &["zeros", stage.sandbox.base.as_str(), "2147483648"]);
    assert!(bytes.len() < 3 << 20, "{}", bytes.len());
    let took = stage.refused(bundle_of_bytes(&bytes), "").await;
    assert!(took < limit + SLACK, "{took:?}");
}

async fn a_large_file_in_a_small_pack() {
    let stage = Stage::new().await;
    stage.sandbox.write("zeros", vec![0; 64 << 20]);
    let bundle = stage.sandbox.export();
    assert!(std::fs::metadata(&bundle.file).unwrap().len() < 200_000);
    stage.refused(bundle, "67108864 bytes").await;
}

/// A few hundred bytes that are 4 GB, with the limits that a node has.
async fn a_delta_bomb() {
    let stage = Stage::new().await;
    let bytes = crafted(CRAFT, &["delta-bomb", stage.sandbox.base.as_str()]);
    assert!(bytes.len() < 2000, "{}", bytes.len());
    stage.refused(bundle_of_bytes(&bytes), "git does not accept").await;
}

async fn a_chain_of_deltas_without_end() {
    let limit = Duration::from_secs(2);
    let stage = Stage::with(|it| it.limits.import_timeout = limit).await;
    let bytes = crafted(CRAFT, &["delta-chain", stage.sandbox.base.as_str(), "20000"]);
    let took = stage.refused(bundle_of_bytes(&bytes), "").await;
    assert!(took < limit + SLACK, "{took:?}");
}

async fn a_bomb_in_too_little_memory() {
    let stage = Stage::with(|it| it.limits.import_memory_bytes = 40 * MIB).await;
    stage.sandbox.write("zeros", vec![0; 64 << 20]);
    stage.refused(stage.sandbox.export(), "git does not accept").await;
}

/// Ten folders in each, ten deep, above `leaf`.
fn tree_bomb(stage: &Stage, leaf: &str) -> String {
    let mut entry = leaf.to_owned();
    for _ in 0..10 {
        let entries: Vec<String> = (0..10).map(|it| format!("{entry}\tn{it}")).collect();
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        entry = format!("040000 tree {}", stage.sandbox.folder_with(&entries));
    }
    stage.sandbox.tree_with(&[&format!("{entry}\tbomb")])
}

async fn a_tree_bomb() {
    let stage = Stage::new().await;
    let leaf = format!("100644 blob {}", stage.sandbox.blob("boom"));
    let bundle = stage.sandbox.bundle_of(&tree_bomb(&stage, &leaf));
    assert!(std::fs::metadata(&bundle.file).unwrap().len() < 10_000);
    stage.refused(bundle, "more files and folders").await;
}

/// No file to be seen, and no end of looking for one.
async fn a_tree_bomb_of_empty_folders() {
    let limit = Duration::from_secs(2);
    let stage = Stage::with(|it| it.limits.import_timeout = limit).await;
    let leaf = format!("040000 tree {}", stage.sandbox.folder_with(&[]));
    let bundle = stage.sandbox.bundle_of(&tree_bomb(&stage, &leaf));
    let took = stage.refused(bundle, "more").await;
    assert!(took < limit + SLACK, "{took:?}");
}

/// Millions of lines of which none is as it was.
async fn a_diff_that_takes_for_ever() {
    let fixture = crate::fixture::Fixture::new();
    let lines = |factor: u64| -> String {
        (0..900_000_u64).map(|it| format!("{:x}\n", it.wrapping_mul(factor) % 50_021)).collect()
    };
    std::fs::write(fixture.path("people/data"), lines(48_271)).unwrap();
    fixture.commit_and_push("Data");
    let limit = Duration::from_secs(1);
    let stage = Stage::of(fixture, |it| it.limits.import_timeout = limit).await;
    stage.sandbox.write("data", lines(16_807));
    let took = stage.refused(stage.sandbox.export(), "").await;
    assert!(took < limit + SLACK, "{took:?}");
}

async fn too_many_files() {
    let stage = Stage::new().await;
    for it in 0..1001 {
        stage.sandbox.write(&format!("n{it}"), "x");
    }
    stage.refused(stage.sandbox.export(), "1001 files").await;
    let name = "m".repeat(100);
    for it in 0..5000 {
        stage.sandbox.write(&format!("{name}{it}"), "");
    }
    stage.refused(stage.sandbox.export(), "more files").await;
}

async fn too_many_bytes_in_all() {
    let stage = Stage::new().await;
    for it in 0..6 {
        stage.sandbox.write(&format!("n{it}"), vec![b'0' + it; 9 << 20]);
    }
    stage.refused(stage.sandbox.export(), "56623104 bytes together").await;
}

async fn too_many_bytes_packed() {
    let stage = Stage::with(|it| it.limits.bundle_bytes = MIB).await;
    let mut noise = vec![0; 2 << 20];
    getrandom::fill(&mut noise).unwrap();
    stage.sandbox.write("noise", noise);
    stage.refused(stage.sandbox.export(), "bytes packed").await;
}
