//! The kind `score`: what a model predicts, and how much it prefers the right answer to a wrong one.

use assay_cache::{Artifact, Table, Unit, Values};
use ndarray::aview1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Given, Inputs, Lane, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    lm::{
        self, ModelRecord, Session,
        batching::BatchSize,
        by_text::{self, by_text},
        edit::Edit,
        predict::{Prediction, predictions},
        probe::{self, Material, Probe},
        text::{
            answers::{self, Answers},
            texts::{self, Reading, Text},
            tokenizer::Tokenizer,
        },
    },
    metrics::logits::{largest, log_sum_exp, rank},
};

/// How well does a model predict, and which answer does it prefer?
///
/// One pass over each text, with or without edits: the cross-entropy of the whole text (−log p of each token after the
/// first, the mean, in nats), and the logits at one position, by default the last. Where there are answers, a pair for
/// each prompt, those of the right and the wrong one: `logit_difference` is right minus wrong, which is also the
/// difference of their log-probabilities; `rank_correct` is 1 where the right one is the most likely of all tokens;
/// `prefers_correct` is 1 where it is more likely than the wrong one.
///
/// Answers stand in the parameter `answers`, or in the input of that name: a table with the columns `prompt` (a prompt's
/// id), `correct` and `incorrect` (texts of one token, or token ids). Outputs: `scores`, a row for each prompt, and
/// `next`, the most likely tokens at the position.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Score {
    /// For each prompt the right answer and the wrong one: [[" Mary", " John"], …], or token ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
    /// The position whose prediction is scored, counted from the first token; negative ones from the end.
    #[serde(default = "last")]
    pub position: i64,
    /// How many of the most likely next tokens `next` lists.
    #[serde(default = "five")]
    #[schemars(range(min = 1))]
    pub top: usize,
    /// What is changed inside the model while it reads.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// Texts that go through the model together.
    #[serde(default)]
    pub batch: BatchSize,
}

/// The stage's own inputs.
const OWN: [&str; 3] = [texts::PORTS[0], texts::PORTS[1], answers::PORT];

/// The outputs, and the parts of a unit.
const SCORES: &str = "scores";
const NEXT: &str = "next";

/// The columns of `scores` without answers.
const COLUMNS: [&str; 5] = ["prompt", "id", "tokens", "position", "cross_entropy"];
/// Those that answers add.
const OF_ANSWERS: [&str; 9] = [
    "correct",
    "incorrect",
    "logit_correct",
    "logit_incorrect",
    "logit_difference",
    "log_prob_correct",
    "log_prob_incorrect",
    "rank_correct",
    "prefers_correct",
];
const NEXT_COLUMNS: [&str; 7] = ["prompt", "id", "rank", "token", "text", "probability", "logit"];

fn last() -> i64 {
    -1
}

fn five() -> usize {
    5
}

impl Stage for Score {
    const KIND: &'static str = "score";
    const VERSION: &'static [(&'static str, u32)] = &[("score", 1), lm::VERSION];
    const LANE: Lane = Lane::Device;

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let facts = probe::facts(given.one("model"));
        let mut found = probe::mistakes(&self.edits, &[], (&OWN, &[]), given, facts.as_ref());
        found.extend(answers::mistakes(self.answers.as_ref(), given, facts.as_ref()));
        if self.top == 0 {
            found.push(Mistake::new("top", "there must be a token to list"));
        }
        if !found.is_empty() {
            return Err(found);
        }
        let mut inputs = texts::ports();
        inputs.push(answers::port());
        inputs.extend(probe::inputs(&self.edits, &[]));
        let answered = self.answers.is_some() || answers::wired(given);
        let columns = [&COLUMNS[..], if answered { &OF_ANSWERS } else { &[] }].concat();
        let output = |name: &str, columns: &[&str]| {
            OutputPort::new(name, PortType::of("table")).with_facts(json!({ "columns": columns }))
        };
        Ok(Ports { inputs, outputs: vec![output(SCORES, &columns), output(NEXT, &NEXT_COLUMNS)] })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let Reading { record, model, texts, longest } = Reading::of(inputs, ctx)?;
        let place = |text: &Text| by_text::place(self.position, &text.id, text.ids.len());
        let places = texts.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let answers = answers::tokens(self.answers.as_ref(), inputs, &texts, record, &model.facts, ctx)?;
        let tokenizer = match ModelRecord::read(record)?.has_tokenizer() {
            true => Some(Session::of(ctx).tokenizer(record, ctx)?),
            false => None,
        };
        let labels: Vec<String> = texts.iter().map(|text| text.id.clone()).collect();
        let probe = Probe::new(&self.edits, &[], &model.facts, &Material { inputs, prompts: &labels })?;
        let rows = self.batch.rows(&model.facts, longest, 1, model.device());
        let units = by_text(&texts, rows, ctx, |group| {
            let own: Vec<usize> = group.iter().map(|(i, _)| places[*i]).collect();
            let made = predictions(&model, group, &own, &probe.changes)?;
            let scored = |((i, _), made): (&(usize, &[u32]), &Prediction)| {
                let of = Scored { index: *i, text: &texts[*i], place: places[*i], prediction: made };
                Ok(Unit::from([
                    (SCORES.to_owned(), Artifact::Table(of.row(answers.as_ref().map(|answers| answers[*i])))),
                    (NEXT.to_owned(), Artifact::Table(of.next(self.top, tokenizer.as_deref())?)),
                ]))
            };
            group.iter().zip(&made).map(scored).collect()
        })?;
        Ok(Outputs::default()
            .with(SCORES, Artifact::Table(by_text::table(&units, SCORES)?))
            .with(NEXT, Artifact::Table(by_text::table(&units, NEXT)?))
            .note("batch", json!(rows)))
    }
}

