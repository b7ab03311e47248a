//! Reading a body within a limit.

use reqwest::Response;

use super::client::describe;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the answer is longer than {max} bytes")]
    TooLong { max: usize },
    #[error("{0}")]
    Broken(String),
}

pub(crate) async fn read_to_end(mut response: Response, max: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| BodyError::Broken(describe(&e)))? {
        if body.len() + chunk.len() > max {
            return Err(BodyError::TooLong { max });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
