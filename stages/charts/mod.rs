//! Charts for papers: one grammar (`spec`), one layout, six sorts of panel, SVG out, PNG on request.
//!
//! Every length is in pixels of the page and every mark is laid out here, so that equal inputs give equal bytes. Data
//! that are missing are shown as missing: gaps in lines, struck cells in matrices. Nothing is smoothed or aggregated.

mod axes;
mod bars;
mod boxes;
mod clip;
mod color;
mod curves;
mod data;
mod elements;
mod heat;
mod legend;
mod lines;
mod marks;
mod network;
mod png;
mod raster;
mod scale;
pub mod spec;
mod svg;
mod text;

pub use data::{check, panel};
pub use png::render_png;
pub use raster::base64;

use bars::Bars;
use boxes::Boxes;
use color::INK;
use curves::Curves;
use heat::Heat;
use network::Network;
use spec::{AxisSpec, LineSpec, ZoneSpec};
use svg::{Anchor, Area, Drawing, Font};

const TITLE_SIZE: u32 = 14;
const PANEL_TITLE_SIZE: u32 = 12;
const TITLE_LINE: f64 = 19.0;
const EDGE: f64 = 10.0;
const BETWEEN: f64 = 22.0;
/// A colour bar that panels share is no higher.
const HIGHEST_BAR: f64 = 300.0;

/// A figure whose data are at hand.
pub struct Figure {
    pub title: String,
    pub panels: Vec<Panel>,
    /// Panels in a row.
    pub columns: usize,
    pub width: f64,
    /// The height of a panel; otherwise what suits it.
    pub height: Option<f64>,
    /// The colour bar that its matrices share.
    pub bar: Option<Heat>,
}

/// A panel whose data are at hand.
pub struct Panel {
    pub title: String,
    pub x: AxisSpec,
    pub y: AxisSpec,
    pub lines: Vec<LineSpec>,
    pub zones: Vec<ZoneSpec>,
    pub body: Body,
    /// The room that its left side and its head have at least: what its neighbours need.
    pub left: f64,
    pub top: f64,
    /// How large its matrix is at most, if that is a square: as large as its neighbours'.
    pub side: f64,
}

pub enum Body {
    Curves(Curves),
    Bars(Bars),
    Boxes(Boxes),
    Network(Network),
    Heat(Heat),
}

/// Gives the matrices of several panels one range of colours, and one colour bar.
pub fn share_colors(panels: &mut [Panel]) -> Option<Heat> {
    Heat::share(
        panels.iter_mut().filter_map(|panel| if let Body::Heat(heat) = &mut panel.body { Some(heat) } else { None }),
    )
}

/// Gives panels with a numeric y one range of it, so that heights compare across them.
pub fn share_y(panels: &mut [Panel]) {
    let ranges = panels.iter().filter_map(Panel::y_range);
    let Some((min, max)) = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else { return };
    for panel in panels {
        (panel.y.min, panel.y.max) = (Some(min), Some(max));
    }
}

impl Figure {
    /// The SVG document.
    pub fn draw(mut self) -> String {
        let columns = self.columns.clamp(1, self.panels.len().max(1));
        let beside = self.bar.as_ref().map_or(0.0, Heat::right_room);
        let inner = self.width - 2.0 * EDGE - beside;
        let wide = (inner - BETWEEN * (columns - 1) as f64) / columns as f64;
        let title = text::wrapped(&self.title, TITLE_SIZE, self.width - 2.0 * EDGE);
        let top = EDGE + if title.is_empty() { 0.0 } else { TITLE_LINE * title.len() as f64 + 6.0 };
        self.align(columns, wide);
        let rows: Vec<&[Panel]> = self.panels.chunks(columns).collect();
        let tall = |panel: &Panel| self.tall(panel, wide);
        let heights: Vec<f64> = rows.iter().map(|row| row.iter().map(tall).fold(0.0, f64::max)).collect();
        let gaps = BETWEEN * (rows.len().max(1) - 1) as f64;
        let mut drawing = Drawing::new(self.width, (top + heights.iter().sum::<f64>() + gaps + EDGE).ceil());
        self.headline(&mut drawing, &title);
        let mut y = top;
        for (row, h) in rows.iter().zip(heights) {
            for (i, panel) in row.iter().enumerate() {
                let x = EDGE + i as f64 * (wide + BETWEEN);
                panel.draw(&mut drawing, Area { x, y, w: wide, h });
            }
            y += h + BETWEEN;
        }
        if let Some(bar) = &self.bar {
            let room = y - BETWEEN - top;
            let high = (0.8 * room).min(HIGHEST_BAR);
            let beside = Area { x: EDGE, y: top + (room - high) / 2.0, w: inner, h: high };
            bar.color_bar(&mut drawing, beside);
        }
        drawing.finish(&self.spoken())
    }

    fn tall(&self, panel: &Panel, wide: f64) -> f64 {
        self.height.unwrap_or_else(|| panel.height(wide))
    }

