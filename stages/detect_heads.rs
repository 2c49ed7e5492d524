//! The kind `detect-heads`: what attention patterns say of what heads do.
//!
//! It reads patterns that a `forward` stage captured and runs no model, so one capture serves heatmaps and scores alike.
//! It draws no line between a head of a kind and one that is not: the scores are shares of attention, and a study says
//! what counts.

use assay_cache::{Artifact, Axis, Data, Table, Tensor, Values};
use ndarray::{Array2, ArrayView5, Ix5, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    lm::{
        ModelFacts, ModelRecord, probe,
        text::{
            texts::{self, Text, texts},
            tokens::Tokens,
        },
    },
    metrics::attention::{Attended, Detection, Occurrences},
};

/// Which heads look at the token before, at the same token earlier, and at what followed that?
///
/// For each head, the attention weight, averaged over all queries of all texts that have such places,
///
/// - `previous_token`: on the token just before the query;
/// - `duplicate_token`: on earlier places of the query's own token;
/// - `induction`: on the places right after those, from where a repeated text would be copied (prefix matching, Olsson et
///   al. 2022). On a text of distinct tokens that comes twice, that is the stripe of the pattern one short of the period.
///
/// (TransformerLens's `detect_head` with `error_measure = "mul"` divides the same sums by all queries, those included that
/// have no such place.) Inputs: `pattern`, a raw capture of `pattern` at every position, and in `prompts` the texts that it
/// was captured on: `tokens`, or `prompts`, which need the `model` too. Outputs: `heads`, a table that `ablate` takes as a
/// ranking with `by = "induction"`, and each score as tensor[layer, head].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DetectHeads {}

const AXES: [&str; 5] = ["prompt", "layer", "head", "query", "key"];
const COLUMNS: [&str; 6] = ["head_idx", "layer", "head_in_layer", "previous_token", "duplicate_token", "induction"];

type Score = (&'static str, fn(&Detection) -> &Attended);

const SCORES: [Score; 3] = [
    (COLUMNS[3], |detection| &detection.previous_token),
    (COLUMNS[4], |detection| &detection.duplicate_token),
    (COLUMNS[5], |detection| &detection.induction),
];

impl Stage for DetectHeads {
    const KIND: &'static str = "detect-heads";
    const VERSION: &'static [(&'static str, u32)] = &[("detect-heads", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let wired = |port: &str| given.inputs.contains_key(port) || given.unknown.iter().any(|name| name == port);
        if given.one("prompts").is_some_and(|arrived| arrived.ty.kind == "prompts") && !wired("model") {
            let mistake = Mistake::new("inputs", "`prompts` are texts until a model's tokenizer has read them");
            return Err(vec![mistake.help("wire the `model` too, or `tokens` instead of prompts")]);
        }
        if let Some(mistake) = texts::mistake(given, probe::facts(given.one("model")).as_ref()) {
            return Err(vec![mistake]);
        }
        let score = |(name, _): Score| OutputPort::new(name, PortType::tensor(&AXES[1..3]));
        let heads = OutputPort::new("heads", PortType::of("table")).with_facts(json!({ "columns": COLUMNS }));
        Ok(Ports {
            inputs: vec![
                InputPort::one("pattern", PortType::tensor(&AXES)),
                InputPort::one("prompts", PortType::of("tokens")).or(PortType::of("prompts")),
                InputPort::one("model", PortType::of("model")).optional(),
            ],
            outputs: std::iter::once(heads).chain(SCORES.map(score)).collect(),
        })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let tensor = inputs.tensor("pattern")?;
        let Data::F32(pattern) = &tensor.data else {
            return Err(Failure::fatal("`pattern` does not hold numbers of 32 bits, as a capture does"));
        };
        let pattern = pattern.view().into_dimensionality::<Ix5>();
        let pattern = pattern.map_err(|_| Failure::fatal("`pattern` has not the axes of a raw capture"))?;
        let texts = read(inputs, ctx)?;
        check(tensor, &pattern, &texts)?;
        let found = detected(&pattern, &texts, ctx)?;
        let (layers, heads) = (numbers(&tensor.axes[1], found.nrows())?, numbers(&tensor.axes[2], found.ncols())?);
        let mut outputs = Outputs::default().with("heads", Artifact::Table(table(&found, &layers, &heads)));
        for (name, score) in SCORES {
            let data = Data::F64(found.map(|detection| score(detection).mean()).into_dyn());
            let axes = tensor.axes[1..3].to_vec();
            outputs = outputs.with(name, Artifact::Tensor(Tensor { axes, unit: None, data }));
        }
        Ok(outputs)
    }
}

