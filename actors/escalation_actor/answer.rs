//! Which comment answers a question.

use crate::ports::forge::{Comment, comment_marker};

use super::Answer;

/// The first comment after the one that bears `marker` which a maintainer wrote and no node. Nodes and people may
/// share one account, so a node's comment is told by its hidden marker, not by its author.
pub(super) fn first_answer(comments: &[Comment], marker: &str) -> Option<Answer> {
    let question = comments.iter().position(|comment| comment.body.contains(&comment_marker(marker)))?;
    let is_answer = |comment: &&Comment| {
        comment.from_maintainer && !comment.body.contains("<!-- bzzz:") && !comment.body.trim().is_empty()
    };
    let answer = comments[question + 1..].iter().find(is_answer)?;
    Some(Answer::Given { by: answer.author.clone(), text: answer.body.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comment(author: &str, from_maintainer: bool, body: &str) -> Comment {
        Comment {
            id: 1,
            author: author.into(),
            from_maintainer,
            body: body.into(),
            created_at: String::new(),
        }
    }

    #[test]
    fn the_first_maintainer_after_the_question_answers() {
        let comments = [
            comment("ann", true, "Too early."),
            comment("ann", true, "Which one?\n<!-- bzzz:question-e1-1 -->"),
            comment("passer-by", false, "rm -rf /"),
            comment("ann", true, "<!-- bzzz:claim --> a node's"),
            comment("ann", true, "The second."),
            comment("bob", true, "The first."),
        ];
        let answer = Answer::Given { by: "ann".into(), text: "The second.".into() };
        assert_eq!(first_answer(&comments, "question-e1-1"), Some(answer));
        assert_eq!(first_answer(&comments, "question-e1-2"), None);
        assert_eq!(first_answer(&comments[..4], "question-e1-1"), None);
    }
}
