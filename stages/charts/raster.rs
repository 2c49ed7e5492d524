//! Large matrices as palette PNGs inside an SVG: a byte a cell, where a rectangle a cell would be sixty.

use ndarray::Array2;

use super::color::Rgb;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `cells` as a PNG in base64, one pixel a cell. Equal cells give equal bytes.
pub fn indexed_png(cells: &Array2<f64>, shade: impl Fn(f64) -> u8, palette: &[Rgb]) -> String {
    let (height, width) = cells.dim();
    let pixels: Vec<u8> = cells.iter().map(|value| shade(*value)).collect();
    let mut file = vec![];
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette.iter().flat_map(|c| [c.0, c.1, c.2]).collect::<Vec<u8>>());
    encoder.set_compression(png::Compression::High);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
    written.expect("a matrix that is not empty is a valid image, and memory can be written");
    base64(&file)
}

/// The pixels of such a PNG, row by row, and its width.
pub fn pixels(base64: &str) -> Result<(Vec<Rgb>, usize), String> {
    let file = from_base64(base64).ok_or("an image is not in base64")?;
    let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(|error| format!("an image cannot be read: {error}"))?;
    let size = reader.output_buffer_size().ok_or("an image is too large")?;
    let mut bytes = vec![0; size];
    let info = reader.next_frame(&mut bytes).map_err(|error| format!("an image cannot be read: {error}"))?;
    if info.color_type != png::ColorType::Rgb {
        return Err("an image is not in colours of a palette".to_owned());
    }
    let (colors, _) = bytes.as_chunks::<3>();
    Ok((colors.iter().map(|[r, g, b]| Rgb(*r, *g, *b)).collect(), info.width as usize))
}

/// Bytes as text, by RFC 4648.
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0u32, |word, (i, byte)| word | u32::from(*byte) << (16 - 8 * i));
        for i in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= chunk.len() { digit as char } else { '=' });
        }
    }
    text
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![];
    for chunk in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut word = 0u32;
        for (i, digit) in chunk.iter().enumerate() {
            let value = ALPHABET.iter().position(|letter| letter == digit)?;
            word |= (value as u32) << (18 - 6 * i);
        }
        bytes.extend(&word.to_be_bytes()[1..chunk.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
            assert_eq!(from_base64(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(from_base64("Zm9v!"), None);
    }

    #[test]
    fn pixels_come_back() {
        let palette = [Rgb(1, 2, 3), Rgb(40, 50, 60), Rgb(255, 0, 0)];
        let cells = ndarray::arr2(&[[0.0, 1.0, 2.0], [2.0, 2.0, 0.0]]);
        let (found, width) = pixels(&indexed_png(&cells, |value| value as u8, &palette)).unwrap();
        assert_eq!(width, 3);
        assert_eq!(found, [0, 1, 2, 2, 2, 0].map(|i: usize| palette[i]));
    }
}
