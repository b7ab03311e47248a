//! What the pull request and its commit say. Every word in them that comes from a model, an issue or a check is made
//! inert; the only reference that acts is the one to the task's own issue.

use crate::task::inert::{inert, inert_code, inert_line};
use crate::task::text::head_and_tail;

use super::NodeId;
use super::life::Task;

/// GitHub refuses longer titles at 256 characters; more than this reads badly anyway.
const MAX_TITLE_CHARS: usize = 120;
/// What the model may say in the body, in bytes. GitHub's limit for the whole is 65,536 characters.
const MAX_STORY_BYTES: usize = 8 * 1024;
/// Half of what is shown of one check's output, in bytes.
const HALF_CHECK_OUTPUT_BYTES: usize = 1024;

impl Task {
    /// The pull request's title: the model's, or the issue's when it gave none.
    pub fn pull_request_title(&self) -> String {
        let proposed = self.proposal.as_ref().map(|it| it.title.trim()).filter(|title| !title.is_empty());
        let issue_title = self.issue.as_ref().map(|issue| issue.title.as_str()).unwrap_or_default();
        let title = inert_line(proposed.unwrap_or(issue_title).trim());
        title.chars().take(MAX_TITLE_CHARS).collect()
    }

    /// What was done, whether the checks passed, how it came about, and the words that close the issue.
    pub fn pull_request_body(&self, node: &NodeId) -> String {
        let mut body = String::new();
        let story = self.proposal.as_ref().map(|it| it.body.trim()).unwrap_or_default();
        if !story.is_empty() {
            body += inert(&head_and_tail(story, MAX_STORY_BYTES / 2)).trim();
            body += "\n\n";
        }
        body += &format!("Closes #{}\n\n## Checks\n\n{}\n", self.id.number, self.check_report());
        if let Some(plan) = &self.plan {
            body += &folded("Plan", &head_and_tail(plan, MAX_STORY_BYTES / 2));
        }
        body += &format!(
            "\nMade by Bzzz node `{node}` with `{}`: {} commands, {} tokens.\n",
            inert_line(&self.usage.model).replace('`', "'"),
            self.steps,
            u64::from(self.usage.prompt_tokens) + u64::from(self.usage.output_tokens),
        );
        body
    }

    /// The commit's message. The same state gives the same message.
    pub fn commit_message(&self) -> String {
        format!("{}\n\nCloses #{}\n", self.pull_request_title(), self.id.number)
    }

    fn check_report(&self) -> String {
        let results = self.checked.as_ref().map(|it| it.results.as_slice()).unwrap_or_default();
        if results.is_empty() {
            return "Nothing was checked: the repository's `.bzzz.toml` names no `checks`.\n".to_owned();
        }
        let hosts = self.checked.as_ref().map(|it| it.hosts.as_slice()).unwrap_or_default();
        let network = match hosts {
            [] => "without network".to_owned(),
            hosts => format!("with access to {} by https", hosts.join(", ")),
        };
        let mut report = format!("Run in a clean sandbox on exactly this tree, {network}.\n\n");
        for result in results {
            let seconds = result.outcome.duration_ms as f64 / 1e3;
            let title = format!("{} — {}, {seconds:.1} s", in_short(&result.command), result.outcome.ending);
            report += &folded(&title, &head_and_tail(&result.outcome.shown, HALF_CHECK_OUTPUT_BYTES));
        }
        report
    }
}

fn in_short(command: &str) -> String {
    inert_line(&command.trim_end().replace('\n', "; ")).chars().take(200).collect()
}

