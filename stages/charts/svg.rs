//! Writes SVG, in a small dialect: `rect`, `line`, `polyline`, `polygon`, `circle`, `image`, `text`, and `g` around
//! panels. No ids, no style sheets, no clip paths: figures can stand side by side in one page, and equal figures are
//! equal bytes. `png` reads the same dialect.

use std::fmt::Write;

use super::color::Rgb;

/// The font of every text; a page or a paper may restyle it.
const FONT: &str = "Helvetica, Arial, 'DejaVu Sans', sans-serif";

/// An SVG document in the making. Later marks lie over earlier ones.
pub struct Drawing {
    width: f64,
    height: f64,
    body: String,
}

/// A rectangle of the page, in pixels, y downwards.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Area {
    pub x: f64,
    pub y: f64,
    pub w: f64,
    pub h: f64,
}

/// How a line is drawn. `dash` is a pattern in pixels, empty for a solid line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Stroke {
    pub color: Rgb,
    pub width: f64,
    pub dash: &'static str,
}

/// Where a text's anchor lies in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A text's look.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Font {
    pub size: u32,
    pub bold: bool,
    pub color: Rgb,
    pub anchor: Anchor,
    /// Turned by a quarter, to be read from below.
    pub upwards: bool,
}

impl Area {
    pub fn right(&self) -> f64 {
        self.x + self.w
    }

    pub fn bottom(&self) -> f64 {
        self.y + self.h
    }
}

impl Stroke {
    pub fn solid(color: Rgb, width: f64) -> Self {
        Self { color, width, dash: "" }
    }

    fn attributes(&self) -> String {
        let mut text = format!(r#" stroke="{}" stroke-width="{}""#, self.color, number(self.width));
        if !self.dash.is_empty() {
            let _ = write!(text, r#" stroke-dasharray="{}""#, self.dash);
        }
        text
    }
}

impl Drawing {
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// The document. `title` is what a screen reader says.
    pub fn finish(self, title: &str) -> String {
        let (w, h) = (number(self.width), number(self.height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
             font-family=\"{FONT}\" role=\"img\">\n<title>{}</title>\n\
             <rect x=\"0\" y=\"0\" width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>\n{}</svg>\n",
            escaped(title),
            self.body
        )
    }

    pub fn open(&mut self, class: &str) {
        let _ = writeln!(self.body, "<g class=\"{class}\">");
    }

    pub fn close(&mut self) {
        self.body.push_str("</g>\n");
    }

    /// A filled rectangle whose edges are not smoothed, and are rounded where they are and not by its size, so that
    /// neighbours leave no seam.
    pub fn cell(&mut self, area: Area, fill: Rgb) {
        let [x, y, right, bottom] = [area.x, area.y, area.right(), area.bottom()].map(hundredths);
        let area = Area { x, y, w: right - x, h: bottom - y };
        let _ = writeln!(self.body, r#"<rect{} fill="{fill}" shape-rendering="crispEdges"/>"#, place(area));
    }

    pub fn bar(&mut self, area: Area, fill: Rgb) {
        let _ = writeln!(self.body, r#"<rect{} fill="{fill}"/>"#, place(area));
    }

    pub fn frame(&mut self, area: Area, stroke: Stroke) {
        let _ = writeln!(self.body, r#"<rect{} fill="none"{}/>"#, place(area), stroke.attributes());
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(number);
        let _ = writeln!(self.body, r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"{}/>"#, stroke.attributes());
    }

    pub fn polyline(&mut self, points: &[(f64, f64)], stroke: Stroke) {
        let (points, stroke) = (list(points), stroke.attributes());
        let _ = writeln!(self.body, r#"<polyline points="{points}" fill="none"{stroke} stroke-linejoin="round"/>"#);
    }

    pub fn polygon(&mut self, points: &[(f64, f64)], fill: Rgb, opacity: f64) {
        let (points, opacity) = (list(points), number(opacity));
        let _ = writeln!(self.body, r#"<polygon points="{points}" fill="{fill}" fill-opacity="{opacity}"/>"#);
    }

    pub fn circle(&mut self, center: (f64, f64), radius: f64, fill: Rgb) {
        let [x, y, r] = [center.0, center.1, radius].map(number);
        let _ = writeln!(self.body, r#"<circle cx="{x}" cy="{y}" r="{r}" fill="{fill}"/>"#);
    }

    /// A raster of unsmoothed cells; `png` is a whole PNG file in base64.
    pub fn image(&mut self, area: Area, png: &str) {
        let _ = writeln!(
            self.body,
            r#"<image{} preserveAspectRatio="none" style="image-rendering:optimizeSpeed;image-rendering:pixelated" href="data:image/png;base64,{png}"/>"#,
            place(area)
        );
    }

    pub fn text(&mut self, at: (f64, f64), text: &str, font: Font) {
        let (x, y) = (number(at.0), number(at.1));
        let anchor = match font.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let bold = if font.bold { r#" font-weight="bold""# } else { "" };
        let turn = if font.upwards { format!(r#" transform="rotate(-90 {x} {y})""#) } else { String::new() };
        let _ = writeln!(
            self.body,
            r#"<text x="{x}" y="{y}" font-size="{}" fill="{}" text-anchor="{anchor}"{bold}{turn}>{}</text>"#,
            font.size,
            font.color,
            escaped(text)
        );
    }
}

fn place(area: Area) -> String {
    let [x, y, w, h] = [area.x, area.y, area.w, area.h].map(number);
    format!(r#" x="{x}" y="{y}" width="{w}" height="{h}""#)
}

fn list(points: &[(f64, f64)]) -> String {
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y))).collect();
    points.join(" ")
}

/// At most two decimals: a hundredth of a pixel is seen by nobody.
pub fn number(value: f64) -> String {
    let rounded = hundredths(value);
    if rounded == 0.0 { "0".to_owned() } else { rounded.to_string() }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Text as XML; control characters, which XML cannot hold, are left out.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            character if character.is_control() => {}
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_negative_zero() {
        assert_eq!([12.0, 0.126, -0.001, 1e-9].map(number), ["12", "0.13", "0", "0"]);
    }

    #[test]
    fn what_xml_cannot_hold_is_escaped_or_left_out() {
        assert_eq!(escaped("a<b & \"c\"\u{1}"), "a&lt;b &amp; &quot;c&quot;");
    }
}
