//! `"${params.model}"` inside a string: where the references are, and what they name.

/// A piece of a string.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Reference {
        /// What stands between the braces.
        name: String,
        /// The bytes of the string from `$` to `}`.
        at: std::ops::Range<usize>,
    },
}

/// A `${` that has no `}`, by the byte of its `$`.
#[derive(Debug, PartialEq, Eq)]
pub struct Unterminated(pub usize);

/// The pieces of a string; `$$` stands for one `$`, and a `$` before anything else for itself.
pub fn pieces(text: &str) -> Result<Vec<Piece>, Unterminated> {
    let mut pieces = vec![];
    let mut plain = String::new();
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|found| at + found) {
        plain.push_str(&text[at..dollar]);
        let after = &text[dollar + 1..];
        if let Some(inside) = after.strip_prefix('{') {
            let length = inside.find('}').ok_or(Unterminated(dollar))?;
            flush(&mut plain, &mut pieces);
            at = dollar + 2 + length + 1;
            pieces.push(Piece::Reference { name: inside[..length].trim().to_owned(), at: dollar..at });
        } else {
            plain.push('$');
            at = dollar + if after.starts_with('$') { 2 } else { 1 };
        }
    }
    plain.push_str(&text[at..]);
    flush(&mut plain, &mut pieces);
    Ok(pieces)
}

fn flush(plain: &mut String, pieces: &mut Vec<Piece>) {
    if !plain.is_empty() {
        pieces.push(Piece::Text(std::mem::take(plain)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    fn reference(name: &str, at: std::ops::Range<usize>) -> Piece {
        Piece::Reference { name: name.into(), at }
    }

    #[test]
    fn references_and_text_alternate() {
        assert_eq!(pieces("a${x}b").unwrap(), [text("a"), reference("x", 1..5), text("b")]);
        assert_eq!(pieces("${ a.b }${c}").unwrap(), [reference("a.b", 0..8), reference("c", 8..12)]);
        assert_eq!(pieces("").unwrap(), []);
    }

    #[test]
    fn two_dollars_are_one_and_one_is_one() {
        assert_eq!(pieces("$$").unwrap(), [text("$")]);
        assert_eq!(pieces("$${x}").unwrap(), [text("${x}")]);
        assert_eq!(pieces("$$${x}").unwrap(), [text("$"), reference("x", 2..6)]);
        assert_eq!(pieces("5$ a$é$").unwrap(), [text("5$ a$é$")]);
    }

    #[test]
    fn an_open_brace_needs_its_end() {
        assert_eq!(pieces("ab${c").unwrap_err(), Unterminated(2));
        assert_eq!(pieces("${a}${").unwrap_err(), Unterminated(4));
    }
}
