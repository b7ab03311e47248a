//! The forge's pages, as a browser asks for them.

use serde_json::Value;

use crate::meadow::{Meadow, client};

async fn page(meadow: &Meadow, path: &str) -> (u16, String) {
    let request = client().get(format!("{}{path}", meadow.apiary.forge_url())).header("accept", "text/html");
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn every_page_shows_its_things_and_no_markup_of_others() {
    let meadow = Meadow::new().await;
    let forge = meadow.apiary.forge();
    let evil = "<script>alert(1)</script>";
    forge.open_issue(&meadow.repo, "ann", evil, evil, &["<b>"]).unwrap();
    forge.add_comment(&meadow.task(1), "eve", None, evil).unwrap();
    meadow.push_branch("topic", "b.txt", &format!("{evil}\n")).await;
    let octocrab = meadow.octocrab();
    octocrab.pulls("meadow", "ledger").create(evil, "topic", "main").send().await.unwrap();
    let sha = forge.read_ref(&meadow.repo, "refs/heads/topic").await.unwrap().unwrap();
    for (path, expected) in [
        ("/", "meadow/ledger"),
        ("/meadow", "meadow/ledger"),
        ("/meadow/ledger", "git clone"),
        ("/meadow/ledger/issues", "#1"),
        ("/meadow/ledger/issues/1", "eve"),
        ("/meadow/ledger/pulls", "#2"),
        ("/meadow/ledger/pull/2", "class=\"add\""),
        ("/meadow/ledger/tree/main/src", "src/a.txt"),
        ("/meadow/ledger/blob/main/src/a.txt", "three"),
        (&format!("/meadow/ledger/commit/{sha}"), "Change b.txt"),
    ] {
        let (status, text) = page(&meadow, path).await;
        assert_eq!(status, 200, "{path}");
        assert!(text.contains(expected), "{path}: {text}");
        assert!(!text.contains("<script>") && !text.contains("<b>"), "{path}");
    }
    let (_, issue) = page(&meadow, "/meadow/ledger/issues/1").await;
    assert!(issue.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    let (_, diff) = page(&meadow, "/meadow/ledger/pull/2.diff").await;
    assert!(diff.contains("+<script>"), "the plain diff is plain: {diff}");
    let (_, raw) = page(&meadow, "/meadow/ledger/raw/main/README.md").await;
    assert_eq!(raw, "# Ledger\n");
    for missing in ["/nobody", "/meadow/none", "/meadow/ledger/issues/99", "/meadow/ledger/blob/main/none"] {
        assert_eq!(page(&meadow, missing).await.0, 404, "{missing}");
    }
}

#[tokio::test]
async fn what_is_private_has_no_page_and_rest_keeps_its_paths() {
    let meadow = Meadow::new().await;
    let rest = meadow.get("/").header("accept", "application/vnd.github+json").send().await.unwrap();
    assert!(rest.json::<Value>().await.unwrap()["rate_limit_url"].is_string());
    assert!(
        meadow
            .get("/user/repos")
            .header("accept", "text/html")
            .send()
            .await
            .unwrap()
            .json::<Value>()
            .await
            .is_ok()
    );
    meadow.apiary.forge().set_private(&meadow.repo, true).unwrap();
    assert_eq!(page(&meadow, "/meadow/ledger").await.0, 404);
    assert!(!page(&meadow, "/").await.1.contains("ledger"));
}
