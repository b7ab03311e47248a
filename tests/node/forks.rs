//! Nodes whose account may not push where the issues are.

use bzzz::apiary::forge::{NewRepository, RepositoryFile, Token};
use bzzz::forks::Fork;
use bzzz::settings::{Secret, Settings};
use bzzz_actors::task::{RepoId, TaskId, label};

use crate::hill::Hill;
use crate::replies::FUELLED;
use crate::stage::on_a_hill;

const TOKEN: &str = "outsiders-token";
const OUTSIDER: &str = "hands";

/// A fork, and a repository for claims, of an account that may do nothing else.
async fn outside(hill: &Hill, repo: &RepoId) -> Fork {
    let forge = hill.apiary.forge();
    let [branches, claims] =
        [repo.name(), "claims"].map(|name| format!("{OUTSIDER}/{name}").parse().unwrap());
    forge.fork_repository(repo, OUTSIDER).await.unwrap();
    let files = vec![RepositoryFile::text("README.md", "Claims.\n")];
    forge.create_repository(&claims, NewRepository { files, ..NewRepository::default() }).await.unwrap();
    let token = Token::full(TOKEN, OUTSIDER).classic();
    let own = [&branches, &claims].map(|repo: &RepoId| (repo.owner(), repo.name()));
    forge.add_token(token.only_for(&own)).unwrap();
    Fork { name: repo.clone(), branches, claims }
}

fn as_outsider(settings: &mut Settings, fork: &Fork) {
    settings.forge.token = Some(Secret::new(TOKEN).unwrap());
    settings.forge.fork = vec![fork.clone()];
    // Whoever may not push is not told who may label.
    settings.forge.label_setters = vec!["maya".to_owned()];
}

async fn refs(hill: &Hill, repo: &RepoId) -> Vec<String> {
    hill.apiary.forge().refs(repo, "refs/").await.unwrap().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn issues_of_others_become_pull_requests_from_a_fork() {
    on_a_hill(async |hill| {
        let repo = hill.repository("theirs", &["test -s fuel"]).await;
        let tasks: Vec<TaskId> = (0..3).map(|_| hill.issue(&repo, FUELLED)).collect();
        let fork = outside(hill, &repo).await;
        let one = hill.node_with("a", |settings| as_outsider(settings, &fork)).await;
        let other = hill.node_with("b", |settings| as_outsider(settings, &fork)).await;
        for task in &tasks {
            one.or(&other).until_proposed(task).await;
        }
        for task in &tasks {
            one.or(&other).assert_once(task, &["published"]).await;
            let [pull] = hill.pull_requests(task).await.try_into().unwrap();
            let branch = format!("refs/heads/{}", task.branch());
            let pushed = hill.apiary.forge().read_ref(&fork.branches, &branch).await.unwrap();
            assert_eq!(Some(pull.head_sha), pushed);
            assert!(hill.has_label(task, label::TASK), "it may not sort their issues");
            assert!(!hill.has_label(task, label::IN_PROGRESS));
            let is_signed = |body: &String| [&one, &other].iter().any(|bee| body.contains(bee.name.as_str()));
            assert!(hill.comments(task).iter().any(is_signed));
        }
        let theirs = refs(hill, &repo).await;
        assert!(
            theirs.iter().all(|name| name == "refs/heads/main" || name.starts_with("refs/pull/")),
            "{theirs:?}"
        );
        let claims = refs(hill, &fork.claims).await;
        let expected = tasks.iter().map(|task| format!("refs/bzzz/claims-of/meadow/theirs/{}", task.number));
        assert_eq!(claims, expected.chain(["refs/heads/main".to_owned()]).collect::<Vec<_>>());
    });
}
