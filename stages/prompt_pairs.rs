//! The kind `prompt-pairs`: texts that are read side by side, row by row of a table, from a bank of texts.
//!
//! A study that patches one text's activations into another's needs two lists of prompts that stay aligned whatever is
//! missing. What is wrong with a pair of the *data* (an id that is not in the bank, a text that is too short) is told in
//! that pair's row, and the run goes on with the others; anything else fails the stage, so that it is tried again.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use assay_cache::{Artifact, Axis, Data, Table, Tensor, Values};
use csv::ReaderBuilder;
use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Fetch, File, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Resolved,
    SourceError, Stage,
    lm::{
        Session, probe,
        text::{
            prompts::{Content, Prompt, Prompts},
            tokenizer::Bos,
        },
    },
    load_tensor::present,
};

/// Pairs of prompts, a row each of a table of ids, that stay aligned: prompt i of `base` belongs to prompt i of `recursive`.
///
/// A pair whose ids are not both in the bank, or whose base text is too short, is left out of both and has a row in
/// `pairs` that says why. Outputs: the prompts `base` and `recursive`, whose ids are the numbers of their rows; the table
/// `pairs` (`pair_idx`, `base_id`, `rec_id`, `base_tokens`, `rec_tokens`, `window`, `status` = `ok`, `skipped` or
/// `error`, `error`); and the tensor `window[prompt]`, over how many tokens a pair can be compared: what a capture's
/// `window` takes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PromptPairs {
    /// A CSV file with the columns `base_id` and `rec_id`; others are ignored.
    pub pairs: File,
    /// A TOML file of texts: a line `id = "text"` for each.
    pub bank: File,
    /// Only the first so many pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub first: Option<usize>,
    /// A base text of fewer tokens than this is skipped, special ones included.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1))]
    pub min_tokens: usize,
    /// The most tokens that a pair is compared over, the last ones: fewer where one of its texts is shorter.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1))]
    pub window: usize,
    /// The most tokens that a text has, special ones included; what is over is cut off at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_length: Option<usize>,
    /// Whether a text begins with the token that marks a beginning: `"auto"` is what the tokenizer does by itself,
    /// `true` makes it exactly one, `false` adds none.
    #[serde(default)]
    pub bos: Bos,
}

fn sixteen() -> usize {
    16
}

/// The roles of the stage's files.
const PAIRS: &str = "pairs";
const BANK: &str = "bank";

/// The columns of ids.
const IDS: [&str; 2] = ["base_id", "rec_id"];

/// Texts by their ids.
type Bank = BTreeMap<String, String>;

