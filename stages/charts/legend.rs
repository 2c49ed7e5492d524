//! The legend: in rows above the plot, where it can cover no data.

use super::{
    axes::TICK_SIZE,
    color::INK,
    marks,
    svg::{Anchor, Area, Drawing, Font, Stroke},
    text,
};

const LINE_KEY: f64 = 26.0;
const MARK_KEY: f64 = 11.0;
const BETWEEN: f64 = 18.0;
const ROW: f64 = 18.0;

/// What the legend shows of a series.
pub struct Entry<'s> {
    pub label: &'s str,
    /// Its line; bars and points have none.
    pub stroke: Option<Stroke>,
    /// Its marker or swatch, and their colour.
    pub mark: Option<marks::Mark>,
}

/// The height of a legend that is `width` pixels wide; none where one series needs no name.
pub fn height(entries: &[Entry], width: f64) -> f64 {
    rows(entries, width).len() as f64 * ROW
}

pub fn draw(drawing: &mut Drawing, area: Area, entries: &[Entry]) {
    for (i, row) in rows(entries, area.w).into_iter().enumerate() {
        let middle = area.y + i as f64 * ROW + ROW / 2.0;
        let mut x = area.x;
        for entry in row {
            let key = entry.key();
            if let Some(stroke) = entry.stroke {
                drawing.line((x, middle), (x + key, middle), stroke);
            }
            if let Some(mark) = entry.mark {
                marks::draw(drawing, (x + key / 2.0, middle), mark);
            }
            let font = Font { size: TICK_SIZE, bold: false, color: INK, anchor: Anchor::Start, upwards: false };
            drawing.text((x + key + 6.0, middle + 4.0), entry.label, font);
            x += entry.width();
        }
    }
}

impl Entry<'_> {
    fn key(&self) -> f64 {
        if self.stroke.is_some() { LINE_KEY } else { MARK_KEY }
    }

    fn width(&self) -> f64 {
        self.key() + 6.0 + text::width(self.label, TICK_SIZE) + BETWEEN
    }
}

fn rows<'e, 's>(entries: &'e [Entry<'s>], width: f64) -> Vec<Vec<&'e Entry<'s>>> {
    let mut rows: Vec<Vec<&Entry>> = vec![];
    let mut used = 0.0;
    for entry in entries {
        let more = entry.width();
        match rows.last_mut() {
            Some(row) if used + more - BETWEEN <= width => row.push(entry),
            _ => {
                rows.push(vec![entry]);
                used = 0.0;
            }
        }
        used += more;
    }
    rows
}
