//! The rows of two tables that are about the same thing: found by the columns that name a row in both.
//!
//! Tables carry no keys. Columns of integers and words that tell all rows apart, in both tables, are taken for one; of
//! several such sets, the smallest under which most rows find their partner. Measured numbers name rows only where
//! nothing else does.

use std::collections::HashMap;

use serde_json::Value;

use crate::{Table, Values, lookup::cell};

/// Which row of `b` stands beside which of `a`.
pub struct Join<'t> {
    a: &'t Table,
    b: &'t Table,
    /// None where rows are matched by position.
    pub key: Vec<String>,
    pub pairs: Vec<(usize, usize)>,
    pub only_a: Vec<usize>,
    pub only_b: Vec<usize>,
}

/// At most so many columns are tried for a key, and at most so many make one.
const TRIED: usize = 10;
const WIDEST: usize = 4;

impl<'t> Join<'t> {
    pub fn of(a: &'t Table, b: &'t Table) -> Self {
        let (words, floats) = candidates(a, b);
        let least = a.rows().min(b.rows());
        let by_words = best(a, b, &words, least);
        let found = match by_words {
            Some((key, pairs)) if 2 * pairs.len() >= least => Some((key, pairs)),
            few => best(a, b, &[words, floats].concat(), least).filter(|(_, pairs)| pairs.len() == least).or(few),
        };
        let (key, pairs) = found.unwrap_or_else(|| (vec![], (0..least).map(|row| (row, row)).collect()));
        let rest = |rows: usize, taken: Vec<usize>| {
            let mut is_taken = vec![false; rows];
            taken.into_iter().for_each(|row| is_taken[row] = true);
            (0..rows).filter(|row| !is_taken[*row]).collect()
        };
        let only_a = rest(a.rows(), pairs.iter().map(|pair| pair.0).collect());
        let only_b = rest(b.rows(), pairs.iter().map(|pair| pair.1).collect());
        Self { a, b, key: key.into_iter().map(str::to_owned).collect(), pairs, only_a, only_b }
    }

    pub fn name_in_a(&self, row: usize) -> Vec<Value> {
        self.name(self.a, row)
    }

    pub fn name_in_b(&self, row: usize) -> Vec<Value> {
        self.name(self.b, row)
    }

    fn name(&self, table: &Table, row: usize) -> Vec<Value> {
        match self.key.is_empty() {
            true => vec![Value::from(row)],
            false => self.key.iter().filter_map(|name| Some(cell(&table.column(name)?.values, row))).collect(),
        }
    }
}

/// The columns that both tables have with one type: those of integers, words and truth values, and those of floats.
fn candidates<'t>(a: &'t Table, b: &Table) -> (Vec<&'t str>, Vec<&'t str>) {
    let alike = |of_a: &Values, of_b: &Values| std::mem::discriminant(of_a) == std::mem::discriminant(of_b);
    let in_both =
        |column: &&crate::Column| b.column(&column.name).is_some_and(|of_b| alike(&column.values, &of_b.values));
    let both: Vec<_> = a.columns.iter().filter(in_both).collect();
    let (floats, words): (Vec<_>, Vec<_>) =
        both.into_iter().partition(|column| matches!(column.values, Values::Float(_)));
    let names = |columns: Vec<&'t crate::Column>| columns.into_iter().map(|column| column.name.as_str()).collect();
    (names(words), names(floats))
}

/// A key and the rows that it pairs.
type Keyed<'t> = (Vec<&'t str>, Vec<(usize, usize)>);

/// The set of columns under which most rows are paired; a smaller one, or an earlier one, before another as good.
fn best<'t>(a: &Table, b: &Table, columns: &[&'t str], least: usize) -> Option<Keyed<'t>> {
    let columns = &columns[..columns.len().min(TRIED)];
    let mut best: Option<Keyed> = None;
    for size in 1..=WIDEST {
        for key in subsets(columns, size) {
            let Some(pairs) = pairs(a, b, &key) else { continue };
            if pairs.len() == least {
                return Some((key, pairs));
            }
            if best.as_ref().is_none_or(|(_, most)| pairs.len() > most.len()) {
                best = Some((key, pairs));
            }
        }
    }
    best
}

/// All choices of `size` columns, earlier ones first.
fn subsets<'t>(columns: &[&'t str], size: usize) -> Vec<Vec<&'t str>> {
    if size == 0 {
        return vec![vec![]];
    }
    let with_first = |at: usize| {
        let rest = subsets(&columns[at + 1..], size - 1);
        rest.into_iter().map(move |rest| [vec![columns[at]], rest].concat())
    };
    (0..columns.len()).flat_map(with_first).collect()
}

/// The rows of both tables that have the same values there; none where these do not tell all rows apart.
fn pairs(a: &Table, b: &Table, key: &[&str]) -> Option<Vec<(usize, usize)>> {
    let rows_of_b = named(b, key)?;
    let rows_of_a = named(a, key)?;
    let mut pairs: Vec<_> =
        rows_of_a.into_iter().filter_map(|(name, row)| Some((row, *rows_of_b.get(&name)?))).collect();
    pairs.sort_unstable();
    Some(pairs)
}

/// Row by the text of its key; none where two rows have one.
fn named(table: &Table, key: &[&str]) -> Option<HashMap<String, usize>> {
    let columns: Vec<_> = key.iter().filter_map(|name| table.column(name)).collect();
    let mut rows = HashMap::with_capacity(table.rows());
    for row in 0..table.rows() {
        let name: Vec<Value> = columns.iter().map(|column| cell(&column.values, row)).collect();
        if rows.insert(Value::from(name).to_string(), row).is_some() {
            return None;
        }
    }
    Some(rows)
}
