//! Networks: nodes on a circle, layer after layer, and their edges, the heaviest darkest and on top. Places depend on
//! names alone, so that two networks over the same nodes compare by eye.

use std::{
    collections::{BTreeMap, BTreeSet},
    f64::consts::{PI, TAU},
};

use super::{
    axes::TICK_SIZE,
    color::{INK, PAPER, Rgb},
    data::named,
    heat::group_of,
    legend,
    marks::{Mark, Shape},
    spec::{Hue, Map, SeriesSpec},
    svg::{Anchor, Area, Drawing, Font, Stroke},
    text,
};
use crate::{
    Failure, Inputs,
    tables::{column, keep, numbers, stack, texts},
};

/// Larger networks are refused: nobody sees anything in them.
const MOST_EDGES: usize = 20_000;
/// Between two groups there is so much more room than between two nodes.
const GAP: f64 = 1.5;
/// An edge bends towards the middle of the circle by this part of the way, and by so much more the longer it is.
const BEND: (f64, f64) = (0.22, 0.45);
const EDGE: Rgb = Rgb(0x1f, 0x3a, 0x5f);
/// Groups of nodes that have colours of their own, and what all others are called.
const HUES: usize = 7;
const OTHERS: &str = "others";

#[derive(Clone, PartialEq, Debug)]
pub struct Network {
    nodes: Vec<Node>,
    /// What nodes are coloured by: their layers, or what the manifest names.
    colors: Vec<(String, Rgb)>,
    /// Whether the circle's labels tell the colours already.
    by_layer: bool,
    /// From, to, and weight from 0 to 1, the lightest first.
    edges: Vec<(usize, usize, f64)>,
}

#[derive(Clone, PartialEq, Debug)]
struct Node {
    name: String,
    layer: String,
    /// Which of the colours.
    color: usize,
}

/// The network of one or two series: edges, and nodes.
pub fn network(specs: &[SeriesSpec], inputs: &Inputs) -> Result<Network, Failure> {
    let edges = &specs[0];
    let table = keep(&*stack(&edges.from, inputs.many(&edges.from))?, &edges.filter, &edges.from)?;
    if table.rows() > MOST_EDGES {
        let message = format!("`{}` has {} edges, and a figure shows {MOST_EDGES}", edges.from, table.rows());
        return Err(Failure::fatal(format!("{message}: keep the strongest")));
    }
    let ends =
        |key: &Option<String>, what| Ok::<_, Failure>(texts(&column(&table, named(key, what)?, &edges.from)?.values));
    let (from, to) = (ends(&edges.x, "x")?, ends(&edges.y, "y")?);
    let weights = match &edges.value {
        Some(value) => numbers(&table, value, &edges.from)?,
        None => vec![1.0; from.len()],
    };
    let colored = specs.get(1).map(|spec| groups(spec, inputs)).transpose()?;
    let ends = from.iter().chain(&to).cloned();
    let mut names: Vec<String> =
        ends.chain(colored.iter().flat_map(|of| of.keys().cloned())).collect::<BTreeSet<_>>().into_iter().collect();
    if names.is_empty() {
        return Err(Failure::fatal(format!("`{}` has no edges, and no nodes are named", edges.from)));
    }
    names.sort_by_cached_key(|name| natural(name));
    let place: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let ends = from.iter().zip(&to).map(|(a, b)| (place[a.as_str()], place[b.as_str()]));
    let edges = relative(ends.zip(weights).map(|((a, b), weight)| (a, b, weight)).collect());
    Ok(Network::of(&names, colored.as_ref(), edges))
}

/// What each node is coloured by, where the nodes' series splits them.
fn groups(spec: &SeriesSpec, inputs: &Inputs) -> Result<BTreeMap<String, String>, Failure> {
    let table = keep(&*stack(&spec.from, inputs.many(&spec.from))?, &spec.filter, &spec.from)?;
    let names = texts(&column(&table, named(&spec.x, "x")?, &spec.from)?.values);
    let of = match &spec.split {
        Some(split) => {
            let values = texts(&column(&table, split, &spec.from)?.values);
            values.into_iter().map(|value| format!("{split} {value}")).collect()
        }
        None => vec![String::new(); names.len()],
    };
    Ok(names.into_iter().zip(of).collect())
}

/// Weights as parts of their range, the least first; an edge whose weight is no number is left out.
fn relative(mut edges: Vec<(usize, usize, f64)>) -> Vec<(usize, usize, f64)> {
    edges.retain(|(_, _, weight)| weight.is_finite());
    edges.sort_by(|a, b| a.2.total_cmp(&b.2).then((a.0, a.1).cmp(&(b.0, b.1))));
    let (least, most) = (edges.first().map_or(0.0, |e| e.2), edges.last().map_or(1.0, |e| e.2));
    let part = |weight: f64| if most > least { (weight - least) / (most - least) } else { 0.5 };
    edges.into_iter().map(|(a, b, weight)| (a, b, part(weight))).collect()
}

