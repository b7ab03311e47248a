//! From the settings to what the actors are told.

use bzzz_actors::claim_manager::Timing;
use bzzz_actors::node::NodeConfig;
use bzzz_actors::outbox::OutboxPace;
use bzzz_actors::ports::swarm::Elsewhere;
use bzzz_actors::reasoner_actor::{ModelChoice, ModelRole, ModelRoute};
use bzzz_actors::task::life::Limits;
use bzzz_actors::task::{RepoId, RepositoryRules, Rules};
use bzzz_actors::task_runner::Pace;
use std::time::Duration;

use crate::forks::Fork;
use crate::settings::{self, Sandbox, Settings};

/// The pause before something that failed within a task is tried again; doubles up to a minute.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How often a task is taken up again without getting on; a node that is killed more often in one step of a task fails it.
const MAX_TAKEN_UP: u32 = 10;
/// A model that takes longer for a token, on average over an answer, is of no use: its call is given up.
const SLOWEST_TOKEN: Duration = Duration::from_secs(1);
/// How often the peers are asked before a person is, and a person before the task is given up.
const MAX_PEER_QUESTIONS: u32 = 2;
const MAX_ESCALATIONS: u32 = 3;

pub(super) fn node_config(settings: &Settings) -> NodeConfig {
    let Settings { node, forge, claims, hive, model, sandbox, task, outbox, swarm, .. } = settings;
    NodeConfig {
        node: node.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: node.labels.clone(),
        languages: node.languages.clone(),
        repositories: forge.repositories.clone(),
        elsewhere: forge.fork.iter().map(elsewhere).collect(),
        task_label: forge.task_label.clone(),
        label_setters: forge.label_setters.clone(),
        max_tasks: as_usize(node.max_tasks),
        poll_interval: forge.poll_interval.get(),
        slowest_poll_interval: forge.slowest_poll_interval.get(),
        hive_interval: hive.poll_interval.get(),
        timing: Timing {
            ttl: claims.ttl.get(),
            renew_every: claims.renew_every.get(),
            grace: claims.grace.get(),
        },
        limits: Limits {
            max_steps: task.max_steps,
            max_tokens: task.max_tokens.into(),
            max_malformed: task.max_malformed,
            max_check_rounds: task.max_check_rounds,
            max_sandbox_losses: task.max_sandbox_losses,
            max_taken_up: MAX_TAKEN_UP,
            max_peer_questions: MAX_PEER_QUESTIONS,
            max_escalations: MAX_ESCALATIONS,
        },
        pace: Pace {
            command_timeout: sandbox.command_timeout.get(),
            longest_command: sandbox.longest_command.get(),
            check_timeout: task.check_timeout.get(),
            setup_timeout: sandbox.setup_timeout.get(),
            wall_time: task.wall_time.get(),
            review_interval: forge.poll_interval.get(),
            max_export_bytes: sandbox.export_cap.bytes(),
            retry_min: RETRY_MIN,
            retry_max: RETRY_MAX,
        },
        rules: rules(sandbox),
        choice: ModelChoice {
            names: model.names.clone(),
            routes: model.route.iter().map(route).collect(),
            json: model.json_models.clone(),
            max_output_tokens: model.max_output_tokens,
            context_tokens: model.context_tokens,
            call_limit: model.first_byte_timeout.get() + SLOWEST_TOKEN * model.max_output_tokens,
        },
        outbox: OutboxPace {
            max_age: outbox.max_age.get(),
            max_pending: as_usize(outbox.max_pending),
            retry_min: outbox.retry_min.get(),
            retry_max: outbox.retry_max.get(),
        },
        max_wait_for_human: task.max_wait_for_human.get(),
        availability_interval: swarm.availability_interval.get(),
    }
}

fn route(route: &settings::ModelRoute) -> ModelRoute {
    let role = route.role.map(|role| match role {
        settings::ModelRole::Plan => ModelRole::Plan,
        settings::ModelRole::Work => ModelRole::Work,
        settings::ModelRole::Review => ModelRole::Review,
    });
    ModelRoute { role, label: route.label.clone(), names: route.names.clone() }
}

fn elsewhere(fork: &Fork) -> (RepoId, Elsewhere) {
    let Fork { name, branches, claims } = fork.clone();
    (name, Elsewhere { branches, claims })
}

/// What counts of repositories' own files.
fn rules(sandbox: &Sandbox) -> Rules {
    let of_repository = sandbox.repository.iter().map(|repository| {
        let rules = RepositoryRules {
            allowed_hosts: repository.allow_hosts.iter().map(ToString::to_string).collect(),
            checks: repository.checks.clone(),
            setup: repository.setup.clone(),
            paths: repository.paths.clone(),
            instructions: repository.instructions.clone(),
            ..general_rules(&sandbox.with(repository))
        };
        (repository.name.to_string().to_ascii_lowercase(), rules)
    });
    Rules {
        general: general_rules(sandbox),
        of_repository: of_repository.collect(),
        max_setup: as_usize(sandbox.max_setup),
    }
}

fn general_rules(sandbox: &Sandbox) -> RepositoryRules {
    RepositoryRules {
        image: sandbox.image.clone(),
        choosable_images: sandbox.choosable_images.clone(),
        askable_hosts: sandbox.askable_hosts.iter().map(ToString::to_string).collect(),
        ..RepositoryRules::default()
    }
}

/// The settings' counts are small and checked.
pub(super) fn as_usize(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
