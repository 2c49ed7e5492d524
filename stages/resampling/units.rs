//! Rows that are drawn, or exchange their labels, together.

use std::collections::HashMap;

use assay_cache::Table;

use crate::{Failure, tables::row_keys};

/// Units stratum by stratum: of each unit its rows in each table, [stratum][unit][table] → rows.
pub type Units = Vec<Vec<Vec<Vec<usize>>>>;

/// The units of some tables (each with its port's name): rows with equal values in `unit`, in any of the tables; without
/// such columns each row is one. Strata are rows with equal values in `within`. Both stand in the order in which they
/// first come. A unit that a table lacks has no rows there.
pub fn units(tables: &[(&str, &Table)], unit: &[String], within: &[String]) -> Result<Units, Failure> {
    let mut units: Units = vec![];
    let mut strata: HashMap<Vec<String>, usize> = HashMap::new();
    let mut places: HashMap<(usize, Vec<String>), usize> = HashMap::new();
    for (i, (port, table)) in tables.iter().enumerate() {
        let of_units = row_keys(table, unit, port)?;
        for (row, stratum) in row_keys(table, within, port)?.into_iter().enumerate() {
            let stratum = *strata.entry(stratum).or_insert_with(|| {
                units.push(vec![]);
                units.len() - 1
            });
            let key = if unit.is_empty() { vec![i.to_string(), row.to_string()] } else { of_units[row].clone() };
            let place = *places.entry((stratum, key)).or_insert_with(|| {
                units[stratum].push(vec![vec![]; tables.len()]);
                units[stratum].len() - 1
            });
            units[stratum][place][i].push(row);
        }
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use assay_cache::Values;

    use super::*;

    fn table(seeds: &[i64], sites: &[&str]) -> Table {
        Table::default()
            .with("seed", Values::Int(seeds.iter().copied().map(Some).collect()))
            .with("site", Values::Text(sites.iter().map(|site| (*site).to_owned()).collect()))
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn units_are_rows_of_all_tables_with_one_value() {
        let (a, b) = (table(&[1, 2, 1], &["x", "x", "y"]), table(&[2, 3], &["x", "x"]));
        let found = units(&[("a", &a), ("b", &b)], &names(&["seed"]), &[]).unwrap();
        assert_eq!(found, [[[vec![0, 2], vec![]], [vec![1], vec![0]], [vec![], vec![1]]]]);
    }

    #[test]
    fn strata_keep_units_apart_and_without_columns_each_row_is_a_unit() {
        let a = table(&[1, 2, 1], &["x", "x", "y"]);
        assert_eq!(
            units(&[("a", &a)], &names(&["seed"]), &names(&["site"])).unwrap(),
            [vec![vec![vec![0]], vec![vec![1]]], vec![vec![vec![2]]]]
        );
        assert_eq!(units(&[("a", &a)], &[], &[]).unwrap(), [[[[0]], [[1]], [[2]]]]);
        assert!(units(&[("a", &a)], &names(&["sede"]), &[]).unwrap_err().to_string().contains("`a` has no column"));
    }
}
