//! The kind `attribute`: which parts of a model write an answer straight into its logits.

use assay_cache::{Artifact, Table, Unit, Values};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Given, Inputs, Lane, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    lm::{
        self,
        batching::BatchSize,
        by_text::{self, by_text},
        edit::Edit,
        model::attribution::{Attribution, Part},
        probe::{self, Material, Probe},
        text::{
            answers::{self, Answers},
            texts::{self, Reading, Text},
        },
    },
    metrics::summary::{mean, std},
    tables,
};

/// Which heads and MLPs make a model prefer an answer?
///
/// Direct logit attribution: the residual stream is the sum of what embeddings, heads and MLPs add to it, and with the
/// norms on the way frozen at what they are in this pass, the logits are an affine function of it. So
/// logit(right) − logit(wrong) at a position is the sum of each part's share; where logits are bent by a soft cap, the
/// difference before that. What a part does through later parts is not in its share (Elhage et al. 2021; the `direct
/// effect` of McGrath et al. 2023 and of the self-repair literature is a head's share here).
///
/// Answers are given as for `score`. Outputs: `contributions`, a row for each prompt and part: `component` (`embedding`,
/// `position`, `head`, `attention_bias`, `mlp`, `norm_bias`, `unembedding_bias`), `layer` and `head` where it has one,
/// `contribution`; `heads`, the mean over prompts for each head, with its place among all (`rank`, 1 is the largest, and
/// `rank_from_least`, 1 is the least); and `totals`, for each prompt the model's own difference, the sum of the shares
/// (the same but for rounding, unless `edits` change the residual stream itself), and what the final norm divides by.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Attribute {
    /// For each prompt the right answer and the wrong one: [[" Mary", " John"], …], or token ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answers>,
    /// The position whose logits are explained, counted from the first token; negative ones from the end.
    #[serde(default = "last")]
    pub position: i64,
    /// What is changed inside the model while it reads.
    #[serde(default)]
    pub edits: Vec<Edit>,
    /// Texts that go through the model together.
    #[serde(default)]
    pub batch: BatchSize,
}

/// The stage's own inputs.
const OWN: [&str; 3] = [texts::PORTS[0], texts::PORTS[1], answers::PORT];

/// The outputs; the first and the last are the parts of a unit.
const CONTRIBUTIONS: &str = "contributions";
const HEADS: &str = "heads";
const TOTALS: &str = "totals";

const CONTRIBUTION_COLUMNS: [&str; 6] = ["prompt", "id", "component", "layer", "head", "contribution"];
const HEAD_COLUMNS: [&str; 6] = ["layer", "head", "mean_contribution", "std_contribution", "rank", "rank_from_least"];
const TOTAL_COLUMNS: [&str; 5] = ["prompt", "id", "logit_difference", "attributed", "divisor"];

fn last() -> i64 {
    -1
}

impl Stage for Attribute {
    const KIND: &'static str = "attribute";
    const VERSION: &'static [(&'static str, u32)] = &[("attribute", 1), lm::VERSION];
    const LANE: Lane = Lane::Device;

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let facts = probe::facts(given.one("model"));
        let mut found = probe::mistakes(&self.edits, &[], (&OWN, &[]), given, facts.as_ref());
        found.extend(answers::mistakes(self.answers.as_ref(), given, facts.as_ref()));
        if self.answers.is_none() && !answers::wired(given) {
            let help = "answers = [[\" right\", \" wrong\"], …], or a table in the input `answers`";
            found.push(Mistake::new("", "there are no answers whose logits could be explained").help(help));
        }
        if !found.is_empty() {
            return Err(found);
        }
        let mut inputs = texts::ports();
        inputs.push(answers::port());
        inputs.extend(probe::inputs(&self.edits, &[]));
        let output = |name: &str, columns: &[&str]| {
            OutputPort::new(name, PortType::of("table")).with_facts(json!({ "columns": columns }))
        };
        let outputs = vec![
            output(CONTRIBUTIONS, &CONTRIBUTION_COLUMNS),
            output(HEADS, &HEAD_COLUMNS),
            output(TOTALS, &TOTAL_COLUMNS),
        ];
        Ok(Ports { inputs, outputs })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let Reading { record, model, texts, longest } = Reading::of(inputs, ctx)?;
        texts.iter().try_for_each(|text| by_text::place(self.position, &text.id, text.ids.len()).map(drop))?;
        let answers = answers::tokens(self.answers.as_ref(), inputs, &texts, record, &model.facts, ctx)?;
        let answers = answers.ok_or_else(|| Failure::fatal("there are no answers whose logits could be explained"))?;
        let labels: Vec<String> = texts.iter().map(|text| text.id.clone()).collect();
        let probe = Probe::new(&self.edits, &[], &model.facts, &Material { inputs, prompts: &labels })?;
        let rows = self.batch.rows(&model.facts, longest, 1, model.device());
        let units = by_text(&texts, rows, ctx, |group| {
            let tokens: Vec<[u32; 2]> = group.iter().map(|(i, _)| answers[*i]).collect();
            let made = model.attributions(group, self.position, &tokens, &probe.changes)?;
            Ok(group.iter().zip(&made).map(|((i, _), made)| unit(*i, &texts[*i], made)).collect())
        })?;
        let contributions = by_text::table(&units, CONTRIBUTIONS)?;
        Ok(Outputs::default()
            .with(HEADS, Artifact::Table(heads(&contributions, texts.len())?))
            .with(CONTRIBUTIONS, Artifact::Table(contributions))
            .with(TOTALS, Artifact::Table(by_text::table(&units, TOTALS)?))
            .note("batch", json!(rows)))
    }
}

