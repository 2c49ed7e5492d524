//! The kind `decode`: token ids as text, for people to read.
//!
//! Nothing is computed with a model: its tokenizer alone is asked.

use assay_cache::{Artifact, Table, Values};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    lm::{
        Session, probe,
        text::tokens::{Sequence, Tokens},
    },
};

/// What do these tokens say?
///
/// The texts of a task, or what a `generate` stage wrote, in the words of the model's tokenizer. Output: the table `texts`,
/// with what was `given` of each and what was `written` (of a task: what is to be predicted); special tokens are written
/// out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Decode {
    /// Only the first so many texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub first: Option<usize>,
}

const COLUMNS: [&str; 3] = ["prompt", "given", "written"];

impl Stage for Decode {
    const KIND: &'static str = "decode";
    const VERSION: &'static [(&'static str, u32)] = &[("decode", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let mut found = vec![];
        if self.first == Some(0) {
            found.push(Mistake::new("first", "there must be a text to read"));
        }
        found.extend(probe::facts(given.one("model")).and_then(|facts| facts.tokenizer_mistake("inputs.model")));
        if !found.is_empty() {
            return Err(found);
        }
        let texts = OutputPort::new("texts", PortType::of("table")).with_facts(json!({ "columns": COLUMNS }));
        Ok(Ports {
            inputs: vec![
                InputPort::one("model", PortType::of("model")),
                InputPort::one("tokens", PortType::of("tokens")),
            ],
            outputs: vec![texts],
        })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let tokenizer = Session::of(ctx).tokenizer(inputs.record("model")?, ctx)?;
        let mut sequences = Tokens::read(inputs.record("tokens")?)?.sequences;
        sequences.truncate(self.first.unwrap_or(usize::MAX));
        let texts = |part: fn(&Sequence) -> &[u32]| {
            let decoded = sequences.iter().map(|sequence| {
                let text = tokenizer.decode(part(sequence), false);
                text.map_err(|error| Failure::fatal(format!("the text `{}`: {error}", sequence.id)))
            });
            decoded.collect::<Result<Vec<_>, _>>()
        };
        let [prompt, given, written] = COLUMNS;
        let table = Table::default()
            .with(prompt, Values::Text(sequences.iter().map(|sequence| sequence.id.clone()).collect()))
            .with(given, Values::Text(texts(|sequence| &sequence.prompt)?))
            .with(written, Values::Text(texts(|sequence| &sequence.new)?));
        Ok(Outputs::default().with("texts", Artifact::Table(table)))
    }
}
