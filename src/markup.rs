//! Text as HTML and XML hold it. Whatever comes from a manifest, a model or a file passes through here on its way into
//! a page or a drawing, so that nothing in it can become markup.

use std::fmt;

/// Writes text so that it stands for itself, in elements and in quoted attributes.
///
/// Characters that act rather than show (controls other than tab and newline, and those that turn the direction of
/// writing, with which text can pose as other text) are written as `�`.
pub fn write_escaped(text: &str, out: &mut (impl fmt::Write + ?Sized)) -> fmt::Result {
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        let Some(replacement) = replacement(character) else { continue };
        out.write_str(&text[plain..at])?;
        out.write_str(replacement)?;
        plain = at + character.len_utf8();
    }
    out.write_str(&text[plain..])
}

pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    write_escaped(text, &mut out).expect("a string takes all that is written to it");
    out
}

fn replacement(character: char) -> Option<&'static str> {
    match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        '\t' | '\n' => None,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => Some("\u{fffd}"),
        character if character.is_control() => Some("\u{fffd}"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup_or_acts() {
        assert_eq!(escaped("<b a='1' c=\"2\">&amp;"), "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;amp;");
        assert_eq!(escaped("σ\t\n\u{1b}[31m\u{202e}x\r"), "σ\t\n\u{fffd}[31m\u{fffd}x\u{fffd}");
    }
}
