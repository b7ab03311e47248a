//! Asks a repository for kinds, sizes and contents of many objects at once (`git cat-file --batch`). Who asks brings
//! the command, with the repository and the limits for what is in it.

use bzzz_actors::task::Sha;

use super::command::{GitError, Input, Overflow, Run};
use super::program::Program;

/// What one line of `--batch-check` says; `None` when the object is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectInfo {
    pub(super) id: Sha,
    pub(super) kind: String,
    pub(super) bytes: u64,
}

/// A line of an answer is at most an id, a kind and a number.
const MAX_LINE_BYTES: usize = 160;

fn unexpected(what: &'static str) -> GitError {
    GitError::Io { what, problem: "its answer can't be read".to_owned() }
}

/// Kind and size of each of `names`, in their order.
pub(super) async fn infos(
    program: &Program,
    cat_file: Run,
    names: &[String],
) -> Result<Vec<Option<ObjectInfo>>, GitError> {
    let run = cat_file
        .arg("--batch-check")
        .input(Input::Bytes(lines_of(names)))
        .max_output(MAX_LINE_BYTES * (names.len() + 1), Overflow::Fail);
    let output = program.run(run).await?.checked()?;
    let infos: Vec<_> = output.text().lines().map(info_of).collect();
    if infos.len() == names.len() { Ok(infos) } else { Err(unexpected("git cat-file --batch-check")) }
}

fn lines_of(names: &[String]) -> Vec<u8> {
    names.iter().flat_map(|name| [name.as_bytes(), b"\n"].concat()).collect()
}

fn info_of(line: &str) -> Option<ObjectInfo> {
    let mut fields = line.split(' ');
    let (id, kind, bytes) = (fields.next()?, fields.next()?, fields.next()?);
    Some(ObjectInfo { id: id.parse().ok()?, kind: kind.to_owned(), bytes: bytes.parse().ok()? })
}

/// The contents of objects that are known to be there and to have `total_bytes` together.
pub(super) async fn contents(
    program: &Program,
    cat_file: Run,
    ids: &[Sha],
    total_bytes: u64,
) -> Result<Vec<Vec<u8>>, GitError> {
    let names: Vec<String> = ids.iter().map(Sha::to_string).collect();
    let max =
        usize::try_from(total_bytes).unwrap_or(usize::MAX).saturating_add(MAX_LINE_BYTES * (ids.len() + 1));
    let run = cat_file.arg("--batch").input(Input::Bytes(lines_of(&names))).max_output(max, Overflow::Fail);
    let output = program.run(run).await?.checked()?;
    let contents = split_batch(&output.stdout).filter(|contents| contents.len() == ids.len());
    contents.ok_or_else(|| unexpected("git cat-file --batch"))
}

/// Each object is a line `ID KIND LENGTH`, that many bytes, and a line feed.
fn split_batch(mut rest: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut contents = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n')?;
        let info = info_of(std::str::from_utf8(&rest[..end]).ok()?)?;
        let length = usize::try_from(info.bytes).ok()?;
        let (content, after) = rest[end + 1..].split_at_checked(length)?;
        contents.push(content.to_vec());
        rest = after.strip_prefix(b"\n")?;
    }
    Some(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_split_by_its_lengths() {
        let id = "a".repeat(40);
        let bytes = format!("{id} blob 3\na\nb\n{id} blob 0\n\n");
        assert_eq!(split_batch(bytes.as_bytes()), Some(vec![b"a\nb".to_vec(), Vec::new()]));
        for bad in [format!("{id} blob 9\na\n"), format!("{id} missing\n"), "x".to_owned()] {
            assert_eq!(split_batch(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
