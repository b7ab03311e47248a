//! Every input that is kept, without the engine: what was found once is tried with every `cargo test`.

use std::path::{Path, PathBuf};

fn inputs_of(target: &str, kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut inputs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    inputs
}

#[test]
fn every_kept_input_holds() {
    for (name, check) in bzzz_fuzz::TARGETS {
        let (corpus, regressions) = (inputs_of(name, "corpus"), inputs_of(name, "regressions"));
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for input in corpus.into_iter().chain(regressions) {
            let bytes = std::fs::read(&input).unwrap();
            let held = std::panic::catch_unwind(|| check(&bytes));
            assert!(held.is_ok(), "{} fails {name}", input.display());
        }
    }
}