/// One text, and what is predicted there.
struct Scored<'a> {
    index: usize,
    text: &'a Text,
    place: usize,
    prediction: &'a Prediction,
}

impl Scored<'_> {
    /// The row of `scores`, with those columns that answers add where there are some.
    fn row(&self, answers: Option<[u32; 2]>) -> Table {
        let int = |number: usize| Values::Int(vec![Some(number as i64)]);
        let float = |number: f64| Values::Float(vec![number]);
        let mut row = Table::default()
            .with(COLUMNS[0], int(self.index))
            .with(COLUMNS[1], Values::Text(vec![self.text.id.clone()]))
            .with(COLUMNS[2], int(self.text.ids.len()))
            .with(COLUMNS[3], int(self.place))
            .with(COLUMNS[4], float(self.prediction.cross_entropy))
            .unit("nats");
        let Some(answers) = answers else { return row };
        let logits = aview1(&self.prediction.logits);
        let [right, wrong] = answers.map(|token| f64::from(logits[token as usize]));
        let whole = log_sum_exp(logits);
        let values = [
            int(answers[0] as usize),
            int(answers[1] as usize),
            float(right),
            float(wrong),
            float(right - wrong),
            float(right - whole),
            float(wrong - whole),
            int(rank(logits, answers[0] as usize)),
            int(usize::from(right > wrong)),
        ];
        for (name, values) in OF_ANSWERS.iter().zip(values) {
            row = row.with(name, values);
        }
        row
    }

    /// The rows of `next`: the most likely tokens. Without a tokenizer their texts are empty.
    fn next(&self, top: usize, tokenizer: Option<&Tokenizer>) -> Result<Table, Failure> {
        let logits = aview1(&self.prediction.logits);
        let whole = log_sum_exp(logits);
        let tokens = largest(logits, top);
        let text = |token: &usize| match tokenizer {
            Some(tokenizer) => tokenizer.decode(&[*token as u32], false).map_err(|error| Failure::fatal(error.0)),
            None => Ok(String::new()),
        };
        let ints = |numbers: Vec<usize>| Values::Int(numbers.into_iter().map(|n| Some(n as i64)).collect());
        let floats =
            |of: &dyn Fn(f64) -> f64| Values::Float(tokens.iter().map(|token| of(f64::from(logits[*token]))).collect());
        let count = tokens.len();
        Ok(Table::default()
            .with(NEXT_COLUMNS[0], ints(vec![self.index; count]))
            .with(NEXT_COLUMNS[1], Values::Text(vec![self.text.id.clone(); count]))
            .with(NEXT_COLUMNS[2], ints((1..=count).collect()))
            .with(NEXT_COLUMNS[3], ints(tokens.clone()))
            .with(NEXT_COLUMNS[4], Values::Text(tokens.iter().map(text).collect::<Result<_, _>>()?))
            .with(NEXT_COLUMNS[5], floats(&|logit| (logit - whole).exp()))
            .with(NEXT_COLUMNS[6], floats(&|logit| logit)))
    }
}

#[cfg(test)]
mod tests;
