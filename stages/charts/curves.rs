//! Lines with bands, and points with error bars, over two numeric axes.

use super::{
    axes::{self, Side},
    clip,
    color::{RULE, Rgb},
    legend,
    lines::Obstacle,
    marks::{self, Mark, Shape},
    scale::{Scale, counted, extent, range},
    spec::{AxisSpec, Hue, LineSpec, Style},
    svg::{Area, Drawing, Stroke},
};

/// Lines with at most so many points show them, unless the manifest says otherwise.
const FEW_POINTS: usize = 24;
const LINE_WIDTH: f64 = 1.8;
const BAND_OPACITY: f64 = 0.2;
/// The room that a figure's ranges leave beyond the data, in parts of them.
const MARGIN: f64 = 0.05;

/// A point; `band` is NaN where it has none.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub band: f64,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    pub label: String,
    pub points: Vec<Point>,
    pub style: Style,
    pub hue: Hue,
    pub shape: Shape,
    pub markers: Option<bool>,
    /// Whether its start and its end are marked.
    pub ends: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Curves {
    pub series: Vec<Series>,
    /// Whether points are joined by lines.
    pub joined: bool,
}

impl Curves {
    pub fn scales(&self, plot: Area, x: &AxisSpec, y: &AxisSpec, lines: &[LineSpec]) -> (Scale, Scale) {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let xs = points().map(|p| p.x).chain(lines.iter().filter_map(|line| line.x));
        let edges = |p: &Point| if p.band.is_finite() { [p.y - p.band, p.y + p.band] } else { [p.y; 2] };
        let ys = points().flat_map(edges).chain(lines.iter().filter_map(|line| line.y));
        let x_range = range(extent(xs.clone(), x), x, if self.joined { 0.02 } else { MARGIN }, self.joined);
        let y_range = range(extent(ys.clone(), y), y, MARGIN, self.joined);
        let across = Scale::new(x_range, (plot.x, plot.right()), x).counting(counted(xs));
        (across, Scale::new(y_range, (plot.bottom(), plot.y), y).counting(counted(ys)))
    }

    /// What a label should not lie on: lines, bands and points.
    pub fn obstacles(&self, x: &Scale, y: &Scale) -> Vec<Obstacle> {
        let of = |series: &Series| {
            let lines = series
                .runs(x, y, |_| true)
                .into_iter()
                .filter(|_| self.joined)
                .map(|run| Obstacle::Path(run.iter().map(|p| (x.at(p.x), y.at(p.y))).collect()));
            let points = series.points.iter().filter(|p| x.shows(p.x) && y.shows(p.y)).map(|p| {
                let (x, y) = (x.at(p.x), y.at(p.y));
                Obstacle::Path(vec![(x - 3.0, y), (x + 3.0, y)])
            });
            let bands = series.outlines(x, y).into_iter().map(Obstacle::Patch);
            lines.chain(points).chain(bands).collect::<Vec<_>>()
        };
        self.series.iter().flat_map(of).collect()
    }

    pub fn legend(&self) -> Vec<legend::Entry<'_>> {
        let entries = self.series.iter().map(|series| self.entry(series));
        let ends = [("start", Shape::Ring), ("end", Shape::Target)].map(|(label, shape)| legend::Entry {
            label,
            stroke: None,
            mark: Some(Mark { shape, color: RULE }),
        });
        entries.chain(ends.into_iter().filter(|_| self.series.iter().any(|series| series.ends))).collect()
    }

    fn entry<'s>(&self, series: &'s Series) -> legend::Entry<'s> {
        legend::Entry {
            label: &series.label,
            stroke: self.joined.then(|| series.stroke()),
            mark: self.marked(series).then(|| series.mark()),
        }
    }

    fn marked(&self, series: &Series) -> bool {
        !self.joined || series.markers.unwrap_or(series.points.len() <= FEW_POINTS)
    }

    /// Bands first, so that no line is behind one.
    pub fn draw(&self, drawing: &mut Drawing, plot: Area, x: &Scale, y: &Scale) {
        for series in &self.series {
            if self.joined {
                series.band(drawing, plot, x, y);
            } else {
                error_bars(drawing, plot, series.hue.rgb(), series.points.iter().map(|p| (x.at(p.x), *p)), y);
            }
        }
        for series in self.series.iter().rev() {
            if self.joined {
                series.line(drawing, plot, x, y);
            }
            if self.marked(series) {
                series.markers(drawing, x, y);
            }
        }
        for series in self.series.iter().filter(|series| series.ends) {
            series.mark_ends(drawing, x, y);
        }
    }
}

