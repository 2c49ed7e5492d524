//! Which nodes are the synergistic ones?
//!
//! The table that an ablation takes its order from, and a layer profile its scores. The ranking itself is
//! `metrics::rank`; here are the columns and what is said about ties and about nodes that cannot be ranked.

use assay_cache::{Artifact, Data, Table, Tensor, Values};
use ndarray::{Array2, Ix2};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Given, InputPort, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    metrics::rank::{self, Ranking},
};

/// Ranks nodes by how much more synergistic than redundant they are, compared with the others.
///
/// Method: a node's synergy and redundancy are its means over its valid partners; both are ranked (1 = lowest, ties by
/// index); the score is the difference of the ranks, scaled to 0 (lowest) … 1 (highest). A node without a valid
/// partner has no rank and a score of NaN and does not move the others'. Scores tie often: the column `order` (0 =
/// first to ablate) says how ties were resolved, the notes how many there are.
///
/// Reference: the synergistic core of "A Brain-like Synergistic Core in LLMs Drives Behaviour and Learning",
/// arXiv 2601.06851.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rank {
    /// How nodes of equal score follow one another in `order`.
    #[serde(default)]
    pub ties: Ties,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ties {
    /// By their index.
    #[default]
    Index,
    /// By the difference of mean synergy and mean redundancy, larger first; then by index.
    Difference,
}

/// The columns of the ranking.
const COLUMNS: [&str; 9] = [
    "head_idx",
    "layer",
    "head_in_layer",
    "avg_synergy",
    "avg_redundancy",
    "syn_rank",
    "red_rank",
    "syn_red_score",
    "order",
];

impl Stage for Rank {
    const KIND: &'static str = "rank";
    const VERSION: &'static [(&'static str, u32)] = &[("rank", 1)];

    fn ports(&self, _: &Given) -> Result<Ports, Vec<Mistake>> {
        let matrix = |name: &str| InputPort::one(name, PortType::tensor(&["node", "node"]));
        let facts = json!({ "columns": COLUMNS });
        Ok(Ports {
            inputs: vec![matrix("sts"), matrix("rtr"), matrix("count").optional()],
            outputs: vec![OutputPort::new("ranking", PortType::of("table")).with_facts(facts)],
        })
    }

    fn run(&self, inputs: &Inputs, ctx: &dyn Ctx) -> Result<Outputs, Failure> {
        let (sts, rtr) = (square(inputs, "sts")?, square(inputs, "rtr")?);
        let counts = inputs.optional("count").map(|_| square(inputs, "count")).transpose()?;
        let sizes = [Some(&sts), Some(&rtr), counts.as_ref()].map(|input| input.map(|(_, matrix)| matrix.nrows()));
        if sizes.iter().flatten().any(|&size| size != sts.1.nrows()) {
            return Err(Failure::fatal(format!(
                "`sts`, `rtr` and `count` are of {} nodes each: they must come from one stage",
                sizes.iter().flatten().map(usize::to_string).collect::<Vec<_>>().join(", ")
            )));
        }
        let counts = counts.map(|(_, matrix)| matrix.mapv(|count| count as i64));
        let ties = match self.ties {
            Ties::Index => rank::Ties::Index,
            Ties::Difference => rank::Ties::Difference,
        };
        let ranking = rank::rank(sts.1.view(), rtr.1.view(), counts.as_ref().map(|counts| counts.view()), ties);
        let labels = sts.0.axes[0].labels.as_deref();
        let unranked = unranked(&ranking, labels);
        if !unranked.is_empty() {
            ctx.warn(&format!("no rank for nodes without a valid partner: {}", unranked.join(", ")));
        }
        Ok(Outputs::default()
            .note("tied-nodes", ranking.tied)
            .note("smallest-synergy-gap", json!(ranking.synergy_gap))
            .note("smallest-redundancy-gap", json!(ranking.redundancy_gap))
            .note("unranked", json!(unranked))
            .with("ranking", Artifact::Table(table(ranking, labels))))
    }
}

/// The square matrix in a port, as it came and as numbers.
fn square<'a>(inputs: &'a Inputs, port: &str) -> Result<(&'a Tensor, Array2<f64>), Failure> {
    let bad = |found: String| Failure::fatal(format!("`{port}` is {found}; expected a square matrix of nodes"));
    let Artifact::Tensor(tensor) = inputs.one(port) else { return Err(bad("no tensor".to_owned())) };
    let matrix = match &tensor.data {
        Data::F64(array) => array.clone(), // the common case, and exact
        other => other.to_f64(),
    };
    match matrix.into_dimensionality::<Ix2>() {
        Ok(matrix) if matrix.is_square() && !matrix.is_empty() => Ok((tensor, matrix)),
        _ => Err(bad(format!("of shape {:?}", tensor.shape()))),
    }
}

fn unranked(ranking: &Ranking, labels: Option<&[String]>) -> Vec<String> {
    let without = (0..ranking.order.len()).filter(|&node| ranking.order[node].is_none());
    without.map(|node| labels.map_or_else(|| node.to_string(), |labels| labels[node].clone())).collect()
}

