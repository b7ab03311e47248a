//! What people do on issues and pull requests.

use bzzz_actors::task::{RepoId, TaskId};

use super::key_of;
use crate::apiary::ApiaryError;
use crate::apiary::forge::rest::merges::{MergeRequest, merge_now};
use crate::apiary::forge::state::{
    Association, Issue, NewIssue, Review, ReviewComment, ReviewState, Status, StatusState, UserKind,
};
use crate::apiary::forge::{Forge, clock};

impl Forge {
    /// Opens an issue and returns its number.
    pub fn open_issue(
        &self,
        repo: &RepoId,
        author: &str,
        title: &str,
        body: &str,
        labels: &[&str],
    ) -> Result<u64, ApiaryError> {
        let labels: Vec<String> = labels.iter().map(|l| (*l).to_owned()).collect();
        let new = NewIssue { author, title, body: Some(body), labels: &labels, assignees: &[] };
        self.change(repo, |state, key| state.open_issue(key, &new, &clock::now()))
    }

    /// Edits an issue in any way; `updated_at` is set.
    pub fn edit_issue(&self, task: &TaskId, edit: impl FnOnce(&mut Issue)) -> Result<(), ApiaryError> {
        self.change_at(task, |state, key| {
            let issue = state.repo_mut(key)?.issues.get_mut(&task.number)?;
            issue.updated_at = clock::now();
            edit(issue);
            Some(())
        })
    }

    /// Gives an issue another title or body, in somebody's name.
    pub fn rewrite_issue(
        &self,
        task: &TaskId,
        by: &str,
        title: Option<&str>,
        body: Option<&str>,
    ) -> Result<(), ApiaryError> {
        self.change_at(task, |state, key| {
            let now = clock::now();
            state.ensure_user(by, UserKind::User, &now);
            let issue = state.repo_mut(key)?.issues.get_mut(&task.number)?;
            if let Some(title) = title {
                issue.rename(title.to_owned(), by, &now);
            }
            if let Some(body) = body {
                issue.rewrite(Some(body.to_owned()), by, &now);
            }
            Some(())
        })
    }

    pub fn close_issue(&self, task: &TaskId, by: &str) -> Result<(), ApiaryError> {
        self.edit_issue(task, |issue| issue.close(by, None, &clock::now()))
    }

    pub fn reopen_issue(&self, task: &TaskId) -> Result<(), ApiaryError> {
        self.edit_issue(task, |issue| issue.reopen(&clock::now()))
    }

    pub fn add_labels(&self, task: &TaskId, by: &str, labels: &[&str]) -> Result<(), ApiaryError> {
        let labels: Vec<String> = labels.iter().map(|l| (*l).to_owned()).collect();
        self.change_at(task, |state, key| state.add_labels(key, task.number, &labels, by, &clock::now()))
    }

    /// Removes a label as the repository's owner; one that is not there is no error.
    pub fn remove_label(&self, task: &TaskId, label: &str) -> Result<(), ApiaryError> {
        self.edit_issue(task, |issue| {
            issue.remove_label(label, task.repo.owner(), &clock::now());
        })
    }

    /// Comments as `author`, and returns the comment's id. Without an association the author has the one that their
    /// place in the repository gives.
    pub fn add_comment(
        &self,
        task: &TaskId,
        author: &str,
        association: Option<Association>,
        body: &str,
    ) -> Result<u64, ApiaryError> {
        self.change_at(task, |state, key| {
            state.add_comment(key, task.number, author, association, body, &clock::now())
        })
    }

    /// Merges a pull request with a merge commit, as the button does, and returns the commit. What the pull request
    /// says it closes is closed.
    pub async fn merge_pull_request(&self, pull: &TaskId, by: &str) -> Result<String, ApiaryError> {
        let request = MergeRequest::default();
        let merged = merge_now(self, &key_of(&pull.repo), pull.number, &request, by).await;
        merged.map_err(|e| ApiaryError::Refused(format!("{pull}: {e}")))
    }

    /// Reviews a pull request.
    pub fn add_review(
        &self,
        pull: &TaskId,
        author: &str,
        review_state: ReviewState,
        body: &str,
    ) -> Result<u64, ApiaryError> {
        self.change_at(pull, |state, key| {
            let commit_id = state.repo(key)?.pulls.get(&pull.number)?.head_sha.clone();
            let (id, now) = (state.next_id(), clock::now());
            let review = Review {
                id,
                author: author.to_owned(),
                body: body.to_owned(),
                state: review_state,
                commit_id,
                submitted_at: now.clone(),
            };
            state.add_review(key, pull.number, review, &now).map(|()| id)
        })
    }

    /// Comments on a line of a pull request's diff.
    pub fn add_review_comment(
        &self,
        pull: &TaskId,
        author: &str,
        path: &str,
        line: u64,
        body: &str,
    ) -> Result<u64, ApiaryError> {
        self.change_at(pull, |state, key| {
            let commit_id = state.repo(key)?.pulls.get(&pull.number)?.head_sha.clone();
            let (id, now) = (state.next_id(), clock::now());
            let comment = ReviewComment {
                id,
                review: None,
                in_reply_to: None,
                author: author.to_owned(),
                body: body.to_owned(),
                path: path.to_owned(),
                line,
                commit_id,
                created_at: now.clone(),
                updated_at: now.clone(),
            };
            state.add_review_comment(key, pull.number, comment, &now).map(|()| id)
        })
    }

    /// Says of a commit what a continuous integration would.
    pub fn set_status(
        &self,
        repo: &RepoId,
        sha: &str,
        status: StatusState,
        context: &str,
    ) -> Result<(), ApiaryError> {
        self.change(repo, |state, key| {
            state.repo(key)?;
            let status = Status {
                id: state.next_id(),
                sha: sha.to_owned(),
                state: status,
                context: context.to_owned(),
                description: None,
                target_url: None,
                creator: repo.owner().to_owned(),
                created_at: clock::now(),
            };
            state.repo_mut(key)?.statuses.push(status);
            Some(())
        })
    }
}
