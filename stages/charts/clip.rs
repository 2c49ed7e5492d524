//! Cuts lines and polygons at the edges of a panel, so that the SVG needs no clip paths (they need ids).

use super::svg::Area;

type Point = (f64, f64);
/// A coordinate, where the edge is on it, and on which side of that the inside is.
type Edge = (fn(Point) -> f64, f64, f64);

/// The parts of a polyline inside `area`, in order.
pub fn polyline(points: &[Point], area: Area) -> Vec<Vec<Point>> {
    let mut parts: Vec<Vec<Point>> = vec![];
    for pair in points.windows(2) {
        let Some((from, to)) = segment(pair[0], pair[1], area) else { continue };
        match parts.last_mut() {
            Some(part) if part.last() == Some(&from) => part.push(to),
            _ => parts.push(vec![from, to]),
        }
    }
    parts
}

/// The part of a segment inside `area` (Liang and Barsky 1984).
fn segment(from: Point, to: Point, area: Area) -> Option<(Point, Point)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let edges =
        [(-dx, from.0 - area.x), (dx, area.right() - from.0), (-dy, from.1 - area.y), (dy, area.bottom() - from.1)];
    let (mut enter, mut leave) = (0f64, 1f64);
    for (step, room) in edges {
        if step == 0.0 && room < 0.0 {
            return None;
        } else if step < 0.0 {
            enter = enter.max(room / step);
        } else if step > 0.0 {
            leave = leave.min(room / step);
        }
    }
    let at = |t: f64| {
        if t == 0.0 {
            from
        } else if t == 1.0 {
            to
        } else {
            (from.0 + t * dx, from.1 + t * dy)
        }
    };
    (enter <= leave).then(|| (at(enter), at(leave)))
}

/// The part of a polygon inside `area` (Sutherland and Hodgman 1974).
pub fn polygon(points: &[Point], area: Area) -> Vec<Point> {
    let edges: [Edge; 4] =
        [(|p| p.0, area.x, 1.0), (|p| p.0, area.right(), -1.0), (|p| p.1, area.y, 1.0), (|p| p.1, area.bottom(), -1.0)];
    edges.into_iter().fold(points.to_vec(), |points, (of, edge, sign)| {
        let inside = |p: Point| (of(p) - edge) * sign >= 0.0;
        let crossing = |a: Point, b: Point| {
            let t = (edge - of(a)) / (of(b) - of(a));
            (a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1))
        };
        let mut kept = vec![];
        for (i, &point) in points.iter().enumerate() {
            let before = points[(i + points.len() - 1) % points.len()];
            if inside(point) != inside(before) {
                kept.push(crossing(before, point));
            }
            if inside(point) {
                kept.push(point);
            }
        }
        kept
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: Area = Area { x: 0.0, y: 0.0, w: 10.0, h: 10.0 };

    #[test]
    fn a_line_that_leaves_and_returns_is_two_parts() {
        let parts = polyline(&[(1.0, 5.0), (5.0, 15.0), (9.0, 5.0)], UNIT);
        assert_eq!(parts, [[(1.0, 5.0), (3.0, 10.0)], [(7.0, 10.0), (9.0, 5.0)]]);
        assert!(polyline(&[(11.0, 1.0), (12.0, 9.0)], UNIT).is_empty());
        assert_eq!(polyline(&[(1.0, 1.0), (2.0, 2.0), (3.0, 1.0)], UNIT), [[(1.0, 1.0), (2.0, 2.0), (3.0, 1.0)]]);
    }

    #[test]
    fn a_polygon_is_cut_at_the_edges() {
        let cut = polygon(&[(-5.0, 5.0), (5.0, 5.0), (5.0, 15.0), (-5.0, 15.0)], UNIT);
        let mut corners = cut.clone();
        corners.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(corners, [(0.0, 5.0), (0.0, 10.0), (5.0, 5.0), (5.0, 10.0)]);
    }
}
