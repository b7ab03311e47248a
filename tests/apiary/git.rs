//! Real git against the forge.

use bzzz::apiary::StandIn;
use bzzz::apiary::forge::{Access, NewRepository, Permission, Token};
use bzzz_actors::task::RepoId;
use futures_util::future::join_all;

use crate::meadow::{Meadow, TOKEN, error_of, git, ok};

const CLAIM: &str = "refs/bzzz/claims/1";

/// A commit with an empty tree and this message, made in a clone.
async fn lease(clone: &std::path::Path, message: &str, parent: Option<&str>) -> String {
    let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    ok(clone, &["hash-object", "-w", "-t", "tree", "/dev/null"]).await;
    let mut args = vec!["commit-tree", tree, "-m", message];
    if let Some(parent) = parent {
        args.extend(["-p", parent]);
    }
    ok(clone, &args).await
}

#[tokio::test]
async fn a_clone_has_the_files_and_a_push_arrives() {
    let meadow = Meadow::new().await;
    let clone = meadow.clone("clone").await;
    assert_eq!(std::fs::read_to_string(clone.join("src/a.txt")).unwrap(), "one\ntwo\nthree\n");
    let pushed = meadow.push_branch("topic", "b.txt", "new\n").await;
    let seen = meadow.apiary.forge().read_ref(&meadow.repo, "refs/heads/topic").await.unwrap();
    assert_eq!(seen.as_deref(), Some(pushed.as_str()));
    // Without `.git`, shallow, by one commit's id, and with blobs left out: as GitHub allows.
    let url = format!("{}/meadow/ledger", meadow.apiary.forge_url());
    let partial = ["clone", "-q", "--bare", "--depth=1", "--filter=blob:none", &url, "partial"];
    ok(&meadow.path(""), &partial).await;
    let bare = meadow.path("partial");
    ok(&bare, &["fetch", "-q", &url, &pushed]).await;
    assert_eq!(ok(&bare, &["rev-parse", "FETCH_HEAD"]).await, pushed);
}

#[tokio::test]
async fn a_big_push_arrives_chunked_and_compressed() {
    let meadow = Meadow::new().await;
    let clone = meadow.clone("clone").await;
    // More than git's post buffer of 1 MiB, so git sends it in chunks.
    let mut state = 1u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    let noise: Vec<u8> = (0..3_000_000).map(|_| next()).collect();
    std::fs::write(clone.join("noise.bin"), &noise).unwrap();
    ok(&clone, &["add", "-A"]).await;
    ok(&clone, &["commit", "-q", "-m", "noise"]).await;
    // Many different tips make a long list of wants, which git compresses.
    for n in 0..60 {
        let tip = ok(&clone, &["commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", &format!("tip {n}")]).await;
        ok(&clone, &["tag", &format!("tag-{n}"), &tip]).await;
    }
    ok(&clone, &["push", "-q", "origin", "main", "--tags"]).await;
    let back = meadow.clone("back").await;
    assert!(std::fs::read(back.join("noise.bin")).unwrap() == noise);
    assert_eq!(ok(&back, &["tag"]).await.lines().count(), 60);
    let requests = meadow.apiary.requests(StandIn::Forge);
    let encoded = |encoding: &str| requests.iter().any(|r| r.encoding.as_deref() == Some(encoding));
    assert!(encoded("gzip") && encoded("chunked"), "{requests:?}");
}

#[tokio::test]
async fn a_lease_can_be_created_once_swapped_and_deleted() {
    let meadow = Meadow::new().await;
    let clone = meadow.clone("clone").await;
    let (first, rival) = (lease(&clone, "a", None).await, lease(&clone, "b", None).await);
    let create = format!("--force-with-lease={CLAIM}:");
    ok(&clone, &["push", "-q", &create, "origin", &format!("{first}:{CLAIM}")]).await;
    let lost = git(&clone, TOKEN, &["push", &create, "origin", &format!("{rival}:{CLAIM}")]).await;
    assert!(error_of(&lost).contains("stale info"), "{}", error_of(&lost));
    let next = lease(&clone, "c", Some(&first)).await;
    let swap = format!("--force-with-lease={CLAIM}:{first}");
    ok(&clone, &["push", "-q", &swap, "origin", &format!("{next}:{CLAIM}")]).await;
    let url = meadow.apiary.forge().clone_url(&meadow.repo);
    let listed = ok(&meadow.path(""), &["ls-remote", &url, "refs/bzzz/claims/*"]).await;
    assert_eq!(listed, format!("{next}\t{CLAIM}"));
    let delete = format!("--force-with-lease={CLAIM}:{next}");
    ok(&clone, &["push", "-q", &delete, "origin", &format!(":{CLAIM}")]).await;
    assert_eq!(meadow.apiary.forge().read_ref(&meadow.repo, CLAIM).await.unwrap(), None);
}

