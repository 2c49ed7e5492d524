//! A finished block of head rows as a unit: what an interrupted run goes on from.

use std::ops::Range;

use assay_cache::{Artifact, Data, Tensor, Unit};
use ndarray::{Ix2, Ix3};
use serde_json::json;

use crate::metrics::phiid::{Block, Cell, Wanted, Windows};

/// The name of the unit that holds a block.
pub fn name(rows: &Range<usize>) -> String {
    format!("rows-{}-{}", rows.start, rows.end)
}

/// A block as a unit.
pub fn of(block: &Block) -> Unit {
    let cell = block.first_singular.map(|cell| [cell.prompt, cell.first, cell.second]);
    let sums = Tensor::new(&["row", "column", "atom"], Data::F64(block.sums.clone().into_dyn()));
    let counts = Tensor::new(&["row", "column"], Data::I64(block.counts.clone().into_dyn()));
    Unit::from([
        ("sums".to_owned(), Artifact::Tensor(sums)),
        ("counts".to_owned(), Artifact::Tensor(counts)),
        (
            "singular".to_owned(),
            Artifact::Record(json!({ "count": block.singular, "first": cell, "zeros": block.zeros })),
        ),
    ])
}

/// The block that a unit holds; none where it does not fit, and then it is computed again.
pub fn block(unit: &Unit, windows: &Windows, wanted: Wanted, rows: &Range<usize>) -> Option<Block> {
    let (Artifact::Tensor(sums), Artifact::Tensor(counts), Artifact::Record(singular)) =
        (unit.get("sums")?, unit.get("counts")?, unit.get("singular")?)
    else {
        return None;
    };
    let (Data::F64(sums), Data::I64(counts)) = (&sums.data, &counts.data) else { return None };
    let first: Option<[usize; 3]> = serde_json::from_value(singular.get("first")?.clone()).ok()?;
    let (height, width) = (rows.len(), windows.heads - rows.start);
    let fits = sums.shape() == [height, width, wanted.count()] && counts.shape() == [height, width];
    fits.then_some(Block {
        sums: sums.clone().into_dimensionality::<Ix3>().ok()?,
        counts: counts.clone().into_dimensionality::<Ix2>().ok()?,
        zeros: singular.get("zeros")?.as_u64()?,
        singular: singular.get("count")?.as_u64()?,
        first_singular: first.map(|[prompt, first, second]| Cell { prompt, first, second }),
    })
}
