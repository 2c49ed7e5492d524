//! A matrix in colour, its groups of rows and columns, and the colour bar.

use std::ops::Range;

use ndarray::{Array2, arr2};

use super::{
    axes::{self, LABEL_SIZE, Side, TICK_SIZE},
    color::{INK, MISSING, PAPER, RULE, Rgb},
    lines, raster,
    scale::{Scale, extent, fixed},
    spec::{AxisSpec, ColorSpec, LineSpec, Map},
    svg::{Anchor, Area, Drawing, Font, Stroke},
    text,
};

/// Matrices of more cells are one image, smaller ones a rectangle a cell.
const MOST_RECTANGLES: usize = 2500;
/// Colours of a colour bar and of an image.
const SHADES: usize = 255;
const BAR: f64 = 12.0;
const BAR_GAP: f64 = 14.0;
const SEPARATOR: f64 = 0.8;
/// Groups that are narrower have no lines between them: there would be more line than matrix.
const NARROWEST_GROUP: f64 = 14.0;

#[derive(Clone, PartialEq, Debug)]
pub struct Heat {
    pub rows: Vec<String>,
    pub columns: Vec<String>,
    /// [row, column]; NaN where there is no value.
    pub values: Array2<f64>,
    pub color: ColorSpec,
    /// Whether a colour bar stands beside it; otherwise it shares one.
    pub bar: bool,
}

/// Which colour a value has: a map over a range of values.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Shades {
    min: f64,
    max: f64,
    map: Map,
}

impl Heat {
    /// Whether rows and columns are the same things, so that the matrix should be a square.
    pub fn square(&self) -> bool {
        self.rows == self.columns
    }

    fn shades(&self) -> Shades {
        let (least, largest) = self.extent().unwrap_or((0.0, 1.0));
        let (low, high) = match self.color.center {
            Some(center) => {
                let reach = (largest - center).abs().max((center - least).abs());
                (center - reach, center + reach)
            }
            None => (least, largest),
        };
        let (min, max) = (self.color.min.unwrap_or(low), self.color.max.unwrap_or(high));
        let (min, max) = if min < max { (min, max) } else { (min - 0.5, min + 0.5) };
        Shades { min, max, map: self.color.map }
    }

    fn extent(&self) -> Option<(f64, f64)> {
        extent(self.values.iter().copied(), &AxisSpec::default())
    }

