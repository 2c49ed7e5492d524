//! What kind of head an attention pattern is of: how much it looks at the token before, at the same token earlier, and
//! at what followed that (Elhage et al. 2021; Olsson et al. 2022).
//!
//! Shares of attention, not verdicts: what counts as an induction head is for the reader of the numbers.

use std::collections::HashMap;

use ndarray::ArrayView2;

/// Attention that fell where a kind of head looks, summed over queries that have such a place.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Attended {
    weight: f64,
    queries: usize,
}

/// Of one head: what it attends to, over the queries of one text or of several.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Detection {
    /// On the token before the query.
    pub previous_token: Attended,
    /// On earlier places of the query's own token.
    pub duplicate_token: Attended,
    /// On the places right after those: where the text would be copied from.
    pub induction: Attended,
}

/// Where each query of a text would have to look: for each, the earlier places of its token.
pub struct Occurrences(Vec<Vec<usize>>);

impl Occurrences {
    pub fn of(tokens: &[u32]) -> Self {
        let mut places: HashMap<u32, Vec<usize>> = HashMap::new();
        let earlier = tokens.iter().enumerate().map(|(query, token)| {
            let own = places.entry(*token).or_default();
            let before = own.clone();
            own.push(query);
            before
        });
        Self(earlier.collect())
    }

    /// Whether any token comes twice.
    pub fn any(&self) -> bool {
        self.0.iter().any(|earlier| !earlier.is_empty())
    }
}

impl Attended {
    /// The mean weight a query; NaN where no query had such a place.
    pub fn mean(&self) -> f64 {
        self.weight / self.queries as f64
    }

    fn see(&mut self, weight: f64) {
        self.weight += weight;
        self.queries += 1;
    }
}

impl Detection {
    /// Adds the pattern of one text, [query, key], rows that sum to 1.
    pub fn add(&mut self, pattern: ArrayView2<f32>, occurrences: &Occurrences) {
        for (query, earlier) in occurrences.0.iter().enumerate() {
            let weight = |key: usize| f64::from(pattern[[query, key]]);
            if query > 0 {
                self.previous_token.see(weight(query - 1));
            }
            if !earlier.is_empty() {
                self.duplicate_token.see(earlier.iter().map(|place| weight(*place)).sum());
                self.induction.see(earlier.iter().map(|place| weight(place + 1)).sum());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    /// By hand, for the text A B A B A: the queries 2, 3 and 4 have seen their tokens, the last one twice.
    #[test]
    fn each_score_is_the_mean_weight_where_it_looks() {
        let occurrences = Occurrences::of(&[7, 9, 7, 9, 7]);
        let pattern = arr2(&[
            [1.0, 0.0, 0.0, 0.0, 0.0],
            [0.75, 0.25, 0.0, 0.0, 0.0],
            [0.125, 0.5, 0.375, 0.0, 0.0],
            [0.25, 0.25, 0.5, 0.0, 0.0],
            [0.125, 0.25, 0.25, 0.25, 0.125],
        ]);
        let mut found = Detection::default();
        found.add(pattern.view(), &occurrences);
        assert_eq!(found.previous_token.mean(), (0.75 + 0.5 + 0.5 + 0.25) / 4.0);
        assert_eq!(found.duplicate_token.mean(), (0.125 + 0.25 + (0.125 + 0.25)) / 3.0);
        assert_eq!(found.induction.mean(), (0.5 + 0.5 + (0.25 + 0.25)) / 3.0);
    }

    #[test]
    fn texts_are_pooled_by_query() {
        let mut found = Detection::default();
        let all_at_start = |n: usize| ndarray::Array2::from_shape_fn((n, n), |(_, key)| f32::from(u8::from(key == 0)));
        found.add(all_at_start(2).view(), &Occurrences::of(&[1, 2]));
        assert!(found.induction.mean().is_nan(), "nothing repeats");
        found.add(all_at_start(3).view(), &Occurrences::of(&[1, 1, 3]));
        assert_eq!(found.previous_token.mean(), 2.0 / 3.0);
        assert_eq!(found.duplicate_token.mean(), 1.0);
        assert_eq!(found.induction.mean(), 0.0);
        assert!(Occurrences::of(&[1, 1]).any() && !Occurrences::of(&[1, 2]).any());
    }
}
