//! The rate limit: requests an hour and account, as GitHub counts them. In memory only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::apiary::clock;

const WINDOW_S: u64 = 3600;
/// GitHub's limit for requests without a token.
const ANONYMOUS_LIMIT: u32 = 60;
/// Accounts that are counted; when there are more, all begin anew.
const MAX_ACCOUNTS: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) limit: u32,
    pub(crate) used: u32,
    /// Seconds since 1970.
    pub(crate) reset: u64,
}

impl Rate {
    pub(crate) fn remaining(&self) -> u32 {
        self.limit.saturating_sub(self.used)
    }
}

pub(crate) struct RateLimits {
    limit: u32,
    accounts: Mutex<HashMap<Option<String>, Rate>>,
}

impl RateLimits {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, accounts: Mutex::default() }
    }

    /// Where the account stands, after `cost` more requests. `None` is everyone without a token.
    pub(crate) fn count(&self, login: Option<&str>, cost: u32) -> Rate {
        let now = clock::unix();
        let limit = if login.is_some() { self.limit } else { ANONYMOUS_LIMIT };
        let new = Rate { limit, used: 0, reset: now + WINDOW_S };
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= MAX_ACCOUNTS {
            accounts.clear();
        }
        let rate = accounts.entry(login.map(str::to_lowercase)).or_insert(new);
        if rate.reset <= now {
            *rate = new;
        }
        rate.used = rate.used.saturating_add(cost).min(rate.limit);
        *rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_account_and_looking_is_free() {
        let limits = RateLimits::new(3);
        limits.count(Some("Ann"), 1);
        limits.count(Some("ann"), 1);
        assert_eq!(limits.count(Some("ann"), 0).remaining(), 1);
        assert_eq!(limits.count(Some("ben"), 0).remaining(), 3);
        assert_eq!(limits.count(None, 1).remaining(), 59);
        assert_eq!(limits.count(Some("ann"), 9).remaining(), 0);
    }
}
