//! The lists of repositories, and a repository's front page.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use super::{Html, Missing, Page, answer, heading, public, public_repos};
use crate::apiary::forge::Forge;
use crate::apiary::forge::state::{IssueState, Repo};

/// References shown on a front page; a repository with more is worked on, not looked at.
const MAX_REFS: usize = 200;

pub(crate) async fn all(forge: web::Data<Forge>) -> HttpResponse {
    list(&forge, "Repositories", |_| true)
}

pub(crate) async fn of_owner(forge: web::Data<Forge>, owner: web::Path<String>) -> HttpResponse {
    let known = forge.store.read(|state| state.user(&owner).map(|u| u.login.clone()));
    match known {
        Some(login) => list(&forge, &login, |repo| repo.owner == login),
        None => answer(Err(Missing)),
    }
}

fn list(forge: &Forge, title: &str, wanted: impl Fn(&Repo) -> bool) -> HttpResponse {
    let mut html = Html::new();
    html.raw("<h1>").text(title).raw("</h1><ul class=\"list\">");
    forge.store.read(|state| {
        for repo in public_repos(state).filter(|r| wanted(r)) {
            let open = |is_pull: bool| {
                let of_kind = repo.issues.values().filter(|i| repo.pulls.contains_key(&i.number) == is_pull);
                of_kind.filter(|i| i.state == IssueState::Open).count()
            };
            html.raw("<li>").link(&format!("/{}", repo.full_name()), repo.full_name());
            html.raw("<br><span class=\"quiet\">").text(repo.description.as_deref().unwrap_or_default());
            html.raw(" · ").text(open(false)).raw(" open issues · ").text(open(true));
            html.raw(" open pull requests</span></li>");
        }
    });
    html.raw("</ul>");
    html.page(StatusCode::OK, title)
}

/// A picture for each account: a disc whose colour comes from the id.
pub(crate) async fn avatar(id: web::Path<u64>) -> HttpResponse {
    let hue = id.wrapping_mul(137) % 360;
    HttpResponse::Ok().content_type("image/svg+xml").body(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 8 8\">\
         <circle cx=\"4\" cy=\"4\" r=\"4\" fill=\"hsl({hue},55%,55%)\"/></svg>\n"
    ))
}

pub(crate) async fn repository(forge: web::Data<Forge>, path: web::Path<(String, String)>) -> HttpResponse {
    answer(front(&forge, &path.0, &path.1).await)
}

async fn front(forge: &Forge, owner: &str, name: &str) -> Page {
    let repo = public(forge, owner, name)?;
    let git = forge.repository_of(&repo);
    let mut html = Html::new();
    heading(&mut html, &repo, &repo.full_name());
    html.raw("<p>").text(repo.description.as_deref().unwrap_or_default()).raw("</p><p><code>git clone ");
    html.text(format!("{}/{}.git", forge.base_url, repo.full_name())).raw("</code></p>");
    let branch = &repo.default_branch;
    match git.commit_id(branch).await? {
        None => {
            html.raw("<p>This repository is empty.</p>");
        }
        Some(commit) => {
            let root = git.entry(&commit, "").await?.ok_or(Missing)?;
            html.raw("<ul class=\"list\">");
            for entry in git.folder(&root).await? {
                let view = if entry.kind == "tree" { "tree" } else { "blob" };
                let to = format!("/{}/{view}/{branch}/{}", repo.full_name(), entry.path);
                html.raw("<li>").link(&to, &entry.path).raw("</li>");
            }
            html.raw("</ul>");
            if let Some(readme) = git.file(&commit, "README.md").await? {
                html.raw("<section class=\"card\"><pre class=\"file\">");
                html.text(String::from_utf8_lossy(&readme)).raw("</pre></section>");
            }
        }
    }
    html.raw("<h2>References</h2><ul class=\"list\">");
    for reference in git.refs("refs/").await?.into_iter().take(MAX_REFS) {
        html.raw("<li><code>").text(&reference.name).raw("</code> ");
        html.link(&format!("/{}/commit/{}", repo.full_name(), reference.sha), &reference.sha[..12]);
        html.raw("</li>");
    }
    html.raw("</ul>");
    Ok(html.page(StatusCode::OK, &repo.full_name()))
}
