//! The parsers of `src/git`, and what holds of them.

pub(crate) mod bundle_header;
pub(crate) mod lease_commit;
pub(crate) mod path_rules;
pub(crate) mod raw_diff;
mod spelling;

#[path = "../../../src/git/bundle.rs"]
mod bundle;
#[allow(dead_code, reason = "the importer uses the rest")]
#[path = "../../../src/git/changes.rs"]
mod changes;
#[path = "../../../src/git/lease_record.rs"]
mod lease_record;
#[allow(dead_code, unreachable_pub, reason = "it is public there, and most limits are others'")]
#[path = "../../../src/git/limits.rs"]
mod limits;
#[path = "../../../src/git/paths.rs"]
mod paths;
