//! The routes of the REST interface. What has none is 404 in GitHub's words, as on GitHub.

mod access;
mod account;
mod assignees;
mod comments;
mod commits;
mod contents;
mod issues;
mod labels;
pub(crate) mod merges;
mod pulls;
mod refs;
mod repos;
mod reviews;
mod statuses;

use actix_web::{Resource, web};
use serde::{Deserialize, Deserializer};

pub(crate) use self::access::graphql;
use super::answer::{Answer, ApiError};
use super::state::{MAX_BODY, MAX_TITLE};

/// A resource whose other methods are 404, as on GitHub.
fn resource(path: &str) -> Resource {
    web::resource(path).default_service(web::to(not_found))
}

async fn not_found() -> Answer {
    Err(ApiError::not_found())
}

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    account::routes(config);
    access::routes(config);
    repos::routes(config);
    comments::routes(config);
    labels::routes(config);
    assignees::routes(config);
    issues::routes(config);
    reviews::routes(config);
    merges::routes(config);
    pulls::routes(config);
    refs::routes(config);
    statuses::routes(config);
    commits::routes(config);
    contents::routes(config);
    config.default_service(web::to(not_found));
}

/// A field that was sent, be it null: for `Option<Option<T>>` with `serde(default)`.
fn sent<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn check_title(resource: &str, title: &str) -> Result<(), ApiError> {
    if title.trim().is_empty() {
        return Err(ApiError::invalid(resource, "title", "missing_field"));
    }
    if title.chars().count() > MAX_TITLE {
        return Err(ApiError::too_long(resource, "title", MAX_TITLE));
    }
    Ok(())
}

fn check_body(resource: &str, body: Option<&str>) -> Result<(), ApiError> {
    if body.is_some_and(|body| body.chars().count() > MAX_BODY) {
        return Err(ApiError::too_long(resource, "body", MAX_BODY));
    }
    Ok(())
}