    /// Lets the plots of a row begin at one height, those that stand below one another at one left edge, and squares of a
    /// row be of one size, so that they compare by eye.
    fn align(&mut self, columns: usize, wide: f64) {
        for column in 0..columns {
            let below = self.panels.iter().skip(column).step_by(columns);
            let with_axes = below.filter(|panel| !matches!(panel.body, Body::Network(_)));
            let area = |panel: &Panel| Area { x: 0.0, y: 0.0, w: wide, h: self.tall(panel, wide) };
            let most = with_axes.map(|panel| panel.room(area(panel)).x).fold(0.0, f64::max);
            self.panels.iter_mut().skip(column).step_by(columns).for_each(|panel| panel.left = most);
        }
        for row in self.panels.chunks_mut(columns) {
            let most = row.iter().map(|panel| panel.head(wide)).fold(0.0, f64::max);
            row.iter_mut().for_each(|panel| panel.top = most);
        }
        let sides: Vec<f64> = self
            .panels
            .iter()
            .map(|panel| panel.square(wide, self.tall(panel, wide)).unwrap_or(f64::INFINITY))
            .collect();
        for (row, sides) in self.panels.chunks_mut(columns).zip(sides.chunks(columns)) {
            let least = sides.iter().copied().fold(f64::INFINITY, f64::min);
            row.iter_mut().for_each(|panel| panel.side = least);
        }
    }

    /// What a screen reader says: the title, else what the first panel shows.
    fn spoken(&self) -> String {
        match self.panels.first() {
            Some(panel) if self.title.is_empty() => match &panel.body {
                Body::Heat(heat) => heat.color.title(),
                Body::Network(_) => panel.title.clone(),
                _ => format!("{} over {}", panel.y.title(), panel.x.title()),
            },
            _ => self.title.clone(),
        }
    }

    fn headline(&self, drawing: &mut Drawing, lines: &[String]) {
        let font = Font { size: TITLE_SIZE, bold: true, color: INK, anchor: Anchor::Start, upwards: false };
        for (i, line) in lines.iter().enumerate() {
            drawing.text((EDGE, EDGE + TITLE_LINE * i as f64 + 13.0), line, font);
        }
    }
}

impl Panel {
    /// The height that suits a panel `width` pixels wide.
    fn height(&self, width: f64) -> f64 {
        let tried = Area { x: 0.0, y: 0.0, w: width, h: 0.62 * width };
        let plot = self.room(tried);
        let around = tried.h - plot.h;
        match &self.body {
            Body::Heat(heat) if heat.square() => around + plot.w,
            Body::Network(_) => around + plot.w.min(600.0),
            Body::Heat(heat) => {
                let cell = (plot.w / heat.columns.len() as f64).clamp(12.0, 26.0);
                around + (cell * heat.rows.len() as f64).clamp(120.0, 700.0)
            }
            _ => around + (0.6 * plot.w).clamp(150.0, 420.0),
        }
    }

