//! How wide a text will be. SVG leaves that to whoever draws it, so this estimates it for the widest of the fonts
//! that may be used (DejaVu Sans); in a narrower one, texts have a little more room.

/// An estimate of the width of `text` at a font size of `size`, in pixels.
pub fn width(text: &str, size: u32) -> f64 {
    text.chars().map(advance).sum::<f64>() * f64::from(size)
}

/// The width of the widest of some texts.
pub fn widest<'t>(texts: impl IntoIterator<Item = &'t str>, size: u32) -> f64 {
    texts.into_iter().map(|text| width(text, size)).fold(0.0, f64::max)
}

/// `text` cut at words into lines of at most `room` pixels; a longer word has a line of its own.
pub fn wrapped(text: &str, size: u32, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line, size) + width(word, size) + advance(' ') * f64::from(size) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A label cut into lines of at most `room` pixels, at words or behind a `-`, `_` or `/` in one; none where a part of it is
/// too wide, or where there would be more than three.
pub fn folded(label: &str, size: u32, room: f64) -> Option<String> {
    if width(label, size) <= room {
        return Some(label.to_owned());
    }
    let mut lines: Vec<String> = vec![String::new()];
    for part in label.split_inclusive([' ', '-', '_', '/']) {
        let line = lines.last_mut()?;
        if !line.is_empty() && width(line, size) + width(part.trim_end(), size) > room {
            lines.push(String::new());
        }
        lines.last_mut()?.push_str(part);
    }
    let lines: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
    (lines.len() <= MOST_LINES && lines.iter().all(|line| width(line, size) <= room)).then(|| lines.join("\n"))
}

/// A label of more lines is no label.
const MOST_LINES: usize = 3;

/// Advance widths in em, by classes of similar letters.
fn advance(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '\'' | '|' => 0.29,
        ' ' | '.' | ',' | ':' | ';' | 'I' | '·' => 0.32,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '!' | '/' | '-' | '⁻' | '¹' | '²' | '³' | '⁴'..='⁹' | '⁰' => {
            0.41
        }
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.96,
        '+' | '=' | '<' | '>' | '−' | '×' | '≤' | '≥' | '~' | '±' => 0.84,
        'A'..='Z' => 0.69,
        _ => 0.63,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_folded_where_it_can_be() {
        assert_eq!(folded("mean-preserving clamp", 11, 110.0).as_deref(), Some("mean-preserving\nclamp"));
        assert_eq!(folded("control", 11, 110.0).as_deref(), Some("control"));
        assert_eq!(folded("indistinguishable", 11, 60.0), None);
    }

    #[test]
    fn lines_break_at_words() {
        let lines = wrapped("cumulative ablation of heads", 10, 115.0);
        assert_eq!(lines, ["cumulative ablation", "of heads"]);
        assert_eq!(wrapped("", 10, 50.0), Vec::<String>::new());
    }
}
