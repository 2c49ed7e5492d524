//! The frame of a panel: axis lines, ticks, their labels and titles, and the shaded ranges.

use super::{
    color::{GRID, INK, RULE, ZONE},
    scale::Scale,
    spec::{AxisSpec, Style, ZoneSpec},
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
/// From a line of a title to the next.
const TITLE_LINE: f64 = 14.0;
/// A title may be longer than its axis by this factor: a little of it beyond the ends meets nothing.
const OVERHANG: f64 = 1.1;
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

/// What stands beside an axis that is `length` pixels long: the unit below the label where both are too long for a line.
pub fn title(axis: &AxisSpec, length: f64) -> String {
    let whole = axis.title();
    match &axis.unit {
        _ if text::width(&whole, LABEL_SIZE) <= OVERHANG * length => whole,
        Some(unit) if !axis.label.is_empty() => format!("{}\n({unit})", axis.label),
        _ => text::folded(&whole, LABEL_SIZE, length).unwrap_or(whole),
    }
}

/// The room that the left side needs.
pub fn left_room(title: &str, labels: &[String]) -> f64 {
    let labels = text::widest(labels.iter().map(String::as_str), TICK_SIZE);
    let lines = title.lines().count();
    let title = if lines == 0 { 4.0 } else { f64::from(LABEL_SIZE) + 10.0 + TITLE_LINE * (lines - 1) as f64 };
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
    let labels = text::widest(y.ticks.iter().map(|(_, label)| label.as_str()), TICK_SIZE);
    let beside = plot.x - TICK - GAP - labels - 9.0;
    for (i, line) in y.title.lines().rev().enumerate() {
        let at = (beside - TITLE_LINE * i as f64, plot.y + plot.h / 2.0);
        drawing.text(at, line, Font { upwards: true, ..title });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_that_is_too_long_has_its_unit_below() {
        let axis = AxisSpec {
            label: "KL(original ‖ changed)".into(),
            unit: Some("nats per token".into()),
            ..Default::default()
        };
        assert_eq!(title(&axis, 400.0), "KL(original ‖ changed) (nats per token)");
        assert_eq!(title(&axis, 200.0), "KL(original ‖ changed)\n(nats per token)");
        let plain = AxisSpec { label: "norm of the residual stream".into(), ..AxisSpec::default() };
        assert_eq!(title(&plain, 120.0), "norm of the\nresidual stream");
        assert_eq!(left_room("a\nb", &[]) - left_room("a", &[]), TITLE_LINE);
    }
}
