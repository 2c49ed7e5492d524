//! The frame of a panel: axis lines, ticks, their labels and titles, and the lines at fixed values.

use super::{
    clip,
    color::{GRID, INK, RULE, ZONE},
    scale::Scale,
    spec::{AxisSpec, LineSpec, Style, ZoneSpec},
    svg::{Anchor, Area, Drawing, Font, Stroke},
    text,
};

pub const LABEL_SIZE: u32 = 12;
pub const TICK_SIZE: u32 = 11;
const TICK: f64 = 4.0;
/// From the ends of ticks to their labels.
const GAP: f64 = 4.0;
/// From a line of a label to the next.
const LINE: f64 = 13.0;
/// The height of capitals and digits in units of the font size: what centring a text on a line needs.
const CAP: f64 = 0.72;

/// What stands along one side of a panel.
#[derive(Default)]
pub struct Side {
    pub title: String,
    /// Pixel and label; an empty label is a bare tick.
    pub ticks: Vec<(f64, String)>,
    /// Labels below are turned by a quarter, since they are too long to stand side by side.
    pub turned: bool,
}

/// The ticks of a scale, in pixels.
pub fn ticks(scale: &Scale, axis: &AxisSpec, about: usize) -> Vec<(f64, String)> {
    scale.ticks(axis.ticks.as_deref(), about).into_iter().map(|(v, label)| (scale.at(v), label)).collect()
}

/// How many ticks fit `length` pixels, one in `every` pixels.
pub fn fitting(length: f64, every: f64) -> usize {
    ((length / every).round() as usize).clamp(2, 10)
}

/// The room that the left side needs.
pub fn left_room(title: &str, labels: &[String]) -> f64 {
    let labels = text::widest(labels.iter().map(String::as_str), TICK_SIZE);
    let title = if title.is_empty() { 4.0 } else { f64::from(LABEL_SIZE) + 10.0 };
    title + labels + GAP + TICK
}

/// The room that the lower side needs, its labels being so deep.
pub fn bottom_room(title: &str, depth: f64) -> f64 {
    let title = if title.is_empty() { 2.0 } else { f64::from(LABEL_SIZE) + 10.0 };
    TICK + GAP + depth + title
}

impl Side {
    /// How far its labels reach down.
    pub fn depth(&self) -> f64 {
        if self.turned {
            return text::widest(self.ticks.iter().map(|(_, label)| label.as_str()), TICK_SIZE);
        }
        let lines = self.ticks.iter().map(|(_, label)| label.lines().count()).max().unwrap_or(1).max(1);
        f64::from(TICK_SIZE) + LINE * (lines - 1) as f64
    }
}

/// The horizontal lines behind curves and bars.
pub fn grid(drawing: &mut Drawing, plot: Area, y: &Side) {
    for (at, _) in &y.ticks {
        drawing.line((plot.x, *at), (plot.right(), *at), Stroke::solid(GRID, 1.0));
    }
}

/// The left and lower axis lines.
pub fn spines(drawing: &mut Drawing, plot: Area) {
    let stroke = Stroke::solid(RULE, 1.0);
    drawing.line((plot.x, plot.y), (plot.x, plot.bottom()), stroke);
    drawing.line((plot.x, plot.bottom()), (plot.right(), plot.bottom()), stroke);
}

/// Ticks, tick labels and titles below and to the left of `plot`.
pub fn sides(drawing: &mut Drawing, plot: Area, x: &Side, y: &Side) {
    let stroke = Stroke::solid(RULE, 1.0);
    let small = Font { size: TICK_SIZE, bold: false, color: INK, anchor: Anchor::Middle, upwards: false };
    let baseline = plot.bottom() + TICK + GAP + f64::from(TICK_SIZE) * CAP;
    for (at, label) in &x.ticks {
        drawing.line((*at, plot.bottom()), (*at, plot.bottom() + TICK), stroke);
        match label.contains('\n') {
            _ if x.turned => {
                let place = (at + f64::from(TICK_SIZE) * CAP / 2.0, plot.bottom() + TICK + GAP);
                drawing.text(place, label, Font { anchor: Anchor::End, upwards: true, ..small });
            }
            false => drawing.text((*at, baseline), label, small),
            true => label.lines().enumerate().for_each(|(i, line)| {
                drawing.text((*at, baseline + LINE * i as f64), line, small);
            }),
        }
    }
    for (at, label) in &y.ticks {
        drawing.line((plot.x - TICK, *at), (plot.x, *at), stroke);
        let place = (plot.x - TICK - GAP, at + f64::from(TICK_SIZE) * CAP / 2.0);
        drawing.text(place, label, Font { anchor: Anchor::End, ..small });
    }
    let title = Font { size: LABEL_SIZE, ..small };
    if !x.title.is_empty() {
        let below = baseline + x.depth() - f64::from(TICK_SIZE) + f64::from(LABEL_SIZE) + 7.0;
        drawing.text((plot.x + plot.w / 2.0, below), &x.title, title);
    }
    if !y.title.is_empty() {
        let labels = text::widest(y.ticks.iter().map(|(_, label)| label.as_str()), TICK_SIZE);
        let beside = plot.x - TICK - GAP - labels - 9.0;
        drawing.text((beside, plot.y + plot.h / 2.0), &y.title, Font { upwards: true, ..title });
    }
}

