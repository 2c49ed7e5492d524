//! The texts that a stage reads: prompts in a model's tokens, a task's texts, or what a `generate` stage wrote.

use std::sync::Arc;

use serde_json::Value;

use super::{
    prompts::Prompts,
    tokens::{Sequence, Tokens},
};
use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, PortType,
    lm::{Model, ModelFacts, Session},
};

/// One text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text {
    /// Its label on an axis `prompt`.
    pub id: String,
    pub ids: Vec<u32>,
}

/// What a stage that reads texts with a model begins with.
pub struct Reading<'a> {
    /// The description of the model.
    pub record: &'a Value,
    pub model: Arc<Model>,
    pub texts: Vec<Text>,
    /// How many tokens the longest has.
    pub longest: usize,
}

impl<'a> Reading<'a> {
    /// The model in the port `model`, loaded, and the texts in `prompts`. Says where they are longer than it was made for.
    pub fn of(inputs: &'a Inputs, ctx: &dyn Ctx) -> Result<Self, Failure> {
        let record = inputs.record(PORTS[0])?;
        let model = Session::of(ctx).model(record, ctx)?;
        let texts = texts(inputs.record(PORTS[1])?, record, &model.facts, ctx)?;
        let longest = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        warn_of_length(longest, &model.facts, ctx);
        Ok(Self { record, model, texts, longest })
    }
}

/// The ports of a model and of the texts that it reads.
pub const PORTS: [&str; 2] = ["model", "prompts"];

pub fn ports() -> Vec<InputPort> {
    vec![
        InputPort::one(PORTS[0], PortType::of("model")),
        InputPort::one(PORTS[1], PortType::of("prompts")).or(PortType::of("tokens")),
    ]
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
    let prompts = given.one(PORTS[1]).filter(|prompts| prompts.facts["texts"] == true)?;
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
