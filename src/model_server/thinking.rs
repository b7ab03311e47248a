//! Models that think aloud within their reply: the thinking is cut off, the reply kept.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// `content` without a leading block of thinking.
///
/// A reply that begins with the opening tag and never closes it was cut while the model thought: nothing of it is a
/// reply. Some templates put the opening tag into the prompt, so that only the closing one is seen; it counts when it
/// stands at the end of a line and before any fenced block, since a reply may quote it in code.
pub(crate) fn without_thinking(content: &str) -> &str {
    let trimmed = content.trim_start();
    if let Some(inside) = trimmed.strip_prefix(OPEN) {
        return inside.split_once(CLOSE).map_or("", |(_, reply)| reply.trim_start());
    }
    match content.split_once(CLOSE) {
        Some((before, after)) if !before.contains("```") && !before.contains(OPEN) && ends_line(after) => {
            after.trim_start()
        }
        _ => content,
    }
}

fn ends_line(after: &str) -> bool {
    after.is_empty() || after.starts_with(['\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::without_thinking;

    #[test]
    fn thinking_goes_and_the_reply_stays() {
        assert_eq!(without_thinking("<think>\nhm </thin\n</think>\n\nDo it."), "Do it.");
        assert_eq!(without_thinking("  <think></think>Do it."), "Do it.");
        assert_eq!(without_thinking("so the user wants…\n</think>\n\nDo it."), "Do it.");
        assert_eq!(without_thinking("<think>cut in the mid"), "");
        assert_eq!(without_thinking("Do it.\n"), "Do it.\n");
    }

    #[test]
    fn a_reply_may_speak_of_the_tags() {
        for reply in [
            "I strip it:\n```sh\nsed 's/<think>//; s/<.think>//'\n```",
            "```sh\ncat <<E\n</think>\nE\n```",
            "Remove `</think>` from the text.",
        ] {
            assert_eq!(without_thinking(reply), reply);
        }
    }
}
