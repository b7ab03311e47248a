//! `bzzz doctor`: what a node would find missing.

use anyhow::Context;

use crate::node::doctor::{Finding, Health, examine};

use super::exit::Exit;
use super::system::block_on;
use super::table::Table;
use super::{Global, print};

pub(super) fn run(global: &Global) -> anyhow::Result<Exit> {
    let loaded = global.load()?;
    let place = loaded.file.as_ref().map_or("no file".to_owned(), |file| file.display().to_string());
    let mut findings = vec![Finding { part: "configuration".to_owned(), health: Health::Well, text: place }];
    findings.extend(loaded.missing_to_run().into_iter().map(|problem| Finding {
        part: "configuration".to_owned(),
        health: Health::Ill,
        text: problem.to_string(),
    }));
    findings.extend(block_on(examine(&loaded.settings)).context("the runtime can't be started")?);
    let mut table = Table::new(["", "part", "finding"]);
    for Finding { part, health, text } in &findings {
        let sign = match health {
            Health::Well => "ok",
            Health::Doubtful => "warning",
            Health::Ill => "FAULT",
        };
        table.row([sign.to_owned(), part.clone(), text.clone()]);
    }
    print(&table.to_string())?;
    let is_ill = findings.iter().any(|finding| finding.health == Health::Ill);
    Ok(if is_ill { Exit::Failed } else { Exit::Ok })
}
