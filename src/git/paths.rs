//! Which paths a change may touch. Pure.

use bzzz_actors::task::hidden::is_hidden;

/// The longest path that is taken, in bytes.
const MAX_PATH_BYTES: usize = 1024;
/// The longest name of a file or folder, in bytes: the limit of common file systems.
const MAX_NAME_BYTES: usize = 255;
const MAX_DEPTH: usize = 64;

/// What is wrong with a new path; `None` when nothing is.
pub(super) fn problem_of(path: &[u8]) -> Option<&'static str> {
    let Ok(path) = std::str::from_utf8(path) else { return Some("its name is not UTF-8") };
    if path.len() > MAX_PATH_BYTES {
        return Some("its path is longer than 1024 bytes");
    }
    if path.chars().any(char::is_control) {
        return Some("its name has a control character");
    }
    if path.chars().any(is_hidden) {
        return Some("its name has a sign that can't be seen");
    }
    if path.contains('\\') {
        return Some("its name has a backslash");
    }
    if path.split('/').count() > MAX_DEPTH {
        return Some("it lies deeper than 64 folders");
    }
    path.split('/').find_map(problem_of_name)
}

fn problem_of_name(name: &str) -> Option<&'static str> {
    match name {
        "" | "." | ".." => Some("its path has an empty name, '.' or '..'"),
        _ if name.len() > MAX_NAME_BYTES => Some("its name is longer than 255 bytes"),
        _ if name.starts_with('-') => Some("its name begins with a dash"),
        _ if is_dot_git(name) => Some("its path has a folder '.git'"),
        _ => None,
    }
}

/// `.git`, also as file systems spell it that fold case, drop dots and spaces at the end, know short names, streams,
/// or signs that can't be seen.
fn is_dot_git(name: &str) -> bool {
    matches!(&*folded(name), ".git" | "git~1")
}

/// A name as the most forgiving file systems read it.
fn folded(name: &str) -> String {
    let visible: String = name.chars().filter(|c| !is_hidden(*c)).collect();
    // Folding is more than lower case: the long s is an s.
    let lower = visible.to_lowercase().replace('\u{17f}', "s");
    let before_stream = lower.split(':').next().unwrap_or_default();
    before_stream.trim_end_matches(['.', ' ']).to_owned()
}

/// Folders and files that decide what runs on other machines or who must agree: pipelines, owners, hooks, editors.
/// Lower case; a folder ends in `/`.
const SENSITIVE: [&str; 21] = [
    ".github/workflows/",
    ".github/actions/",
    ".github/codeowners",
    ".gitlab/codeowners",
    "codeowners",
    "docs/codeowners",
    ".bzzz.toml",
    ".gitlab-ci.yml",
    ".circleci/",
    ".buildkite/",
    ".travis.yml",
    ".drone.yml",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
    "jenkinsfile",
    ".forgejo/",
    ".gitea/",
    ".woodpecker/",
    ".woodpecker.yml",
    ".pre-commit-config.yaml",
    "lefthook.yml",
];
/// Sensitive in every folder, as files or as folders with all that is in them: a part of a repository may be opened, or
/// built, by itself.
const SENSITIVE_NAMES: [&str; 11] = [
    ".gitattributes",
    ".gitmodules",
    ".husky",
    ".githooks",
    ".git-hooks",
    ".hooks",
    ".lefthook",
    ".vscode",
    ".idea",
    ".devcontainer",
    ".devcontainer.json",
];

/// Whether a person has to agree to a change of `path`, however it is spelled. `allowed` are paths that the operator
/// gave free: a file, or a folder with `/` at its end.
pub(super) fn is_sensitive(path: &str, allowed: &[String]) -> bool {
    // What was given free was given free as it is written.
    let spelled = path.to_lowercase();
    let names: Vec<String> = path.split('/').map(folded).collect();
    let path = names.join("/");
    let is_at = |path: &str, place: &str| match place.strip_suffix('/') {
        // The folder itself may be replaced by a file or link.
        Some(folder) => path.starts_with(place) || path == folder,
        None => path == place,
    };
    let is_sensitive = SENSITIVE.into_iter().any(|place| is_at(&path, place))
        || names.iter().any(|name| SENSITIVE_NAMES.contains(&&**name));
    is_sensitive && !allowed.iter().any(|place| is_at(&spelled, &place.to_lowercase()))
}

/// Whether the path's last name is `.gitmodules`, in any spelling, which names repositories to fetch.
pub(super) fn is_gitmodules(path: &str) -> bool {
    let name = path.rsplit('/').next().map(folded);
    name.is_some_and(|name| matches!(&*name, ".gitmodules") || name.starts_with("gitmod~"))
}

