//! `bzzz apiary`: the stand-ins alone, kept up.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::apiary::ollama::ModelScript;
use crate::apiary::{Apiary, ApiaryOptions, examples};

use super::exit::Exit;
use super::system::{Signals, block_on};
use super::{Global, print};

#[derive(Debug, Args)]
pub(crate) struct ApiaryCommand {
    /// The folder of its state; made when missing, and gone on with when not
    #[arg(long, value_name = "FOLDER", default_value = "bzzz-apiary")]
    dir: PathBuf,
    /// The token of its forge
    #[arg(long, default_value = "apiary-token")]
    token: String,
    /// The scripted model's replies: JSON or TOML, for each `owner/name#number` a list of texts
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Begin with the demo's example repositories
    #[arg(long)]
    examples: bool,
    /// 0: any free port
    #[arg(long, default_value_t = 8800)]
    forge_port: u16,
    #[arg(long, default_value_t = 8801)]
    hive_port: u16,
    #[arg(long, default_value_t = 8802)]
    n8n_port: u16,
    #[arg(long, default_value_t = 8803)]
    ollama_port: u16,
}

impl ApiaryCommand {
    pub(crate) fn run(&self, _: &Global) -> anyhow::Result<Exit> {
        block_on(self.serve()).context("the runtime can't be started")?
    }

    async fn serve(&self) -> anyhow::Result<Exit> {
        let mut signals = Signals::listen().context("signals can't be listened to")?;
        let own = self.script.as_deref().map(ModelScript::load).transpose()?.unwrap_or_default();
        let model_script = if self.examples { examples::script().merged(own) } else { own };
        let apiary = Apiary::start(ApiaryOptions {
            forge_port: self.forge_port,
            hive_port: self.hive_port,
            n8n_port: self.n8n_port,
            ollama_port: self.ollama_port,
            model_script,
            ..ApiaryOptions::new(&self.dir, &self.token)
        })?;
        if self.examples {
            for (number, example) in (1..).zip(examples::all()) {
                let task = example.plant(apiary.forge()).await?;
                apiary.hive().add_project(number, &task.repo, None)?;
            }
        }
        print(&self.how_to_use(&apiary))?;
        signals.next().await;
        apiary.stop().await;
        Ok(Exit::Ok)
    }

    /// A configuration that a node can be started with as it is.
    fn how_to_use(&self, apiary: &Apiary) -> String {
        format!(
            "The stand-ins are up until Ctrl-C. A node's configuration for them:\n\n\
             [forge]\napi_url = \"{forge}\"\ngit_url = \"{forge}\"\ntoken = \"{token}\"\nwrite_interval = \"0s\"\n\n\
             [hive]\nurl = \"{hive}\"\n\n\
             [escalation]\nwebhook_url = \"{n8n}/webhook/bzzz\"\n\n\
             [model]\nurl = \"{ollama}\"\nnames = [\"scripted:latest\"]\n",
            forge = apiary.forge_url(),
            token = self.token,
            hive = apiary.hive_url(),
            n8n = apiary.n8n_url(),
            ollama = apiary.ollama_url(),
        )
    }
}
