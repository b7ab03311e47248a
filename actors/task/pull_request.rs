//! What the pull request and its commit say. Every word in them that comes from a model, a peer, an issue or a check is
//! made inert; the only reference that acts is the one to the task's own issue. The same state gives the same words, so
//! that a pull request that is opened again after a crash says what the first one did.

use std::time::Duration;

use crate::task::inert::{inert, inert_code, inert_line};
use crate::task::text::head_and_tail;

use super::life::Task;
use super::{CheckResult, NodeId, Publication, Review};

/// GitHub refuses longer titles at 256 characters; more than this reads badly anyway.
const MAX_TITLE_CHARS: usize = 120;
/// What each part may take of the body, in bytes; GitHub's limit for the whole is 65,536 characters, and what it would
/// cut are the words on how to verify all this, at the end.
const MAX_STORY_BYTES: usize = 8 * 1024;
const MAX_PLAN_BYTES: usize = 6 * 1024;
/// Of each check's output, and of the output of all of them.
const MAX_CHECK_OUTPUT_BYTES: usize = 2 * 1024;
const MAX_OUTPUT_BYTES: usize = 24 * 1024;
const MAX_SETUP_BYTES: usize = 2 * 1024;
const MAX_REVIEW_BYTES: usize = 1024;
/// Reviews that are shown; of more, the number of the others is said.
const MAX_REVIEWS: usize = 8;
/// GitHub's own limit is 65,536 characters.
const MAX_BODY_BYTES: usize = 60_000;
/// Of a command, in a line that stands for it.
const MAX_COMMAND_CHARS: usize = 200;

impl Task {
    /// The pull request's title: the model's, or the issue's when it gave none.
    pub fn pull_request_title(&self) -> String {
        let proposed = self.proposal.as_ref().map(|it| it.title.trim()).filter(|title| !title.is_empty());
        let issue_title = self.issue.as_ref().map(|issue| issue.title.as_str()).unwrap_or_default();
        let title = inert_line(proposed.unwrap_or(issue_title).trim());
        title.chars().take(MAX_TITLE_CHARS).collect()
    }

    /// What was done and why, the words that close the issue, what the checks said, how it came about, and how that can
    /// be verified.
    pub fn pull_request_body(&self, node: &NodeId) -> String {
        // What is made inert grows, hostile texts most of all; what is at the end must not be cut for it.
        let bodies = [1, 2, 4, 8].map(|part| move || self.body_with(node, part));
        let fitting = bodies.iter().map(|body| body()).find(|body| body.len() <= MAX_BODY_BYTES);
        fitting.unwrap_or_else(|| self.body_with(node, 16))
    }

    /// With one `part`th of what may be shown of each thing.
    fn body_with(&self, node: &NodeId, part: usize) -> String {
        let mut body = String::new();
        let story = self.proposal.as_ref().map(|it| it.body.trim()).unwrap_or_default();
        if !story.is_empty() {
            body += inert(&head_and_tail(story, MAX_STORY_BYTES / 2 / part)).trim();
            body += "\n\n";
        }
        body += &format!("Closes #{}\n\n## Checks\n\n{}\n", self.id.number, self.check_report(part));
        body += "## How it was made\n\n";
        if let Some(plan) = &self.plan {
            body += &folded("Plan", &head_and_tail(plan, MAX_PLAN_BYTES / 2 / part));
        }
        body += &review_report(&self.reviews, part);
        body += &self.origin(node);
        if let Some(publication) = &self.publication {
            body += &verification(node, publication);
        }
        body
    }

    /// The commit's message. The same state gives the same message.
    pub fn commit_message(&self) -> String {
        format!("{}\n\nCloses #{}\n", self.pull_request_title(), self.id.number)
    }

    fn check_report(&self, part: usize) -> String {
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
        let setup = self.checked.as_ref().map(|it| it.setup.as_slice()).unwrap_or_default();
        if !setup.is_empty() {
            let lines: Vec<String> = setup.iter().map(title_of).collect();
            report +=
                &folded("It was set up first", &head_and_tail(&lines.join("\n"), MAX_SETUP_BYTES / 2 / part));
        }
        let half = (MAX_OUTPUT_BYTES / results.len()).min(MAX_CHECK_OUTPUT_BYTES) / 2 / part;
        for result in results {
            report += &folded(&title_of(result), &head_and_tail(&result.outcome.shown, half));
        }
        report
    }

