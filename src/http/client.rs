//! The HTTP client.

use std::time::Duration;

use reqwest::{Client, redirect};

use super::address::{BaseUrl, SetupError};

/// Makes ring the process's TLS cryptography. Idempotent; the first one installed in a process stays.
pub fn install_crypto_provider() {
    // An error says that a provider is there already, which is all that is asked.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client for one outside system. Only the connection's time is limited here: each call knows its own limit.
pub(crate) fn client(base: &BaseUrl, connect_timeout: Duration) -> Result<Client, SetupError> {
    install_crypto_provider();
    let mut builder = Client::builder()
        .user_agent(concat!("bzzz/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(connect_timeout);
    if !base.is_https() {
        // The host's certificates are not read, so that a machine that has none can still speak to itself.
        builder = builder.tls_certs_only([]);
    }
    if base.is_loopback() {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| SetupError::Client {
        address: base.as_str().to_owned(),
        problem: format!("{}. Are certificates installed (package ca-certificates)?", describe(&error)),
    })
}

/// The longest description of an error that is passed on, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 500;

/// An error and what caused it, in one line, without the URL.
pub(crate) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let part = match error.downcast_ref::<reqwest::Error>() {
            // What lies beneath says the same in other words.
            Some(error) if error.is_timeout() => {
                return if error.is_connect() { "can't connect: time-out" } else { "time-out" }.to_owned();
            }
            Some(error) if error.is_connect() => "can't connect".to_owned(),
            // Its own text holds the URL, whose query may hold what should not be in a log.
            Some(error) if error.is_body() || error.is_decode() => "the answer broke off".to_owned(),
            Some(_) => "the request failed".to_owned(),
            None => error.to_string(),
        };
        if !text.contains(&part) {
            let separator = if text.is_empty() { "" } else { ": " };
            text.push_str(separator);
            text.push_str(&part);
        }
        next = error.source();
    }
    text.truncate(text.floor_char_boundary(MAX_DESCRIPTION_BYTES));
    text
}
