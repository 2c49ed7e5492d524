//! Renders the dialect of `svg` as PNG, with the font that kuva embeds: the same pixels on a machine without fonts.
//!
//! Not a renderer of SVG at large: an element or a colour that `svg` does not write is an error that names it.

use kuva::{
    RasterBackend,
    render::{
        color::Color,
        render::{PathData, Primitive, Scene, TextAnchor, TextSpan},
    },
};

use super::{
    color::Rgb,
    elements::{Element, elements},
    raster,
};

/// A larger picture is refused rather than tried.
const MOST_PIXELS: f64 = 2e8;

type Point = (f64, f64);

/// A figure as PNG; `scale` is pixels of the picture for each pixel of the figure (3 suits print).
pub fn render_png(svg: &str, scale: f32) -> Result<Vec<u8>, String> {
    let mut scene = None;
    let mut upright = vec![];
    for element in elements(svg)? {
        match element.name {
            "svg" => scene = Some(page(&element, scale)?),
            "g" | "title" => {}
            "text" if element.attribute("transform").is_some() => upright.push(element),
            _ => {
                let scene: &mut Scene = scene.as_mut().ok_or("the figure does not begin with <svg>")?;
                scene.elements.extend(primitives(&element, scale)?);
            }
        }
    }
    let page = scene.ok_or("the figure is empty: it has no <svg>")?;
    let mut picture = Picture::of(&page, scale)?;
    for text in &upright {
        picture.stamp(text, scale)?;
    }
    picture.file(scale)
}

fn page(svg: &Element, scale: f32) -> Result<Scene, String> {
    let (width, height) = (svg.number("width")?, svg.number("height")?);
    let pixels = width * height * f64::from(scale).powi(2);
    if !(scale > 0.0 && (1.0..=MOST_PIXELS).contains(&pixels)) {
        return Err(format!("a figure of {width} × {height} cannot be rendered at the scale {scale}"));
    }
    Ok(Scene::new(width, height))
}

fn primitives(element: &Element, scale: f32) -> Result<Vec<Primitive>, String> {
    match element.name {
        "rect" => rect(element, scale).map(|rect| vec![rect]),
        "line" => {
            let from = (element.number("x1")?, element.number("y1")?);
            stroked(element, &[from, (element.number("x2")?, element.number("y2")?)])
        }
        "polyline" => stroked(element, &element.points()?),
        "polygon" => polygon(element).map(|polygon| vec![polygon]),
        "circle" => circle(element).map(|circle| vec![circle]),
        "image" => image(element, scale).map(|cells| vec![cells]),
        "text" => text(element).map(|text| vec![text]),
        other => Err(format!("<{other}> is not an element of our figures")),
    }
}

fn rect(element: &Element, scale: f32) -> Result<Primitive, String> {
    let edges = [element.number("x")?, element.number("y")?, element.number("width")?, element.number("height")?];
    let [x, y, width, height] =
        if element.attribute("shape-rendering").is_some() { snapped(edges, scale) } else { edges };
    let fill = color(element, "fill")?;
    let stroke = element.attribute("stroke").map(|_| color(element, "stroke")).transpose()?;
    let stroke_width = element.attribute("stroke-width").map(|_| element.number("stroke-width")).transpose()?;
    Ok(Primitive::Rect { x, y, width, height, fill, stroke, stroke_width, opacity: None })
}

/// Edges on whole pixels of the picture, so that neighbouring cells leave no seam: half a pixel is one also where
/// `x + w` has lost its last digit.
fn snapped([x, y, w, h]: [f64; 4], scale: f32) -> [f64; 4] {
    let scale = f64::from(scale);
    let snap = |v: f64| (v * scale + 1e-6).round() / scale;
    [snap(x), snap(y), snap(x + w) - snap(x), snap(y + h) - snap(y)]
}

/// A line, cut into its dashes here: kuva begins the pattern anew at every point of a curve.
fn stroked(element: &Element, points: &[Point]) -> Result<Vec<Primitive>, String> {
    let (stroke, stroke_width) = (color(element, "stroke")?, element.number("stroke-width")?);
    let pattern: Vec<f64> = match element.attribute("stroke-dasharray") {
        Some(dash) => dash.split(' ').map(|part| element.parse(part)).collect::<Result<_, _>>()?,
        None => vec![],
    };
    let parts = if pattern.iter().sum::<f64>() > 0.0 { dashes(points, &pattern) } else { vec![points.to_vec()] };
    let line = |points| Primitive::PolyLine { points, stroke: stroke.clone(), stroke_width, stroke_dasharray: None };
    Ok(parts.into_iter().map(line).collect())
}