impl Stage for PromptPairs {
    const KIND: &'static str = "prompt-pairs";
    const VERSION: &'static [(&'static str, u32)] = &[("prompt-pairs", 1)];

    fn resolve(&self, _: Fetch) -> Result<Resolved, SourceError> {
        let paths = [(PAIRS, &self.pairs.0), (BANK, &self.bank.0)];
        paths.iter().try_for_each(|(_, path)| present(path).map(|_| ()))?;
        let files: BTreeMap<String, PathBuf> =
            paths.iter().map(|(role, path)| ((*role).to_owned(), (*path).clone())).collect();
        Ok(Resolved { provenance: json!(files), files, check: None })
    }

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let path = |role: &str| given.files.and_then(|files| files.files.get(role));
        let mut found = self.mistakes();
        let wrong = |at: &str, message: String| Mistake::new(at, message);
        found.extend(path(PAIRS).and_then(|path| read_pairs(path).err()).map(|problem| {
            wrong(PAIRS, problem).help("expected CSV with a header: base_id,rec_id, then a pair on each line")
        }));
        found.extend(
            path(BANK)
                .and_then(|path| read_bank(path).err())
                .map(|problem| wrong(BANK, problem).help("a bank of texts has a line for each: id = \"text\"")),
        );
        found.extend(probe::facts(given.one("model")).and_then(|facts| facts.tokenizer_mistake("inputs.model")));
        if !found.is_empty() {
            return Err(found);
        }
        let known = json!({ "chat_template": false, "texts": true });
        let prompts = |name| OutputPort::new(name, PortType::of("prompts")).with_facts(known.clone());
        Ok(Ports {
            inputs: vec![InputPort::one("model", PortType::of("model"))],
            outputs: vec![
                prompts("base"),
                prompts("recursive"),
                OutputPort::new("pairs", PortType::of("table")).with_facts(json!({ "columns": COLUMNS })),
                OutputPort::new("window", PortType::tensor(&["prompt"])),
            ],
        })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let path = |role: &str| match ctx.files().get(role) {
            Some(digest) => ctx.place(digest),
            None => Err(Failure::fatal(format!("the file `{role}` is not at hand"))),
        };
        let mut ids = read_pairs(&path(PAIRS)?).map_err(Failure::fatal)?;
        ids.truncate(self.first.unwrap_or(usize::MAX));
        let bank = read_bank(&path(BANK)?).map_err(Failure::fatal)?;
        let tokenizer = Session::of(ctx).tokenizer(inputs.record("model")?, ctx)?;
        let count = |text: &str| tokenizer.encode(text, self.bos, self.max_length).map(|ids| ids.len());
        let rows = ids.into_iter().map(|ids| self.row(ids, &bank, count)).collect::<Result<Vec<_>, _>>();
        let rows = rows.map_err(|error| Failure::fatal(error.0))?;
        match rows.iter().find_map(|row| row.outcome.as_ref().err()) {
            Some(problem) if rows.iter().all(|row| row.outcome.is_err()) => Err(Failure::fatal(format!(
                "none of the {} pairs can be used: of the first, {}",
                rows.len(),
                problem.says
            ))),
            _ => Ok(self.outputs(&rows, &bank)),
        }
    }
}

/// The columns of the table `pairs`.
const COLUMNS: [&str; 8] = ["pair_idx", "base_id", "rec_id", "base_tokens", "rec_tokens", "window", "status", "error"];

/// One pair, and over how many tokens it can be compared; or why it cannot.
struct Row {
    ids: [String; 2],
    tokens: [Option<usize>; 2],
    outcome: Result<usize, Problem>,
}

/// What is wrong with the data of a pair.
struct Problem {
    status: &'static str,
    says: String,
}

impl PromptPairs {
    fn mistakes(&self) -> Vec<Mistake> {
        let counts = [
            ("first", self.first),
            ("min-tokens", Some(self.min_tokens)),
            ("window", Some(self.window)),
            ("max-length", self.max_length),
        ];
        let none = counts.iter().filter(|(_, count)| *count == Some(0));
        let mut found: Vec<_> = none.map(|(at, _)| Mistake::new(*at, format!("`{at}` must be at least 1"))).collect();
        if self.max_length.is_some_and(|most| most < self.min_tokens) {
            let message = "texts are cut to fewer tokens than `min-tokens` asks for: none would be left";
            found.push(Mistake::new("max-length", message));
        }
        found
    }

    /// A pair of ids, held against the bank; `count` gives the tokens of a text.
    fn row<E>(&self, ids: [String; 2], bank: &Bank, count: impl Fn(&str) -> Result<usize, E>) -> Result<Row, E> {
        let tokens = |id: &String| bank.get(id).map(|text| count(text)).transpose();
        let tokens = [tokens(&ids[0])?, tokens(&ids[1])?];
        let missing = ids.iter().zip(&tokens).find(|(_, tokens)| tokens.is_none()).map(|(id, _)| id);
        let outcome = match (tokens, missing) {
            (_, Some(id)) => Err(Problem::error(format!("the bank has no text `{id}`"))),
            ([_, Some(0)], _) => Err(Problem::error(format!("the text `{}` has no tokens", ids[1]))),
            ([Some(base), Some(_)], _) if base < self.min_tokens => Err(Problem {
                status: "skipped",
                says: format!("the base text has {base} tokens, fewer than {}", self.min_tokens),
            }),
            ([base, source], _) => Ok([base, source].into_iter().flatten().fold(self.window, usize::min)),
        };
        Ok(Row { ids, tokens, outcome })
    }

