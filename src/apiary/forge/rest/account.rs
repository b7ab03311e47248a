//! The caller, other users, and what is left of the rate limit.

use actix_web::web;
use serde_json::{Value, json};

use super::resource;
use crate::apiary::forge::answer::{Answer, ApiError, ok};
use crate::apiary::forge::call::Call;
use crate::apiary::forge::listing::page;
use crate::apiary::forge::show;
use crate::apiary::forge::state::Repo;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/").get(root))
        .service(resource("/user").get(me))
        .service(resource("/user/repos").get(my_repos))
        .service(resource("/users/{login}").get(user))
        .service(resource("/users/{login}/repos").get(repos_of))
        .service(resource("/orgs/{login}/repos").get(repos_of))
        .service(resource("/rate_limit").get(rate_limit));
}

async fn root(call: Call) -> Answer {
    let api = &call.urls.api;
    ok(json!({
        "current_user_url": format!("{api}/user"),
        "rate_limit_url": format!("{api}/rate_limit"),
        "repository_url": format!("{api}/repos/{{owner}}/{{repo}}"),
        "user_url": format!("{api}/users/{{user}}"),
    }))
}

async fn me(call: Call) -> Answer {
    profile(&call, &call.login()?)
}

async fn user(call: Call, login: web::Path<String>) -> Answer {
    profile(&call, &login)
}

fn profile(call: &Call, login: &str) -> Answer {
    call.view(|state| {
        let user = state.user(login).ok_or_else(ApiError::not_found)?;
        ok(show::profile(&call.urls, state, user))
    })
}

async fn my_repos(call: Call) -> Answer {
    let login = call.login()?;
    list(&call, |repo| repo.may_write(&login))
}

async fn repos_of(call: Call, login: web::Path<String>) -> Answer {
    call.view(|state| state.user(&login).map(drop)).ok_or_else(ApiError::not_found)?;
    list(&call, |repo| repo.owner.eq_ignore_ascii_case(&login))
}

fn list(call: &Call, wanted: impl Fn(&Repo) -> bool) -> Answer {
    call.view(|state| {
        let repos: Vec<&Repo> = state.repos().filter(|r| call.sees(r) && wanted(r)).collect();
        page(call.request(), repos, |repo| {
            Ok(show::repo(&call.urls, state, repo, call.may_push(&repo.key())))
        })
    })
}

async fn rate_limit(call: Call) -> Answer {
    let rate = call.forge.rate.count(call.login().ok().as_deref(), 0);
    let core = json!({
        "limit": rate.limit, "used": rate.used, "remaining": rate.remaining(), "reset": rate.reset,
        "resource": "core",
    });
    // Nothing else is limited here: the other resources are shown untouched.
    let other = |name: &str, limit: u32| -> Value {
        json!({ "limit": limit, "used": 0, "remaining": limit, "reset": rate.reset, "resource": name })
    };
    let resources = json!({ "core": core, "search": other("search", 30), "graphql": other("graphql", 5000) });
    ok(json!({ "resources": resources, "rate": core }))
}
