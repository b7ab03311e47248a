//! What a scripted model says.

pub(crate) const PLAN: &str = "1. Look.\n2. Fuel it.";
/// Leaves what the check of [`crate::hill::Hill::well`]'s repository asks for.
pub(crate) const FUEL: &str = "I fuel it.\n\n```sh\necho full > fuel\n```";
pub(crate) const DONE: &str = "```done\nFuel the rocket\n\nIt had none.\n```";

/// Plan, work, done, and done again after the look at the diff.
pub(crate) const FUELLED: [&str; 4] = [PLAN, FUEL, DONE, DONE];

/// A reply with one command.
pub(crate) fn sh(command: &str) -> String {
    format!("So:\n\n```sh\n{command}\n```")
}

pub(crate) fn help(question: &str) -> String {
    format!("```help\n{question}\n```")
}

/// A plan, these commands, and done twice.
pub(crate) fn running(commands: &[&str]) -> Vec<String> {
    let commands = commands.iter().map(|command| sh(command));
    let [plan, done] = [PLAN, DONE].map(str::to_owned);
    [plan].into_iter().chain(commands).chain([done.clone(), done]).collect()
}