impl Part {
    /// What `contributions` calls it, its layer, and its head.
    fn named(self) -> (&'static str, Option<usize>, Option<usize>) {
        match self {
            Self::Embedding => ("embedding", None, None),
            Self::Position => ("position", None, None),
            Self::Head { layer, head } => ("head", Some(layer), Some(head)),
            Self::AttentionBias { layer } => ("attention_bias", Some(layer), None),
            Self::Mlp { layer } => ("mlp", Some(layer), None),
            Self::NormBias => ("norm_bias", None, None),
            Self::UnembeddingBias => ("unembedding_bias", None, None),
        }
    }
}

/// The rows of one text.
fn unit(index: usize, text: &Text, made: &Attribution) -> Unit {
    let count = made.shares.len();
    let names: Vec<_> = made.shares.iter().map(|(part, _)| part.named()).collect();
    let ints = |of: &dyn Fn(usize) -> Option<usize>| {
        Values::Int((0..count).map(|row| of(row).map(|number| number as i64)).collect())
    };
    let one = |values: f64| Values::Float(vec![values]);
    let contributions = Table::default()
        .with(CONTRIBUTION_COLUMNS[0], ints(&|_| Some(index)))
        .with(CONTRIBUTION_COLUMNS[1], Values::Text(vec![text.id.clone(); count]))
        .with(CONTRIBUTION_COLUMNS[2], Values::Text(names.iter().map(|(name, ..)| (*name).to_owned()).collect()))
        .with(CONTRIBUTION_COLUMNS[3], ints(&|row| names[row].1))
        .with(CONTRIBUTION_COLUMNS[4], ints(&|row| names[row].2))
        .with(CONTRIBUTION_COLUMNS[5], Values::Float(made.shares.iter().map(|(_, share)| *share).collect()));
    let totals = Table::default()
        .with(TOTAL_COLUMNS[0], Values::Int(vec![Some(index as i64)]))
        .with(TOTAL_COLUMNS[1], Values::Text(vec![text.id.clone()]))
        .with(TOTAL_COLUMNS[2], one(made.difference))
        .with(TOTAL_COLUMNS[3], one(made.shares.iter().map(|(_, share)| share).sum()))
        .with(TOTAL_COLUMNS[4], one(made.divisor));
    Unit::from([
        (CONTRIBUTIONS.to_owned(), Artifact::Table(contributions)),
        (TOTALS.to_owned(), Artifact::Table(totals)),
    ])
}

/// Each head's mean over the prompts, and its place among all heads. Every text has the same parts in the same order.
fn heads(contributions: &Table, texts: usize) -> Result<Table, Failure> {
    let column = |name: &str| tables::numbers(contributions, name, CONTRIBUTIONS);
    let (layers, numbers, shares) = (column("layer")?, column("head")?, column("contribution")?);
    let parts = shares.len() / texts.max(1);
    let heads: Vec<usize> = (0..parts).filter(|part| !numbers[*part].is_nan()).collect();
    let of = |head: &usize| shares.iter().skip(*head).step_by(parts.max(1)).copied().collect::<Vec<f64>>();
    let own: Vec<Vec<f64>> = heads.iter().map(of).collect();
    let means: Vec<f64> = own.iter().map(|shares| mean(shares)).collect();
    let mut order: Vec<usize> = (0..means.len()).collect();
    order.sort_by(|a, b| means[*b].total_cmp(&means[*a]).then(a.cmp(b)));
    let mut ranks = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, head)| ranks[*head] = place as i64 + 1);
    let count = ranks.len() as i64;
    let ints = |of: &[f64]| Values::Int(heads.iter().map(|head| Some(of[*head] as i64)).collect());
    Ok(Table::default()
        .with(HEAD_COLUMNS[0], ints(&layers))
        .with(HEAD_COLUMNS[1], ints(&numbers))
        .with(HEAD_COLUMNS[2], Values::Float(means))
        .with(HEAD_COLUMNS[3], Values::Float(own.iter().map(|shares| std(shares)).collect()))
        .with(HEAD_COLUMNS[4], Values::Int(ranks.iter().map(|rank| Some(*rank)).collect()))
        .with(HEAD_COLUMNS[5], Values::Int(ranks.iter().map(|rank| Some(count + 1 - rank)).collect())))
}

#[cfg(test)]
mod tests;