/// A name in texts and numbers, so that `L2H10` stands behind `L2H9`.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts: Vec<(String, String)> = vec![(String::new(), String::new())];
    for c in name.chars() {
        match parts.last_mut() {
            Some((_, digits)) if c.is_ascii_digit() => digits.push(c),
            Some((text, digits)) if digits.is_empty() => text.push(c),
            _ => parts.push((c.to_string(), String::new())),
        }
    }
    parts.into_iter().map(|(text, digits)| (text, digits.parse().unwrap_or(0))).collect()
}

/// Where there are more groups than colours, the largest keep theirs: a legend of a hundred names tells nothing.
fn with_colors(keys: Vec<&str>) -> Vec<String> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    keys.iter().for_each(|key| *sizes.entry(key).or_default() += 1);
    let mut largest: Vec<&str> = sizes.keys().copied().collect();
    largest.sort_by_cached_key(|key| (std::cmp::Reverse(sizes[key]), natural(key)));
    largest.truncate(HUES);
    keys.into_iter().map(|key| if largest.contains(&key) { key } else { OTHERS }.to_owned()).collect()
}

impl Network {
    fn of(names: &[String], colored: Option<&BTreeMap<String, String>>, edges: Vec<(usize, usize, f64)>) -> Self {
        let layers: Vec<String> = names.iter().map(|name| group_of(name).unwrap_or_default().to_owned()).collect();
        let by_layer = colored.is_none_or(|of| of.values().all(String::is_empty));
        let keys: Vec<String> = match colored.filter(|_| !by_layer) {
            Some(of) => with_colors(names.iter().map(|name| of.get(name).map_or(OTHERS, String::as_str)).collect()),
            None => layers.clone(),
        };
        let mut groups: Vec<String> = keys.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        groups.sort_by_cached_key(|name| (name == OTHERS, natural(name)));
        let color = |i: usize| match by_layer {
            // The lightest end of the map is left out: it is not seen on paper.
            true => Map::Viridis.at(0.88 * i as f64 / (groups.len().max(2) - 1) as f64),
            false if i < HUES && groups[i] != OTHERS => Hue::nth(i).rgb(),
            false => Hue::Grey.rgb(),
        };
        let colors = groups.iter().enumerate().map(|(i, name)| (name.clone(), color(i))).collect();
        let nodes = names.iter().zip(layers).zip(&keys).map(|((name, layer), key)| Node {
            name: name.clone(),
            layer,
            color: groups.iter().position(|group| group == key).unwrap_or(0),
        });
        Self { nodes: nodes.collect(), colors, by_layer, edges }
    }

