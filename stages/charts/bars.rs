//! Bars over categories, side by side where there are several series.

use super::{
    axes::{self, Side},
    color::{INK, RULE},
    curves::{Point, error_bars},
    legend,
    lines::Obstacle,
    marks::{Mark, Shape},
    scale::{Scale, counted, extent, range},
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
        let shown = range(extent(all.clone(), y), y, 0.05, true);
        Scale::new(shown, (plot.bottom(), plot.y), y).counting(counted(all))
    }

    /// Every bar, in pixels.
    fn areas(&self, plot: Area, y: &Scale) -> impl Iterator<Item = (Area, &BarSeries)> {
        let category = plot.w / self.categories.len().max(1) as f64;
        let wide = category * FILL / self.series.len().max(1) as f64;
        let floor = floor(plot, y);
        self.series.iter().enumerate().flat_map(move |(s, series)| {
            let bars = series.values.iter().enumerate().filter(|(_, value)| value.is_finite());
            bars.map(move |(i, value)| {
                let left = plot.x + category * (i as f64 + (1.0 - FILL) / 2.0) + wide * s as f64;
                let end = y.at(*value).clamp(plot.y, plot.bottom());
                let (w, h) = ((wide - 1.0).max(0.5), (end - floor).abs());
                (Area { x: left + 0.5, y: end.min(floor), w, h }, series)
            })
        })
    }

    /// What a label should not lie on.
    pub fn obstacles(&self, plot: Area, y: &Scale) -> Vec<Obstacle> {
        self.areas(plot, y).map(|(area, _)| Obstacle::patch(area)).collect()
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
            Side { title: axes::title(y.0, plot.h), ticks: beside, turned: false },
        )
    }

    pub fn draw(&self, drawing: &mut Drawing, plot: Area, y: &Scale) {
        self.areas(plot, y).for_each(|(area, series)| drawing.bar(area, series.hue.rgb()));
        let category = plot.w / self.categories.len().max(1) as f64;
        let wide = category * FILL / self.series.len().max(1) as f64;
        for (s, series) in self.series.iter().enumerate() {
            let middle = |i: usize| plot.x + category * (i as f64 + (1.0 - FILL) / 2.0) + wide * (s as f64 + 0.5);
            let points = series.values.iter().zip(&series.bands).enumerate();
            let points = points.map(|(i, (&y, &band))| (middle(i), Point { x: 0.0, y, band }));
            error_bars(drawing, plot, INK, points, y);
        }
        let floor = floor(plot, y);
        drawing.line((plot.x, floor), (plot.right(), floor), Stroke::solid(RULE, 1.0));
    }
}

/// The pixel where bars start.
fn floor(plot: Area, y: &Scale) -> f64 {
    y.at(if y.shows(0.0) { 0.0 } else { y.min }).clamp(plot.y, plot.bottom())
}
