//! `bzzz claims`: who holds which task, straight from the git server. It writes nothing, and works beside a running node.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use bzzz_actors::ports::claims::LeaseState;
use bzzz_actors::task::RepoId;
use clap::Args;
use serde::Serialize;

use crate::git::ShownClaim;
use crate::node::{claims_reader, hive};
use crate::settings::Settings;

use super::exit::Exit;
use super::system::block_on;
use super::table::Table;
use super::{Global, print};

#[derive(Debug, Args)]
pub(super) struct ClaimsCommand {
    /// Repositories, as owner/name. Otherwise those of the configuration, and Hive's
    repositories: Vec<RepoId>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// A claim, for other programs.
#[derive(Serialize)]
struct Line<'a> {
    task: String,
    holder: Option<&'a str>,
    epoch: Option<u64>,
    state: &'static str,
    ttl_s: Option<u64>,
    /// By the holder's clock: for people only.
    since: Option<String>,
    repository: String,
    reference: &'a str,
    commit: &'a str,
}

impl<'a> Line<'a> {
    fn of(claim: &'a ShownClaim) -> Self {
        let record = claim.record.as_ref();
        let since = claim.since_s.and_then(|s| UNIX_EPOCH.checked_add(Duration::from_secs(s)));
        Self {
            task: claim.task.to_string(),
            holder: record.map(|it| it.node.as_str()),
            epoch: record.map(|it| it.epoch.0),
            state: record.map_or("unreadable", |it| state(it.state)),
            ttl_s: record.map(|it| it.ttl_s),
            since: since.map(|at| humantime::format_rfc3339_seconds(at).to_string()),
            repository: claim.repo.to_string(),
            reference: &claim.reference,
            commit: claim.sha.as_str(),
        }
    }
}

fn state(state: LeaseState) -> &'static str {
    match state {
        LeaseState::Held => "held",
        LeaseState::Released => "released",
        LeaseState::Done => "done",
    }
}

impl ClaimsCommand {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<Exit> {
        let settings = global.load()?.settings;
        block_on(self.show(&settings)).context("the runtime can't be started")?
    }

    async fn show(&self, settings: &Settings) -> anyhow::Result<Exit> {
        let repositories = match self.repositories.is_empty() {
            true => watched(settings).await?,
            false => self.repositories.iter().cloned().collect(),
        };
        // A running node has the data folder.
        let folder = tempfile::tempdir().context("a temporary folder can't be made")?;
        let git = claims_reader(settings, folder.path()).await?;
        let mut claims = Vec::new();
        let mut failures = Vec::new();
        for repo in repositories {
            match git.shown_claims(&repo).await {
                Ok(found) => claims.extend(found),
                Err(error) => failures.push(format!("the claims of {repo} can't be read: {error}")),
            }
        }
        print(&self.text(&claims)?)?;
        if failures.is_empty() {
            return Ok(Exit::Ok);
        }
        anyhow::bail!(failures.join("\n"))
    }

    fn text(&self, claims: &[ShownClaim]) -> anyhow::Result<String> {
        if self.json {
            let lines =
                claims.iter().map(|claim| serde_json::to_string(&Line::of(claim)).map(|it| it + "\n"));
            return Ok(lines.collect::<Result<String, _>>()?);
        }
        if claims.is_empty() {
            return Ok("no claims\n".to_owned());
        }
        let mut table = Table::new(["task", "state", "holder", "epoch", "since", "place"]);
        for claim in claims {
            let Line { task, holder, epoch, state, since, repository, reference, .. } = Line::of(claim);
            let place = match claim.repo.is_same(&claim.task.repo) {
                true => reference.to_owned(),
                false => format!("{repository} {reference}"),
            };
            table.row([
                task,
                state.to_owned(),
                holder.unwrap_or("?").to_owned(),
                epoch.map_or("?".to_owned(), |it| it.to_string()),
                since.unwrap_or("?".to_owned()),
                place,
            ]);
        }
        Ok(table.to_string())
    }
}

async fn watched(settings: &Settings) -> anyhow::Result<BTreeSet<RepoId>> {
    let mut repositories: BTreeSet<RepoId> = settings.forge.repositories.iter().cloned().collect();
    if let Some(hive) = hive(settings)? {
        let projects = hive.active_projects().await.context("Hive's repositories can't be read")?;
        repositories.extend(projects.into_iter().map(|project| project.repo));
    }
    if repositories.is_empty() {
        anyhow::bail!("no repository is named: give some, or set forge.repositories or hive.url");
    }
    Ok(repositories)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bzzz_actors::ports::claims::LeaseRecord;
    use bzzz_actors::task::Epoch;

    fn claims() -> Vec<ShownClaim> {
        let held = LeaseRecord {
            v: 1,
            task: "a/b#1".parse().unwrap(),
            node: "bee".parse().unwrap(),
            epoch: Epoch(3),
            nonce: "x".into(),
            ttl_s: 900,
            state: LeaseState::Held,
        };
        let claim = |number, record| ShownClaim {
            task: format!("a/b#{number}").parse().unwrap(),
            repo: if number == 1 { "a/b" } else { "us/claims" }.parse().unwrap(),
            reference: format!("refs/x/{number}"),
            sha: "a".repeat(40).parse().unwrap(),
            record,
            since_s: Some(1_700_000_000).filter(|_| number == 1),
        };
        vec![claim(1, Some(held)), claim(2, None)]
    }

    #[test]
    fn claims_are_shown_to_people_and_programs() {
        let command = |json| ClaimsCommand { repositories: vec![], json };
        let text = command(false).text(&claims()).unwrap();
        assert_eq!(
            text,
            "task   state       holder  epoch  since                 place\n\
             a/b#1  held        bee     3      2023-11-14T22:13:20Z  refs/x/1\n\
             a/b#2  unreadable  ?       ?      ?                     us/claims refs/x/2\n"
        );
        assert_eq!(command(false).text(&[]).unwrap(), "no claims\n");
        let lines = command(true).text(&claims()).unwrap();
        let lines: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["holder"], &lines[0]["epoch"]), (&"bee".into(), &3.into()));
        assert_eq!(
            (&lines[1]["state"], &lines[1]["since"]),
            (&"unreadable".into(), &serde_json::Value::Null)
        );
    }
}