/// The texts that the pattern was captured on.
fn read(inputs: &Inputs, ctx: &dyn Ctx) -> Result<Vec<Text>, Failure> {
    let record = inputs.record("prompts")?;
    if inputs.optional("model").is_some() {
        let model: &Value = inputs.record("model")?;
        let facts = ModelFacts::of(&ModelRecord::read(model)?.config).map_err(Failure::fatal)?;
        return texts(record, model, &facts, ctx);
    }
    let sequences = Tokens::read(record)?.sequences;
    Ok(sequences.into_iter().map(|sequence| Text { ids: sequence.text(), id: sequence.id }).collect())
}

/// Refuses a pattern that is not of these texts, or not of every query.
fn check(tensor: &Tensor, pattern: &ArrayView5<f32>, texts: &[Text]) -> Result<(), Failure> {
    let (prompts, _, _, queries, keys) = pattern.dim();
    let labels = tensor.axes[0].labels.as_deref().unwrap_or_default();
    if prompts != texts.len() || !labels.iter().eq(texts.iter().map(|text| &text.id)) {
        return Err(Failure::fatal(format!(
            "the pattern is of {prompts} texts ({}), and `prompts` holds {}: wire those that it was captured on",
            labels.join(", "),
            texts.len()
        )));
    }
    if tensor.axes[3].labels.is_some() || queries != keys {
        return Err(Failure::fatal("the pattern lacks some queries: capture it without `positions`"));
    }
    match texts.iter().find(|text| text.ids.len() > queries) {
        Some(text) => Err(Failure::fatal(format!(
            "the text `{}` has {} tokens, and the pattern {queries} queries: it was captured on other texts",
            text.id,
            text.ids.len()
        ))),
        None => Ok(()),
    }
}

/// [layer, head]
fn detected(pattern: &ArrayView5<f32>, texts: &[Text], ctx: &dyn Ctx) -> Result<Array2<Detection>, Failure> {
    let (_, layers, heads, ..) = pattern.dim();
    let mut found = Array2::from_elem((layers, heads), Detection::default());
    let mut repeats = false;
    for (prompt, text) in texts.iter().enumerate() {
        let occurrences = Occurrences::of(&text.ids);
        repeats |= occurrences.any();
        let n = text.ids.len();
        for ((layer, head), detection) in found.indexed_iter_mut() {
            let own = pattern.slice(s![prompt, layer, head, ..n, ..n]);
            if own.iter().any(|weight| weight.is_nan()) {
                let id = &text.id;
                return Err(Failure::fatal(format!("the pattern of the text `{id}` has NaN within its {n} tokens")));
            }
            detection.add(own, &occurrences);
        }
    }
    if !repeats {
        ctx.warn("no token of any text comes twice: there are no duplicates to attend to, and nothing to copy");
    }
    Ok(found)
}

/// The numbers of the layers or heads on an axis: those that label it, else their places.
fn numbers(axis: &Axis, count: usize) -> Result<Vec<i64>, Failure> {
    match &axis.labels {
        None => Ok((0..count as i64).collect()),
        Some(labels) => {
            let number = |label: &String| {
                let wrong = || Failure::fatal(format!("`{label}` on the axis `{}` is no number", axis.name));
                label.parse().map_err(|_| wrong())
            };
            labels.iter().map(number).collect()
        }
    }
}