/// What is wrong with a symbolic link at `path` that points to `target`; `None` when nothing is.
///
/// `..` counts only at the beginning, where it climbs from a real folder: behind another link it would climb from
/// wherever that one leads.
pub(super) fn problem_of_link(path: &str, target: &[u8]) -> Option<&'static str> {
    let Ok(target) = std::str::from_utf8(target) else { return Some("its target is not UTF-8") };
    if target.is_empty() || target.len() > MAX_PATH_BYTES {
        return Some("its target is empty or longer than 1024 bytes");
    }
    if target.chars().any(char::is_control) || target.contains('\\') {
        return Some("its target has a control character or a backslash");
    }
    if target.starts_with('/') {
        return Some("its target is not relative");
    }
    let names: Vec<&str> = target.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    let climbs = names.iter().take_while(|name| **name == "..").count();
    let depth = path.matches('/').count();
    if climbs > depth {
        return Some("its target lies outside the repository");
    }
    if names[climbs..].contains(&"..") {
        return Some("its target has '..' behind another name");
    }
    names[climbs..].iter().find(|name| is_dot_git(name)).map(|_| "its target lies in '.git'")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_paths_pass() {
        for path in
            ["a", "src/main.rs", ".gitignore", ".github/ISSUE_TEMPLATE.md", "a b/ü.txt", "x.git/y", "..a/b.."]
        {
            assert_eq!(problem_of(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn paths_that_mean_something_to_a_tool_are_refused() {
        let long = format!("{}x", "a/".repeat(600));
        for path in [
            ".git/config",
            "a/.GIT/hooks/x",
            ".git",
            ".Git ",
            "git~1/x",
            ".git.",
            ".git::$INDEX_ALLOCATION/x",
            ".g\u{200c}it/config",
            "a\u{202e}txt.exe",
            "\u{200b}.git/config",
            "-rf",
            "a/--help",
            "../x",
            "a//b",
            "./a",
            "a\\b",
            "a\nb",
            "a\u{1b}[m",
            "",
            &long,
        ] {
            assert!(problem_of(path.as_bytes()).is_some(), "{path:?}");
        }
        assert!(problem_of(b"a\xff").is_some());
        assert!(problem_of(&[b'a'; 256]).is_some());
    }

    #[test]
    fn sensitive_paths_are_known_in_any_case_unless_allowed() {
        let none: [String; 0] = [];
        for path in [
            ".github/workflows/ci.yml",
            ".GitHub/Workflows/x",
            ".github/workflows",
            "CODEOWNERS",
            "docs/CODEOWNERS",
            ".gitattributes",
            "a/b/.gitAttributes",
            ".vscode/tasks.json",
            ".bzzz.toml",
            ".husky/pre-commit",
            "packages/web/.vscode/settings.json",
            "a/.husky",
            ".github./workflows/ci.yml",
            ".github/Wor\u{212a}flows /ci.yml",
            ".gitattributes::$DATA",
            "Jenkinsfile",
            ".pre-commit-config.yaml",
            ".vscode /tasks.json",
            ".v\u{17f}code/tasks.json",
            ".git\u{200c}hub/workflows/x",
            "a/.gitmodules::$DATA",
        ] {
            assert!(is_sensitive(path, &none), "{path}");
        }
        for path in [".github/FUNDING.yml", "src/.vscodex", "src/codeowners.rs", "workflows/a"] {
            assert!(!is_sensitive(path, &none), "{path}");
        }
        let allowed = [".github/Workflows/".to_owned(), ".bzzz.toml".to_owned()];
        assert!(!is_sensitive(".github/workflows/ci.yml", &allowed));
        assert!(!is_sensitive(".bzzz.toml", &allowed));
        assert!(is_sensitive(".github/actions/a", &allowed));
        for path in [".gitmodules", "a/.GitModules ", "GITMOD~1", ".gitmodules::$DATA", ".git\u{200c}modules"]
        {
            assert!(is_gitmodules(path), "{path}");
        }
        assert!(!is_gitmodules("gitmodules") && !is_gitmodules(".gitmodules/x"));
    }

    #[test]
    fn links_stay_inside() {
        for (path, target) in
            [("a", "b"), ("d/a", "../b"), ("d/e/a", "../../b/c"), ("a", "./b"), ("a", "b//c")]
        {
            assert_eq!(problem_of_link(path, target.as_bytes()), None, "{path} -> {target}");
        }
        for (path, target) in [
            ("a", "/etc/passwd"),
            ("a", ".."),
            ("d/a", "../.."),
            ("d/a", "x/../../y"),
            ("a", "d/.."),
            ("a", ""),
            ("a", ".git/config"),
            ("d/a", "../.GIT"),
            ("a", "b\\c"),
            ("a", "b\nc"),
        ] {
            assert!(problem_of_link(path, target.as_bytes()).is_some(), "{path} -> {target}");
        }
    }

    proptest! {
        #[test]
        fn no_path_or_target_makes_it_panic(path in ".{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = problem_of(&bytes);
            let _ = problem_of_link(&path, &bytes);
            let _ = is_sensitive(&path, &[]);
        }
    }
}
