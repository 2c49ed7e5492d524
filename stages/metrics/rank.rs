//! From matrices over pairs to one score a node: is it more synergistic than redundant, compared with the others?
//!
//! A node's value is its mean over its valid partners; ranks are ordinal (1 = lowest, ties by index); the score is the
//! difference of the two ranks, from 0 (the most redundant) to 1 (the most synergistic). Integer differences tie
//! often, and an order of ablation must not depend on how a sort happens to treat ties: the rule is a parameter.

use ndarray::ArrayView2;

/// How nodes of one score are ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ties {
    /// By index.
    Index,
    /// By the difference of the two means, larger first; then by index.
    Difference,
}

/// What is known of each node. A node without a valid partner has NaN means, no ranks and no score.
#[derive(Clone, PartialEq, Debug)]
pub struct Ranking {
    pub synergy: Vec<f64>,
    pub redundancy: Vec<f64>,
    pub synergy_rank: Vec<Option<i64>>,
    pub redundancy_rank: Vec<Option<i64>>,
    pub score: Vec<f64>,
    /// The place in the order of decreasing score, from 0.
    pub order: Vec<Option<i64>>,
    /// Nodes that share their score with another.
    pub tied: usize,
    /// The smallest difference between two nodes whose ranks follow one another.
    pub synergy_gap: Option<f64>,
    pub redundancy_gap: Option<f64>,
}

/// Ranks the nodes of two symmetric matrices. A pair counts where both are numbers and, if given, its count is not 0.
///
/// # Panics
/// Where the matrices are not square and of one size.
pub fn rank(
    synergy: ArrayView2<f64>,
    redundancy: ArrayView2<f64>,
    counts: Option<ArrayView2<i64>>,
    ties: Ties,
) -> Ranking {
    let nodes = synergy.nrows();
    let square = [nodes, nodes];
    assert!(synergy.shape() == square && redundancy.shape() == square, "square matrices of one size");
    assert!(counts.is_none_or(|counts| counts.shape() == square), "counts of the same size");
    let valid = |i: usize, j: usize| {
        i != j && !(synergy[[i, j]] + redundancy[[i, j]]).is_nan() && counts.is_none_or(|counts| counts[[i, j]] > 0)
    };
    let mean = |matrix: ArrayView2<f64>, i: usize| {
        let partners: Vec<_> = (0..nodes).filter(|&j| valid(i, j)).map(|j| matrix[[i, j]]).collect();
        partners.iter().sum::<f64>() / partners.len() as f64 // 0 / 0 is NaN, as it should be
    };
    let synergy: Vec<_> = (0..nodes).map(|i| mean(synergy, i)).collect();
    let redundancy: Vec<_> = (0..nodes).map(|i| mean(redundancy, i)).collect();
    let (synergy_rank, synergy_gap) = ordinal(&synergy);
    let (redundancy_rank, redundancy_gap) = ordinal(&redundancy);
    let raw: Vec<Option<i64>> = synergy_rank.iter().zip(&redundancy_rank).map(|(s, r)| Some((*s)? - (*r)?)).collect();
    let difference = |i: usize| match ties {
        Ties::Index => 0.0,
        Ties::Difference => synergy[i] - redundancy[i],
    };
    Ranking {
        score: spread(&raw),
        order: places(&raw, difference),
        tied: tied(&raw),
        synergy,
        redundancy,
        synergy_rank,
        redundancy_rank,
        synergy_gap,
        redundancy_gap,
    }
}

/// Ranks from 1, lowest first and ties by index, of what is not NaN; and the smallest gap between neighbours.
fn ordinal(values: &[f64]) -> (Vec<Option<i64>>, Option<f64>) {
    let mut sorted: Vec<_> = (0..values.len()).filter(|&i| !values[i].is_nan()).collect();
    sorted.sort_by(|&i, &j| values[i].partial_cmp(&values[j]).expect("no NaN is left")); // stable; −0 equals 0
    let mut ranks = vec![None; values.len()];
    for (rank, &i) in sorted.iter().enumerate() {
        ranks[i] = Some(rank as i64 + 1);
    }
    let gap = sorted.windows(2).map(|pair| values[pair[1]] - values[pair[0]]).min_by(f64::total_cmp);
    (ranks, gap)
}

/// From the lowest (0) to the highest (1); all 0 where they are equal, NaN where there is none.
fn spread(raw: &[Option<i64>]) -> Vec<f64> {
    let present = || raw.iter().flatten().copied();
    let (lowest, highest) = (present().min().unwrap_or(0), present().max().unwrap_or(0));
    let width = (highest - lowest).max(1) as f64;
    raw.iter().map(|raw| raw.map_or(f64::NAN, |raw| (raw - lowest) as f64 / width)).collect()
}

/// The place of each in decreasing order; ties by `difference`, larger first, then by index.
fn places(raw: &[Option<i64>], difference: impl Fn(usize) -> f64) -> Vec<Option<i64>> {
    let mut order: Vec<_> = (0..raw.len()).filter(|&i| raw[i].is_some()).collect();
    order.sort_by(|&i, &j| raw[j].cmp(&raw[i]).then(difference(j).total_cmp(&difference(i))));
    let mut places = vec![None; raw.len()];
    for (place, &i) in order.iter().enumerate() {
        places[i] = Some(place as i64);
    }
    places
}

