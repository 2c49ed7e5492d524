//! Lines at fixed values, and where their labels stand: at the end, or on the side, where the least of the data lies.

use super::{
    axes::{TICK_SIZE, dash},
    clip,
    color::{INK, RULE},
    scale::Scale,
    spec::{LineSpec, Style},
    svg::{Anchor, Area, Drawing, Font, Stroke},
    text,
};

/// From a line to the foot of a label on this side of it, and on the other.
const NEAR: f64 = 4.0;
const FAR: f64 = TICK_SIZE as f64 + 2.0;
/// How high a label is above its foot.
const RISE: f64 = 9.0;
/// The room beside a line without which no label fits there.
const LEAST: f64 = 16.0;

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
    let places =
        ends.into_iter().chain(middles).filter(|(_, x, _)| *x >= left && x + w <= right + 0.01 || w > right - left);
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
    use crate::charts::spec::AxisSpec;

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
