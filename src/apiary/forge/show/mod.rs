//! Things as GitHub's JSON shows them, with everything in it that clients read.

mod commit;
mod issue;
mod pull;
mod repo;

use actix_web::HttpRequest;
use serde_json::{Value, json};

pub(crate) use commit::{changed_file, commit, git_ref};
pub(crate) use issue::{comment, issue, label};
pub(crate) use pull::{PullDetails, pull, review, review_comment};
pub(crate) use repo::{repo, status};

use super::state::{ForgeState, User, UserKind};

/// The two roots of every URL.
#[derive(Debug, Clone)]
pub(crate) struct Urls {
    /// Of the pages and of git: `http://127.0.0.1:1234`.
    pub(crate) html: String,
    /// Of the REST interface: the same, or with `/api/v3`.
    pub(crate) api: String,
}

impl Urls {
    /// As the client named us, so that what it is told leads back here.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let here = request.connection_info();
        let html = format!("{}://{}", here.scheme(), here.host());
        let prefix = if request.path().starts_with("/api/v3/") { "/api/v3" } else { "" };
        Self { api: format!("{html}{prefix}"), html }
    }
}

/// An opaque id in the manner of GitHub's.
fn node_id(kind: &str, id: u64) -> String {
    format!("{kind}_kwDOA{id:08x}")
}

/// The user of that login. State makes every author a user, so an unknown one is one that a person took out of the
/// state file: GitHub shows those as its user "ghost".
pub(crate) fn user(urls: &Urls, state: &ForgeState, login: &str) -> Value {
    let ghost = User {
        id: 10137,
        login: "ghost".into(),
        kind: UserKind::User,
        created_at: "2008-05-13T06:14:25Z".into(),
    };
    user_fields(urls, state.user(login).unwrap_or(&ghost))
}

fn user_fields(urls: &Urls, user: &User) -> Value {
    let login = &user.login;
    let api = format!("{}/users/{login}", urls.api);
    let kind = match user.kind {
        UserKind::User => "User",
        UserKind::Organization => "Organization",
    };
    json!({
        "login": login,
        "id": user.id,
        "node_id": node_id("U", user.id),
        "avatar_url": format!("{}/avatars/{}", urls.html, user.id),
        "gravatar_id": "",
        "url": api,
        "html_url": format!("{}/{login}", urls.html),
        "followers_url": format!("{api}/followers"),
        "following_url": format!("{api}/following{{/other_user}}"),
        "gists_url": format!("{api}/gists{{/gist_id}}"),
        "starred_url": format!("{api}/starred{{/owner}}{{/repo}}"),
        "subscriptions_url": format!("{api}/subscriptions"),
        "organizations_url": format!("{api}/orgs"),
        "repos_url": format!("{api}/repos"),
        "events_url": format!("{api}/events{{/privacy}}"),
        "received_events_url": format!("{api}/received_events"),
        "type": kind,
        "user_view_type": "public",
        "site_admin": false,
    })
}

/// A user with the fields of a profile.
pub(crate) fn profile(urls: &Urls, state: &ForgeState, user: &User) -> Value {
    let mut shown = user_fields(urls, user);
    let owned = state.repos().filter(|r| r.owner == user.login && !r.private).count();
    for (key, value) in [
        ("name", Value::Null),
        ("company", Value::Null),
        ("blog", json!("")),
        ("location", Value::Null),
        ("email", Value::Null),
        ("hireable", Value::Null),
        ("bio", Value::Null),
        ("twitter_username", Value::Null),
        ("public_repos", json!(owned)),
        ("public_gists", json!(0)),
        ("followers", json!(0)),
        ("following", json!(0)),
        ("created_at", json!(user.created_at)),
        ("updated_at", json!(user.created_at)),
    ] {
        shown[key] = value;
    }
    shown
}
