//! "Closes #7": the words in a pull request or commit that close an issue when it is merged.

const WORDS: [&str; 9] =
    ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];

/// The issues of this repository (`owner/name`) that `text` closes, each once, in order.
pub(crate) fn closes(text: &str, full_name: &str) -> Vec<u64> {
    let mut numbers = Vec::new();
    let words: Vec<&str> = text.split_whitespace().collect();
    for pair in words.windows(2) {
        let keyword = pair[0].trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let keyword = keyword.strip_suffix(':').unwrap_or(keyword);
        if !WORDS.iter().any(|w| w.eq_ignore_ascii_case(keyword)) {
            continue;
        }
        let Some((repo, number)) = pair[1].split_once('#') else { continue };
        let is_here = repo.is_empty() || repo.eq_ignore_ascii_case(full_name);
        let digits = number.find(|c: char| !c.is_ascii_digit()).map_or(number, |end| &number[..end]);
        if let (true, Ok(number)) = (is_here, digits.parse())
            && !numbers.contains(&number)
        {
            numbers.push(number);
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::closes;

    #[test]
    fn keywords_are_found_as_github_finds_them() {
        let text =
            "Fixes #1, and closes: #2.\n(resolves meadow/ledger#3) Closes other/repo#4. fix it #5 closes #1";
        assert_eq!(closes(text, "Meadow/ledger"), [1, 2, 3]);
        assert!(closes("#1 discloses #2, prefix #3, closes 4", "a/b").is_empty());
    }
}