fn table(found: &Array2<Detection>, layers: &[i64], heads: &[i64]) -> Table {
    let places = || found.indexed_iter().map(|(place, _)| place);
    let [index, layer, head, ..] = COLUMNS;
    let table = Table::default()
        .with(index, Values::Int((0..found.len() as i64).map(Some).collect()))
        .with(layer, Values::Int(places().map(|(layer, _)| Some(layers[layer])).collect()))
        .with(head, Values::Int(places().map(|(_, head)| Some(heads[head])).collect()));
    SCORES.iter().fold(table, |table, (name, score)| {
        table.with(name, Values::Float(found.iter().map(|detection| score(detection).mean()).collect()))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ndarray::{Array5, ArrayD, Zip};

    use super::*;
    use crate::{
        Arrived,
        contract::testing::TestCtx,
        lm::fixture::{Fixture, engine, inputs, prompts, stage},
    };

    /// Two layers of two heads on A B A B A (five tokens) and on C C (two): what each head attends to, all of it.
    fn pattern() -> Tensor {
        let mut array = Array5::from_elem((2, 2, 2, 5, 5), f32::NAN);
        type Look = fn(usize) -> usize;
        let looks: [[Look; 2]; 2] =
            [[|query| query.saturating_sub(1), |_| 0], [|query| query, |query| if query > 1 { query - 2 } else { 0 }]];
        for (prompt, length) in [(0, 5), (1, 2)] {
            for (layer, heads) in looks.iter().enumerate() {
                for (head, look) in heads.iter().enumerate() {
                    array.slice_mut(s![prompt, layer, head, ..length, ..length]).fill(0.0);
                    (0..length).for_each(|query| array[[prompt, layer, head, query, look(query)]] = 1.0);
                }
            }
        }
        let axes = AXES.map(|name| match name {
            "prompt" => Axis::labelled(name, vec!["0".to_owned(), "1".to_owned()]),
            "layer" => Axis::labelled(name, vec!["3".to_owned(), "8".to_owned()]),
            name => Axis::new(name),
        });
        Tensor { axes: axes.to_vec(), unit: None, data: Data::F32(array.into_dyn()) }
    }

    fn tokens() -> Artifact {
        Artifact::Record(json!({ "sequences": [
            { "id": "0", "prompt": [7], "new": [9, 7, 9, 7] },
            { "id": "1", "prompt": [5, 5], "new": [] },
        ] }))
    }

    fn run(pattern: Tensor, texts: Artifact) -> Result<Outputs, Failure> {
        let ports = vec![("pattern", Artifact::Tensor(pattern)), ("prompts", texts)];
        DetectHeads {}.run(&inputs(ports), &TestCtx::new())
    }

    /// By hand: five queries have a token before them (four in the first text, one in the second); four have seen their
    /// token (2, 3, 4 of the first, 1 of the second).
    #[test]
    fn scores_are_pooled_over_texts() {
        let outputs = run(pattern(), tokens()).unwrap();
        let Artifact::Table(table) = &outputs.artifacts["heads"] else { panic!("heads are a table") };
        let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, COLUMNS, "the plan promises these columns");
        let numbers = |name: &str| table.column(name).unwrap().values.to_f64().unwrap();
        assert_eq!(numbers("layer"), [3.0, 3.0, 8.0, 8.0]);
        assert_eq!(numbers("head_in_layer"), [0.0, 1.0, 0.0, 1.0]);
        // One before; the first token; the query itself; two before.
        assert_eq!(numbers("previous_token"), [1.0, 2.0 / 5.0, 0.0, 2.0 / 5.0]);
        // One before is the duplicate in C C alone, and in A B A B A it is what followed the duplicate.
        assert_eq!(numbers("duplicate_token"), [1.0 / 4.0, 3.0 / 4.0, 0.0, 4.0 / 4.0]);
        // In C C, what followed the first C is the query itself.
        assert_eq!(numbers("induction"), [3.0 / 4.0, 0.0, 1.0 / 4.0, 0.0]);
        let Artifact::Tensor(tensor) = &outputs.artifacts["induction"] else { panic!("a score is a tensor") };
        assert_eq!(tensor.axes[0], Axis::labelled("layer", vec!["3".to_owned(), "8".to_owned()]));
        assert_eq!(tensor.data, Data::F64(ndarray::arr2(&[[0.75, 0.0], [0.25, 0.0]]).into_dyn()));
    }

    /// On a pattern of Hugging Face's GPT-2: TransformerLens's score is the sum of pattern × detection pattern over the sum
    /// of the pattern, and the detection pattern of induction that of duplicates, moved one key to the right.
    #[test]
    fn sums_are_those_of_transformerlens() {
        let fixture = Fixture::of("gpt2");
        let raw = fixture.expected.get("a.pattern").to_vec(); // [3, 4, 21, 21]
        let array = ArrayD::from_shape_vec(vec![1, 3, 4, 21, 21], raw.clone()).unwrap();
        let axes = AXES.map(|name| match name {
            "prompt" => Axis::labelled(name, vec!["0".to_owned()]),
            name => Axis::new(name),
        });
        let ids: Vec<u32> = (0..21).map(|i| [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5][i % 11]).collect();
        let texts = json!({ "sequences": [{ "id": "0", "prompt": ids, "new": [] }] });
        let pattern = Tensor { axes: axes.to_vec(), unit: None, data: Data::F32(array) };
        let outputs = run(pattern, Artifact::Record(texts)).unwrap();
        let duplicates = Array2::from_shape_fn((21, 21), |(q, k)| f64::from(u8::from(k < q && ids[q] == ids[k])));
        let induction = Array2::from_shape_fn((21, 21), |(q, k)| if k > 0 { duplicates[[q, k - 1]] } else { 0.0 });
        let previous = Array2::from_shape_fn((21, 21), |(q, k)| f64::from(u8::from(k + 1 == q)));
        let repeated = (1..21).filter(|i| ids[..*i].contains(&ids[*i])).count() as f64;
        for (port, detection, eligible) in [
            ("previous_token", previous, 20.0),
            ("duplicate_token", duplicates, repeated),
            ("induction", induction, repeated),
        ] {
            let Artifact::Tensor(Tensor { data: Data::F64(ours), .. }) = &outputs.artifacts[port] else { panic!() };
            for (head, ours) in ours.iter().enumerate() {
                let own = &raw[head * 441..][..441];
                let own = Array2::from_shape_vec((21, 21), own.iter().map(|x| f64::from(*x)).collect()).unwrap();
                let product = Zip::from(&own).and(&detection).fold(0.0, |sum, a, b| sum + a * b);
                let theirs = product / own.sum();
                assert!((ours * eligible / 21.0 - theirs).abs() < 1e-6, "{port} of head {head}");
            }
        }
    }

    #[test]
    fn prompts_are_read_with_the_model() {
        let (ctx, model) = engine("gpt2");
        let read = "capture = [{ site = \"pattern\" }]";
        let texts = || prompts(&[("x", &[3, 1, 4, 3, 1, 4]), ("y", &[5, 6])]);
        let forward = stage::<crate::forward::Forward>(read);
        let captured = forward.run(&inputs(vec![("model", model.clone()), ("prompts", texts())]), &ctx).unwrap();
        let pattern = captured.artifacts["pattern"].clone();
        let ports = vec![("pattern", pattern), ("prompts", texts()), ("model", model)];
        let outputs = DetectHeads {}.run(&inputs(ports), &ctx).unwrap();
        let Artifact::Table(table) = &outputs.artifacts["heads"] else { panic!("heads are a table") };
        assert_eq!(table.rows(), 12);
        assert!(table.column("induction").unwrap().values.to_f64().unwrap().iter().all(|x| *x > 0.0 && *x < 1.0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |pattern: Tensor, texts: Artifact| run(pattern, texts).unwrap_err().to_string();
        let one = json!({ "sequences": [{ "id": "0", "prompt": [7], "new": [9, 7] }] });
        assert!(refused(pattern(), Artifact::Record(one)).contains("of 2 texts (0, 1), and `prompts` holds 1"));
        let mut part = pattern();
        part.axes[3].labels = Some((0..5).map(|i| format!("-{i}")).collect());
        assert!(refused(part, tokens()).contains("without `positions`"));
        let longer = json!({ "sequences": [
            { "id": "0", "prompt": [7], "new": [9, 7, 9, 7] }, { "id": "1", "prompt": [5, 5], "new": [1] },
        ] });
        assert!(refused(pattern(), Artifact::Record(longer)).contains("`1` has NaN within its 3 tokens"));
        let arrived = |kind| Arrived { from: "x".to_owned(), ty: PortType::of(kind), facts: Value::Null };
        let given =
            |kind| Given { inputs: BTreeMap::from([("prompts".to_owned(), vec![arrived(kind)])]), ..Given::default() };
        assert!(DetectHeads {}.ports(&given("tokens")).is_ok());
        assert_eq!(DetectHeads {}.ports(&given("prompts")).unwrap_err()[0].at, "inputs");
    }

    #[test]
    fn texts_without_repetition_are_told() {
        let ctx = TestCtx::new();
        let texts = json!({ "sequences": [
            { "id": "0", "prompt": [1], "new": [2, 3, 4, 5] }, { "id": "1", "prompt": [5, 6], "new": [] },
        ] });
        let ports = vec![("pattern", Artifact::Tensor(pattern())), ("prompts", Artifact::Record(texts))];
        let outputs = DetectHeads {}.run(&inputs(ports), &ctx).unwrap();
        let Artifact::Table(table) = &outputs.artifacts["heads"] else { panic!("heads are a table") };
        assert!(table.column("induction").unwrap().values.to_f64().unwrap().iter().all(|x| x.is_nan()));
        assert!(ctx.warnings()[0].contains("no token of any text comes twice"));
    }
}
