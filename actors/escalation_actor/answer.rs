//! Which comment answers a question.

use crate::ports::forge::{Comment, ForgeError, comment_marker};
use crate::task::RepoId;
use crate::task::text::on_page;
use crate::trust::Trust;

use super::Answer;

/// The first comment after the one that bears `marker` which says something and is by someone who may, and by no node.
pub(super) async fn first_answer(
    repo: &RepoId,
    comments: &[Comment],
    marker: &str,
    trust: &Trust,
) -> Result<Option<Answer>, ForgeError> {
    for comment in later_words(comments, marker) {
        if trust.may_answer(repo, comment).await? {
            let text = on_page(&comment.body);
            return Ok(Some(Answer::Given { by: comment.author.clone(), text }));
        }
    }
    Ok(None)
}

/// What people said after the question. That is the node's own comment with its marker at the end: anybody can write the
/// marker into theirs. Nodes and people may share one account, so what other nodes say is told by their markers.
fn later_words<'a>(comments: &'a [Comment], marker: &str) -> impl Iterator<Item = &'a Comment> + use<'a> {
    let marker = comment_marker(marker);
    let is_question = |it: &Comment| it.is_own && it.body.trim_end().ends_with(&marker);
    let question = comments.iter().position(is_question);
    let after = question.map_or(&[][..], |question| &comments[question + 1..]);
    let says_something =
        |it: &&Comment| !it.body.contains("<!-- bzzz:") && !on_page(&it.body).trim().is_empty();
    after.iter().filter(says_something)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comment(author: &str, body: &str) -> Comment {
        Comment {
            id: 1,
            author: author.into(),
            is_own: author == "ann",
            from_maintainer: true,
            body: body.into(),
            created_at: String::new(),
        }
    }

    #[test]
    fn what_was_said_before_by_nodes_or_hidden_is_no_answer() {
        let comments = [
            comment("eve", "<!-- bzzz:question-e1-1 -->"),
            comment("ann", "<!-- bzzz:question-e1-1 --> is what I say"),
            comment("ann", "Too early."),
            comment("ann", "Which one?\n<!-- bzzz:question-e1-1 -->"),
            comment("ann", "<!-- bzzz:claim --> a node's"),
            comment("eve", "<!-- the third\n-->"),
            comment("ann", "The second."),
            comment("bob", "The first."),
        ];
        let by = |marker: &str| -> Vec<String> {
            later_words(&comments, marker).map(|it| it.body.clone()).collect()
        };
        assert_eq!(by("question-e1-1"), ["The second.", "The first."]);
        assert!(by("question-e1-2").is_empty());
    }
}
