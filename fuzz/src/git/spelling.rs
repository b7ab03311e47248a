//! How the file systems that people check a repository out to may spell a name: the rules of git's own
//! `is_ntfs_dotgit` (path.c) and `is_hfs_dotgit` (utf8.c), and the case folding of file systems that know all of
//! Unicode. Written a second time, sign by sign, so that a slip in `src/git/paths.rs` is seen.

/// Whether a name may open the file `plain`, which is ASCII in lower case.
pub(super) fn spells(name: &str, plain: &str) -> bool {
    let mut wanted = plain.chars();
    let mut seen = name.chars().filter(|sign| !is_ignored(u32::from(*sign)));
    loop {
        match (wanted.next(), seen.next()) {
            (Some(wanted), Some(sign)) if folds_to(sign, wanted) => {}
            (None, Some(':') | None) => return true,
            (None, Some('.' | ' ')) => return ends_the_name(seen),
            _ => return false,
        }
    }
}

/// Dots and spaces at the end are dropped; a colon begins the name of a stream.
fn ends_the_name(rest: impl Iterator<Item = char>) -> bool {
    rest.take_while(|sign| *sign != ':').all(|sign| matches!(sign, '.' | ' '))
}

fn folds_to(sign: char, wanted: char) -> bool {
    let long_s_and_kelvin = [('\u{17f}', 's'), ('\u{212a}', 'k')];
    sign.eq_ignore_ascii_case(&wanted) || long_s_and_kelvin.contains(&(sign, wanted))
}

/// Signs that HFS+ does not see in a name.
fn is_ignored(code: u32) -> bool {
    (0x200c..=0x200f).contains(&code)
        || (0x202a..=0x202e).contains(&code)
        || (0x206a..=0x206f).contains(&code)
        || code == 0xfeff
}

pub(super) fn spells_dot_git(name: &str) -> bool {
    spells(name, ".git") || spells(name, "git~1")
}

/// Whether the path may open something that no node may change.
pub(super) fn spells_sensitive(path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    let begins = |folders: &[&str]| {
        names.len() >= folders.len() && folders.iter().zip(&names).all(|(plain, name)| spells(name, plain))
    };
    let is = |folders: &[&str]| names.len() == folders.len() && begins(folders);
    begins(&[".github", "workflows"])
        || begins(&[".github", "actions"])
        || [".circleci", ".forgejo", ".gitea", ".husky", ".githooks", ".vscode", ".idea", ".devcontainer"]
            .iter()
            .any(|folder| begins(&[folder]))
        || is(&["codeowners"])
        || is(&[".github", "codeowners"])
        || is(&["docs", "codeowners"])
        || is(&[".bzzz.toml"])
        || is(&[".gitlab-ci.yml"])
        || names.last().is_some_and(|name| spells(name, ".gitattributes") || spells(name, ".gitmodules"))
}
