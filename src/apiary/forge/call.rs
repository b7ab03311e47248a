//! One REST request: who asks, what they may, and whether they see the present.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::Forge;
use super::answer::ApiError;
use super::repository::Repository;
use super::show::Urls;
use super::snapshot::Snapshot;
use super::state::{ForgeState, Repo, RepoKey};
use super::token::{Access, Permission, Token};

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) enum Viewer {
    Anonymous,
    Token(Arc<Token>),
}

/// What a request needs, for the header `x-accepted-github-permissions`.
pub(crate) struct Accepted(pub(crate) String);

pub(crate) struct Call {
    pub(crate) forge: web::Data<Forge>,
    pub(crate) urls: Urls,
    request: HttpRequest,
    viewer: Viewer,
    stale: Option<Arc<Snapshot>>,
}

impl FromRequest for Call {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(forge) = request.app_data::<web::Data<Forge>>() else {
            return ready(Err(ApiError::not_found()));
        };
        let viewer = request.extensions().get::<Viewer>().cloned().unwrap_or(Viewer::Anonymous);
        let stale = request.extensions().get::<Arc<Snapshot>>().cloned();
        ready(Ok(Self {
            forge: forge.clone(),
            urls: Urls::of(request),
            request: request.clone(),
            viewer,
            stale,
        }))
    }
}

impl Call {
    pub(crate) fn request(&self) -> &HttpRequest {
        &self.request
    }

    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let query = web::Query::<T>::from_query(self.request.query_string());
        query.map(web::Query::into_inner).map_err(|e| ApiError::unprocessable(e.to_string()))
    }

    /// The account that asks.
    pub(crate) fn login(&self) -> Result<String, ApiError> {
        match &self.viewer {
            Viewer::Anonymous => Err(ApiError::needs_login()),
            Viewer::Token(token) => Ok(token.login.clone()),
        }
    }

    /// The repository of this name, when the caller may do with it what one of `needs` says.
    ///
    /// # Errors
    /// As GitHub: 404 for what the caller may not see, 401 for a write without a token, 403 for a permission that is
    /// missing and for a write to an archived repository.
    pub(crate) fn repo(
        &self,
        owner: &str,
        name: &str,
        access: Access,
        needs: &[Permission],
    ) -> Result<RepoKey, ApiError> {
        let key = RepoKey::new(owner, name);
        let accepted: Vec<String> = needs.iter().map(|p| format!("{}={access}", p.name())).collect();
        self.request.extensions_mut().insert(Accepted(accepted.join("; ")));
        let (private, archived) = self.view(|state| {
            let repo = state.repo(&key).ok_or_else(ApiError::not_found)?;
            Ok::<_, ApiError>((repo.private, repo.archived))
        })?;
        let token = match &self.viewer {
            Viewer::Token(token) => token,
            Viewer::Anonymous if private => return Err(ApiError::not_found()),
            Viewer::Anonymous if access == Access::Write => return Err(ApiError::needs_login()),
            Viewer::Anonymous => return Ok(key),
        };
        let covered = token.covers(&key);
        if private && !covered {
            return Err(ApiError::not_found());
        }
        let permitted = covered && needs.iter().any(|p| token.may(*p, access));
        // Anyone may read what is public.
        if !permitted && (private || access == Access::Write) {
            return Err(ApiError::not_permitted());
        }
        if archived && access == Access::Write {
            let message = "Repository was archived so is read-only.";
            return Err(ApiError::new(actix_web::http::StatusCode::FORBIDDEN, message));
        }
        Ok(key)
    }

    /// As [`Self::repo`] for a write that in a public repository needs no right to it, only an account.
    ///
    /// # Errors
    /// As [`Self::repo`].
    pub(crate) fn repo_for_anyone(
        &self,
        owner: &str,
        name: &str,
        needs: &[Permission],
    ) -> Result<RepoKey, ApiError> {
        let key = RepoKey::new(owner, name);
        let is_open = self.view(|state| state.repo(&key).is_some_and(|repo| !repo.private && !repo.archived));
        match &self.viewer {
            Viewer::Token(token) if is_open && token.is_classic() => Ok(key),
            _ => self.repo(owner, name, Access::Write, needs),
        }
    }

    /// Whether the caller may push.
    pub(crate) fn may_push(&self, key: &RepoKey) -> bool {
        match &self.viewer {
            Viewer::Anonymous => false,
            Viewer::Token(token) => token.covers(key) && token.may(Permission::Contents, Access::Write),
        }
    }

    /// Whether the caller sees a private repository.
    pub(crate) fn sees(&self, repo: &Repo) -> bool {
        match &self.viewer {
            Viewer::Anonymous => !repo.private,
            Viewer::Token(token) => !repo.private || token.covers(&repo.key()),
        }
    }

    /// Looks at the state: the present one, or the past one that a fault asks for.
    pub(crate) fn view<R>(&self, look: impl FnOnce(&ForgeState) -> R) -> R {
        match &self.stale {
            Some(snapshot) => look(&snapshot.state),
            None => self.forge.store.read(look),
        }
    }

    /// Looks at one repository.
    pub(crate) fn view_repo<R>(
        &self,
        key: &RepoKey,
        look: impl FnOnce(&ForgeState, &Repo) -> Result<R, ApiError>,
    ) -> Result<R, ApiError> {
        self.view(|state| look(state, state.repo(key).ok_or_else(ApiError::not_found)?))
    }

    /// Changes the state; `None` from the change is a 404.
    pub(crate) fn change<R>(
        &self,
        change: impl FnOnce(&mut ForgeState) -> Result<Option<R>, ApiError>,
    ) -> Result<R, ApiError> {
        self.forge.store.change(|state| change(state)?.ok_or_else(ApiError::not_found))
    }

    /// The repository's git side, of the same time as [`Call::view`].
    pub(crate) fn git(&self, key: &RepoKey) -> Result<Repository, ApiError> {
        let root = self.stale.as_ref().map_or(self.forge.root(), |snapshot| snapshot.root());
        let path = self.view_repo(key, |_, repo| Ok(super::repo_path(root, repo)))?;
        Ok(Repository::new(Arc::clone(&self.forge.git), path))
    }

    /// Whether the request is answered from the past: then nothing may be brought up to date for it.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.is_some()
    }
}
