//! The changes that touch more than one thing. Each returns `None`, and has changed nothing, when what it is about is
//! not there.

use super::issue::{Association, Comment, Issue};
use super::pull::{Review, ReviewComment};
use super::repo::Label;
use super::{ForgeState, RepoKey, UserKind};

/// The colour that GitHub gives to labels that are made by using them.
const DEFAULT_COLOR: &str = "ededed";

/// An issue to be opened. Labels that the repository does not have are made; who can't be assigned is left out.
#[derive(Default)]
pub(crate) struct NewIssue<'a> {
    pub(crate) author: &'a str,
    pub(crate) title: &'a str,
    pub(crate) body: Option<&'a str>,
    pub(crate) labels: &'a [String],
    pub(crate) assignees: &'a [String],
}

impl ForgeState {
    /// Opens an issue (or what becomes a pull request) and returns its number.
    pub(crate) fn open_issue(&mut self, key: &RepoKey, new: &NewIssue<'_>, now: &str) -> Option<u64> {
        self.repo(key)?;
        self.ensure_user(new.author, UserKind::User, now);
        let id = self.next_id();
        let repo = self.repo_mut(key)?;
        let number = repo.next_number();
        repo.issues.insert(number, Issue::new(id, number, new.author, new.title, new.body, now));
        self.add_labels(key, number, new.labels, new.author, now)?;
        self.assign(key, number, new.assignees, now)?;
        Some(number)
    }

    /// Adds labels to an issue, making those that the repository does not have.
    pub(crate) fn add_labels(
        &mut self,
        key: &RepoKey,
        number: u64,
        names: &[String],
        by: &str,
        now: &str,
    ) -> Option<()> {
        self.repo(key)?.issues.get(&number)?;
        self.ensure_user(by, UserKind::User, now);
        for name in names {
            let name = self.ensure_label(key, name)?;
            self.repo_mut(key)?.issues.get_mut(&number)?.add_label(name, by, now);
        }
        Some(())
    }

    /// The label's name as the repository writes it; the label is made when there is none.
    pub(crate) fn ensure_label(&mut self, key: &RepoKey, name: &str) -> Option<String> {
        if let Some(label) = self.repo(key)?.label(name) {
            return Some(label.name.clone());
        }
        let label = Label {
            id: self.next_id(),
            name: name.to_owned(),
            color: DEFAULT_COLOR.to_owned(),
            description: None,
        };
        self.repo_mut(key)?.labels.insert(name.to_lowercase(), label);
        Some(name.to_owned())
    }

    /// Assigns those who can be assigned; others are ignored, as GitHub does.
    pub(crate) fn assign(&mut self, key: &RepoKey, number: u64, logins: &[String], now: &str) -> Option<()> {
        let repo = self.repo(key)?;
        repo.issues.get(&number)?;
        let assignable = |login: &&String| repo.may_be_assigned(number, login);
        let known = |login: &String| self.user(login).map(|u| u.login.clone());
        let logins: Vec<String> = logins.iter().filter(assignable).filter_map(known).collect();
        let issue = self.repo_mut(key)?.issues.get_mut(&number)?;
        for login in logins {
            if !issue.assignees.contains(&login) {
                issue.assignees.push(login);
                issue.updated_at = now.to_owned();
            }
        }
        Some(())
    }

    /// Adds a comment and returns its id.
    pub(crate) fn add_comment(
        &mut self,
        key: &RepoKey,
        number: u64,
        author: &str,
        association: Option<Association>,
        body: &str,
        now: &str,
    ) -> Option<u64> {
        self.repo(key)?.issues.get(&number)?;
        let author = self.ensure_user(author, UserKind::User, now).login.clone();
        let id = self.next_id();
        let repo = self.repo_mut(key)?;
        repo.issues.get_mut(&number)?.updated_at = now.to_owned();
        repo.comments.insert(
            id,
            Comment {
                id,
                issue: number,
                author,
                association,
                body: body.to_owned(),
                created_at: now.to_owned(),
                updated_at: now.to_owned(),
            },
        );
        Some(id)
    }
}

