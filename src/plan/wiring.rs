//! From the wires of a stage to the cells behind them: an axis that both have is matched, one that the input lacks is
//! broadcast, one that the stage lacks is gathered.

use std::collections::BTreeMap;

use assay_cache::Labels;

/// Where the cells of each stage stand, by their labels.
pub struct Index {
    cells: Vec<Vec<(Labels, usize)>>,
}

impl Index {
    pub fn new(stages: usize) -> Self {
        Self { cells: vec![vec![]; stages] }
    }

    /// Cells of a stage are added in the order of `[axes]`, and found in it.
    pub fn add(&mut self, stage: usize, labels: Labels, cell: usize) {
        self.cells[stage].push((labels, cell));
    }

    /// The cells of `stage` that agree with `labels` wherever both have an axis, each with the labels of the axes that
    /// only it has.
    pub fn matching(&self, stage: usize, labels: &Labels) -> Vec<(Labels, usize)> {
        let own: BTreeMap<&str, &str> = labels.iter().map(|(axis, label)| (axis.as_str(), label.as_str())).collect();
        let agrees = |(axis, label): &&(String, String)| own.get(axis.as_str()).is_none_or(|mine| mine == label);
        let gathered =
            |theirs: &Labels| theirs.iter().filter(|(axis, _)| !own.contains_key(axis.as_str())).cloned().collect();
        self.cells[stage]
            .iter()
            .filter(|(theirs, _)| theirs.iter().filter(agrees).count() == theirs.len())
            .map(|(theirs, cell)| (gathered(theirs), *cell))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(axis, label)| ((*axis).to_owned(), (*label).to_owned())).collect()
    }

    fn index() -> Index {
        let mut index = Index::new(2);
        index.add(0, labels(&[]), 0);
        for (i, (sigma, seed)) in [("0.1", "1"), ("0.1", "2"), ("0.2", "1"), ("0.2", "2")].into_iter().enumerate() {
            index.add(1, labels(&[("sigma", sigma), ("seed", seed)]), 1 + i);
        }
        index
    }

    #[test]
    fn an_axis_that_both_have_is_matched() {
        assert_eq!(index().matching(1, &labels(&[("sigma", "0.2"), ("seed", "1")])), [(labels(&[]), 3)]);
    }

    #[test]
    fn an_axis_that_the_input_lacks_is_broadcast() {
        assert_eq!(index().matching(0, &labels(&[("sigma", "0.2")])), [(labels(&[]), 0)]);
    }

    #[test]
    fn an_axis_that_the_stage_lacks_is_gathered_in_order() {
        let gathered = index().matching(1, &labels(&[("sigma", "0.1")]));
        assert_eq!(gathered, [(labels(&[("seed", "1")]), 1), (labels(&[("seed", "2")]), 2)]);
        assert_eq!(index().matching(1, &labels(&[])).len(), 4);
    }
}
