//! The record in a lease commit. Anyone who may push may have written it. Pure.

use bzzz_actors::ports::claims::LeaseRecord;

/// The record in a commit as `git cat-file commit` prints it: headers, an empty line, the message.
pub(super) fn parse_commit(text: &str) -> Option<LeaseRecord> {
    let (_, message) = text.split_once("\n\n")?;
    let record: LeaseRecord = serde_json::from_str(message.trim()).ok()?;
    (record.v == 1).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str =
        r#"{"v":1,"task":"a/b#1","node":"n","epoch":1,"nonce":"x","ttl_s":900,"state":"held","later":true}"#;

    #[test]
    fn only_records_of_a_known_version_are_read() {
        let commit = |message: &str| format!("tree {0}\nauthor a <b> 1 +0000\n\n{message}\n", "a".repeat(40));
        assert_eq!(parse_commit(&commit(RECORD)).unwrap().ttl_s, 900);
        for other in
            ["", "{}", "Fix the bug", &RECORD.replace("\"v\":1", "\"v\":2"), &RECORD.replace("a/b#1", "..")]
        {
            assert_eq!(parse_commit(&commit(other)), None, "{other}");
        }
    }
}
