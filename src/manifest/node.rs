//! A TOML value that remembers where it stood.

use std::ops::Range;

/// Byte offsets into the manifest's text.
pub type Span = Range<usize>;

/// Something, and where it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    pub span: Span,
    pub value: T,
}

/// A TOML value and where it stood.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub span: Span,
    pub value: NodeValue,
    pub base: Base,
}

#[derive(Clone, Debug, PartialEq)]
pub enum NodeValue {
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(String),
    Array(Vec<Node>),
    Table(Vec<(Spanned<String>, Node)>),
}

/// What a relative path in a value is relative to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Base {
    /// The value was written in the manifest.
    #[default]
    ManifestDir,
    /// The value came from `--set`.
    WorkingDir,
}

impl Node {
    pub fn new(span: Span, value: NodeValue) -> Self {
        Self { span, value, base: Base::default() }
    }

    /// The value without its span.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            NodeValue::Bool(value) => (*value).into(),
            NodeValue::Integer(value) => (*value).into(),
            NodeValue::Float(value) => (*value).into(),
            NodeValue::String(value) => value.as_str().into(),
            NodeValue::Array(items) => items.iter().map(Self::to_json).collect(),
            NodeValue::Table(entries) => {
                entries.iter().map(|(key, node)| (key.value.clone(), node.to_json())).collect()
            }
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            NodeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// An integer or a float, as a float.
    pub fn as_f64(&self) -> Option<f64> {
        match self.value {
            NodeValue::Integer(number) => Some(number as f64),
            NodeValue::Float(number) => Some(number),
            _ => None,
        }
    }

    /// The value of a key of this table; `None` also where this is no table.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            NodeValue::Table(entries) => entries.iter().find(|(name, _)| name.value == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// A scalar as text: the label of an axis value, or its part of a longer string.
    pub fn scalar_text(&self) -> Option<String> {
        match &self.value {
            NodeValue::Bool(value) => Some(value.to_string()),
            NodeValue::Integer(value) => Some(value.to_string()),
            NodeValue::Float(value) => Some(format!("{value:?}")),
            NodeValue::String(value) => Some(value.clone()),
            NodeValue::Array(_) | NodeValue::Table(_) => None,
        }
    }

    /// What this is, as a message says it: `the integer 3`, `a list`.
    pub fn describe(&self) -> String {
        match &self.value {
            NodeValue::Bool(value) => value.to_string(),
            NodeValue::Integer(value) => format!("the integer {value}"),
            NodeValue::Float(value) => format!("the float {value:?}"),
            NodeValue::String(text) => format!("the string {}", quoted(text)),
            NodeValue::Array(items) if items.is_empty() => "an empty list".into(),
            NodeValue::Array(_) => "a list".into(),
            NodeValue::Table(_) => "a table".into(),
        }
    }

    /// The same value as though it stood at `span`, at every depth.
    pub fn moved_to(&self, span: &Span) -> Self {
        let value = match &self.value {
            NodeValue::Array(items) => NodeValue::Array(items.iter().map(|item| item.moved_to(span)).collect()),
            NodeValue::Table(entries) => NodeValue::Table(
                entries
                    .iter()
                    .map(|(key, node)| (Spanned { span: span.clone(), value: key.value.clone() }, node.moved_to(span)))
                    .collect(),
            ),
            scalar => scalar.clone(),
        };
        Self { span: span.clone(), value, base: self.base }
    }

    /// Every path in this value is relative to `base`.
    pub fn based_on(mut self, base: Base) -> Self {
        self.base = base;
        self.value = match self.value {
            NodeValue::Array(items) => NodeValue::Array(items.into_iter().map(|item| item.based_on(base)).collect()),
            NodeValue::Table(entries) => {
                NodeValue::Table(entries.into_iter().map(|(key, node)| (key, node.based_on(base))).collect())
            }
            scalar => scalar,
        };
        self
    }

    /// The span for a path such as `capture[0].site`: that of its deepest part that exists.
    pub fn span_at(&self, path: &str) -> Span {
        let mut node = self;
        for part in path.split(['.', '[']) {
            let next = match (part.strip_suffix(']'), &node.value) {
                (Some(index), NodeValue::Array(items)) => index.parse().ok().and_then(|i: usize| items.get(i)),
                _ => node.get(part),
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.span.clone()
    }
}

/// A text in quotes, cut where it is long.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::syntax;

    #[test]
    fn a_path_finds_its_deepest_part_that_exists() {
        let text = r#"capture = [{ site = "z" }, 2]"#;
        let node = syntax::document(text, &mut vec![]).unwrap();
        let at = |path| &text[node.span_at(path)];
        assert_eq!(at("capture[0].site"), "\"z\"");
        assert_eq!(at("capture[0].reduce"), "{ site = \"z\" }");
        assert_eq!(at("capture[1]"), "2");
        assert_eq!(at("capture[7].site"), "[{ site = \"z\" }, 2]");
        assert_eq!(node.span_at("nothing"), node.span);
    }

    #[test]
    fn long_strings_are_cut_at_a_character() {
        assert_eq!(quoted("a\u{1b}\""), r#""a\u{1b}\"""#);
        assert_eq!(quoted(&"é".repeat(61)), format!("\"{}\"…", "é".repeat(60)));
    }
}