fn dashes(points: &[Point], pattern: &[f64]) -> Vec<Vec<Point>> {
    let mut parts = vec![];
    let (mut part, mut left) = (0, pattern[0]);
    let mut drawn: Vec<Point> = points.first().copied().into_iter().collect();
    for pair in points.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        let mut length = (to.0 - from.0).hypot(to.1 - from.1);
        while length > left {
            let t = left / length;
            from = (from.0 + t * (to.0 - from.0), from.1 + t * (to.1 - from.1));
            length -= left;
            drawn.push(from);
            if part % 2 == 0 {
                parts.push(std::mem::take(&mut drawn));
            }
            drawn = vec![from];
            part += 1;
            left = pattern[part % pattern.len()];
        }
        left -= length;
        drawn.push(to);
    }
    if part % 2 == 0 {
        parts.push(drawn);
    }
    parts
}

fn polygon(element: &Element) -> Result<Primitive, String> {
    let points: Vec<_> = element.points()?.iter().map(|(x, y)| format!("{x} {y}")).collect();
    Ok(Primitive::Path(Box::new(PathData {
        d: format!("M{}Z", points.join("L")),
        fill: Some(color(element, "fill")?),
        stroke: Color::None,
        stroke_width: 0.0,
        opacity: Some(element.number("fill-opacity")?),
        stroke_dasharray: None,
    })))
}

fn circle(element: &Element) -> Result<Primitive, String> {
    Ok(Primitive::Circle {
        cx: element.number("cx")?,
        cy: element.number("cy")?,
        r: element.number("r")?,
        fill: color(element, "fill")?,
        fill_opacity: None,
        stroke: None,
        stroke_width: None,
    })
}

/// An image as one rectangle a pixel: kuva draws no images.
fn image(element: &Element, scale: f32) -> Result<Primitive, String> {
    let data = element.attribute("href").and_then(|href| href.strip_prefix("data:image/png;base64,"));
    let (pixels, columns) = raster::pixels(data.ok_or("an <image> holds no PNG")?)?;
    let rows = pixels.len() / columns.max(1);
    let (left, top) = (element.number("x")?, element.number("y")?);
    let (wide, high) = (element.number("width")? / columns as f64, element.number("height")? / rows as f64);
    let (mut x, mut y, mut w, mut h, mut fills) = (vec![], vec![], vec![], vec![], vec![]);
    for (i, color) in pixels.into_iter().enumerate() {
        let (row, column) = ((i / columns) as f64, (i % columns) as f64);
        let cell = snapped([left + column * wide, top + row * high, wide, high], scale);
        for (edge, value) in [&mut x, &mut y, &mut w, &mut h].into_iter().zip(cell) {
            edge.push(value);
        }
        fills.push(Color::Rgb(color.0, color.1, color.2));
    }
    Ok(Primitive::RectBatch { x, y, w, h, fills })
}

fn text(element: &Element) -> Result<Primitive, String> {
    let (x, y, size) = (element.number("x")?, element.number("y")?, element.number("font-size")? as u32);
    let anchor = match element.attribute("text-anchor") {
        Some("middle") => TextAnchor::Middle,
        Some("end") => TextAnchor::End,
        _ => TextAnchor::Start,
    };
    let color = Some(color(element, "fill")?);
    // kuva reads `$…$` as mathematics.
    let content = element.text.replace('$', "\\$");
    if element.attribute("font-weight").is_some() {
        let spans = vec![TextSpan { bold: true, ..TextSpan::plain(&element.text) }];
        return Ok(Primitive::RichText { x, y, spans, size, anchor, color });
    }
    Ok(Primitive::Text { x, y, content, size, anchor, rotate: None, bold: false, color })
}

fn color(element: &Element, name: &str) -> Result<Color, String> {
    Ok(element.color(name)?.map_or(Color::None, |Rgb(r, g, b)| Color::Rgb(r, g, b)))
}

