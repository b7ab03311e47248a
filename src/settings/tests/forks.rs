//! Repositories that are worked on from a fork.

use super::*;

#[test]
fn a_fork_names_where_branches_and_claims_go() {
    let file = "[[forge.fork]]\nname = 'them/a'\nbranches = 'us/a'\nclaims = 'us/claims'\n\
        [[forge.fork]]\nname = 'them/b'\nbranches = 'us/b'\nclaims = 'us/claims'\n";
    let forks = Machine::with_file(file).load().settings.forge.fork;
    assert_eq!((forks.len(), forks[1].branches.to_string().as_str()), (2, "us/b"));
}

#[test]
fn what_is_wrong_with_a_fork_is_told_with_its_place() {
    let table = |name: &str, branches: &str, claims: &str| {
        format!("[[forge.fork]]\nname = '{name}'\nbranches = '{branches}'\nclaims = '{claims}'\n")
    };
    let twice = table("a/b", "us/b", "us/c") + &table("A/B", "us/b", "us/c");
    for (file, words) in [
        (twice, ["forge.fork[A/B]", "is there twice"]),
        (table("a/b", "A/b", "us/c"), ["forge.fork[a/b]", "names itself"]),
        (table("a/b", "us/b", "a/B"), ["forge.fork[a/b]", "names itself"]),
        (
            table("a/b", "us/b", "us/c") + &table("a/d", "US/b", "us/c"),
            ["forge.fork[a/d]", "two repositories"],
        ),
        (
            "[forge]\nrepositories = ['a/b', 'us/B']\n".to_owned() + &table("a/b", "us/b", "us/c"),
            ["forge.fork[a/b]", "two repositories"],
        ),
        (table("a/b", "us", "us/c"), ["forge.fork[a/b]", "owner/name"]),
        ("[[forge.fork]]\nname = 'a/b'\nbranches = 'us/b'\n".to_owned(), ["forge.fork[a/b]", "claims"]),
        ("[[forge.fork]]\nbranches = 'us/b'\nclaims = 'us/c'\n".to_owned(), ["forge.fork[number 1]", "name"]),
    ] {
        let problems = Machine::with_file(&file).problems();
        assert_eq!(problems.len(), 1, "{file}: {problems:?}");
        assert!(
            words.iter().all(|it| problems[0].contains(it)) && problems[0].contains("bzzz.toml:"),
            "{file}: {problems:?}"
        );
    }
}
