//! The server's list of models, and what says how large a model's window is. Pure.

use serde::Deserialize;

/// `/v1/models`.
#[derive(Deserialize)]
pub(super) struct Models {
    /// `null` where there is none; an answer without it is no list.
    #[serde(deserialize_with = "Option::deserialize")]
    data: Option<Vec<Card>>,
}

#[derive(Deserialize)]
pub(super) struct Card {
    id: String,
    /// llama.cpp's: other names that it answers to.
    #[serde(default)]
    aliases: Vec<String>,
    /// vLLM's.
    max_model_len: Option<u32>,
    /// llama.cpp's.
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    /// Newer versions say it. The `n_ctx_train` beside it is what the model could have, not what it has.
    n_ctx: Option<u32>,
}

impl Models {
    pub(super) fn names(self) -> Vec<String> {
        let names = |card: Card| std::iter::once(card.id).chain(card.aliases);
        let mut names: Vec<String> = self.data.into_iter().flatten().flat_map(names).collect();
        // The name is among its aliases.
        names.dedup();
        names
    }

    pub(super) fn card(&self, model: &str) -> Option<&Card> {
        let is_it = |card: &&Card| card.id == model || card.aliases.iter().any(|it| it == model);
        self.data.iter().flatten().find(is_it)
    }
}

impl Card {
    pub(super) fn window(&self) -> Option<u32> {
        let of_meta = || self.meta.as_ref().and_then(|meta| meta.n_ctx);
        self.max_model_len.or_else(of_meta).filter(|tokens| *tokens > 0)
    }
}

/// llama.cpp's `/props`.
#[derive(Deserialize)]
pub(super) struct Props {
    default_generation_settings: GenerationSettings,
}

#[derive(Deserialize)]
struct GenerationSettings {
    /// Of one slot: the prompt and the reply of one call.
    n_ctx: u32,
}

impl Props {
    pub(super) fn window(&self) -> Option<u32> {
        Some(self.default_generation_settings.n_ctx).filter(|tokens| *tokens > 0)
    }
}