    /// The colours, where the circle does not tell them.
    pub fn legend(&self) -> Vec<legend::Entry<'_>> {
        let colors = self.colors.iter().filter(|_| !self.by_layer);
        let mark = |color: Rgb| Some(Mark { shape: Shape::Disc, color });
        colors.map(|(name, color)| legend::Entry { label: name, stroke: None, mark: mark(*color) }).collect()
    }

    /// The angle of each node, clockwise from the top.
    fn angles(&self) -> Vec<f64> {
        let breaks = |i: usize| i > 0 && self.nodes[i].layer != self.nodes[i - 1].layer;
        let gaps = (0..self.nodes.len()).filter(|&i| breaks(i)).count();
        // The last layer and the first are neighbours on a circle.
        let gaps_around = if gaps > 0 { gaps + 1 } else { 0 };
        let step = TAU / (self.nodes.len() as f64 + GAP * gaps_around as f64);
        let mut at = 0.5 * step * if gaps > 0 { 1.0 + GAP } else { 1.0 };
        (0..self.nodes.len())
            .map(|i| {
                if breaks(i) {
                    at += GAP * step;
                }
                let angle = at;
                at += step;
                angle - PI / 2.0
            })
            .collect()
    }

    pub fn draw(&self, drawing: &mut Drawing, area: Area) {
        let angles = self.angles();
        let wide = text::widest(self.nodes.iter().map(|node| node.name.as_str()), TICK_SIZE);
        let step = TAU / angles.len() as f64;
        // Side by side at the top, names need their width; otherwise layers are named alone.
        let all = step * (area.w.min(area.h) / 2.0 - wide - 14.0) >= wide;
        let labels = if all { self.names(&angles) } else { self.layers(&angles) };
        let room = text::widest(labels.iter().map(|(_, label)| label.as_str()), TICK_SIZE) + 14.0;
        let radius = (area.w.min(area.h) / 2.0 - room.min(area.w / 4.0)).max(20.0);
        let (x, y) = (area.x + area.w / 2.0, area.y + area.h / 2.0);
        let at = |angle: f64, radius: f64| (x + radius * angle.cos(), y + radius * angle.sin());
        let size = (0.42 * radius * TAU / self.nodes.len() as f64).clamp(1.6, 6.0);
        let bends = if self.edges.len() > 1000 { 6 } else { 14 };
        for &(from, to, weight) in &self.edges {
            let (a, b) = (at(angles[from], radius), at(angles[to], radius));
            let bend = BEND.0 + BEND.1 * (a.0 - b.0).hypot(a.1 - b.1) / (2.0 * radius);
            let part = |i: i32| f64::from(i) / f64::from(bends);
            let curve: Vec<_> = (0..=bends).map(|i| bent(a, b, ((x, y), bend), part(i))).collect();
            let stroke = Stroke::solid(PAPER.towards(EDGE, 0.14 + 0.72 * weight), 0.5 + 1.3 * weight);
            drawing.polyline(&curve, stroke);
        }
        for (node, angle) in self.nodes.iter().zip(&angles) {
            let place = at(*angle, radius);
            drawing.circle(place, size + 0.8, PAPER);
            drawing.circle(place, size, self.colors[node.color].1);
        }
        for (angle, label) in &labels {
            let (px, py) = at(*angle, radius + size + 6.0);
            let anchor = match angle.cos() {
                cos if cos > 0.25 => Anchor::Start,
                cos if cos < -0.25 => Anchor::End,
                _ => Anchor::Middle,
            };
            let font = Font { size: TICK_SIZE, bold: false, color: INK, anchor, upwards: false };
            drawing.text((px, py + 4.0 + 4.0 * angle.sin()), label, font);
        }
    }

    /// Angles and names of all nodes.
    fn names(&self, angles: &[f64]) -> Vec<(f64, String)> {
        angles.iter().zip(&self.nodes).map(|(angle, node)| (*angle, node.name.clone())).collect()
    }

    /// Angles and names of the layers, in their middles.
    fn layers(&self, angles: &[f64]) -> Vec<(f64, String)> {
        let mut layers: Vec<(f64, f64, &str)> = vec![];
        for (node, &angle) in self.nodes.iter().zip(angles) {
            match layers.last_mut() {
                Some((_, last, name)) if *name == node.layer => *last = angle,
                _ => layers.push((angle, angle, &node.layer)),
            }
        }
        layers.into_iter().map(|(first, last, name)| ((first + last) / 2.0, name.to_owned())).collect()
    }
}

/// A point of the curve from `a` to `b` (Bézier, of the second degree), bent towards a centre by a part of the way.
fn bent(a: (f64, f64), b: (f64, f64), (center, bend): ((f64, f64), f64), t: f64) -> (f64, f64) {
    let control = |a: f64, b: f64, center: f64| {
        let middle = (a + b) / 2.0;
        middle + (center - middle) * bend
    };
    let along = |a: f64, b: f64, c: f64| (1.0 - t).powi(2) * a + 2.0 * t * (1.0 - t) * c + t * t * b;
    (along(a.0, b.0, control(a.0, b.0, center.0)), along(a.1, b.1, control(a.1, b.1, center.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn nodes_stand_in_the_order_of_their_numbers() {
        let mut heads = names(&["L10H0", "L2H10", "L2H9", "L0H1"]);
        heads.sort_by_cached_key(|name| natural(name));
        assert_eq!(heads, ["L0H1", "L2H9", "L2H10", "L10H0"]);
    }

    #[test]
    fn the_largest_groups_have_colours() {
        let keys = ["a", "b", "b", "c", "d", "e", "e", "f", "g", "h", "h", "i"];
        let found = with_colors(keys.to_vec());
        assert_eq!(found, ["a", "b", "b", "c", "d", "e", "e", "f", "others", "h", "h", "others"]);
        assert_eq!(with_colors(vec!["x", "y"]), ["x", "y"]);
    }

    #[test]
    fn layers_are_apart_and_the_circle_is_closed() {
        let network = Network::of(&names(&["L0H0", "L0H1", "L1H0", "L1H1"]), None, vec![]);
        let angles = network.angles();
        // Four nodes and two gaps of one and a half: seven steps around.
        let steps: Vec<f64> = angles.windows(2).map(|pair| (pair[1] - pair[0]) / TAU * 7.0).collect();
        assert!(steps.iter().zip([1.0, 2.5, 1.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{steps:?}");
        let around = (angles[0] + TAU - angles[3]) / TAU * 7.0;
        assert!((around - 2.5).abs() < 1e-12, "{around}");
    }

    #[test]
    fn the_heaviest_edge_is_on_top() {
        let edges = relative(vec![(0, 1, 3.0), (1, 2, 1.0), (0, 2, f64::NAN), (2, 3, 2.0)]);
        assert_eq!(edges, [(1, 2, 0.0), (2, 3, 0.5), (0, 1, 1.0)]);
    }
}