fn tied(raw: &[Option<i64>]) -> usize {
    raw.iter().flatten().filter(|value| raw.iter().flatten().filter(|other| other == value).count() > 1).count()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use ndarray::{Array2, array};
    use serde_json::Value;

    use super::*;

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/phiid").join(name)
    }

    fn matrix(name: &str) -> Array2<f64> {
        ndarray_npy::read_npy(fixture(name)).unwrap()
    }

    fn check(redundancy: &str) {
        let (sts, rtr) = (format!("job_{redundancy}_sts.npy"), format!("job_{redundancy}_rtr.npy"));
        let found = rank(matrix(&sts).view(), matrix(&rtr).view(), None, Ties::Index);
        let text = fs::read_to_string(fixture(&format!("job_{redundancy}_ranks.json"))).unwrap();
        let expected: Value = serde_json::from_str(&text).unwrap();
        let floats = |key: &str| -> Vec<f64> { serde_json::from_value(expected[key].clone()).unwrap() };
        let ints = |key: &str| -> Vec<i64> { serde_json::from_value(expected[key].clone()).unwrap() };
        let close = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14);
        assert!(close(&found.synergy, &floats("avg_synergy")));
        assert!(close(&found.redundancy, &floats("avg_redundancy")));
        let present = |ranks: &[Option<i64>]| ranks.iter().map(|rank| rank.unwrap()).collect::<Vec<_>>();
        assert_eq!(present(&found.synergy_rank), ints("syn_rank"));
        assert_eq!(present(&found.redundancy_rank), ints("red_rank"));
        assert!(close(&found.score, &floats("syn_red_score")));
        let mut order = vec![0; found.order.len()];
        present(&found.order).iter().enumerate().for_each(|(head, &place)| order[place as usize] = head as i64);
        assert_eq!(order, ints("ablation_order_desc_ties_by_index"));
        assert!((found.synergy_gap.unwrap() - expected["min_gap_syn"].as_f64().unwrap()).abs() < 1e-14);
        assert!((found.redundancy_gap.unwrap() - expected["min_gap_red"].as_f64().unwrap()).abs() < 1e-14);
    }

    #[test]
    fn the_job_is_ranked_as_by_the_reference() {
        check("MMI");
        check("CCS");
    }

    /// Four nodes whose means are 1/3 of the row sums.
    fn four() -> (Array2<f64>, Array2<f64>) {
        let synergy = array![[0., 1., 2., 3.], [1., 0., 3., 5.], [2., 3., 0., 4.], [3., 5., 4., 0.]]; // sums 6 9 9 12
        let redundancy = array![[0., 0., 0., 3.], [0., 0., 1., 4.], [0., 1., 0., 1.], [3., 4., 1., 0.]]; // 3 5 2 8
        (synergy, redundancy)
    }

    #[test]
    fn ties_go_by_index_or_by_difference() {
        // Ranks 1 2 3 4 and 2 3 1 4, so raw scores −1 −1 2 0; the differences of the means are 1, 4/3, 7/3, 4/3.
        let (synergy, redundancy) = four();
        let by_index = rank(synergy.view(), redundancy.view(), None, Ties::Index);
        assert_eq!(by_index.synergy_rank, [1, 2, 3, 4].map(Some));
        assert_eq!(by_index.redundancy_rank, [2, 3, 1, 4].map(Some));
        assert_eq!(by_index.score, [0.0, 0.0, 1.0, 1.0 / 3.0]);
        assert_eq!(by_index.order, [2, 3, 0, 1].map(Some));
        assert_eq!((by_index.tied, by_index.synergy_gap), (2, Some(0.0)));
        let by_difference = rank(synergy.view(), redundancy.view(), None, Ties::Difference);
        assert_eq!(by_difference.order, [3, 2, 0, 1].map(Some));
        assert_eq!(by_difference.score, by_index.score);
    }

    #[test]
    fn a_node_without_valid_partners_stays_out() {
        let (mut synergy, mut redundancy) = four();
        for j in [0, 1, 3] {
            [synergy[[2, j]], synergy[[j, 2]]] = [f64::NAN; 2];
            [redundancy[[2, j]], redundancy[[j, 2]]] = [f64::NAN; 2];
        }
        let found = rank(synergy.view(), redundancy.view(), None, Ties::Index);
        assert_eq!(found.synergy[..2], [2.0, 3.0]); // (1 + 3) / 2, (1 + 5) / 2
        assert_eq!(found.synergy_rank, [Some(1), Some(2), None, Some(3)]);
        assert!(found.score[2].is_nan() && found.synergy[2].is_nan() && found.order[2].is_none());
        assert!(found.score.iter().enumerate().all(|(i, score)| i == 2 || score.is_finite()));

        let (synergy, redundancy) = four();
        let mut counts = Array2::from_elem((4, 4), 6);
        counts.row_mut(2).fill(0);
        counts.column_mut(2).fill(0);
        let by_count = rank(synergy.view(), redundancy.view(), Some(counts.view()), Ties::Index);
        assert_eq!((by_count.order, by_count.synergy_rank), (found.order, found.synergy_rank));
    }

    #[test]
    fn nothing_to_compare_gives_no_rank_and_no_panic() {
        let nan = Array2::from_elem((2, 2), f64::NAN);
        let found = rank(nan.view(), nan.view(), None, Ties::Difference);
        assert!(found.score.iter().all(|score| score.is_nan()) && found.synergy_gap.is_none());
        let equal = Array2::ones((2, 2));
        assert_eq!(rank(equal.view(), equal.view(), None, Ties::Index).score, [0.0, 0.0]);
    }
}
