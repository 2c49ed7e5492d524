//! Box plots over categories, side by side where there are several series.

use super::{
    axes::{self, Side},
    bars::named,
    clip,
    color::{INK, PAPER, RULE, Rgb},
    legend,
    lines::Obstacle,
    marks::{Mark, Shape},
    scale::{Scale, extent, range},
    spec::{AxisSpec, Hue, LineSpec},
    svg::{Anchor, Area, Drawing, Font, Stroke},
};
use crate::metrics::spread::Spread;

/// The part of a category's width that its boxes fill, and the widest box.
const FILL: f64 = 0.7;
const WIDEST: f64 = 64.0;
/// How much of its colour a box has; its outline has all.
const TINT: f64 = 0.3;
const COUNT_SIZE: u32 = 10;

#[derive(Clone, PartialEq, Debug)]
pub struct Boxes {
    pub categories: Vec<String>,
    pub series: Vec<BoxSeries>,
}

/// A box for each category; none where there is no number.
#[derive(Clone, PartialEq, Debug)]
pub struct BoxSeries {
    pub label: String,
    pub boxes: Vec<Option<Spread>>,
    pub hue: Hue,
}

impl Boxes {
    pub fn scale(&self, plot: Area, y: &AxisSpec, lines: &[LineSpec]) -> Scale {
        let ends = self.series.iter().flat_map(|series| series.boxes.iter().flatten()).flat_map(|one| {
            let beyond = [one.outliers.first(), one.outliers.last()].into_iter().flatten().copied();
            [one.low, one.high].into_iter().chain(beyond)
        });
        let all = ends.chain(lines.iter().filter_map(|line| line.y));
        // Above each box stands how many numbers it has.
        Scale::new(range(extent(all, y), y, 0.1, true), (plot.bottom(), plot.y), y)
    }

    pub fn legend(&self) -> Vec<legend::Entry<'_>> {
        let entry = |series: &'_ BoxSeries| Mark { shape: Shape::Swatch, color: series.hue.rgb() };
        self.series.iter().map(|s| legend::Entry { label: &s.label, stroke: None, mark: Some(entry(s)) }).collect()
    }

    pub fn sides(&self, plot: Area, x: &AxisSpec, y: (&AxisSpec, &Scale)) -> (Side, Side) {
        let beside = axes::ticks(y.1, y.0, axes::fitting(plot.h, 48.0));
        (
            Side { title: x.title(), ticks: named(&self.categories, plot), turned: false },
            Side { title: axes::title(y.0, plot.h), ticks: beside, turned: false },
        )
    }

    /// Every box with its middle and its width, in pixels.
    fn places(&self, plot: Area) -> impl Iterator<Item = (f64, f64, &Spread, Rgb)> {
        let category = plot.w / self.categories.len().max(1) as f64;
        let slot = category * FILL / self.series.len().max(1) as f64;
        self.series.iter().enumerate().flat_map(move |(s, series)| {
            let boxes = series.boxes.iter().enumerate().filter_map(|(i, one)| Some((i, one.as_ref()?)));
            boxes.map(move |(i, one)| {
                let middle = plot.x + category * (i as f64 + (1.0 - FILL) / 2.0) + slot * (s as f64 + 0.5);
                (middle, (slot * 0.82).min(WIDEST), one, series.hue.rgb())
            })
        })
    }

    /// What a label should not lie on: boxes, whiskers, outliers and counts.
    pub fn obstacles(&self, plot: Area, y: &Scale) -> Vec<Obstacle> {
        let whole = |(x, w, one, _): (f64, f64, &Spread, Rgb)| {
            let lowest = one.outliers.first().copied().unwrap_or(one.low).min(one.low);
            let (top, bottom) = (count_at(one, plot, y) - f64::from(COUNT_SIZE), y.at(lowest));
            Obstacle::patch(Area { x: x - w / 2.0, y: top, w, h: bottom - top })
        };
        self.places(plot).map(whole).collect()
    }

    pub fn draw(&self, drawing: &mut Drawing, plot: Area, y: &Scale) {
        for (middle, width, one, color) in self.places(plot) {
            draw(drawing, plot, (middle, width), one, color, y);
        }
    }
}

/// A box of a width around a horizontal pixel.
fn draw(drawing: &mut Drawing, plot: Area, (x, width): (f64, f64), one: &Spread, color: Rgb, y: &Scale) {
    let outline = Stroke::solid(color, 1.4);
    let (left, right) = (x - width / 2.0, x + width / 2.0);
    let mut strokes = vec![
        (vec![(x, y.at(one.low)), (x, y.at(one.first))], outline),
        (vec![(x, y.at(one.third)), (x, y.at(one.high))], outline),
    ];
    for whisker in [one.low, one.high] {
        strokes.push((vec![(x - width / 4.0, y.at(whisker)), (x + width / 4.0, y.at(whisker))], outline));
    }
    let (top, bottom) = (y.at(one.third), y.at(one.first));
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
    let filled = clip::polygon(&corners, plot);
    if filled.len() > 2 {
        drawing.polygon(&filled, PAPER.towards(color, TINT), 1.0);
    }
    strokes.push((corners.into_iter().chain([corners[0]]).collect(), outline));
    strokes.push((vec![(left, y.at(one.median)), (right, y.at(one.median))], Stroke::solid(INK, 2.2)));
    for (points, stroke) in strokes {
        for part in clip::polyline(&points, plot) {
            drawing.polyline(&part, stroke);
        }
    }
    for outlier in one.outliers.iter().filter(|outlier| y.shows(**outlier)) {
        drawing.circle((x, y.at(*outlier)), 3.0, color);
        drawing.circle((x, y.at(*outlier)), 1.8, PAPER);
    }
    let font = Font { size: COUNT_SIZE, bold: false, color: RULE, anchor: Anchor::Middle, upwards: false };
    drawing.text((x, count_at(one, plot, y)), &format!("n = {}", one.count), font);
}

/// The line on which the number of values stands: above all of them.
fn count_at(one: &Spread, plot: Area, y: &Scale) -> f64 {
    let highest = one.outliers.last().copied().unwrap_or(one.high).max(one.high);
    (y.at(highest).min(y.at(one.low)) - 6.0).max(plot.y + 8.0)
}
