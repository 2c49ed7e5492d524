//! Hand-made artifacts whose differences are plain to see.

use ndarray::arr2;
use serde_json::json;

use super::*;
use crate::{Data, Values};

fn table(head: &[i64], order: &[&str], kl: &[f64]) -> Artifact {
    let table = Table::default()
        .with("heads", Values::Int(head.iter().copied().map(Some).collect()))
        .with("order", Values::Text(order.iter().map(|&text| text.to_owned()).collect()))
        .with("kl", Values::Float(kl.to_vec()));
    Artifact::Table(table)
}

#[test]
fn rows_are_matched_by_the_columns_that_name_them() {
    let a = table(&[0, 8, 0, 8], &["x", "x", "y", "y"], &[0.0, 0.5, 0.25, f64::NAN]);
    let b = table(&[8, 0, 8, 16], &["x", "x", "y", "y"], &[0.75, 0.0, f64::NAN, 9.0]);
    let expected = Difference::Table {
        key: vec!["heads".into(), "order".into()],
        rows: 3,
        rows_only_a: vec![vec![json!(0), json!("y")]],
        rows_only_b: vec![vec![json!(16), json!("y")]],
        columns_only_a: vec![],
        columns_only_b: vec![],
        columns: vec![ColumnDifference {
            column: "kl".into(),
            unit: None,
            cells: vec![CellDifference {
                row: vec![json!(8), json!("x")],
                change: Change { a: json!(0.5), b: json!(0.75), delta: Some(0.25), relative: Some(0.5) },
            }],
        }],
    };
    assert_eq!(a.difference(&b), expected);
}

#[test]
fn a_rank_that_changes_does_not_name_its_row() {
    let table = |rank: [i64; 3]| {
        let table = Table::default()
            .with("rank", Values::Int(rank.map(Some).to_vec()))
            .with("head", Values::Int([7, 8, 9].map(Some).to_vec()));
        Artifact::Table(table)
    };
    let Difference::Table { key, columns, .. } = table([1, 2, 3]).difference(&table([2, 1, 4])) else { panic!() };
    assert_eq!(key, ["head"]);
    assert_eq!(columns[0].cells.len(), 3);
}

#[test]
fn a_dose_names_a_row_where_nothing_else_does_and_a_measurement_never_does() {
    let table = |dose: &[f64], mean: &[f64]| {
        let table =
            Table::default().with("dose", Values::Float(dose.to_vec())).with("mean", Values::Float(mean.to_vec()));
        Artifact::Table(table)
    };
    let key = |a: Artifact, b: Artifact| match a.difference(&b) {
        Difference::Table { key, .. } => key,
        other => panic!("{other:?}"),
    };
    assert_eq!(key(table(&[0.1, 0.2], &[1.0, 2.0]), table(&[0.2, 0.1], &[2.5, 1.5])), ["dose"]);
    assert_eq!(key(table(&[0.1, 0.2], &[1.0, 2.0]), table(&[0.3, 0.4], &[2.5, 1.5])), [""; 0], "by position");
}

#[test]
fn columns_that_one_table_lacks_are_named() {
    let a = Artifact::Table(Table::default().with("x", Values::Int(vec![Some(1)])));
    let b = Artifact::Table(Table::default().with("y", Values::Int(vec![Some(1)])));
    let Difference::Table { columns_only_a, columns_only_b, columns, .. } = a.difference(&b) else { panic!() };
    assert_eq!((columns_only_a, columns_only_b, columns), (vec!["x".into()], vec!["y".into()], vec![]));
}

#[test]
fn tensors_are_summarised_by_their_largest_difference() {
    let tensor = |rows: [[f64; 2]; 2]| {
        let mut tensor = Tensor::new(&["head", "step"], Data::F64(arr2(&rows).into_dyn()));
        tensor.axes[0].labels = Some(vec!["L0H0".into(), "L0H1".into()]);
        Artifact::Tensor(tensor)
    };
    let a = tensor([[1.0, 2.0], [4.0, f64::NAN]]);
    let Difference::Tensor { numbers: Some(numbers), .. } = a.difference(&tensor([[1.0, 2.5], [3.0, 1.0]])) else {
        panic!()
    };
    assert_eq!((numbers.of, numbers.differing, numbers.not_finite), (4, 3, 1));
    assert_eq!(numbers.mean_absolute, 0.5, "(0 + 0.5 + 1) / 3");
    let change = Change { a: json!(4.0), b: json!(3.0), delta: Some(-1.0), relative: Some(-0.25) };
    assert_eq!(numbers.largest, Some(Largest { at: vec!["L0H1".into(), "0".into()], change }));
    let flat = Artifact::Tensor(Tensor::new(&["head"], Data::F64(ndarray::arr1(&[1.0]).into_dyn())));
    let Difference::Tensor { numbers, b, .. } = a.difference(&flat) else { panic!() };
    assert_eq!((numbers, b.shape), (None, vec![1]));
}

#[test]
fn fields_of_records_are_named_by_their_place() {
    let a = Artifact::Record(json!({"verdict": "UP", "values": [{"mean": 0.0}, {"mean": 2.0}], "n": 3}));
    let b = Artifact::Record(json!({"verdict": "DOWN", "values": [{"mean": 1.0}], "n": 3, "why": "NaN"}));
    let Difference::Record { fields } = a.difference(&b) else { panic!() };
    let change = |field: &str, a: Value, b: Value, delta, relative| FieldDifference {
        field: field.to_owned(),
        change: Change { a, b, delta, relative },
    };
    let expected = [
        change("values[0].mean", json!(0.0), json!(1.0), Some(1.0), None),
        change("values[1]", json!({"mean": 2.0}), json!(null), None, None),
        change("verdict", json!("UP"), json!("DOWN"), None, None),
        change("why", json!(null), json!("NaN"), None, None),
    ];
    assert_eq!(fields, expected);
}

#[test]
fn other_forms_have_no_numbers_to_compare() {
    let (record, figure) = (Artifact::Record(json!(1)), Artifact::Figure("<svg/>".into()));
    assert_eq!(record.difference(&figure), Difference::Other { a: "record", b: "figure" });
    assert_eq!(figure.difference(&figure), Difference::Figure);
}