impl Series {
    fn stroke(&self) -> Stroke {
        Stroke { color: self.hue.rgb(), width: LINE_WIDTH, dash: axes::dash(self.style) }
    }

    fn mark(&self) -> Mark {
        Mark { shape: self.shape, color: self.hue.rgb() }
    }

    /// The points in runs that a scale can show: a NaN is a gap.
    fn runs(&self, x: &Scale, y: &Scale, whole: impl Fn(&Point) -> bool) -> Vec<Vec<Point>> {
        let shown = |p: &Point| x.at(p.x).is_finite() && y.at(p.y).is_finite() && whole(p);
        self.points.split(|p| !shown(p)).filter(|run| !run.is_empty()).map(<[_]>::to_vec).collect()
    }

    fn line(&self, drawing: &mut Drawing, plot: Area, x: &Scale, y: &Scale) {
        for run in self.runs(x, y, |_| true) {
            let points: Vec<_> = run.iter().map(|p| (x.at(p.x), y.at(p.y))).collect();
            for part in clip::polyline(&points, plot) {
                drawing.polyline(&part, self.stroke());
            }
        }
    }

    /// The outlines of the band, or of the error bars.
    fn outlines(&self, x: &Scale, y: &Scale) -> Vec<Vec<(f64, f64)>> {
        let outline = |run: Vec<Point>| {
            let upper = run.iter().map(|p| (x.at(p.x), y.at(p.y + p.band)));
            let lower = run.iter().rev().map(|p| (x.at(p.x), low(y, p)));
            upper.chain(lower).collect()
        };
        self.runs(x, y, |p| p.band.is_finite()).into_iter().map(outline).collect()
    }

    fn band(&self, drawing: &mut Drawing, plot: Area, x: &Scale, y: &Scale) {
        for outline in self.outlines(x, y) {
            let outline = clip::polygon(&outline, plot);
            if outline.len() > 2 {
                drawing.polygon(&outline, self.hue.rgb(), BAND_OPACITY);
            }
        }
    }

    fn mark_ends(&self, drawing: &mut Drawing, x: &Scale, y: &Scale) {
        let whole = |p: &&Point| x.shows(p.x) && y.shows(p.y);
        let ends =
            [(self.points.iter().find(whole), Shape::Ring), (self.points.iter().rev().find(whole), Shape::Target)];
        for (point, shape) in ends {
            if let Some(point) = point {
                marks::draw(drawing, (x.at(point.x), y.at(point.y)), Mark { shape, color: self.hue.rgb() });
            }
        }
    }

    fn markers(&self, drawing: &mut Drawing, x: &Scale, y: &Scale) {
        let shown = self.points.iter().filter(|p| x.shows(p.x) && y.shows(p.y));
        for point in shown {
            marks::draw(drawing, (x.at(point.x), y.at(point.y)), self.mark());
        }
    }
}

/// The pixel of a band's lower edge; on a logarithmic scale one that is not positive lies at the bottom.
fn low(y: &Scale, point: &Point) -> f64 {
    let at = y.at(point.y - point.band);
    if at.is_finite() { at } else { y.at(y.min) }
}

/// Bars of one band's half-width up and down, with caps, at given horizontal pixels.
pub fn error_bars(
    drawing: &mut Drawing,
    plot: Area,
    color: Rgb,
    points: impl Iterator<Item = (f64, Point)>,
    y: &Scale,
) {
    let stroke = Stroke::solid(color, 1.2);
    for (at, point) in points {
        if !point.band.is_finite() || !(plot.x..=plot.right()).contains(&at) {
            continue;
        }
        let ends = [(at, y.at(point.y + point.band)), (at, low(y, &point))];
        for part in clip::polyline(&ends, plot) {
            drawing.polyline(&part, stroke);
        }
        for (x, end) in ends.into_iter().filter(|(_, end)| (plot.y..=plot.bottom()).contains(end)) {
            drawing.line((x - 3.0, end), (x + 3.0, end), stroke);
        }
    }
}

/// The ticks of both axes.
pub fn sides(plot: Area, x: (&AxisSpec, &Scale), y: (&AxisSpec, &Scale)) -> (Side, Side) {
    let below = axes::ticks(x.1, x.0, axes::fitting(plot.w, 80.0));
    let beside = axes::ticks(y.1, y.0, axes::fitting(plot.h, 48.0));
    let side = |title, ticks| Side { title, ticks, turned: false };
    (side(x.0.title(), below), side(axes::title(y.0, plot.h), beside))
}