    fn legend(&self) -> Vec<legend::Entry<'_>> {
        let entries = match &self.body {
            Body::Curves(curves) => curves.legend(),
            Body::Bars(bars) => bars.legend(),
            Body::Boxes(boxes) => boxes.legend(),
            Body::Network(network) => network.legend(),
            Body::Heat(_) => vec![],
        };
        let needless = entries.len() < 2 && entries.iter().all(|entry| entry.label.is_empty());
        if needless { vec![] } else { entries }
    }

    /// Its title in a panel `width` pixels wide: it begins where the plot does.
    fn title_lines(&self, width: f64) -> Vec<String> {
        text::wrapped(&self.title, PANEL_TITLE_SIZE, width - self.left)
    }

    /// What is above the plot: title and legend.
    fn head(&self, width: f64) -> f64 {
        let title = self.title_lines(width).len() as f64 * 16.0;
        let legend = legend::height(&self.legend(), width - self.left);
        (title + legend + if title + legend > 0.0 { 8.0 } else { 4.0 }).max(self.top)
    }

    /// Where data are drawn in a panel that fills `area`: a square where the matrix should be one.
    fn plot(&self, area: Area) -> Area {
        let room = self.room(area);
        match &self.body {
            Body::Heat(heat) if heat.square() => {
                let side = room.w.min(room.h).min(self.side);
                Area { w: side, h: side, ..room }
            }
            _ => room,
        }
    }

    /// The side of its matrix, where that is a square.
    fn square(&self, w: f64, h: f64) -> Option<f64> {
        let heat = matches!(&self.body, Body::Heat(heat) if heat.square());
        heat.then(|| self.plot(Area { x: 0.0, y: 0.0, w, h }).w)
    }

    /// The range that its y shows.
    fn y_range(&self) -> Option<(f64, f64)> {
        let any = Area { x: 0.0, y: 0.0, w: 100.0, h: 100.0 };
        let scale = match &self.body {
            Body::Curves(curves) => curves.scales(any, &self.x, &self.y, &self.lines).1,
            Body::Bars(bars) => bars.scale(any, &self.y, &self.lines),
            Body::Boxes(boxes) => boxes.scale(any, &self.y, &self.lines),
            Body::Network(_) | Body::Heat(_) => return None,
        };
        Some((scale.min, scale.max))
    }

    /// What titles, legend, labels and colour bar leave of `area`.
    fn room(&self, area: Area) -> Area {
        let head = self.head(area.w);
        if let Body::Network(_) = self.body {
            return Area { y: area.y + head, h: (area.h - head).max(60.0), ..area };
        }
        let bottom = axes::bottom_room(&self.x.title(), f64::from(axes::TICK_SIZE));
        // The labels of the left side depend on its length and the length not on them: the first guess holds.
        let guess = Area { x: area.x, y: area.y + head, w: area.w, h: (area.h - head - bottom).max(60.0) };
        let (below, beside) = self.sides(guess);
        let labels: Vec<String> = beside.ticks.into_iter().map(|(_, label)| label).collect();
        let left = axes::left_room(&beside.title, &labels).max(self.left);
        let half_label = below.ticks.last().map_or(0.0, |(_, label)| text::width(label, axes::TICK_SIZE) / 2.0);
        let right = match &self.body {
            Body::Heat(heat) => heat.right_room(),
            // Labels stand in the middle of their places.
            Body::Bars(_) | Body::Boxes(_) => 8.0,
            _ => (half_label + 2.0).max(8.0),
        };
        let room = Area { x: area.x + left, w: (area.w - left - right).max(60.0), ..guess };
        // Labels below are deeper in less room, and take that from the height.
        let more = axes::bottom_room(&self.x.title(), self.sides(room).0.depth()) - bottom;
        Area { h: (room.h - more).max(60.0), ..room }
    }

    fn sides(&self, plot: Area) -> (axes::Side, axes::Side) {
        let (x, y) = (&self.x, &self.y);
        match &self.body {
            Body::Curves(curves) => {
                let (across, up) = curves.scales(plot, x, y, &self.lines);
                curves::sides(plot, (x, &across), (y, &up))
            }
            Body::Bars(bars) => bars.sides(plot, x, (y, &bars.scale(plot, y, &self.lines))),
            Body::Boxes(boxes) => boxes.sides(plot, x, (y, &boxes.scale(plot, y, &self.lines))),
            Body::Network(_) => (axes::Side::default(), axes::Side::default()),
            Body::Heat(heat) => heat.sides(plot, x, y),
        }
    }

    fn draw(&self, drawing: &mut Drawing, area: Area) {
        let plot = self.plot(area);
        drawing.open("panel");
        self.draw_head(drawing, area, plot);
        let (below, beside) = self.sides(plot);
        match &self.body {
            Body::Curves(curves) => {
                let (x, y) = curves.scales(plot, &self.x, &self.y, &self.lines);
                axes::zones(drawing, plot, &self.zones, Some(&x), &y);
                axes::grid(drawing, plot, &beside);
                axes::zone_labels(drawing, plot, &self.zones, Some(&x), &y);
                lines::fixed_lines(drawing, plot, &self.lines, (Some(&x), &y), curves.obstacles(&x, &y));
                curves.draw(drawing, plot, &x, &y);
                axes::spines(drawing, plot);
            }
            Body::Bars(bars) => {
                let y = bars.scale(plot, &self.y, &self.lines);
                axes::zones(drawing, plot, &self.zones, None, &y);
                axes::grid(drawing, plot, &beside);
                bars.draw(drawing, plot, &y);
                axes::zone_labels(drawing, plot, &self.zones, None, &y);
                lines::fixed_lines(drawing, plot, &self.lines, (None, &y), bars.obstacles(plot, &y));
                axes::spines(drawing, plot);
            }
            Body::Boxes(boxes) => {
                let y = boxes.scale(plot, &self.y, &self.lines);
                axes::zones(drawing, plot, &self.zones, None, &y);
                axes::grid(drawing, plot, &beside);
                axes::zone_labels(drawing, plot, &self.zones, None, &y);
                lines::fixed_lines(drawing, plot, &self.lines, (None, &y), boxes.obstacles(plot, &y));
                boxes.draw(drawing, plot, &y);
                axes::spines(drawing, plot);
            }
            Body::Network(network) => network.draw(drawing, plot),
            Body::Heat(heat) => {
                heat.draw(drawing, plot, &self.x, &self.y);
                heat.fixed_lines(drawing, plot, (&self.x, &self.y), &self.lines);
            }
        }
        axes::sides(drawing, plot, &below, &beside);
        drawing.close();
    }

    fn draw_head(&self, drawing: &mut Drawing, area: Area, plot: Area) {
        let lines = self.title_lines(area.w);
        let font = Font { size: PANEL_TITLE_SIZE, bold: true, color: INK, anchor: Anchor::Start, upwards: false };
        for (i, line) in lines.iter().enumerate() {
            drawing.text((plot.x, area.y + 16.0 * i as f64 + 11.0), line, font);
        }
        let below = Area { x: plot.x, y: area.y + 16.0 * lines.len() as f64, w: area.right() - plot.x, h: 0.0 };
        legend::draw(drawing, below, &self.legend());
    }
}