    /// Gives several matrices one range of colours, and takes their own colour bars; what remains is a matrix of that
    /// range alone, whose colour bar is everyone's.
    pub fn share<'h>(heats: impl Iterator<Item = &'h mut Self>) -> Option<Self> {
        let heats: Vec<&mut Self> = heats.collect();
        let ends = heats.iter().filter_map(|heat| heat.extent());
        let (least, largest) = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        let all =
            Self { rows: vec![], columns: vec![], values: arr2(&[[least, largest]]), ..(*heats.first()?).clone() };
        let Shades { min, max, .. } = all.shades();
        for heat in heats {
            heat.color.min = Some(min);
            heat.color.max = Some(max);
            heat.bar = false;
        }
        Some(all)
    }

    /// The room that the colour bar needs on the right.
    pub fn right_room(&self) -> f64 {
        if !self.bar {
            return 8.0;
        }
        let labels = self.bar_ticks(Area { x: 0.0, y: 0.0, w: BAR, h: 200.0 });
        let labels = text::widest(labels.iter().map(|(_, label)| label.as_str()), TICK_SIZE);
        let title = if self.color.title().is_empty() { 0.0 } else { f64::from(LABEL_SIZE) + 8.0 };
        BAR_GAP + BAR + 8.0 + labels + title + 4.0
    }

    pub fn sides(&self, plot: Area, x: &AxisSpec, y: &AxisSpec) -> (Side, Side) {
        let wide = plot.w / self.columns.len() as f64;
        let high = plot.h / self.rows.len() as f64;
        let across = |i: f64| if x.reverse { plot.right() - i * wide } else { plot.x + i * wide };
        let down = |i: f64| if y.reverse { plot.bottom() - i * high } else { plot.y + i * high };
        let room = text::widest(self.columns.iter().map(String::as_str), TICK_SIZE) + 6.0;
        let beside_one_another = named(&self.columns, wide, room);
        // Names say more than numbers: all of them stand there, turned, where that is what it takes.
        let turned = beside_one_another.len() < self.columns.len()
            && groups(&self.columns).is_empty()
            && wide >= f64::from(TICK_SIZE) + 2.0
            && self.columns.iter().any(|name| name.parse::<f64>().is_err());
        let below = if turned { named(&self.columns, wide, 0.0) } else { beside_one_another };
        let below = below.into_iter().map(|(i, label)| (across(i), label)).collect();
        let beside = named(&self.rows, high, f64::from(TICK_SIZE) + 3.0);
        let beside = beside.into_iter().map(|(i, label)| (down(i), label)).collect();
        (
            Side { title: x.title(), ticks: below, turned },
            Side { title: axes::title(y, plot.h), ticks: beside, turned: false },
        )
    }

    pub fn draw(&self, drawing: &mut Drawing, plot: Area, x: &AxisSpec, y: &AxisSpec) {
        let seen = self.seen(x.reverse, y.reverse);
        if seen.len() > MOST_RECTANGLES {
            let shades = self.shades();
            drawing.image(plot, &raster::indexed_png(&seen, |value| shades.index(value), &shades.palette()));
        } else {
            self.cells(drawing, plot, &seen);
        }
        self.separators(drawing, plot, x.reverse, y.reverse);
        drawing.frame(plot, Stroke::solid(RULE, 1.0));
        if self.bar {
            self.color_bar(drawing, plot);
        }
    }

    /// Lines in the middle of the rows and columns that have these numbers for names.
    pub fn fixed_lines(&self, drawing: &mut Drawing, plot: Area, (x, y): (&AxisSpec, &AxisSpec), lines: &[LineSpec]) {
        let across = numbered(&self.columns, if x.reverse { (plot.right(), plot.x) } else { (plot.x, plot.right()) });
        let down = numbered(&self.rows, if y.reverse { (plot.bottom(), plot.y) } else { (plot.y, plot.bottom()) });
        let any = Scale::new((0.0, 1.0), (plot.y, plot.bottom()), &AxisSpec::default());
        let placed = |line: &&LineSpec| if line.x.is_some() { across.is_some() } else { down.is_some() };
        let lines: Vec<LineSpec> = lines.iter().filter(placed).cloned().collect();
        // Cells are everywhere: a label lies on some.
        lines::fixed_lines(drawing, plot, &lines, (across.as_ref(), down.as_ref().unwrap_or(&any)), vec![]);
    }

    /// The values as they are seen, from the upper left.
    fn seen(&self, mirrored: bool, upturned: bool) -> Array2<f64> {
        let mut seen = self.values.clone();
        if mirrored {
            seen.invert_axis(ndarray::Axis(1));
        }
        if upturned {
            seen.invert_axis(ndarray::Axis(0));
        }
        seen
    }

    fn cells(&self, drawing: &mut Drawing, plot: Area, seen: &Array2<f64>) {
        let shades = self.shades();
        let (high, wide) = (plot.h / seen.nrows() as f64, plot.w / seen.ncols() as f64);
        for ((row, column), &value) in seen.indexed_iter() {
            let cell = Area { x: plot.x + column as f64 * wide, y: plot.y + row as f64 * high, w: wide, h: high };
            drawing.cell(cell, shades.color(value));
            if value.is_nan() && wide.min(high) >= 6.0 {
                let struck = Stroke::solid(Rgb(0xaa, 0xaa, 0xaa), 1.0);
                drawing.line((cell.x, cell.bottom()), (cell.right(), cell.y), struck);
            } else if let Some(decimals) = self.color.decimals.filter(|_| !value.is_nan()) {
                label(drawing, cell, &fixed(value, usize::from(decimals)), shades.color(value).legible());
            }
        }
    }

    /// Faint lines between groups of rows and of columns.
    fn separators(&self, drawing: &mut Drawing, plot: Area, mirrored: bool, upturned: bool) {
        let mut strip = |x: f64, y: f64, w: f64, h: f64| {
            drawing.polygon(&[(x, y), (x + w, y), (x + w, y + h), (x, y + h)], PAPER, 0.45);
        };
        let (columns, rows) = (groups(&self.columns), groups(&self.rows));
        let narrowest = (plot.w / columns.len().max(1) as f64).min(plot.h / rows.len().max(1) as f64);
        if narrowest < NARROWEST_GROUP {
            return;
        }
        for group in columns.iter().skip(1) {
            let t = group.range.start as f64 / self.columns.len() as f64;
            let x = plot.x + plot.w * if mirrored { 1.0 - t } else { t };
            strip(x - SEPARATOR / 2.0, plot.y, SEPARATOR, plot.h);
        }
        for group in rows.iter().skip(1) {
            let t = group.range.start as f64 / self.rows.len() as f64;
            let y = plot.y + plot.h * if upturned { 1.0 - t } else { t };
            strip(plot.x, y - SEPARATOR / 2.0, plot.w, SEPARATOR);
        }
    }

    fn bar_ticks(&self, bar: Area) -> Vec<(f64, String)> {
        let Shades { min, max, .. } = self.shades();
        let axis = AxisSpec::default();
        let scale = Scale::new((min, max), (bar.bottom(), bar.y), &axis);
        axes::ticks(&scale, &axis, axes::fitting(bar.h, 56.0))
    }

    /// The colour bar to the right of what is drawn in `plot`.
    pub fn color_bar(&self, drawing: &mut Drawing, plot: Area) {
        let bar = Area { x: plot.right() + BAR_GAP, y: plot.y, w: BAR, h: plot.h };
        let steps = 64;
        let high = bar.h / f64::from(steps);
        for i in 0..steps {
            let y = bar.bottom() - f64::from(i + 1) * high;
            let color = self.color.map.at(f64::from(i) / f64::from(steps - 1));
            drawing.cell(Area { y, h: high, ..bar }, color);
        }
        drawing.frame(bar, Stroke::solid(RULE, 1.0));
        self.beyond(drawing, bar);
        let small = Font { size: TICK_SIZE, bold: false, color: INK, anchor: Anchor::Start, upwards: false };
        let ticks = self.bar_ticks(bar);
        for (at, label) in &ticks {
            drawing.line((bar.right(), *at), (bar.right() + 3.0, *at), Stroke::solid(RULE, 1.0));
            drawing.text((bar.right() + 6.0, at + 4.0), label, small);
        }
        let title = self.color.title();
        if !title.is_empty() {
            let labels = text::widest(ticks.iter().map(|(_, label)| label.as_str()), TICK_SIZE);
            let at = (bar.right() + 6.0 + labels + f64::from(LABEL_SIZE) + 4.0, bar.y + bar.h / 2.0);
            let font = Font { size: LABEL_SIZE, anchor: Anchor::Middle, upwards: true, ..small };
            drawing.text(at, &title, font);
        }
    }

    /// Points on the ends of the bar beyond which there are values.
    fn beyond(&self, drawing: &mut Drawing, bar: Area) {
        let Shades { min, max, .. } = self.shades();
        let (left, middle, right) = (bar.x, bar.x + bar.w / 2.0, bar.right());
        if self.values.iter().any(|value| *value > max) {
            let tip = [(left, bar.y), (middle, bar.y - 9.0), (right, bar.y)];
            drawing.polygon(&tip, self.color.map.at(1.0), 1.0);
        }
        if self.values.iter().any(|value| *value < min) {
            let tip = [(left, bar.bottom()), (middle, bar.bottom() + 9.0), (right, bar.bottom())];
            drawing.polygon(&tip, self.color.map.at(0.0), 1.0);
        }
    }
}