fn table(ranking: Ranking, labels: Option<&[String]>) -> Table {
    let nodes = ranking.score.len();
    let places: Vec<_> = (0..nodes).map(|node| labels.and_then(|labels| layer_and_head(&labels[node]))).collect();
    let column = |part: fn((i64, i64)) -> i64| Values::Int(places.iter().map(|place| place.map(part)).collect());
    Table::default()
        .with("head_idx", Values::Int((0..nodes as i64).map(Some).collect()))
        .with("layer", column(|(layer, _)| layer))
        .with("head_in_layer", column(|(_, head)| head))
        .with("avg_synergy", Values::Float(ranking.synergy))
        .unit("nats")
        .with("avg_redundancy", Values::Float(ranking.redundancy))
        .unit("nats")
        .with("syn_rank", Values::Int(ranking.synergy_rank))
        .with("red_rank", Values::Int(ranking.redundancy_rank))
        .with("syn_red_score", Values::Float(ranking.score))
        .with("order", Values::Int(ranking.order))
}

/// Layer and head of a node that is called `L3H4`.
fn layer_and_head(label: &str) -> Option<(i64, i64)> {
    let (layer, head) = label.strip_prefix('L')?.split_once('H')?;
    Some((layer.parse().ok()?, head.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use assay_cache::Axis;

    use super::*;
    use crate::{Loaded, contract::testing::TestCtx};

    fn fixture(name: &str) -> Array2<f64> {
        ndarray_npy::read_npy(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/phiid").join(name)).unwrap()
    }

    fn inputs(matrices: Vec<(&str, Array2<f64>)>, labels: Option<Vec<String>>) -> Inputs {
        let node = Axis { name: "node".into(), labels };
        let loaded = |matrix: Array2<f64>| {
            let data = Data::F64(matrix.into_dyn());
            let tensor = Tensor { axes: vec![node.clone(), node.clone()], unit: Some("nats".into()), data };
            vec![Loaded { labels: vec![], from: "phiid".into(), artifact: Arc::new(Artifact::Tensor(tensor)) }]
        };
        Inputs(matrices.into_iter().map(|(port, matrix)| (port.to_owned(), loaded(matrix))).collect())
    }

    fn job(labels: Option<Vec<String>>) -> Inputs {
        inputs(vec![("sts", fixture("job_MMI_sts.npy")), ("rtr", fixture("job_MMI_rtr.npy"))], labels)
    }

    fn ranking(outputs: &Outputs) -> &Table {
        let Artifact::Table(table) = &outputs.artifacts["ranking"] else { panic!("a ranking is a table") };
        let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, COLUMNS, "the plan promises these columns");
        table
    }

    #[test]
    fn the_table_has_the_columns_of_the_study_and_the_notes_tell_of_ties() {
        let labels = (0..24).map(|node| format!("L{}H{}", node / 6, node % 6)).collect();
        let ctx = TestCtx::new();
        let outputs = Rank { ties: Ties::Index }.run(&job(Some(labels)), &ctx).unwrap();
        let table = ranking(&outputs);
        let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let expected = "head_idx layer head_in_layer avg_synergy avg_redundancy syn_rank red_rank syn_red_score order";
        assert_eq!(names.join(" "), expected);
        assert_eq!(table.column("avg_synergy").unwrap().unit.as_deref(), Some("nats"));
        let Values::Int(layers) = &table.column("layer").unwrap().values else { panic!("layers are integers") };
        assert_eq!((layers[5], layers[6]), (Some(0), Some(1)));
        let Values::Int(order) = &table.column("order").unwrap().values else { panic!("places are integers") };
        assert_eq!((order[23], order[21], order[9]), (Some(0), Some(1), Some(2))); // of job_MMI_ranks.json
        let gap = outputs.notes["smallest-synergy-gap"].as_f64().unwrap();
        assert!((gap - 2.2426511217532585e-07).abs() < 1e-14);
        assert!(outputs.notes["tied-nodes"].as_u64().unwrap() > 0);
        assert!(ctx.warnings().is_empty());
    }

    #[test]
    fn nodes_without_such_labels_have_no_layer() {
        let outputs = Rank { ties: Ties::Index }.run(&job(None), &TestCtx::new()).unwrap();
        assert_eq!(ranking(&outputs).column("layer").unwrap().values, Values::Int(vec![None; 24]));
        assert_eq!(layer_and_head("L10H7"), Some((10, 7)));
        assert_eq!(["E3", "L1", "LxH2", "L1Hq"].map(layer_and_head), [None; 4]);
    }

    #[test]
    fn a_node_without_partners_is_listed() {
        let (mut sts, rtr) = (fixture("job_MMI_sts.npy"), fixture("job_MMI_rtr.npy"));
        sts.row_mut(3).fill(f64::NAN);
        sts.column_mut(3).fill(f64::NAN);
        let ctx = TestCtx::new();
        let outputs = Rank { ties: Ties::Index }.run(&inputs(vec![("sts", sts), ("rtr", rtr)], None), &ctx).unwrap();
        assert_eq!(outputs.notes["unranked"], json!(["3"]));
        assert_eq!(ctx.warnings(), ["no rank for nodes without a valid partner: 3"]);
        let Values::Float(scores) = &ranking(&outputs).column("syn_red_score").unwrap().values else { panic!() };
        assert!(scores[3].is_nan() && scores.iter().filter(|score| score.is_nan()).count() == 1);
    }

    #[test]
    fn matrices_of_different_sizes_are_refused() {
        let inputs = inputs(vec![("sts", Array2::zeros((3, 3))), ("rtr", Array2::zeros((2, 2)))], None);
        let Err(Failure::Fatal(message)) = Rank { ties: Ties::Index }.run(&inputs, &TestCtx::new()) else { panic!() };
        assert_eq!(message, "`sts`, `rtr` and `count` are of 3, 2 nodes each: they must come from one stage");
    }
}
