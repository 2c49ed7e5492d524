//! Artifacts in the formats that other programs read, made on export and never stored.

mod checkpoint;
mod json;
mod npz;

pub use checkpoint::{CONFIG, config};
pub use json::{laid_out, rows};
pub use npz::npz;

/// The extensions of the files in which what stands in a port of this kind can be written, the stored form first.
pub fn forms(kind: &str) -> &'static [&'static str] {
    match kind {
        "tensor" => &["safetensors", "npz"],
        "weights" => &["safetensors"],
        "table" => &["csv", "json"],
        "figure" => &["svg", "png"],
        // Prompts, tokens and descriptions of models are records too.
        _ => &["json", "jsonl"],
    }
}

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