/// The dashes of a style; `width` pixels wide lines of each are told apart in black and white.
pub fn dash(style: Style) -> &'static str {
    match style {
        Style::Solid => "",
        Style::Dashed => "7 4",
        Style::DashDot => "8 3 2 3",
        Style::Dotted => "2 3",
    }
}

/// The shaded ranges behind everything else.
pub fn zones(drawing: &mut Drawing, plot: Area, zones: &[ZoneSpec], x: Option<&Scale>, y: &Scale) {
    for (_, Area { x: left, y: top, w, h }) in shaded(plot, zones, x, y) {
        let (right, bottom) = (left + w, top + h);
        drawing.polygon(&[(left, top), (right, top), (right, bottom), (left, bottom)], ZONE, 1.0);
    }
}

/// The names of the shaded ranges in their upper left corners, on what lies there.
pub fn zone_labels(drawing: &mut Drawing, plot: Area, zones: &[ZoneSpec], x: Option<&Scale>, y: &Scale) {
    for (zone, Area { x, y, h, .. }) in shaded(plot, zones, x, y) {
        let label = zone.label.as_deref().unwrap_or_default();
        if label.is_empty() {
            continue;
        }
        let high = f64::from(TICK_SIZE) + 4.0;
        drawing.bar(
            Area { x: x + 3.0, y: y + 1.0, w: text::width(label, TICK_SIZE) + 4.0, h: high.min(h - 1.0).max(0.5) },
            ZONE,
        );
        let font = Font { size: TICK_SIZE, bold: false, color: RULE, anchor: Anchor::Start, upwards: false };
        drawing.text((x + 5.0, y + high - 2.0), label, font);
    }
}

/// The zones that can be seen, and where.
fn shaded<'z>(plot: Area, zones: &'z [ZoneSpec], x: Option<&Scale>, y: &Scale) -> Vec<(&'z ZoneSpec, Area)> {
    let mut seen = vec![];
    for zone in zones {
        let along = |scale: &Scale, [from, to]: [f64; 2], low: f64, high: f64| {
            let (a, b) = (scale.at(from).clamp(low, high), scale.at(to).clamp(low, high));
            (a.min(b), a.max(b))
        };
        let (top, bottom) = zone.y.map_or((plot.y, plot.bottom()), |range| along(y, range, plot.y, plot.bottom()));
        let across = zone.x.zip(x).map(|(range, x)| along(x, range, plot.x, plot.right()));
        if zone.x.is_some() && across.is_none() {
            continue;
        }
        let (left, right) = across.unwrap_or((plot.x, plot.right()));
        if right - left < 0.01 || bottom - top < 0.01 {
            continue;
        }
        seen.push((zone, Area { x: left, y: top, w: right - left, h: bottom - top }));
    }
    seen
}

/// What lies in a panel, in pixels: labels keep clear of it.
pub enum Obstacle {
    Path(Vec<(f64, f64)>),
    /// A filled outline.
    Patch(Vec<(f64, f64)>),
}

impl Obstacle {
    pub fn patch(area: Area) -> Self {
        let (left, top, right, bottom) = (area.x, area.y, area.right(), area.bottom());
        Self::Patch(vec![(left, top), (right, top), (right, bottom), (left, bottom)])
    }

    fn touches(&self, area: Area) -> bool {
        match self {
            Self::Path(points) => !clip::polyline(points, area).is_empty(),
            Self::Patch(outline) => clip::polygon(outline, area).len() > 2,
        }
    }
}

/// The lines at fixed values, and their labels at those of their ends where the least lies below them.
pub fn fixed_lines(
    drawing: &mut Drawing,
    plot: Area,
    lines: &[LineSpec],
    (x, y): (Option<&Scale>, &Scale),
    mut obstacles: Vec<Obstacle>,
) {
    let level = |line: &LineSpec| line.y.filter(|value| y.shows(*value)).map(|value| (false, y.at(value)));
    let upright = |line: &LineSpec| {
        x.zip(line.x).filter(|(scale, value)| scale.shows(*value)).map(|(scale, value)| (true, scale.at(value)))
    };
    let placed: Vec<(&LineSpec, bool, f64)> = lines
        .iter()
        .flat_map(|line| [level(line), upright(line)].into_iter().flatten().map(move |(up, at)| (line, up, at)))
        .collect();
    for (line, up, at) in &placed {
        let ends = if *up { [(*at, plot.y), (*at, plot.bottom())] } else { [(plot.x, *at), (plot.right(), *at)] };
        let stroke = Stroke { color: RULE, width: 1.0, dash: dash(line.style.unwrap_or(Style::Dashed)) };
        drawing.line(ends[0], ends[1], stroke);
        obstacles.push(Obstacle::Path(ends.to_vec()));
    }
    for (line, up, at) in placed {
        let label = line.label.as_deref().unwrap_or_default();
        let spots = if up { upright_spots(plot, at, label) } else { level_spots(plot, at, label) };
        let crowd = |spot: &Spot| obstacles.iter().filter(|obstacle| obstacle.touches(spot.area)).count();
        let Some(spot) = spots.into_iter().min_by_key(crowd).filter(|_| !label.is_empty()) else { continue };
        let font = Font { size: TICK_SIZE, bold: false, color: INK, anchor: spot.anchor, upwards: up };
        drawing.text(spot.at, label, font);
        obstacles.push(Obstacle::patch(spot.area));
    }
}