    fn origin(&self, node: &NodeId) -> String {
        let time =
            self.publication.as_ref().map(|it| format!(", {}", minutes(it.worked_ms))).unwrap_or_default();
        format!(
            "\nMade by Bzzz node `{node}` with `{}`: {} commands, {} tokens read and {} written{time}.\n",
            inert_line(&self.usage.model).replace('`', "'"),
            self.steps,
            self.usage.prompt_tokens,
            self.usage.output_tokens,
        )
    }
}

fn title_of(result: &CheckResult) -> String {
    let seconds = result.outcome.duration_ms as f64 / 1e3;
    format!("{} — {}, {seconds:.1} s", in_short(&result.command), result.outcome.ending)
}

fn review_report(reviews: &[Review], part: usize) -> String {
    let mut report = String::new();
    for review in reviews.iter().take(MAX_REVIEWS) {
        let verdict = if review.objects { " (objects)" } else { "" };
        let title = format!("Review of the plan by {}{verdict}", in_short(&review.author));
        report += &folded(&title, &head_and_tail(&review.text, MAX_REVIEW_BYTES / 2 / part));
    }
    match reviews.len().saturating_sub(MAX_REVIEWS) {
        0 => report,
        more => report + &format!("\nThe journal has {more} more reviews of the plan.\n"),
    }
}

/// What a reviewer needs to have it shown that the record of this work is still what it was.
fn verification(node: &NodeId, publication: &Publication) -> String {
    let head = &publication.head;
    let trail = head.trail.map(|trail| {
        format!(" The audit trail, a Hypercore with the key\n`{}`, was at\n`{}`.", trail.key, trail.mark)
    });
    format!(
        "\nAll of it stands in the journal of `{node}`, an append-only chain of hashes. When this was published its last \
         entry was number {} with the hash\n`{}`.{}\nWhoever runs the node can show that nothing up to there was changed or \
         removed since:\n\n{}\n",
        head.entry,
        head.hash,
        trail.unwrap_or_default(),
        inert_code("sh", &format!("bzzz audit verify --holds {head}")),
    )
}

/// For people: `45 s`, `12 min 5 s`.
fn minutes(worked_ms: u64) -> String {
    let seconds = Duration::from_millis(worked_ms).as_secs();
    match seconds / 60 {
        0 => format!("{seconds} s"),
        minutes => format!("{minutes} min {} s", seconds % 60),
    }
}

