//! Pages for a person's browser: plain, rendered here, to be read. They show what is public.

mod code;
mod html;
mod issues;
mod overview;
mod pulls;

use actix_web::guard::{Guard, GuardContext};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, Resource, web};

use html::Html;

use super::state::{ForgeState, Issue, IssueState, Repo, RepoKey};
use super::{Forge, RESERVED_OWNERS};

/// A page that can't be shown.
pub(crate) struct Missing;

type Page = Result<HttpResponse, Missing>;

impl From<crate::apiary::git::GitError> for Missing {
    fn from(error: crate::apiary::git::GitError) -> Self {
        tracing::warn!(%error, "git failed under a page");
        Missing
    }
}

fn answer(page: Page) -> HttpResponse {
    page.unwrap_or_else(|Missing| {
        let mut html = Html::new();
        html.raw("<h1>Not found</h1><p>There is no such page here. <a href=\"/\">All repositories</a></p>");
        html.page(StatusCode::NOT_FOUND, "Not found")
    })
}

/// Lets a page have a path only when its first segment is not the REST interface's.
struct NotReserved;

impl Guard for NotReserved {
    fn check(&self, context: &GuardContext<'_>) -> bool {
        let first = context.head().uri.path().split('/').nth(1).unwrap_or_default();
        !RESERVED_OWNERS.contains(&first)
    }
}

fn resource(path: &str) -> Resource {
    web::resource(path).guard(NotReserved)
}

/// A browser asks for HTML by name; the REST interface's clients do not.
fn wants_html(context: &GuardContext<'_>) -> bool {
    let accept = context.head().headers.get("accept").and_then(|a| a.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/").guard(actix_web::guard::fn_guard(wants_html)).get(overview::all))
        .service(resource("/avatars/{id}").get(overview::avatar))
        .service(resource("/{owner}").get(overview::of_owner))
        .service(resource("/{owner}/{repo}").get(overview::repository))
        .service(resource("/{owner}/{repo}/issues").get(issues::list))
        .service(resource(r"/{owner}/{repo}/issues/{number:\d+}").get(issues::show))
        .service(resource("/{owner}/{repo}/pulls").get(pulls::list))
        .service(resource(r"/{owner}/{repo}/pull/{number:\d+}").get(pulls::show))
        .service(resource(r"/{owner}/{repo}/pull/{number:\d+}.diff").get(pulls::diff))
        .service(resource(r"/{owner}/{repo}/pull/{number:\d+}.patch").get(pulls::diff))
        .service(resource("/{owner}/{repo}/commit/{sha}").get(code::commit))
        .service(resource("/{owner}/{repo}/tree/{revision}/{path:.*}").get(code::entry))
        .service(resource("/{owner}/{repo}/blob/{revision}/{path:.*}").get(code::entry))
        .service(resource("/{owner}/{repo}/raw/{revision}/{path:.*}").get(code::raw));
}

/// A repository that anyone may see, copied out of the state.
fn public(forge: &Forge, owner: &str, name: &str) -> Result<Repo, Missing> {
    let key = RepoKey::new(owner, name);
    forge.store.read(|state| state.repo(&key).filter(|r| !r.private).cloned()).ok_or(Missing)
}

/// The head of a repository's pages.
fn heading(html: &mut Html, repo: &Repo, title: &str) {
    let root = format!("/{}", repo.full_name());
    html.raw("<p class=\"path\">").link(&format!("/{}", repo.owner), &repo.owner).raw(" / ");
    html.link(&root, &repo.name).raw("</p><h1>").text(title).raw("</h1><nav>");
    html.link(&root, "Code").link(&format!("{root}/issues"), "Issues");
    html.link(&format!("{root}/pulls"), "Pull requests").raw("</nav>");
}

/// The mark that says whether an issue or pull request is open.
fn state_mark(html: &mut Html, repo: &Repo, issue: &Issue) {
    let is_merged = repo.pulls.get(&issue.number).is_some_and(|p| p.merged_at.is_some());
    let is_draft = repo.pulls.get(&issue.number).is_some_and(|p| p.draft);
    html.raw(match issue.state {
        _ if is_merged => "<span class=\"state merged\">Merged</span>",
        IssueState::Open if is_draft => "<span class=\"state draft\">Draft</span>",
        IssueState::Open => "<span class=\"state open\">Open</span>",
        IssueState::Closed => "<span class=\"state closed\">Closed</span>",
    });
}

/// One line of a list of issues or pull requests.
fn issue_line(html: &mut Html, repo: &Repo, issue: &Issue) {
    let kind = if repo.pulls.contains_key(&issue.number) { "pull" } else { "issues" };
    html.raw("<li>");
    state_mark(html, repo, issue);
    html.raw(" ").link(&format!("/{}/{kind}/{}", repo.full_name(), issue.number), &issue.title);
    labels(html, issue);
    assignees(html, issue);
    html.raw("<br><span class=\"quiet\">#").text(issue.number).raw(" by ").text(&issue.author);
    html.raw(", ").text(&issue.created_at).raw("</span></li>");
}

fn labels(html: &mut Html, issue: &Issue) {
    for label in &issue.labels {
        html.raw(" <span class=\"label\">").text(label).raw("</span>");
    }
}

fn assignees(html: &mut Html, issue: &Issue) {
    if !issue.assignees.is_empty() {
        html.raw(" <span class=\"quiet\">assigned to ").text(issue.assignees.join(", ")).raw("</span>");
    }
}

/// What somebody wrote, in a frame that says who and when.
fn words(html: &mut Html, who: &str, when: &str, text: &str) {
    html.raw("<section class=\"card\"><div class=\"head\"><strong>").text(who);
    html.raw("</strong> <span class=\"quiet\">").text(when).raw("</span></div><div class=\"words\">");
    html.text(text).raw("</div></section>");
}

/// A difference, coloured line by line.
fn diff(html: &mut Html, path: &str, patch: Option<&str>) {
    html.raw("<section class=\"card\"><div class=\"head\"><code>").text(path).raw("</code></div>");
    html.raw("<pre class=\"diff\">");
    for line in patch.unwrap_or("(nothing to show: binary, or only the name or mode changed)").lines() {
        html.raw(match line.as_bytes().first() {
            Some(b'+') => "<span class=\"add\">",
            Some(b'-') => "<span class=\"del\">",
            Some(b'@') => "<span class=\"hunk\">",
            _ => "<span>",
        });
        html.text(line).raw("</span>");
    }
    html.raw("</pre></section>");
}

/// The repositories to list, by name.
fn public_repos(state: &ForgeState) -> impl Iterator<Item = &Repo> {
    state.repos().filter(|repo| !repo.private)
}