/// A place for a label: what it covers, and where its text is anchored.
struct Spot {
    area: Area,
    at: (f64, f64),
    anchor: Anchor,
}

/// From a line to the foot of a label on this side of it, and on the other.
const NEAR: f64 = 4.0;
const FAR: f64 = TICK_SIZE as f64 + 2.0;
/// How high a label is above its foot.
const RISE: f64 = 9.0;
/// The room beside a line without which no label fits there.
const LEAST: f64 = 16.0;

/// Above and below a level line: at its right end, at its left, in its middle, between that and an end.
fn level_spots(plot: Area, line: f64, label: &str) -> Vec<Spot> {
    let (w, h) = (text::width(label, TICK_SIZE), RISE + 2.0);
    let above = (line - plot.y > LEAST || plot.bottom() - line <= LEAST).then_some(line - NEAR);
    let below = (plot.bottom() - line > LEAST).then_some(line + FAR);
    let (left, right) = (plot.x + 4.0, plot.right() - 2.0);
    let ends = [(right, right - w, Anchor::End), (left, left, Anchor::Start)];
    let middles = [0.5, 0.75, 0.25].map(|part| {
        let at = plot.x + part * plot.w;
        (at, at - w / 2.0, Anchor::Middle)
    });
    let places = ends.into_iter().chain(middles).filter(|(_, x, _)| *x >= left && x + w <= right + 0.01 || w > plot.w);
    let feet = || [above, below].into_iter().flatten();
    let spot = |(at, x, anchor), foot| Spot { area: Area { x, y: foot - RISE, w, h }, at: (at, foot), anchor };
    places.flat_map(|place| feet().map(move |foot| spot(place, foot))).collect()
}

/// To the left and to the right of an upright line, at its top and at its bottom.
fn upright_spots(plot: Area, line: f64, label: &str) -> Vec<Spot> {
    let (w, h) = (RISE + 2.0, text::width(label, TICK_SIZE));
    let left = (line - plot.x > LEAST || plot.right() - line <= LEAST).then_some(line - NEAR);
    let right = (plot.right() - line > LEAST).then_some(line + FAR);
    let (top, bottom) = (plot.y + 2.0, plot.bottom() - 4.0);
    let ends = [(top, top, Anchor::End), (bottom, bottom - h, Anchor::Start)];
    let feet = || [left, right].into_iter().flatten();
    let spot = |(at, y, anchor), foot| Spot { area: Area { x: foot - RISE, y, w, h }, at: (foot, at), anchor };
    ends.into_iter().flat_map(|end| feet().map(move |foot| spot(end, foot))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the label of a level line at 100 stands in a plot of 200 by 200 pixels.
    fn foot(obstacles: Vec<Obstacle>) -> String {
        let plot = Area { x: 0.0, y: 0.0, w: 200.0, h: 200.0 };
        let scale = Scale::new((0.0, 200.0), (200.0, 0.0), &AxisSpec::default());
        let line = LineSpec { y: Some(100.0), label: Some("limit".into()), ..LineSpec::default() };
        let mut drawing = Drawing::new(200.0, 200.0);
        fixed_lines(&mut drawing, plot, &[line], (None, &scale), obstacles);
        let svg = drawing.finish("");
        let text = svg.lines().find(|line| line.contains("<text")).expect("there is a label");
        text.split(" fill").next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_label_stands_where_nothing_else_does() {
        let over_the_right_end = || Obstacle::Path(vec![(150.0, 90.0), (200.0, 95.0)]);
        let under_it = || Obstacle::patch(Area { x: 150.0, y: 101.0, w: 50.0, h: 30.0 });
        let [clear, below, left] =
            [vec![], vec![over_the_right_end()], vec![over_the_right_end(), under_it()]].map(foot);
        assert!(clear.contains(r#"x="198" y="96""#), "{clear}");
        assert!(below.contains(r#"x="198" y="113""#), "{below}");
        assert!(left.contains(r#"x="4" y="96""#), "{left}");
    }
}