fn in_short(text: &str) -> String {
    inert_line(&text.trim_end().replace('\n', "; ")).chars().take(MAX_COMMAND_CHARS).collect()
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
    use crate::task::{Ending, JournalHead, Observed};
    use crate::trail::{Bytes, Mark, TrailHead};

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
            setup: vec![],
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
        task.checked = Some(Checked {
            tree: "a".repeat(40).parse().unwrap(),
            results,
            hosts: vec!["crates.io".into()],
            setup: vec![],
        });
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
            review in "(fixes |#8|```|</details>|\n|@ann){0,10}",
        ) {
            let mut task = task();
            task.proposal = Some(Proposal { title, body });
            task.plan = Some(plan);
            task.reviews = vec![Review { author: review.clone(), objects: true, text: review }];
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
    fn reviews_are_folded_and_none_of_their_words_acts() {
        let mut task = task();
        let review =
            |author: &str, objects, text: &str| Review { author: author.into(), objects, text: text.into() };
        let loud = review("bee-2 @ann <b>", true, "```\n</details> Fixes #8");
        task.reviews = [vec![loud], vec![review("bee-3", false, "fine"); 9]].concat();
        let body = task.pull_request_body(&"n1".parse().unwrap());
        let title = "<summary>Review of the plan by bee-2 @ ann &lt;b&gt; (objects)</summary>";
        assert!(body.contains(title), "{body}");
        assert!(body.contains("````\n```\n</details> Fixes # 8\n````"), "{body}");
        assert_eq!(body.matches("<summary>Review of the plan by bee-3</summary>").count(), 7, "{body}");
        assert!(body.contains("2 more reviews"), "{body}");
    }

    fn trail() -> TrailHead {
        let mark = Mark { segment: 0, length: 17, root: Bytes([0xcd; 32]) };
        let key = Bytes([0x12; 32]);
        TrailHead { key, segment_key: key, mark, signature: Bytes([0; 64]) }
    }

    #[test]
    fn the_journals_head_and_the_command_that_verifies_it_are_told() {
        let mut task = task();
        let node = "n1".parse().unwrap();
        assert!(!task.pull_request_body(&node).contains("audit"), "nothing is known of it");
        let head = JournalHead { entry: 123, hash: "ab".repeat(32), trail: Some(trail()) };
        task.publication = Some(Publication { head: head.clone(), worked_ms: 725_999 });
        (task.steps, task.usage.model) = (4, "coder:7b".into());
        (task.usage.prompt_tokens, task.usage.output_tokens) = (900, 50);
        let body = task.pull_request_body(&node);
        let made =
            "Made by Bzzz node `n1` with `coder:7b`: 4 commands, 900 tokens read and 50 written, 12 min 5 s.";
        assert!(body.contains(made), "{body}");
        assert!(body.contains(&format!("number 123 with the hash\n`{}`", head.hash)), "{body}");
        assert!(body.contains(&format!("```sh\nbzzz audit verify --holds 123:{}\n```", head.hash)), "{body}");
        assert_eq!(head.to_string().parse(), Ok(JournalHead { trail: None, ..head }));
        let mark = format!("`0/17:{}`", "cd".repeat(32));
        assert!(body.contains(&mark) && body.contains(&format!("`{}`", "12".repeat(32))), "{body}");
    }

    /// What the forge would cut is the end of the body, where the words on the journal are.
    #[test]
    fn the_longest_body_is_one_that_the_forge_takes_whole() {
        let mut task = task();
        let long = "x\n".repeat(100_000);
        let outcome = Observed {
            ending: Ending::Exited { code: 0 },
            duration_ms: 1,
            shown: long.clone(),
            whole: None,
            out_of_memory: false,
        };
        let results = vec![CheckResult { command: long.clone(), outcome }; 20];
        let (tree, setup) = ("a".repeat(40).parse().unwrap(), results.clone());
        task.checked = Some(Checked { tree, results, hosts: vec![], setup });
        task.proposal = Some(Proposal { title: long.clone(), body: long.clone() });
        task.plan = Some(long.clone());
        task.reviews = vec![Review { author: long.clone(), objects: true, text: long }; 100];
        let head = JournalHead { entry: u64::MAX, hash: "ab".repeat(32), trail: Some(trail()) };
        task.publication = Some(Publication { head, worked_ms: u64::MAX });
        let body = task.pull_request_body(&"n1".parse().unwrap());
        assert!(body.len() <= MAX_BODY_BYTES, "{}", body.len());
        // What grows when it is made inert.
        for growing in
            ["`".repeat(100_000), "#1".repeat(50_000), "&<\n".repeat(30_000), "~~~\n".repeat(20_000)]
        {
            task.proposal = Some(Proposal { title: growing.clone(), body: growing.clone() });
            task.plan = Some(growing.clone());
            task.reviews.iter_mut().for_each(|review| review.text.clone_from(&growing));
            let checked = task.checked.as_mut().unwrap();
            checked.results.iter_mut().for_each(|result| {
                result.command.clone_from(&growing);
                result.outcome.shown.clone_from(&growing);
            });
            let body = task.pull_request_body(&"n1".parse().unwrap());
            assert!(body.len() <= MAX_BODY_BYTES, "{}", body.len());
            assert!(body.contains("bzzz audit verify --holds"), "the end is there");
        }
    }

    #[test]
    fn the_title_is_one_line() {
        assert_eq!(task().pull_request_title(), "Fix it now");
        assert_eq!(task().commit_message(), "Fix it now\n\nCloses #7\n");
    }
}
