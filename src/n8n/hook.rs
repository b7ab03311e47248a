//! What the webhooks share: their address, and the form of a workflow's reply.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url};
use serde::de::DeserializeOwned;

use crate::http::{BaseUrl, PlainHttp, SetupError, client};

/// Part of the request's whole time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Hook {
    client: Client,
    url: Url,
    timeout: Duration,
}

impl Hook {
    /// # Errors
    /// An address that can't be used. Nothing is sent yet.
    pub(super) fn new(url: &str, timeout: Duration) -> Result<Self, SetupError> {
        // The query may hold a workflow's own parameters; everything else is checked as for the other systems.
        let (address, query) = match url.split_once('?') {
            Some((address, query)) => (address, Some(query)),
            None => (url, None),
        };
        let base = BaseUrl::parse(address, PlainHttp::Anywhere)?;
        let mut url = base.url().clone();
        url.set_query(query);
        Ok(Self { client: client(&base, CONNECT_TIMEOUT)?, url, timeout })
    }

    pub(super) fn post(&self) -> RequestBuilder {
        self.client.post(self.url.clone()).timeout(self.timeout)
    }
}

/// N8N answers with an object, or with a list of one for each item that left the workflow.
pub(super) fn parse_first<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    match serde_json::from_slice::<T>(body) {
        Ok(reply) => Some(reply),
        Err(_) => serde_json::from_slice::<Vec<T>>(body).ok()?.into_iter().next(),
    }
}
