//! The line of a text that a problem stands in, fit for a terminal: control characters are shown, not obeyed, and a
//! long line is cut to a window around the caret.

use super::Span;

/// One line, and which part of it is meant.
pub struct Excerpt {
    /// Both from 1; the column counts characters.
    pub line: usize,
    pub column: usize,
    /// Never empty, one line, no control characters.
    pub shown: String,
    /// Bytes of `shown`.
    pub span: Span,
}

/// Line and column (both from 1, in characters) of a byte.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

impl Excerpt {
    /// The line where `span` begins, in at most about `width` columns.
    pub fn of(text: &str, span: &Span, width: usize) -> Self {
        let start = text.floor_char_boundary(span.start);
        let (line, column) = position(text, start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let end = text.floor_char_boundary(span.end).clamp(start, line_end);
        let room = width.max(40);
        let fits = text[line_start..line_end].chars().map(columns_of).sum::<usize>() <= room;
        let left = if fits { 0 } else { leftmost(&text[line_start..start], room / 3) } + line_start;
        let (shown, span) = window(&text[left..line_end], start - left, end - left, room, left > line_start);
        Self { line, column, shown, span }
    }
}

/// Where the window opens so that about `room` columns stand left of the caret.
fn leftmost(before: &str, room: usize) -> usize {
    let mut columns = 0;
    for (at, c) in before.char_indices().rev() {
        columns += columns_of(c);
        if columns > room {
            return at + c.len_utf8();
        }
    }
    0
}

/// The beginning of `line` as it is shown, and where `start..end` stands in it.
fn window(line: &str, start: usize, end: usize, room: usize, cut_left: bool) -> (String, Span) {
    let mut shown = String::from(if cut_left { "…" } else { "" });
    let (mut from, mut to) = (None, None);
    let mut columns = 0;
    for (at, c) in line.char_indices() {
        if at == start {
            from = Some(shown.len());
        }
        if at == end {
            to = Some(shown.len());
        }
        columns += columns_of(c);
        if columns > room {
            shown.push('…');
            break;
        }
        push_shown(&mut shown, c);
    }
    let from = from.unwrap_or(shown.len());
    let to = to.unwrap_or(shown.len());
    if from == shown.len() {
        shown.push(' '); // a place for the caret at the end of a line
    }
    let first = shown[from..].chars().next().map_or(1, char::len_utf8);
    let to = to.max(from + first);
    (shown, from..to)
}

/// Text from a manifest, as a terminal may have it.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    text.chars().for_each(|c| if c == '\n' { shown.push(c) } else { push_shown(&mut shown, c) });
    shown
}

fn push_shown(shown: &mut String, c: char) {
    match c {
        '\t' => shown.push(' '),
        '\r' => {}
        c if hidden(c) => shown.extend(c.escape_unicode()),
        c => shown.push(c),
    }
}

/// Control characters, and those that change the direction of text or take no room (they could hide what is meant).
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// An upper bound of the columns a character takes.
fn columns_of(c: char) -> usize {
    match c {
        '\t' => 1,
        c if hidden(c) => 8,
        c if c < '\u{1100}' => 1, // the first of the wide characters
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caret(text: &str, span: Span, width: usize) -> (String, String) {
        let excerpt = Excerpt::of(text, &span, width);
        let meant = excerpt.shown[excerpt.span.clone()].to_owned();
        (excerpt.shown, meant)
    }

    #[test]
    fn the_line_and_the_part_that_is_meant() {
        let text = "a = 1\nb = \"é\" # c\r\nd";
        assert_eq!(caret(text, 10..14, 80), ("b = \"é\" # c".into(), "\"é\"".into()));
        assert_eq!(position(text, 17), (2, 11));
        assert_eq!(caret(text, 21..21, 80), ("d ".into(), " ".into()));
    }

    #[test]
    fn a_span_over_several_lines_ends_with_its_first() {
        assert_eq!(caret("x = [\n1,\n2]\n", 4..11, 80), ("x = [".into(), "[".into()));
    }

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        let (shown, meant) = caret("k = '\u{1b}[31m\u{202e}'", 4..14, 80);
        assert_eq!(shown, r"k = '\u{1b}[31m\u{202e}'");
        assert_eq!(meant, r"'\u{1b}[31m\u{202e}'");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let text = format!("{}HERE{}", "a".repeat(5000), "b".repeat(5000));
        let (shown, meant) = caret(&text, 5000..5004, 60);
        assert_eq!(meant, "HERE");
        assert!(shown.starts_with("…aaa") && shown.ends_with("bbb…"));
        assert!(shown.chars().count() <= 62, "{shown}");
    }

    #[test]
    fn offsets_beyond_the_text_or_inside_a_character_do_no_harm() {
        assert_eq!(caret("é", 1..900, 80).1, "é");
        assert_eq!(caret("", 3..9, 80), (" ".into(), " ".into()));
    }
}
