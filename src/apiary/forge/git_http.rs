//! Git over smart HTTP: `git http-backend` as a CGI program, with GitHub's answers to those who may not.
//!
//! Bodies stream both ways. The answer to a push ends only after the pull requests know of it, so a client that has
//! its answer reads what it wrote.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE,
};
use actix_web::web::{self, Bytes};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout_at};

use super::snapshot::Snapshot;
use super::state::RepoKey;
use super::token::{Access, Permission, basic_secret_in};
use super::{Forge, repo_path};
use crate::apiary::git::Running;

/// A fetch or push that takes longer is cut off, and its process killed.
const TIME_LIMIT: Duration = Duration::from_secs(300);
/// The head of the CGI program's answer is a few lines.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// A request longer than this is cut off; git refuses a push of this size too.
const MAX_REQUEST_BYTES: u64 = 256 * 1024 * 1024;
const CHUNK_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Fetch,
    Push,
}

impl Service {
    fn named(name: &str) -> Option<Self> {
        match name {
            "git-upload-pack" => Some(Self::Fetch),
            "git-receive-pack" => Some(Self::Push),
            _ => None,
        }
    }
}

type Target = web::Path<(String, String)>;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    for repository in ["/{owner}/{repo}.git", "/{owner}/{repo}"] {
        config
            .route(&format!("{repository}/info/refs"), web::get().to(info_refs))
            .route(&format!("{repository}/git-upload-pack"), web::post().to(upload_pack))
            .route(&format!("{repository}/git-receive-pack"), web::post().to(receive_pack));
    }
}

async fn info_refs(
    forge: web::Data<Forge>,
    request: HttpRequest,
    target: Target,
    body: web::Payload,
) -> HttpResponse {
    let service = request.query_string().split('&').find_map(|pair| pair.strip_prefix("service="));
    match service.and_then(Service::named) {
        Some(service) => serve(forge, request, &target, service, "info/refs", body).await,
        None => Refusal(
            StatusCode::FORBIDDEN,
            "Please upgrade your git client: this one speaks the dumb protocol.",
        )
        .answer(),
    }
}

async fn upload_pack(
    forge: web::Data<Forge>,
    request: HttpRequest,
    target: Target,
    body: web::Payload,
) -> HttpResponse {
    serve(forge, request, &target, Service::Fetch, "git-upload-pack", body).await
}

async fn receive_pack(
    forge: web::Data<Forge>,
    request: HttpRequest,
    target: Target,
    body: web::Payload,
) -> HttpResponse {
    serve(forge, request, &target, Service::Push, "git-receive-pack", body).await
}

