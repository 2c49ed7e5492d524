//! The order in which a ranking says heads are removed.
//!
//! Any table with the columns `layer` and `head_in_layer` is a ranking, by one of its columns of numbers. Nothing is
//! ranked here: `rank`, `detect-heads` and others do that.

use assay_cache::Table;

use super::Head;
use crate::{
    Ctx, Failure,
    lm::ModelFacts,
    tables::{column, numbers},
};

/// What ranks heads where the manifest does not say: places, the first 0, and else scores, the largest first.
pub const PLACE: &str = "order";
pub const SCORE: &str = "syn_red_score";

/// The port that it stands in, for messages.
const PORT: &str = "ranking";

/// The heads of a ranking, those to be removed first at the front; `by` is the column whose largest value goes first.
pub fn ranked(table: &Table, by: Option<&str>, facts: &ModelFacts, ctx: &dyn Ctx) -> Result<Vec<Head>, Failure> {
    let (layers, heads) = (numbers(table, "layer", PORT)?, numbers(table, "head_in_layer", PORT)?);
    let first = places(table, by)?;
    let unranked = first.iter().filter(|place| **place == f64::INFINITY).count();
    if unranked > 0 {
        ctx.warn(&format!("{unranked} heads have no rank: they are removed last, in the order of the table"));
    }
    let mut rows: Vec<usize> = (0..table.rows()).collect();
    rows.sort_by(|&a, &b| first[a].total_cmp(&first[b]).then(a.cmp(&b)));
    let mut ranked = vec![];
    for row in rows {
        let head = (layers[row] as usize, heads[row] as usize);
        let known = head.0 < facts.layers
            && head.1 < facts.heads
            && head.0 as f64 == layers[row]
            && head.1 as f64 == heads[row];
        if !known {
            return Err(Failure::fatal(format!(
                "the ranking's row {row} names head {} of layer {}, but the model has {} layers of {} heads",
                heads[row], layers[row], facts.layers, facts.heads
            )));
        }
        if ranked.contains(&head) {
            return Err(Failure::fatal(format!("the ranking names head {} of layer {} twice", head.1, head.0)));
        }
        ranked.push(head);
    }
    if ranked.is_empty() { Err(Failure::fatal("the ranking is empty")) } else { Ok(ranked) }
}

/// A number for each row: the smallest goes first, and what has none last.
fn places(table: &Table, by: Option<&str>) -> Result<Vec<f64>, Failure> {
    let descending = |name: &str| Ok(numbers(table, name, PORT)?.into_iter().map(|score| -score).collect());
    let places: Vec<f64> = match by {
        Some(name) => {
            column(table, name, PORT)?;
            descending(name)
        }
        None if table.column(PLACE).is_some() => numbers(table, PLACE, PORT),
        None => descending(SCORE),
    }?;
    Ok(places.into_iter().map(|place| if place.is_nan() { f64::INFINITY } else { place }).collect())
}