#[tokio::test]
async fn an_atomic_push_with_a_stale_lease_moves_nothing() {
    let meadow = Meadow::new().await;
    let clone = meadow.clone("clone").await;
    let first = lease(&clone, "a", None).await;
    ok(&clone, &["push", "-q", "origin", &format!("{first}:{CLAIM}")]).await;
    let branch = "refs/heads/bzzz/issue-1";
    let head = ok(&clone, &["rev-parse", "HEAD"]).await;
    let (mine, theirs) = (lease(&clone, "b", Some(&first)).await, lease(&clone, "c", Some(&first)).await);
    ok(&clone, &["push", "-q", "origin", &format!("{theirs}:{CLAIM}")]).await;
    let publish = |lease: &str| {
        let leases = [format!("--force-with-lease={CLAIM}:{lease}"), format!("--force-with-lease={branch}:")];
        let refs = [format!("{mine}:{CLAIM}"), format!("{head}:{branch}")];
        let args = ["push".into(), "--atomic".into()].into_iter().chain(leases);
        args.chain(["origin".into()]).chain(refs).collect::<Vec<String>>()
    };
    let stale = publish(&first);
    let refused = git(&clone, TOKEN, &stale.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert!(!refused.status.success());
    assert_eq!(meadow.apiary.forge().read_ref(&meadow.repo, branch).await.unwrap(), None);
    let fresh = publish(&theirs);
    ok(&clone, &fresh.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let refs = meadow.apiary.forge().refs(&meadow.repo, "refs/").await.unwrap();
    assert!(refs.contains(&(branch.into(), head)) && refs.contains(&(CLAIM.into(), mine)), "{refs:?}");
}

#[tokio::test]
async fn of_24_racers_exactly_one_wins() {
    let meadow = Meadow::new().await;
    let clone = meadow.clone("clone").await;
    let mut leases = Vec::new();
    for racer in 0..24 {
        leases.push(lease(&clone, &format!("racer {racer}"), None).await);
    }
    let create = format!("--force-with-lease={CLAIM}:");
    let refspecs: Vec<String> = leases.iter().map(|lease| format!("{lease}:{CLAIM}")).collect();
    let pushes: Vec<[&str; 5]> =
        refspecs.iter().map(|refspec| ["push", "-q", &create, "origin", refspec]).collect();
    let races = join_all(pushes.iter().map(|args| git(&clone, TOKEN, args))).await;
    let winners: Vec<usize> = (0..24).filter(|n| races[*n].status.success()).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    let now = meadow.apiary.forge().read_ref(&meadow.repo, CLAIM).await.unwrap();
    assert_eq!(now.as_ref(), Some(&leases[winners[0]]));
}

#[tokio::test]
async fn who_may_not_is_told_as_github_tells() {
    let meadow = Meadow::new().await;
    let forge = meadow.apiary.forge();
    let clone = meadow.clone("clone").await;
    forge.add_token(Token::read_only("read", "ann")).unwrap();
    forge.add_token(Token::full("code-only", "ben").with(Permission::Issues, Access::None)).unwrap();
    let push = ["push", "origin", "HEAD:refs/heads/x"];
    let refused = git(&clone, "read", &push).await;
    assert!(error_of(&refused).contains("Write access to repository not granted."), "{}", error_of(&refused));
    assert!(error_of(&refused).contains("403"));
    assert!(!git(&clone, "wrong", &push).await.status.success());
    assert!(!git(&clone, "", &push).await.status.success());
    assert!(git(&clone, "code-only", &push).await.status.success());
    assert!(git(&clone, "", &["fetch"]).await.status.success(), "public");
    forge.set_private(&meadow.repo, true).unwrap();
    assert!(!git(&clone, "", &["fetch"]).await.status.success());
    assert!(git(&clone, "read", &["fetch"]).await.status.success());
    let url = format!("{}/meadow/none.git", meadow.apiary.forge_url());
    let missing = git(&clone, TOKEN, &["ls-remote", &url]).await;
    assert!(error_of(&missing).contains("not found"), "{}", error_of(&missing));
    forge.set_archived(&meadow.repo, true).unwrap();
    let archived = git(&clone, TOKEN, &["push", "origin", "HEAD:refs/heads/y"]).await;
    assert!(error_of(&archived).contains("archived"), "{}", error_of(&archived));
}

#[tokio::test]
async fn hidden_refs_and_pull_refs_take_no_push() {
    let meadow = Meadow::new().await;
    meadow.apiary.forge().hide_refs(&meadow.repo, "refs/bzzz").await.unwrap();
    let clone = meadow.clone("clone").await;
    for reference in [CLAIM, "refs/pull/1/head"] {
        let refused = git(&clone, TOKEN, &["push", "origin", &format!("HEAD:{reference}")]).await;
        assert!(error_of(&refused).contains("deny updating a hidden ref"), "{}", error_of(&refused));
    }
    ok(&clone, &["push", "-q", "origin", "HEAD:refs/heads/bzzz-claims/1"]).await;
}

#[tokio::test]
async fn an_empty_repository_can_be_cloned_and_begun() {
    let meadow = Meadow::new().await;
    let empty: RepoId = "meadow/empty".parse().unwrap();
    meadow.apiary.forge().create_repository(&empty, NewRepository::default()).await.unwrap();
    let url = meadow.apiary.forge().clone_url(&empty);
    ok(&meadow.path(""), &["clone", "-q", &url, "empty"]).await;
    let clone = meadow.path("empty");
    assert_eq!(ok(&clone, &["symbolic-ref", "HEAD"]).await, "refs/heads/main");
    ok(&clone, &["commit", "-q", "--allow-empty", "-m", "begin"]).await;
    ok(&clone, &["push", "-q", "origin", "main"]).await;
    assert!(meadow.apiary.forge().read_ref(&empty, "refs/heads/main").await.unwrap().is_some());
}

/// Begins a push that ends in the middle of its first length, and returns once the server's git waits for the rest.
/// The push hangs until the returned task is aborted.
async fn hanging_push(meadow: &Meadow, marker: &str) -> tokio::task::JoinHandle<()> {
    let begun = futures_util::stream::iter([Ok::<_, std::io::Error>(b"00".to_vec())]);
    let body = futures_util::StreamExt::chain(begun, futures_util::stream::pending());
    let push = meadow
        .request_as(None, reqwest::Method::POST, "/meadow/ledger.git/git-receive-pack")
        .header("authorization", basic())
        .header("content-type", "application/x-git-receive-pack-request")
        .body(reqwest::Body::wrap_stream(body));
    let hanging = tokio::spawn(async move {
        // The head of the answer comes at once; dropping the answer would end the connection.
        if let Ok(answer) = push.send().await {
            let _ = answer.bytes().await;
        }
    });
    until("the push reaches git", || !processes_with(marker).is_empty()).await;
    hanging
}

async fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !happened() {
        assert!(std::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn stopping_leaves_no_git_behind() {
    let meadow = Meadow::new().await;
    let marker = meadow.path("state").to_string_lossy().into_owned();
    let hanging = hanging_push(&meadow, &marker).await;
    let Meadow { apiary, .. } = meadow;
    apiary.stop().await;
    assert_eq!(processes_with(&marker), Vec::<String>::new());
    hanging.await.unwrap();
}

#[tokio::test]
async fn dropping_leaves_no_git_behind_either() {
    let meadow = Meadow::new().await;
    let marker = meadow.path("state").to_string_lossy().into_owned();
    let address = meadow.apiary.address(StandIn::Forge);
    let hanging = hanging_push(&meadow, &marker).await;
    drop(meadow);
    until("git is gone", || processes_with(&marker).is_empty()).await;
    hanging.await.unwrap();
    until("the port is closed", || std::net::TcpStream::connect(address).is_err()).await;
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_git_with_it() {
    let meadow = Meadow::new().await;
    let marker = meadow.path("state").to_string_lossy().into_owned();
    let hanging = hanging_push(&meadow, &marker).await;
    hanging.abort();
    until("git is gone", || processes_with(&marker).is_empty()).await;
}

fn basic() -> String {
    use base64::Engine;
    let pair = format!("x:{TOKEN}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// The living processes whose environment or command line names `text`.
fn processes_with(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let is_process = entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit());
        if !is_process || entry.file_name() == std::process::id().to_string().as_str() {
            continue;
        }
        let read = |name: &str| std::fs::read(path.join(name)).unwrap_or_default();
        let all = [read("cmdline"), read("environ")].concat();
        let all = String::from_utf8_lossy(&all).into_owned();
        if all.contains(text) && all.contains("git") {
            found.push(String::from_utf8_lossy(&read("cmdline")).replace('\0', " "));
        }
    }
    found
}

#[tokio::test]
async fn requests_are_logged_without_their_secrets() {
    let meadow = Meadow::new().await;
    meadow.clone("clone").await;
    let seen = meadow.apiary.requests(StandIn::Forge);
    let paths: Vec<_> = seen.iter().map(|r| (r.method.as_str(), r.path.as_str(), r.status)).collect();
    assert_eq!(paths[0], ("GET", "/meadow/ledger.git/info/refs", Some(200)));
    assert!(paths.contains(&("POST", "/meadow/ledger.git/git-upload-pack", Some(200))));
    assert!(!serde_json::to_string(&seen).unwrap().contains(TOKEN));
}
