//! Right and wrong answers to prompts: one token each, as a manifest or a table gives them.

use std::collections::BTreeMap;

use assay_cache::{Table, Values};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    texts::Text,
    tokenizer::{Bos, Tokenizer},
};
use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, PortType,
    lm::{ModelFacts, Session},
    tables,
};

/// The input port that a table of answers stands in.
pub const PORT: &str = "answers";

/// An answer: a text that is one token of the model (most begin with a space), or the token's id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Answer {
    Token(u32),
    Text(String),
}

/// For each prompt the right answer and the wrong one.
pub type Answers = Vec<[Answer; 2]>;

/// A port for a table of answers.
pub fn port() -> InputPort {
    InputPort::one(PORT, PortType::of("table")).optional()
}

/// Whether a table of answers is wired.
pub fn wired(given: &Given) -> bool {
    tables::wired(given).contains(PORT)
}

/// What is wrong with answers that a manifest gives, and with a table beside them.
pub fn mistakes(answers: Option<&Answers>, given: &Given, facts: Option<&ModelFacts>) -> Vec<Mistake> {
    let mut found = vec![];
    if answers.is_some() && wired(given) {
        let message = "the answers stand in the input `answers` already";
        found.push(Mistake::new(PORT, message).help("leave one of the two out"));
    }
    let count = given.one("prompts").and_then(|prompts| prompts.facts["count"].as_u64());
    if let (Some(answers), Some(count)) = (answers, count)
        && answers.len() as u64 != count
    {
        let message = format!("there are {} pairs of answers, and {count} prompts", answers.len());
        found.push(Mistake::new(PORT, message).help("answers = [[\" right\", \" wrong\"], …], a pair for each prompt"));
    }
    if answers.is_some_and(has_text) {
        found.extend(facts.and_then(|facts| facts.tokenizer_mistake(PORT)));
    }
    if let Some(columns) = given.one(PORT).and_then(|table| table.facts["columns"].as_array()) {
        for name in COLUMNS.iter().filter(|name| !columns.iter().any(|column| column == **name)) {
            let there = columns.iter().filter_map(Value::as_str);
            found.push(Mistake::new(format!("inputs.{PORT}"), tables::no_column(name, PORT, there)));
        }
    }
    found
}

/// The columns that a table of answers has.
const COLUMNS: [&str; 3] = ["prompt", "correct", "incorrect"];

/// For each text the tokens of its right and its wrong answer, from the manifest or the port; nothing where neither has
/// any. A text is turned into tokens by the model's tokenizer.
pub fn tokens(
    answers: Option<&Answers>,
    inputs: &Inputs,
    texts: &[Text],
    model: &Value,
    facts: &ModelFacts,
    ctx: &dyn Ctx,
) -> Result<Option<Vec<[u32; 2]>>, Failure> {
    let answers = match (answers, inputs.optional(PORT)) {
        (Some(answers), _) => answers.clone(),
        (None, Some(_)) => listed(inputs.table(PORT)?, texts)?,
        (None, None) => return Ok(None),
    };
    if answers.len() != texts.len() {
        let message = format!("there are {} pairs of answers, and {} prompts", answers.len(), texts.len());
        return Err(Failure::fatal(message));
    }
    let tokenizer = if has_text(&answers) { Some(Session::of(ctx).tokenizer(model, ctx)?) } else { None };
    let token = |answer: &Answer, text: &Text| {
        let known = answer.token(tokenizer.as_deref()).and_then(|token| match token {
            token if (token as usize) < facts.vocab => Ok(token),
            token => Err(format!("the token {token} is not one of the model's {}", facts.vocab)),
        });
        known.map_err(|why| Failure::fatal(format!("an answer to the prompt `{}`: {why}", text.id)))
    };
    let pair = |([right, wrong], text): (&[Answer; 2], &Text)| {
        let (right, wrong) = (token(right, text)?, token(wrong, text)?);
        match right == wrong {
            true => Err(Failure::fatal(format!("the two answers to the prompt `{}` are the same token", text.id))),
            false => Ok([right, wrong]),
        }
    };
    answers.iter().zip(texts).map(pair).collect::<Result<_, _>>().map(Some)
}

fn has_text(answers: &Answers) -> bool {
    answers.iter().flatten().any(|answer| matches!(answer, Answer::Text(_)))
}

/// The rows of a table in the order of the texts, by the column `prompt`, which holds their ids.
fn listed(table: &Table, texts: &[Text]) -> Result<Answers, Failure> {
    let column = |name: &str| Ok::<_, Failure>(&tables::column(table, name, PORT)?.values);
    let prompts = tables::texts(column("prompt")?);
    let (right, wrong) = (answers(column("correct")?)?, answers(column("incorrect")?)?);
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    for (row, prompt) in prompts.iter().enumerate() {
        if rows.insert(prompt, row).is_some() {
            return Err(Failure::fatal(format!("`{PORT}` has two rows for the prompt `{prompt}`")));
        }
    }
    let pair = |text: &Text| match rows.get(text.id.as_str()) {
        Some(&row) => Ok([right[row].clone(), wrong[row].clone()]),
        None => Err(Failure::fatal(format!("`{PORT}` has no row for the prompt `{}`", text.id))),
    };
    let found: Answers = texts.iter().map(pair).collect::<Result<_, _>>()?;
    // More rows than prompts would hide that these are the answers to other prompts.
    match prompts.iter().find(|prompt| !texts.iter().any(|text| text.id == **prompt)) {
        Some(prompt) => Err(Failure::fatal(format!("`{PORT}` has a row for `{prompt}`, and there is no such prompt"))),
        None => Ok(found),
    }
}

fn answers(values: &Values) -> Result<Vec<Answer>, Failure> {
    let token = |id: &Option<i64>| id.and_then(|id| u32::try_from(id).ok()).map(Answer::Token);
    let answers = match values {
        Values::Int(ids) => ids.iter().map(token).collect(),
        Values::Text(texts) => Some(texts.iter().cloned().map(Answer::Text).collect()),
        Values::Float(_) | Values::Bool(_) => None,
    };
    answers.ok_or_else(|| Failure::fatal(format!("the answers in `{PORT}` are neither texts nor token ids")))
}

impl Answer {
    fn token(&self, tokenizer: Option<&Tokenizer>) -> Result<u32, String> {
        match (self, tokenizer) {
            (Self::Token(token), _) => Ok(*token),
            (Self::Text(text), Some(tokenizer)) => one_token(text, tokenizer),
            (Self::Text(_), None) => unreachable!("a tokenizer is loaded where there are texts"),
        }
    }
}

/// The token that a text is; or how many it is.
pub fn one_token(text: &str, tokenizer: &Tokenizer) -> Result<u32, String> {
    let ids = tokenizer.encode(text, Bos::Given(false), None).map_err(|error| error.0)?;
    match ids.as_slice() {
        // A tokenizer may have one token for all that it does not know.
        [one] if tokenizer.decode(&[*one], false).map_err(|error| error.0)?.trim() == text.trim() => Ok(*one),
        [_] => Err(format!("{text:?} is not a word that this model knows")),
        ids => Err(format!("{text:?} is {} tokens of this model, and must be one", ids.len())),
    }
}
