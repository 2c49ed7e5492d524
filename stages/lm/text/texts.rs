//! The texts that a stage reads: prompts in a model's tokens, a task's texts, or what a `generate` stage wrote.

use serde_json::Value;

use super::{
    prompts::Prompts,
    tokens::{Sequence, Tokens},
};
use crate::lm::ModelFacts;
use crate::{Ctx, Failure, Given, Mistake};

/// One text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text {
    /// Its label on an axis `prompt`.
    pub id: String,
    pub ids: Vec<u32>,
}

/// The texts in an artifact of the type `prompts` or `tokens`, in the tokens of a model.
pub fn texts(record: &Value, model: &Value, facts: &ModelFacts, ctx: &dyn Ctx) -> Result<Vec<Text>, Failure> {
    parts(record, model, facts, ctx, Sequence::text)
}

/// What a model goes on from: prompts, or the part of each text in `tokens` that is given.
pub fn beginnings(record: &Value, model: &Value, facts: &ModelFacts, ctx: &dyn Ctx) -> Result<Vec<Text>, Failure> {
    parts(record, model, facts, ctx, |sequence| sequence.prompt.clone())
}

/// What is wrong with prompts that are texts, in the port `prompts`, for a model that has no tokenizer.
pub fn mistake(given: &Given, facts: Option<&ModelFacts>) -> Option<Mistake> {
    let prompts = given.one("prompts").filter(|prompts| prompts.facts["texts"] == true)?;
    let mistake = facts?.tokenizer_mistake("inputs.prompts")?;
    Some(Mistake { message: format!("`{}` is text, and {}", prompts.from, mistake.message), ..mistake })
}

fn parts(
    record: &Value,
    model: &Value,
    facts: &ModelFacts,
    ctx: &dyn Ctx,
    part: impl Fn(&Sequence) -> Vec<u32>,
) -> Result<Vec<Text>, Failure> {
    let texts: Vec<Text> = if record.get("sequences").is_some() {
        let sequences = Tokens::read(record)?.sequences;
        sequences.into_iter().map(|sequence| Text { ids: part(&sequence), id: sequence.id }).collect()
    } else {
        let prompts = Prompts::read(record)?;
        let ids = prompts.token_ids(model, ctx)?;
        prompts.labels().into_iter().zip(ids).map(|(id, ids)| Text { id, ids }).collect()
    };
    texts.iter().try_for_each(|text| readable(&text.id, &text.ids, facts))?;
    Ok(texts)
}

/// Refuses a text that the model cannot read.
pub fn readable(id: &str, ids: &[u32], facts: &ModelFacts) -> Result<(), Failure> {
    if ids.is_empty() {
        return Err(Failure::fatal(format!("the prompt `{id}` has no tokens")));
    }
    room_for(id, ids.len(), facts)?;
    match ids.iter().find(|token| **token as usize >= facts.vocab) {
        Some(token) => Err(Failure::fatal(format!(
            "the prompt `{id}` has the token {token}, but the model's vocabulary has {}: was it made for this model?",
            facts.vocab
        ))),
        None => Ok(()),
    }
}

/// Refuses texts that grow beyond the positions that a model has embeddings for.
pub fn room_for(id: &str, tokens: usize, facts: &ModelFacts) -> Result<(), Failure> {
    match facts.positions.filter(|positions| tokens > *positions) {
        Some(positions) => Err(Failure::fatal(format!(
            "the prompt `{id}` comes to {tokens} tokens, but a {} of this config reads {positions} at most: use shorter \
             texts, or fewer new tokens",
            facts.family
        ))),
        None => Ok(()),
    }
}

/// Says where texts are longer than what the model was made for.
pub fn warn_of_length(longest: usize, facts: &ModelFacts, ctx: &dyn Ctx) {
    if let Some(context) = facts.context.filter(|context| longest > *context) {
        ctx.warn(&format!("a text of {longest} tokens is longer than the {context} that the model was made for"));
    }
}
