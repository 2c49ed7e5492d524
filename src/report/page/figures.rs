//! Figures, each as an image that carries its SVG in itself: an image runs no script and fetches nothing, and ids of
//! one figure cannot meet those of another.

use assay_cache::Artifact;
use assay_stages::render::data_uri;
use serde::Serialize;

use super::known::{Known, Made, Stamp};

#[derive(Serialize)]
pub struct FigureView {
    pub title: String,
    /// The axis labels of its cell.
    pub labels: Option<String>,
    /// The image; none where there was no room for it or it could not be read.
    pub image: Option<Image>,
    pub note: Option<String>,
    pub href: String,
    pub stamp: Stamp,
}

#[derive(Serialize)]
pub struct Image {
    pub uri: String,
    pub width: Option<u32>,
    pub height: Option<u32>,
}

/// Figures and bytes of figures that a page holds; the others are named with their files.
const MOST_FIGURES: usize = 60;
const MOST_BYTES: u64 = 2 << 20;

pub fn figures(known: &Known, made: &[Made]) -> Vec<FigureView> {
    let mut left = MOST_BYTES;
    let mut held = 0;
    let figures = made.iter().filter(|made| made.kind == "figure");
    figures
        .map(|made| {
            let fits = held < MOST_FIGURES && made.output.bytes <= left;
            let image = if fits { image(known, made) } else { Err("no room for it on this page: ".to_owned()) };
            if image.is_ok() {
                held += 1;
                left -= made.output.bytes;
            }
            view(known, made, image)
        })
        .collect()
}

fn view(known: &Known, made: &Made, image: Result<Image, String>) -> FigureView {
    let stage = &known.plan.manifest.stages[made.cell.stage];
    // A control's figure shows what it checks.
    let title = stage.title.as_ref().or(stage.control.as_ref()).cloned().unwrap_or_else(|| known.title(made.cell));
    let several = made.cell.ports.outputs.len() > 1;
    let (image, note) = match image {
        Ok(image) => (Some(image), None),
        Err(note) => (None, Some(note)),
    };
    FigureView {
        title: if several { format!("{title}: {}", made.port) } else { title },
        labels: made.labels(),
        image,
        note,
        href: known.link(made),
        stamp: known.stamp(made.index, made.entry),
    }
}

fn image(known: &Known, made: &Made) -> Result<Image, String> {
    match known.store.look(made.output).map_err(|error| format!("cannot be read: {error} "))? {
        Artifact::Figure(svg) => {
            let size = |name| attribute(&svg, name);
            Ok(Image { width: size("width"), height: size("height"), uri: data_uri(&svg) })
        }
        _ => Err("is no figure ".to_owned()),
    }
}

/// A whole number of pixels in the opening tag: with it, a page does not jump as its images load.
fn attribute(svg: &str, name: &str) -> Option<u32> {
    let (tag, _) = svg.get(svg.find("<svg")?..)?.split_once('>')?;
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"')?.0.parse::<f64>().ok().filter(|size| (1.0..1e5).contains(size)).map(|size| size.round() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_that_of_the_outermost_element() {
        let svg = "<svg xmlns=\"x\" width=\"480.4\" height=\"9\" viewBox=\"0 0 1 1\"><rect width=\"7\"/></svg>";
        assert_eq!((attribute(svg, "width"), attribute(svg, "height")), (Some(480), Some(9)));
        assert_eq!(attribute("<svg><rect width=\"7\"/></svg>", "width"), None);
        assert_eq!(attribute("no markup", "width"), None);
    }
}
