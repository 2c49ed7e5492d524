//! Markers of points: shapes that are told apart without their colours.

use super::{
    color::{PAPER, Rgb},
    svg::{Area, Drawing},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    Disc,
    Square,
    Triangle,
    Diamond,
    /// A larger square: the legend's key for a bar.
    Swatch,
    /// An open disc: where a path starts.
    Ring,
    /// A disc in an open one: where a path ends.
    Target,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    pub shape: Shape,
    pub color: Rgb,
}

impl Shape {
    pub fn nth(index: usize) -> Self {
        [Self::Disc, Self::Square, Self::Triangle, Self::Diamond][index % 4]
    }
}

pub fn draw(drawing: &mut Drawing, (x, y): (f64, f64), mark: Mark) {
    let square = |half: f64| Area { x: x - half, y: y - half, w: 2.0 * half, h: 2.0 * half };
    match mark.shape {
        Shape::Disc => drawing.circle((x, y), 3.2, mark.color),
        Shape::Square => drawing.bar(square(2.9), mark.color),
        Shape::Swatch => drawing.bar(square(5.5), mark.color),
        Shape::Ring => {
            drawing.circle((x, y), 6.0, mark.color);
            drawing.circle((x, y), 4.0, PAPER);
        }
        Shape::Target => {
            drawing.circle((x, y), 7.0, mark.color);
            drawing.circle((x, y), 5.4, PAPER);
            drawing.circle((x, y), 3.6, mark.color);
        }
        Shape::Triangle => {
            drawing.polygon(&[(x, y - 4.2), (x + 4.0, y + 2.9), (x - 4.0, y + 2.9)], mark.color, 1.0);
        }
        Shape::Diamond => {
            drawing.polygon(&[(x, y - 4.4), (x + 4.4, y), (x, y + 4.4), (x - 4.4, y)], mark.color, 1.0);
        }
    }
}
