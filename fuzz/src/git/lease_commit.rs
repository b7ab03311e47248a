//! The record in a commit that a claim is at.

use bzzz_actors::task::{NodeId, TaskId};

use super::lease_record::parse_commit;

pub(crate) fn hold(bytes: &[u8]) {
    let commit = String::from_utf8_lossy(bytes);
    let Some(record) = parse_commit(&commit) else { return };
    assert_eq!(record.v, 1);
    assert_eq!(record.task.to_string().parse::<TaskId>(), Ok(record.task.clone()));
    assert_eq!(record.node.as_str().parse::<NodeId>(), Ok(record.node.clone()));
    assert!(record.node.as_str().len() <= 63);
    let again = format!("tree {}\n\n{}\n", "0".repeat(40), serde_json::to_string(&record).unwrap());
    assert_eq!(parse_commit(&again), Some(record));
}