/// A section that a reader opens. `text` stands in a fence, so that nothing in it is read as Markdown or HTML.
fn folded(title: &str, text: &str) -> String {
    let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<details><summary>{title}</summary>\n\n{}\n\n</details>\n", inert_code("", text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::life::{Checked, Proposal};
    use crate::task::{CheckResult, Ending, Observed};

    fn task() -> Task {
        let mut task = Task::new("a/b#7".parse().unwrap());
        task.proposal = Some(Proposal { title: "Fix it\nnow".into(), body: "It was broken.".into() });
        task
    }

    #[test]
    fn says_that_nothing_was_checked_when_nothing_was() {
        let body = task().pull_request_body(&"n1".parse().unwrap());
        assert!(body.contains("Nothing was checked") && body.contains("Closes #7"), "{body}");
    }

    #[test]
    fn output_of_a_check_can_not_break_out_of_its_fold() {
        let mut task = task();
        task.checked = Some(Checked {
            tree: "a".repeat(40).parse().unwrap(),
            results: vec![CheckResult {
                command: "echo '<b>'".into(),
                outcome: Observed {
                    ending: Ending::Exited { code: 0 },
                    duration_ms: 1500,
                    shown: "```\n</details> @everyone".into(),
                    whole: None,
                    out_of_memory: false,
                },
            }],
            hosts: vec![],
        });
        let body = task.pull_request_body(&"n1".parse().unwrap());
        assert!(body.contains("exactly this tree, without network."), "{body}");
        assert!(body.contains("echo '&lt;b&gt;' — exit status 0, 1.5 s"), "{body}");
        assert!(body.contains("````\n```\n</details> @everyone\n````"), "{body}");
    }

    #[test]
    fn hosts_that_checks_could_reach_are_named() {
        let mut task = task();
        let outcome = Observed {
            ending: Ending::Exited { code: 0 },
            duration_ms: 1,
            shown: String::new(),
            whole: None,
            out_of_memory: false,
        };
        let results = vec![CheckResult { command: "make".into(), outcome }];
        task.checked =
            Some(Checked { tree: "a".repeat(40).parse().unwrap(), results, hosts: vec!["crates.io".into()] });
        let body = task.pull_request_body(&"n1".parse().unwrap());
        assert!(body.contains("exactly this tree, with access to crates.io by https."), "{body}");
    }

    #[test]
    fn nothing_that_a_model_says_acts() {
        let mut task = task();
        let words = "Fixes #8, thanks @ann <img src=x>";
        task.proposal = Some(Proposal { title: words.into(), body: words.into() });
        task.plan = Some("Fixes #9".into());
        let said = "Fixes # 8, thanks @ ann";
        assert_eq!(task.commit_message(), format!("{said} <img src=x>\n\nCloses #7\n"));
        let body = task.pull_request_body(&"n1".parse().unwrap());
        assert!(body.starts_with(&format!("{said} < img src=x>\n\nCloses #7\n")), "{body}");
        assert!(body.contains("Fixes # 9"), "{body}");
    }

    /// Whether any reference is in a text but the task's own, in its own paragraph.
    fn closes_another(text: &str) -> bool {
        let numbered = |at: usize| text[at + 1..].starts_with(|c: char| c.is_ascii_digit());
        let is_own = |at: usize| text[..at].ends_with("\n\nCloses ") || text[..at] == *"Closes ";
        text.match_indices('#').any(|(at, _)| numbered(at) && !is_own(at))
    }

    proptest::proptest! {
        #[test]
        fn no_model_closes_another_issue_or_calls_anybody(
            title in "(fixes |Closes: |@|#|1|7|a/b|\n|`|[a-z ]){0,12}",
            body in "(fixes |Closes: |@ann|#8|a/b|\n|```|~~~|<|!\\[|[a-z ]){0,20}",
            plan in "(fixes |#8|```|</details>|\n|@ann){0,10}",
        ) {
            let mut task = task();
            task.proposal = Some(Proposal { title, body });
            task.plan = Some(plan);
            let (body, message) = (task.pull_request_body(&"n1".parse().unwrap()), task.commit_message());
            for text in [&body, &message, &task.pull_request_title()] {
                proptest::prop_assert!(!closes_another(text), "{text:?}");
            }
            proptest::prop_assert!(!(message.contains(" @a") || message.starts_with("@a")), "{message:?}");
            // Our own sections stand outside of whatever the model began.
            proptest::prop_assert!(body.contains("\n\nCloses #7\n\n## Checks\n\n") || body.starts_with("Closes #7"));
        }
    }

    #[test]
    fn the_title_is_one_line() {
        assert_eq!(task().pull_request_title(), "Fix it now");
        assert_eq!(task().commit_message(), "Fix it now\n\nCloses #7\n");
    }
}
