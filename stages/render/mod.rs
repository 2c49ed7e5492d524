//! Artifacts in the formats that other programs read, made on export and never stored.

mod checkpoint;
mod npz;

pub use checkpoint::{CONFIG, config};
pub use npz::npz;

/// Pixels of a picture for each pixel of the figure: what print takes.
const PNG_SCALE: f32 = 3.0;

/// A figure as an image that a page can hold. An image runs no scripts and fetches nothing, whatever its SVG says.
pub fn data_uri(svg: &str) -> String {
    format!("data:image/svg+xml;base64,{}", crate::charts::base64(svg.as_bytes()))
}

/// A figure as PNG.
pub fn png(svg: &str) -> Result<Vec<u8>, String> {
    crate::charts::render_png(svg, PNG_SCALE)
}
