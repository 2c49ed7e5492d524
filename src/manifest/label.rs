//! What names and labels may look like, and how a label outside of that is written in ids and folders.

use std::fmt::Write;

/// Names of stages, axes and parameters, which stand between dots and brackets: `treated[sigma=0.1].pattern`.
pub fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Text that stands in ids and folders as it is.
pub fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(plain)
}

/// File systems have names of up to 255 bytes; a study's gets endings.
const LONGEST_NAME: usize = 200;

/// The name of a study, which names a folder.
pub fn is_study_name(text: &str) -> bool {
    is_label(text) && !text.starts_with('.') && text.len() <= LONGEST_NAME
}

/// A label as ids and folders have it: every other byte as `%2F`.
pub fn encode_label(label: &str) -> String {
    let mut encoded = String::with_capacity(label.len());
    for byte in label.bytes() {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes all that is written to it");
        }
    }
    encoded
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._+-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_is_percent_encoded() {
        assert_eq!(encode_label("1e-5_a+b.c"), "1e-5_a+b.c");
        assert_eq!(encode_label("a/b c=é%,[\n"), "a%2Fb%20c%3D%C3%A9%25%2C%5B%0A");
    }

    #[test]
    fn names_have_no_dots() {
        assert!(is_name("dose-response_2"));
        assert!(!is_name("a.b") && !is_name("") && !is_name("é"));
        assert!(is_study_name("indra-2.1") && !is_study_name("..") && !is_study_name("a/b"));
        assert!(is_label("a.b+c") && !is_label("a b") && !is_label(""));
    }
}