impl ForgeState {
    pub(crate) fn add_review(&mut self, key: &RepoKey, number: u64, review: Review, now: &str) -> Option<()> {
        self.repo(key)?.pulls.get(&number)?;
        self.ensure_user(&review.author, UserKind::User, now);
        let repo = self.repo_mut(key)?;
        repo.issues.get_mut(&number)?.updated_at = now.to_owned();
        repo.pulls.get_mut(&number)?.reviews.push(review);
        Some(())
    }

    pub(crate) fn add_review_comment(
        &mut self,
        key: &RepoKey,
        number: u64,
        comment: ReviewComment,
        now: &str,
    ) -> Option<()> {
        self.repo(key)?.pulls.get(&number)?;
        self.ensure_user(&comment.author, UserKind::User, now);
        let repo = self.repo_mut(key)?;
        repo.issues.get_mut(&number)?.updated_at = now.to_owned();
        repo.pulls.get_mut(&number)?.review_comments.push(comment);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Repo;
    use super::*;

    fn state() -> (ForgeState, RepoKey) {
        let mut state = ForgeState::default();
        let owner = state.ensure_user("meadow", UserKind::Organization, "t").clone();
        let repo = Repo::new(state.next_id(), &owner, "Ledger", "main", "t");
        assert!(state.add_repo(repo));
        (state, RepoKey::new("Meadow", "ledger"))
    }

    #[test]
    fn numbers_are_one_sequence_and_ids_are_unique() {
        let (mut state, key) = state();
        let new = NewIssue { author: "ann", title: "t", ..NewIssue::default() };
        assert_eq!(state.open_issue(&key, &new, "t"), Some(1));
        assert_eq!(state.open_issue(&key, &new, "t"), Some(2));
        let comment = state.add_comment(&key, 2, "ben", None, "hello", "t1").unwrap();
        let repo = state.repo(&key).unwrap();
        let ids = [repo.id, repo.issues[&1].id, repo.issues[&2].id, comment];
        assert!(ids.windows(2).all(|w| w[0] < w[1]), "{ids:?}");
        assert_eq!(repo.issues[&2].updated_at, "t1");
    }

    #[test]
    fn a_label_of_another_case_is_the_one_that_is_there() {
        let (mut state, key) = state();
        state.ensure_label(&key, "Bug").unwrap();
        let labels = ["bug".to_owned(), "new".to_owned()];
        let new = NewIssue { author: "ann", title: "t", labels: &labels, ..NewIssue::default() };
        state.open_issue(&key, &new, "t").unwrap();
        let repo = state.repo(&key).unwrap();
        assert_eq!(repo.issues[&1].labels, ["Bug", "new"]);
        assert_eq!(repo.labels.len(), 2);
    }

    #[test]
    fn who_has_nothing_to_do_with_the_repository_is_not_assigned() {
        let (mut state, key) = state();
        state.ensure_user("stranger", UserKind::User, "t");
        let assignees = ["meadow".to_owned(), "stranger".to_owned(), "nobody".to_owned()];
        let new = NewIssue { author: "ann", title: "t", assignees: &assignees, ..NewIssue::default() };
        state.open_issue(&key, &new, "t").unwrap();
        assert_eq!(state.repo(&key).unwrap().issues[&1].assignees, ["meadow"]);
    }

    #[test]
    fn nothing_changes_for_an_issue_that_is_not_there() {
        let (mut state, key) = state();
        let before = serde_json::to_string(&state).unwrap();
        assert!(state.add_labels(&key, 9, &["x".to_owned()], "ann", "t").is_none());
        assert!(state.add_comment(&key, 9, "new-user", None, "x", "t").is_none());
        assert_eq!(serde_json::to_string(&state).unwrap(), before);
    }
}
