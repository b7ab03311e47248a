//! What is done about the models at the start: what is missing is said, and what the first task needs is loaded.

use std::sync::Arc;

use bzzz_actors::ports::model::{Model, ModelError};
use bzzz_actors::reasoner_actor::{ModelChoice, ModelRole, ModelServer, choose, missing};
use futures_util::future::join_all;
use tracing::{debug, info, warn};

/// Says what would otherwise be found out with the first task, and has each server load the model that it will be asked
/// for first: loading takes minutes.
pub(super) async fn make_ready(servers: Vec<ModelServer>, choice: ModelChoice) {
    let listed = join_all(servers.iter().map(|server| server.model.models())).await;
    let mut present = Vec::new();
    let mut all_answer = true;
    for (server, models) in servers.iter().zip(listed) {
        match models {
            Ok(models) => present.push((server, models)),
            Err(error) => {
                all_answer = false;
                say_why_not_listed(&server.name, &error);
            }
        }
    }
    // A server that does not answer may have it.
    if all_answer {
        for missing in missing_of(&choice, &present) {
            warn!("{missing}");
        }
    }
    let wanted = choice.names_for(ModelRole::Work, &[]);
    let loads = present.into_iter().filter_map(|(server, models)| {
        let model = choose(wanted, &models)?;
        Some(load(server.name.clone(), server.model.clone(), model))
    });
    join_all(loads).await;
}

/// One for each list of wanted models of which no server has any, with what to do.
fn missing_of(choice: &ModelChoice, present: &[(&ModelServer, Vec<String>)]) -> Vec<String> {
    let there: Vec<String> = present.iter().flat_map(|(_, models)| models.iter().cloned()).collect();
    let wanted = choice.routes.iter().map(|route| &route.names).chain([&choice.names]);
    let problem = |names: &Vec<String>| {
        if choose(names, &there).is_some() {
            return None;
        }
        let (server, _) = present.first()?;
        let error = missing(&*server.model, names);
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        Some(format!(
            "no model server has any of the models {}: {error}; there are: {there}",
            names.join(", ")
        ))
    };
    wanted.filter_map(problem).collect()
}

fn say_why_not_listed(server: &str, error: &ModelError) {
    match error {
        ModelError::Unavailable(_) | ModelError::Refused(_) => {
            warn!(server, %error, "tasks wait until a model server answers");
        }
        _ => warn!(server, %error, "models not listed"),
    }
}

async fn load(server: String, adapter: Arc<dyn Model>, model: String) {
    let started = tokio::time::Instant::now();
    match adapter.preload(&model).await {
        Ok(()) => info!(server, model, seconds = started.elapsed().as_secs_f32(), "model is ready"),
        // The first question says so again, and waits.
        Err(error) => debug!(server, model, %error, "model not loaded ahead"),
    }
}