/// A request that git does not get to see.
struct Refusal(StatusCode, &'static str);

impl Refusal {
    fn answer(self) -> HttpResponse {
        let Self(status, message) = self;
        let mut answer = HttpResponse::build(status);
        if status == StatusCode::UNAUTHORIZED {
            answer.insert_header((WWW_AUTHENTICATE, "Basic realm=\"GitHub\""));
        }
        answer.content_type("text/plain; charset=utf-8").body(format!("{message}\n"))
    }
}

/// Who may fetch or push what; the login of a token.
fn authorize(
    forge: &Forge,
    request: &HttpRequest,
    key: &RepoKey,
    service: Service,
) -> Result<Option<String>, Refusal> {
    let not_found = Refusal(StatusCode::NOT_FOUND, "Repository not found.");
    let token = match request.headers().get(AUTHORIZATION) {
        None => None,
        Some(value) => {
            let secret = value.to_str().ok().and_then(basic_secret_in);
            let token = secret.and_then(|s| forge.token(&s));
            Some(token.ok_or(Refusal(StatusCode::UNAUTHORIZED, "Invalid username or token."))?)
        }
    };
    let found = forge.store.read(|state| state.repo(key).map(|r| (r.private, r.archived)));
    let Some(token) = token else {
        // Whether it exists is not told to those who say not who they are.
        let is_open = found.is_some_and(|(private, _)| !private) && service == Service::Fetch;
        let asks = Refusal(StatusCode::UNAUTHORIZED, "Authentication required");
        return if is_open { Ok(None) } else { Err(asks) };
    };
    let Some((private, archived)) = found else { return Err(not_found) };
    let may = |access| token.covers(key) && token.may(Permission::Contents, access);
    if private && !may(Access::Read) {
        return Err(not_found);
    }
    if service == Service::Push && !may(Access::Write) {
        return Err(Refusal(StatusCode::FORBIDDEN, "Write access to repository not granted."));
    }
    if service == Service::Push && archived {
        return Err(Refusal(StatusCode::FORBIDDEN, "This repository was archived so it is read-only."));
    }
    Ok(Some(token.login))
}

async fn serve(
    forge: web::Data<Forge>,
    request: HttpRequest,
    target: &(String, String),
    service: Service,
    endpoint: &str,
    body: web::Payload,
) -> HttpResponse {
    let key = RepoKey::new(&target.0, &target.1);
    let login = match authorize(&forge, &request, &key, service) {
        Ok(login) => login,
        Err(refusal) => return refusal.answer(),
    };
    let stale = request.extensions().get::<Arc<Snapshot>>().cloned();
    let root = match (&stale, service) {
        (Some(snapshot), Service::Fetch) => snapshot.root(),
        _ => forge.root(),
    };
    let path = forge.store.read(|state| state.repo(&key).map(|repo| repo_path(root, repo)));
    let Some(path) = path else { return Refusal(StatusCode::NOT_FOUND, "Repository not found.").answer() };
    let mut command = forge.git.http_backend();
    set_environment(&mut command, &request, login.as_deref());
    command.env("PATH_TRANSLATED", path.join(endpoint));
    let exchange = Exchange { forge: forge.clone(), key, service, _stale: stale };
    match answer(exchange, command, body).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::error!(%error, "git http-backend did not answer");
            Refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error").answer()
        }
    }
}

fn set_environment(command: &mut Command, request: &HttpRequest, login: Option<&str>) {
    let header = |name: HeaderName| request.headers().get(name).and_then(|v| v.to_str().ok());
    command
        .env("GATEWAY_INTERFACE", "CGI/1.1")
        .env("SERVER_PROTOCOL", "HTTP/1.1")
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", request.method().as_str())
        .env("QUERY_STRING", request.query_string())
        .env("REMOTE_ADDR", "127.0.0.1");
    for (name, value) in [
        ("CONTENT_TYPE", header(CONTENT_TYPE)),
        ("CONTENT_LENGTH", header(CONTENT_LENGTH)),
        ("HTTP_CONTENT_ENCODING", header(CONTENT_ENCODING)),
        ("GIT_PROTOCOL", header(HeaderName::from_static("git-protocol"))),
        ("REMOTE_USER", login),
    ] {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
}

/// What one fetch or push belongs to.
struct Exchange {
    forge: web::Data<Forge>,
    key: RepoKey,
    service: Service,
    /// The copy that is read from must outlive the reading.
    _stale: Option<Arc<Snapshot>>,
}

/// The program at work: its output, and all that must end with it.
struct Work {
    exchange: Exchange,
    running: Running,
    stdout: ChildStdout,
    /// What was read past the head.
    rest: Vec<u8>,
    feeding: tokio::task::JoinHandle<()>,
    deadline: Instant,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.feeding.abort();
    }
}