impl Shades {
    fn part(&self, value: f64) -> f64 {
        ((value - self.min) / (self.max - self.min)).clamp(0.0, 1.0)
    }

    fn color(&self, value: f64) -> Rgb {
        if value.is_nan() { MISSING } else { self.map.at(self.part(value)) }
    }

    /// The index of a value's colour in the palette; that of missing ones comes last.
    fn index(&self, value: f64) -> u8 {
        if value.is_nan() { SHADES as u8 } else { (self.part(value) * (SHADES - 1) as f64).round() as u8 }
    }

    fn palette(&self) -> Vec<Rgb> {
        let shades = (0..SHADES).map(|i| self.map.at(i as f64 / (SHADES - 1) as f64));
        shades.chain([MISSING]).collect()
    }
}

/// The number in a cell, where it fits.
fn label(drawing: &mut Drawing, cell: Area, number: &str, color: Rgb) {
    let size = [11, 10, 9, 8, 7].into_iter().find(|&size| text::width(number, size) + 3.0 < cell.w);
    let Some(size) = size.filter(|&size| f64::from(size) < cell.h) else { return };
    let at = (cell.x + cell.w / 2.0, cell.y + cell.h / 2.0 + f64::from(size) * 0.36);
    drawing.text(at, number, Font { size, bold: false, color, anchor: Anchor::Middle, upwards: false });
}

