//! Tokens: whose they are, what they may do, and where.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::state::RepoKey;

/// The permissions of a fine-grained token that the forge asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    Metadata,
    Contents,
    Issues,
    PullRequests,
    Statuses,
    Actions,
    Checks,
    Administration,
}

impl Permission {
    const ALL: [Permission; 8] = [
        Self::Metadata,
        Self::Contents,
        Self::Issues,
        Self::PullRequests,
        Self::Statuses,
        Self::Actions,
        Self::Checks,
        Self::Administration,
    ];

    /// GitHub's name of it in `x-accepted-github-permissions`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Contents => "contents",
            Self::Issues => "issues",
            Self::PullRequests => "pull_requests",
            Self::Statuses => "statuses",
            Self::Actions => "actions",
            Self::Checks => "checks",
            Self::Administration => "administration",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    None,
    Read,
    Write,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

#[derive(Clone)]
pub struct Token {
    pub(crate) secret: String,
    pub(crate) login: String,
    permissions: BTreeMap<Permission, Access>,
    /// `None`: all repositories.
    repositories: Option<Vec<RepoKey>>,
    /// May do in other public repositories what anyone may who is logged in.
    is_classic: bool,
}

impl Token {
    /// A token of `login` that may do everything everywhere.
    pub fn full(secret: impl Into<String>, login: impl Into<String>) -> Self {
        Self::with_all(secret.into(), login.into(), Access::Write)
    }

    /// A token that may read everything and write nothing.
    pub fn read_only(secret: impl Into<String>, login: impl Into<String>) -> Self {
        Self::with_all(secret.into(), login.into(), Access::Read)
    }

    fn with_all(secret: String, login: String, access: Access) -> Self {
        let permissions = Permission::ALL.into_iter().map(|p| (p, access)).collect();
        Self { secret, login, permissions, repositories: None, is_classic: false }
    }

    /// The token with another access for one permission.
    pub fn with(mut self, permission: Permission, access: Access) -> Self {
        self.permissions.insert(permission, access);
        self
    }

    /// The token for these repositories only, `(owner, name)`; others it sees as anyone does.
    pub fn only_for(mut self, repositories: &[(&str, &str)]) -> Self {
        self.repositories = Some(repositories.iter().map(|(o, n)| RepoKey::new(o, n)).collect());
        self
    }

    /// The token as a classic one: where its account may not push, it may still comment and open pull requests. A
    /// fine-grained one may not.
    pub fn classic(mut self) -> Self {
        self.is_classic = true;
        self
    }

    pub(crate) fn is_classic(&self) -> bool {
        self.is_classic
    }

    pub(crate) fn covers(&self, repo: &RepoKey) -> bool {
        self.repositories.as_ref().is_none_or(|covered| covered.contains(repo))
    }

    pub(crate) fn may(&self, permission: Permission, access: Access) -> bool {
        self.permissions.get(&permission).is_some_and(|granted| *granted >= access)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("login", &self.login).finish_non_exhaustive()
    }
}

/// The secret in an `Authorization` header of the REST interface: `Bearer`, `token`, or the password of `Basic`.
pub(crate) fn secret_in(header: &str) -> Option<String> {
    let (scheme, value) = header.trim().split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") {
        return Some(value.trim().to_owned());
    }
    basic_secret_in(header)
}

/// The secret in an `Authorization: Basic` header: the password, or the user name when there is no password.
pub(crate) fn basic_secret_in(header: &str) -> Option<String> {
    let (scheme, value) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    let secret = if matches!(password, "" | "x-oauth-basic") { user } else { password };
    Some(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_found_in_every_scheme_that_github_takes() {
        assert_eq!(secret_in("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(secret_in("token abc").as_deref(), Some("abc"));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(secret_in(&basic("x-access-token:abc")).as_deref(), Some("abc"));
        assert_eq!(secret_in(&basic("abc:")).as_deref(), Some("abc"));
        assert_eq!(basic_secret_in("Bearer abc"), None);
        assert_eq!(secret_in("Basic !!!"), None);
    }

    #[test]
    fn a_token_is_never_printed() {
        assert!(!format!("{:?}", Token::full("hush", "ann")).contains("hush"));
    }

    #[test]
    fn permissions_are_ordered_and_repositories_limit_them() {
        let token =
            Token::read_only("s", "ann").with(Permission::Issues, Access::Write).only_for(&[("A", "b")]);
        assert!(token.may(Permission::Issues, Access::Read) && token.may(Permission::Issues, Access::Write));
        assert!(!token.may(Permission::Contents, Access::Write));
        assert!(token.covers(&RepoKey::new("a", "B")) && !token.covers(&RepoKey::new("a", "c")));
    }
}