async fn answer(exchange: Exchange, command: Command, body: web::Payload) -> io::Result<HttpResponse> {
    let forge = exchange.forge.clone();
    let mut running = forge.git.start(command).await.map_err(io::Error::other)?;
    let no_pipe = || io::Error::other("a pipe is missing");
    let stdin = running.stdin.take().ok_or_else(no_pipe)?;
    let mut stdout = running.stdout.take().ok_or_else(no_pipe)?;
    if let Some(stderr) = running.stderr.take() {
        actix_web::rt::spawn(log_errors(stderr));
    }
    let feeding = actix_web::rt::spawn(feed(stdin, body));
    let deadline = Instant::now() + TIME_LIMIT;
    let (head, rest) = timeout_at(deadline, read_head(&mut stdout)).await??;
    let mut answer = HttpResponse::build(head.status);
    for header in head.headers {
        answer.insert_header(header);
    }
    let work = Work { exchange, running, stdout, rest, feeding, deadline };
    Ok(answer.streaming(stream::try_unfold(Some(work), next_chunk)))
}

/// The answer's next part; after the last one, the end of the program and what follows from a push.
async fn next_chunk(work: Option<Work>) -> io::Result<Option<(Bytes, Option<Work>)>> {
    let Some(mut work) = work else { return Ok(None) };
    if !work.rest.is_empty() {
        let rest = std::mem::take(&mut work.rest);
        return Ok(Some((rest.into(), Some(work))));
    }
    let mut chunk = vec![0; CHUNK_BYTES];
    let read = timeout_at(work.deadline, work.stdout.read(&mut chunk)).await??;
    if read > 0 {
        chunk.truncate(read);
        return Ok(Some((chunk.into(), Some(work))));
    }
    timeout_at(work.deadline, work.running.wait()).await??;
    if work.exchange.service == Service::Push {
        let Exchange { forge, key, .. } = &work.exchange;
        forge.after_push(key).await.map_err(io::Error::other)?;
    }
    Ok(None)
}

/// Hands the request's body on; a client that goes away in the middle closes the program's input.
async fn feed(mut stdin: ChildStdin, mut body: web::Payload) {
    let mut sent = 0;
    while let Some(Ok(chunk)) = body.next().await {
        sent += chunk.len() as u64;
        if sent > MAX_REQUEST_BYTES || stdin.write_all(&chunk).await.is_err() {
            break;
        }
    }
}

async fn log_errors(mut stderr: tokio::process::ChildStderr) {
    let mut text = vec![0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut text).await {
        let text = String::from_utf8_lossy(&text[..read]);
        tracing::debug!(text = text.trim(), "git http-backend");
    }
}

struct Head {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Reads the head of a CGI answer, and returns it with what was read past it.
async fn read_head(stdout: &mut ChildStdout) -> io::Result<(Head, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some((head, body)) = split_head(&read) {
            return Ok((parse_head(head), read[body..].to_vec()));
        }
        if read.len() > MAX_HEAD_BYTES || stdout.read_buf(&mut read).await? == 0 {
            return Err(io::Error::other("no head in the answer"));
        }
    }
}

/// The head's text, and where the body begins.
fn split_head(read: &[u8]) -> Option<(&str, usize)> {
    let find = |end: &[u8]| read.windows(end.len()).position(|w| w == end).map(|at| (at, at + end.len()));
    let (end, body) = find(b"\r\n\r\n").or_else(|| find(b"\n\n"))?;
    Some((str::from_utf8(&read[..end]).ok()?, body))
}

fn parse_head(head: &str) -> Head {
    let mut parsed = Head { status: StatusCode::OK, headers: Vec::new() };
    for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse().ok());
            parsed.status = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        } else if let (Ok(name), Ok(value)) = (name.parse(), value.parse()) {
            parsed.headers.push((name, value));
        }
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_found_whole_and_its_status_read() {
        assert!(split_head(b"Status: 404 Not Found\r\nA: b\r\n").is_none());
        let (head, body) = split_head(b"Status: 404 Not Found\r\nA: b\r\n\r\nbody").unwrap();
        let parsed = parse_head(head);
        assert_eq!((parsed.status, parsed.headers.len(), body), (StatusCode::NOT_FOUND, 1, 31));
    }
}
