//! Bars over categories, side by side where there are several series.

use super::{
    axes::{self, Side},
    color::{INK, RULE},
    curves::{Point, error_bars},
    legend,
    marks::{Mark, Shape},
    scale::{Scale, extent, range},
    spec::{AxisSpec, Hue, LineSpec},
    svg::{Area, Drawing, Stroke},
    text,
};

/// The part of a category's width that its bars fill.
const FILL: f64 = 0.74;

#[derive(Clone, PartialEq, Debug)]
pub struct Bars {
    pub categories: Vec<String>,
    pub series: Vec<BarSeries>,
}

/// A bar for each category; one without a value is NaN.
#[derive(Clone, PartialEq, Debug)]
pub struct BarSeries {
    pub label: String,
    pub values: Vec<f64>,
    pub bands: Vec<f64>,
    pub hue: Hue,
}

/// The names of categories in the middle of their places: in several lines where they are long, and only some of them
/// where that does not help.
pub fn named(categories: &[String], plot: Area) -> Vec<(f64, String)> {
    let width = plot.w / categories.len().max(1) as f64;
    let folded: Option<Vec<String>> =
        categories.iter().map(|name| text::folded(name, axes::TICK_SIZE, width - 6.0)).collect();
    let widest = text::widest(categories.iter().map(String::as_str), axes::TICK_SIZE) + 6.0;
    let every = (widest / width).ceil().max(1.0) as usize;
    let label = |i: usize| match &folded {
        Some(folded) => folded[i].clone(),
        None if i.is_multiple_of(every) => categories[i].clone(),
        None => String::new(),
    };
    (0..categories.len()).map(|i| (plot.x + (i as f64 + 0.5) * width, label(i))).collect()
}

impl Bars {
    /// The scale of the values: it holds zero, where bars start.
    pub fn scale(&self, plot: Area, y: &AxisSpec, lines: &[LineSpec]) -> Scale {
        let ends = self.series.iter().flat_map(|series| {
            let band = |i: usize| if series.bands[i].is_finite() { series.bands[i] } else { 0.0 };
            (0..series.values.len()).flat_map(move |i| [series.values[i] - band(i), series.values[i] + band(i)])
        });
        let zero = (!y.log).then_some(0.0);
        let all = ends.chain(lines.iter().filter_map(|line| line.y)).chain(zero);
        let shown = range(extent(all, y), y, 0.05, true);
        Scale::new(shown, (plot.bottom(), plot.y), y)
    }

    pub fn legend(&self) -> Vec<legend::Entry<'_>> {
        self.series
            .iter()
            .map(|series| legend::Entry {
                label: &series.label,
                stroke: None,
                mark: Some(Mark { shape: Shape::Swatch, color: series.hue.rgb() }),
            })
            .collect()
    }

    pub fn sides(&self, plot: Area, x: &AxisSpec, y: (&AxisSpec, &Scale)) -> (Side, Side) {
        let beside = axes::ticks(y.1, y.0, axes::fitting(plot.h, 48.0));
        (
            Side { title: x.title(), ticks: named(&self.categories, plot), turned: false },
            Side { title: y.0.title(), ticks: beside, turned: false },
        )
    }

    pub fn draw(&self, drawing: &mut Drawing, plot: Area, y: &Scale) {
        let category = plot.w / self.categories.len().max(1) as f64;
        let wide = category * FILL / self.series.len().max(1) as f64;
        let floor = y.at(if y.shows(0.0) { 0.0 } else { y.min }).clamp(plot.y, plot.bottom());
        for (s, series) in self.series.iter().enumerate() {
            let left = |i: usize| plot.x + category * (i as f64 + (1.0 - FILL) / 2.0) + wide * s as f64;
            for (i, value) in series.values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
                let end = y.at(*value).clamp(plot.y, plot.bottom());
                let area =
                    Area { x: left(i) + 0.5, y: end.min(floor), w: (wide - 1.0).max(0.5), h: (end - floor).abs() };
                drawing.bar(area, series.hue.rgb());
            }
            let points = series.values.iter().zip(&series.bands).enumerate();
            let points = points.map(|(i, (&y, &band))| (left(i) + wide / 2.0, Point { x: 0.0, y, band }));
            error_bars(drawing, plot, INK, points, y);
        }
        drawing.line((plot.x, floor), (plot.right(), floor), Stroke::solid(RULE, 1.0));
    }
}
