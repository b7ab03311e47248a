//! A key in a header.

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::address::SetupError;

/// What `Authorization` is set to; no log shows it. `what` names the key where it can't be sent.
pub(crate) fn bearer(key: &SecretString, what: &'static str) -> Result<HeaderValue, SetupError> {
    let value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()));
    let mut value = value.map_err(|_| SetupError::Secret { what })?;
    value.set_sensitive(true);
    Ok(value)
}