    fn outputs(&self, rows: &[Row], bank: &Bank) -> Outputs {
        let usable = || rows.iter().enumerate().filter_map(|(i, row)| Some((i, row, *row.outcome.as_ref().ok()?)));
        let prompts = |side: usize| {
            let prompt = |(i, row, _): (usize, &Row, usize)| Prompt {
                id: i.to_string(),
                category: None,
                content: Content::Text(bank[&row.ids[side]].clone()),
            };
            let prompts = usable().map(prompt).collect();
            let prompts = Prompts { prompts, chat_template: false, max_length: self.max_length, bos: self.bos };
            Artifact::Record(prompts.to_value())
        };
        let windows: Array1<i64> = usable().map(|(.., window)| window as i64).collect();
        let window = Tensor {
            axes: vec![Axis::labelled("prompt", usable().map(|(i, ..)| i.to_string()).collect())],
            unit: Some("tokens".to_owned()),
            data: Data::I64(windows.into_dyn()),
        };
        Outputs::default()
            .with("base", prompts(0))
            .with("recursive", prompts(1))
            .with("pairs", Artifact::Table(table(rows)))
            .with("window", Artifact::Tensor(window))
    }
}

impl Problem {
    fn error(says: String) -> Self {
        Self { status: "error", says }
    }
}

/// A row a pair, whatever became of it.
fn table(rows: &[Row]) -> Table {
    let text = |of: &dyn Fn(&Row) -> String| Values::Text(rows.iter().map(of).collect());
    let number = |of: &dyn Fn(&Row) -> Option<usize>| {
        Values::Int(rows.iter().map(|row| of(row).map(|count| count as i64)).collect())
    };
    let values = [
        Values::Int((0..rows.len()).map(|i| Some(i as i64)).collect()),
        text(&|row| row.ids[0].clone()),
        text(&|row| row.ids[1].clone()),
        number(&|row| row.tokens[0]),
        number(&|row| row.tokens[1]),
        number(&|row| row.outcome.as_ref().ok().copied()),
        text(&|row| row.outcome.as_ref().map_or_else(|problem| problem.status, |_| "ok").to_owned()),
        text(&|row| row.outcome.as_ref().err().map_or_else(String::new, |problem| problem.says.clone())),
    ];
    COLUMNS.into_iter().zip(values).fold(Table::default(), |table, (name, values)| table.with(name, values))
}

/// The ids of each pair.
fn read_pairs(path: &Path) -> Result<Vec<[String; 2]>, String> {
    let bad = |error: csv::Error| format!("{}: {error}", path.display());
    let mut reader = ReaderBuilder::new().from_path(path).map_err(bad)?;
    let names = reader.headers().map_err(bad)?.clone();
    let place = |wanted: &str| {
        let there = || names.iter().collect::<Vec<_>>().join(", ");
        let found = names.iter().position(|name| name == wanted);
        found.ok_or_else(|| format!("{} has no column `{wanted}`; it has {}", path.display(), there()))
    };
    let places = [place(IDS[0])?, place(IDS[1])?];
    let pair = |row: csv::StringRecord| places.map(|place| row[place].trim().to_owned());
    let pairs = reader.records().map(|row| row.map(pair)).collect::<Result<Vec<_>, _>>().map_err(bad)?;
    if pairs.is_empty() { Err(format!("{} holds no pairs", path.display())) } else { Ok(pairs) }
}

fn read_bank(path: &Path) -> Result<Bank, String> {
    let wrong = |problem: String| format!("{}: {problem}", path.display());
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    toml::from_str(&text).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests;