/// Pixels, three bytes each, row by row.
struct Picture {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

impl Picture {
    fn of(scene: &Scene, scale: f32) -> Result<Self, String> {
        let file = RasterBackend::new().with_scale(scale).render_scene(scene)?;
        let broken = |error: png::DecodingError| format!("kuva's picture cannot be read: {error}");
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().map_err(broken)?;
        let mut bytes = vec![0; reader.output_buffer_size().ok_or("the picture is too large")?];
        let info = reader.next_frame(&mut bytes).map_err(broken)?;
        if info.color_type == png::ColorType::Rgba {
            bytes = bytes.as_chunks::<4>().0.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect();
        }
        Ok(Self { width: info.width as usize, height: info.height as usize, bytes })
    }

    /// Draws a text that runs upwards: it is drawn lying on white, and its pixels are turned by a quarter. (kuva turns
    /// by resampling, which makes letters heavy.)
    fn stamp(&mut self, element: &Element, scale: f32) -> Result<(), String> {
        let (x, y, size) = (element.number("x")?, element.number("y")?, element.number("font-size")?);
        let lying = Scene::new(self.height as f64 / f64::from(scale) * 2.0, size * 2.0);
        let (middle, baseline) = ((lying.width / 2.0).floor(), (size * 1.4).floor());
        let mut scene = lying;
        scene.elements.push(match text(element)? {
            Primitive::Text { content, size, anchor, rotate, bold, color, .. } => {
                Primitive::Text { x: middle, y: baseline, content, size, anchor, rotate, bold, color }
            }
            other => other,
        });
        let turned = Self::of(&scene, scale)?;
        let pixel = |value: f64| (value * f64::from(scale)).round() as i64;
        for (i, ink) in turned.bytes.as_chunks::<3>().0.iter().enumerate().filter(|(_, ink)| **ink != [255; 3]) {
            let (along, down) =
                ((i % turned.width) as i64 - pixel(middle), (i / turned.width) as i64 - pixel(baseline));
            let (column, row) = (pixel(x) + down, pixel(y) - along - 1);
            if (0..self.width as i64).contains(&column) && (0..self.height as i64).contains(&row) {
                let at = (row as usize * self.width + column as usize) * 3;
                for (under, ink) in self.bytes[at..at + 3].iter_mut().zip(ink) {
                    *under = (u16::from(*under) * u16::from(*ink) / 255) as u8;
                }
            }
        }
        Ok(())
    }

    /// The PNG file, with its density: a figure's pixel is a ninety-sixth of an inch.
    fn file(&self, scale: f32) -> Result<Vec<u8>, String> {
        let mut file = vec![];
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        let density = (f64::from(scale) * 96.0 / 0.0254).round() as u32;
        encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: density, yppu: density, unit: png::Unit::Meter }));
        let failed = |error: png::EncodingError| format!("the picture cannot be written: {error}");
        encoder.write_header().and_then(|mut writer| writer.write_image_data(&self.bytes)).map_err(failed)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_go_on_around_corners() {
        let parts = dashes(&[(0.0, 0.0), (3.0, 0.0), (3.0, 10.0)], &[5.0, 4.0]);
        assert_eq!(parts, [vec![(0.0, 0.0), (3.0, 0.0), (3.0, 2.0)], vec![(3.0, 6.0), (3.0, 10.0)]]);
    }

    #[test]
    fn what_is_not_ours_is_refused_by_name() {
        let page = |inner: &str| format!("<svg width=\"9\" height=\"9\">{inner}</svg>");
        let said = |inner: &str| render_png(&page(inner), 1.0).unwrap_err();
        assert!(said("<ellipse/>").contains("<ellipse>"));
        assert!(
            said("<line x1=\"0\" y1=\"0\" x2=\"NaN\" y2=\"1\" stroke=\"none\" stroke-width=\"1\"/>").contains("NaN")
        );
        assert!(said("<rect x=\"0\" y=\"0\" width=\"1\" height=\"1\" fill=\"tomato\"/>").contains("tomato"));
        assert!(render_png("", 1.0).is_err());
        assert!(render_png(&page(""), 1e9).is_err());
        assert!(render_png(&page(""), f32::NAN).is_err());
        assert!(render_png("<svg width=\"9\" hei", 1.0).is_err());
    }
}
