//! The configuration as text: the effective one for `config show`, the commented one for `config init`.

use super::layers::DEFAULTS;
use super::load::Loaded;

impl Loaded {
    /// The effective configuration as TOML, in the order of `config/default.toml`, secrets hidden; with the place of
    /// each value behind it if `with_origins`.
    pub fn to_toml(&self, with_origins: bool) -> Result<String, toml::ser::Error> {
        let tree = toml::Table::try_from(&self.settings)?;
        let mut text = String::new();
        let mut last_section = "";
        for (key, origin) in &self.origins {
            let (section, name) = key.split_once('.').unwrap_or(("", key));
            let Some(value) = tree.get(section).and_then(|section| section.get(name)) else { continue };
            if section != last_section {
                let separator = if last_section.is_empty() { "" } else { "\n" };
                text.push_str(&format!("{separator}[{section}]\n"));
                last_section = section;
            }
            text.push_str(&format!("{name} = {value}"));
            if with_origins {
                text.push_str(&format!("  # {origin}"));
            }
            text.push('\n');
        }
        Ok(text)
    }
}

const STARTER_HEAD: &str = "\
# The configuration of a Bzzz node. Every setting stands here with its default, behind \"#\": take the \"#\" away to
# change one. A node needs two of them: forge.token_file (or the variable BZZZ__FORGE__TOKEN) and forge.repositories.
# `bzzz config check` says what is wrong; `bzzz config show --origin` shows what is in force.
#
";

/// A configuration file that changes nothing, for a person to fill in.
pub fn starter_file() -> String {
    let comment_out = |line: &str| {
        let is_value = !line.is_empty() && !line.starts_with(['#', '[']);
        format!("{}{line}\n", if is_value { "#" } else { "" })
    };
    let (_on_layers, body) = DEFAULTS.split_once("\n#\n").unwrap_or(("", DEFAULTS));
    body.lines().map(comment_out).fold(STARTER_HEAD.to_owned(), |text, line| text + &line)
}
