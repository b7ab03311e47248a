//! Answers of the REST interface: GitHub's error bodies, and the few shapes of success.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::apiary::ApiaryError;
use crate::apiary::git::GitError;

const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// An error as GitHub answers it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) errors: Option<Value>,
}

pub(crate) type Answer = Result<HttpResponse, ApiError>;

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), errors: None }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    pub(crate) fn bad_credentials() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Bad credentials")
    }

    pub(crate) fn needs_login() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Requires authentication")
    }

    pub(crate) fn not_permitted() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Resource not accessible by personal access token")
    }

    /// 422 with one entry that says which field is wrong and how: `missing_field`, `invalid`, `already_exists`.
    pub(crate) fn invalid(resource: &str, field: &str, code: &str) -> Self {
        Self::validation(json!([{ "resource": resource, "field": field, "code": code }]))
    }

    /// 422 with one entry in GitHub's own words.
    pub(crate) fn custom(resource: &str, message: &str) -> Self {
        Self::validation(json!([{ "resource": resource, "code": "custom", "message": message }]))
    }

    /// 422 for a text that is too long.
    pub(crate) fn too_long(resource: &str, field: &str, max: usize) -> Self {
        let message = format!("{field} is too long (maximum is {max} characters)");
        Self::validation(
            json!([{ "resource": resource, "code": "custom", "field": field, "message": message }]),
        )
    }

    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    fn validation(errors: Value) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            message: "Validation Failed".into(),
            errors: Some(errors),
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut body = json!({
            "message": self.message,
            "documentation_url": DOCUMENTATION,
            "status": self.status.as_str(),
        });
        if let Some(errors) = &self.errors {
            body["errors"] = errors.clone();
        }
        HttpResponse::build(self.status).json(body)
    }
}

impl From<GitError> for ApiError {
    fn from(error: GitError) -> Self {
        tracing::error!(%error, "git failed under the forge");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Server Error")
    }
}

impl From<ApiaryError> for ApiError {
    fn from(error: ApiaryError) -> Self {
        tracing::error!(%error, "the forge's state was not written");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Server Error")
    }
}

pub(crate) fn ok(body: Value) -> Answer {
    Ok(HttpResponse::Ok().json(body))
}

pub(crate) fn created(body: Value) -> Answer {
    Ok(HttpResponse::Created().json(body))
}

pub(crate) fn no_content() -> Answer {
    Ok(HttpResponse::NoContent().finish())
}

/// Reads a request's body, which must be a JSON object whatever its `content-type` says.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let value = parse_value(body)?;
    if !value.is_object() {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "Body should be a JSON object"));
    }
    serde_json::from_value(value).map_err(|e| ApiError::unprocessable(format!("Invalid request.\n\n{e}.")))
}

pub(crate) fn parse_value(body: &[u8]) -> Result<Value, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|_| ApiError::new(StatusCode::BAD_REQUEST, "Problems parsing JSON"))
}