/// Where numbers stand among names that are evenly spaced numbers, each in the middle of its own; none where they are not.
fn numbered(names: &[String], (from, to): (f64, f64)) -> Option<Scale> {
    let numbers = names.iter().map(|name| name.parse().ok()).collect::<Option<Vec<f64>>>()?;
    let step = if let [first, second, ..] = numbers.as_slice() { second - first } else { 1.0 };
    let even = numbers.windows(2).all(|pair| pair[1] - pair[0] == step) && step > 0.0;
    let (first, last) = (numbers.first().filter(|_| even)?, numbers.last()?);
    Some(Scale::new((first - step / 2.0, last + step / 2.0), (from, to), &AxisSpec::default()))
}

/// Neighbours in a list of names that begin alike: the heads of a layer.
struct Group {
    name: String,
    range: Range<usize>,
}

/// The groups of names such as `L3H4`, by what precedes the last letters and number; none where names are not of that
/// form, or where a group is not in one piece.
fn groups(names: &[String]) -> Vec<Group> {
    let mut groups: Vec<Group> = vec![];
    for (i, name) in names.iter().enumerate() {
        let Some(prefix) = group_of(name) else { return vec![] };
        let known = groups.iter().position(|group| group.name == prefix);
        match known {
            Some(last) if last + 1 == groups.len() => groups[last].range.end = i + 1,
            Some(_) => return vec![],
            None => groups.push(Group { name: prefix.to_owned(), range: i..i + 1 }),
        }
    }
    if (2..names.len()).contains(&groups.len()) { groups } else { vec![] }
}

/// `L3` of `L3H4`, nothing of `layer 3` or of `0.25`.
pub fn group_of(name: &str) -> Option<&str> {
    let head = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let prefix = head.trim_end_matches(|c: char| !c.is_ascii_digit());
    let lettered = head[prefix.len()..].contains(char::is_alphabetic);
    (head.len() < name.len() && lettered && !prefix.is_empty()).then_some(prefix)
}

/// The names that stand beside cells `size` pixels wide, at their positions in cells: those of groups where there
/// are groups, and no more than `room` pixels a name allow.
fn named(names: &[String], size: f64, room: f64) -> Vec<(f64, String)> {
    let groups = groups(names);
    let all: Vec<(f64, String)> = if groups.is_empty() {
        names.iter().enumerate().map(|(i, name)| (i as f64 + 0.5, name.clone())).collect()
    } else {
        let middle = |range: &Range<usize>| (range.start + range.end) as f64 / 2.0;
        groups.into_iter().map(|group| (middle(&group.range), group.name)).collect()
    };
    let apart = all.get(1).map_or(size, |second| (second.0 - all[0].0) * size);
    let every = [1, 2, 4, 5, 8, 10, 16, 20, 32, 50, 64, 100].into_iter().find(|&k| f64::from(k) * apart >= room);
    all.into_iter().step_by(every.unwrap_or(200) as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn heads_are_grouped_by_layer() {
        let found = groups(&names(&["L0H0", "L0H1", "L1H0", "L1H1", "L10H0"]));
        let found: Vec<_> = found.iter().map(|group| (group.name.as_str(), group.range.clone())).collect();
        assert_eq!(found, [("L0", 0..2), ("L1", 2..4), ("L10", 4..5)]);
    }

    #[test]
    fn other_names_make_no_groups() {
        assert!(groups(&names(&["0", "1", "2"])).is_empty());
        assert!(groups(&names(&["layer 0", "layer 1"])).is_empty());
        assert!(groups(&names(&["L0H0", "L1H0", "L0H1"])).is_empty());
        assert!(groups(&names(&["0.1", "0.2", "1.5", "1.6"])).is_empty());
    }

    #[test]
    fn a_centred_range_goes_equally_far_both_ways() {
        let color = ColorSpec { center: Some(0.5), ..ColorSpec::default() };
        let values = ndarray::arr2(&[[0.2, f64::NAN], [0.6, 0.5]]);
        let heat = Heat { rows: names(&["a", "b"]), columns: names(&["c", "d"]), values, color, bar: true };
        let shades = heat.shades();
        assert_eq!((shades.min, shades.max), (0.2, 0.8));
        assert_eq!([f64::NAN, 0.2, 0.8, 7.0].map(|v| shades.index(v)), [255, 0, 254, 254]);
    }
}
