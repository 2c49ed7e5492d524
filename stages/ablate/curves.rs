//! What was measured along the orders of removal, as units and as tables.

use std::collections::BTreeMap;

use assay_cache::{Artifact, Data, Table, Tensor, Unit, Values};
use ndarray::{ArrayD, IxDyn};

use super::Order;
use crate::{
    lm::teacher::Reading,
    metrics::summary::{mean, std},
};

/// Readings of the texts, by number of heads removed.
pub type Curve = BTreeMap<usize, Vec<Reading>>;

/// The columns of a table of divergences; where random orders stand one by one, it has one more.
pub const DIVERGENCES: [&str; 4] = ["num_heads_removed", "mean_kl_div", "std_kl_div", "order_type"];
pub const SEED: &str = "seed";
/// The columns of a table of predictions.
pub const PREDICTIONS: [&str; 6] =
    ["num_heads_removed", "order_type", "mean_cross_entropy", "std_cross_entropy", "mean_accuracy", "std_accuracy"];

/// What random orders are called.
const RANDOM: &str = "random";

/// One number of a reading.
type Part = fn(&Reading) -> f64;

/// The numbers of a reading, by their names in a unit.
const PARTS: [(&str, Part); 3] =
    [("kl", |r| r.kl), ("cross-entropy", |r| r.cross_entropy), ("accuracy", |r| r.accuracy)];

/// The readings of a block of texts, as they are saved.
pub fn unit(readings: &[Reading]) -> Unit {
    let part = |(name, part): (&str, Part)| {
        let values: Vec<f64> = readings.iter().map(part).collect();
        let array = ArrayD::from_shape_vec(IxDyn(&[values.len()]), values).expect("one axis");
        (name.to_owned(), Artifact::Tensor(Tensor::new(&["prompt"], Data::F64(array))))
    };
    Unit::from(PARTS.map(part))
}

/// The readings in a unit, if they are of so many texts.
pub fn readings(mut unit: Unit, texts: usize) -> Option<Vec<Reading>> {
    let mut part = |(name, _)| match unit.remove(name) {
        Some(Artifact::Tensor(Tensor { data: Data::F64(array), .. })) if array.len() == texts => {
            Some(array.into_iter().collect::<Vec<f64>>())
        }
        _ => None,
    };
    let [kl, cross_entropy, accuracy] = PARTS.map(&mut part);
    let (kl, cross_entropy, accuracy) = (kl?, cross_entropy?, accuracy?);
    let reading = |i: usize| Reading { kl: kl[i], cross_entropy: cross_entropy[i], accuracy: accuracy[i] };
    Some((0..texts).map(reading).collect())
}

/// A row of a table: what its means and deviations are of.
pub struct Row {
    removed: usize,
    order: String,
    readings: Vec<Reading>,
}

/// The ranking's order by text, under its name, and random orders by their means over texts.
pub fn summary(curves: &[(&Order, &Curve)], ranking: &str) -> Vec<Row> {
    let (ranked, random): (Vec<_>, Vec<_>) = curves.iter().partition(|(order, _)| order.seed.is_none());
    let mut rows: Vec<Row> = ranked.iter().flat_map(|(_, curve)| by_text(curve, ranking)).collect();
    if let Some((_, first)) = random.first() {
        rows.extend(first.keys().map(|&removed| Row {
            removed,
            order: RANDOM.to_owned(),
            readings: random.iter().map(|(_, curve)| means(&curve[&removed])).collect(),
        }));
    }
    rows
}

/// Every random order's own divergences, with its seed.
pub fn by_order(curves: &[(&Order, &Curve)]) -> Table {
    let (mut rows, mut seeds) = (vec![], vec![]);
    for (order, curve) in curves {
        let Some(seed) = order.seed else { continue };
        rows.extend(by_text(curve, RANDOM));
        seeds.resize(rows.len(), Some(seed as i64));
    }
    divergences(&rows).with(SEED, Values::Int(seeds))
}

fn by_text<'c>(curve: &'c Curve, order: &'c str) -> impl Iterator<Item = Row> + 'c {
    curve.iter().map(move |(&removed, readings)| Row { removed, order: order.to_owned(), readings: readings.clone() })
}

fn means(readings: &[Reading]) -> Reading {
    let of = |part: Part| mean(&readings.iter().map(part).collect::<Vec<_>>());
    Reading { kl: of(|r| r.kl), cross_entropy: of(|r| r.cross_entropy), accuracy: of(|r| r.accuracy) }
}

pub fn divergences(rows: &[Row]) -> Table {
    let [removed, means, stds, order] = DIVERGENCES;
    let (kl, deviation) = spread(rows, |r| r.kl);
    counts(rows, removed)
        .with(means, Values::Float(kl))
        .unit("nats")
        .with(stds, Values::Float(deviation))
        .unit("nats")
        .with(order, names(rows))
}

pub fn predictions(rows: &[Row]) -> Table {
    let [removed, order, mean_loss, std_loss, mean_accuracy, std_accuracy] = PREDICTIONS;
    let (loss, loss_deviation) = spread(rows, |r| r.cross_entropy);
    let (accuracy, accuracy_deviation) = spread(rows, |r| r.accuracy);
    counts(rows, removed)
        .with(order, names(rows))
        .with(mean_loss, Values::Float(loss))
        .unit("nats")
        .with(std_loss, Values::Float(loss_deviation))
        .unit("nats")
        .with(mean_accuracy, Values::Float(accuracy))
        .with(std_accuracy, Values::Float(accuracy_deviation))
}

fn counts(rows: &[Row], name: &str) -> Table {
    Table::default().with(name, Values::Int(rows.iter().map(|row| Some(row.removed as i64)).collect())).unit("heads")
}

fn names(rows: &[Row]) -> Values {
    Values::Text(rows.iter().map(|row| row.order.clone()).collect())
}

/// Mean and standard deviation of a number in each row.
fn spread(rows: &[Row], part: Part) -> (Vec<f64>, Vec<f64>) {
    let of = |row: &Row| row.readings.iter().map(part).collect::<Vec<_>>();
    rows.iter().map(|row| (mean(&of(row)), std(&of(row)))).unzip()
}
