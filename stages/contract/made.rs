//! What a document says of how something was made: times, the device, the commit.
//!
//! No stage may know these, since its outputs are named by their content. So a document holds the wish for one, and
//! whoever writes the document out puts in what the entry behind the port says.

use serde_json::Value;

/// The output whose wishes are fulfilled when it is written out.
pub const DOCUMENT: &str = "document";

/// What may be asked of an entry; and `notes.NAME`, what the stage noted of itself.
pub const MADE_FIELDS: [&str; 13] = [
    "started",
    "stamp",
    "finished",
    "times",
    "seconds",
    "run-started",
    "run-stamp",
    "device",
    "host",
    "assay",
    "git-commit",
    "key",
    "digest",
];

/// A wish in a document: `{ made = "log", field = "started" }`.
#[derive(Clone, PartialEq, Debug)]
pub struct MadeField<'a> {
    /// The port, what stands in which is meant.
    pub port: &'a str,
    pub field: &'a str,
    /// A text that has it in place of its `{}`.
    pub text: Option<&'a str>,
    /// Which element of it, where it is a list.
    pub item: Option<usize>,
}

impl<'a> MadeField<'a> {
    /// The wish that an object is, if it is one: it has `made` and `field`, and nothing else but `text` and `item`.
    pub fn of(value: &'a Value) -> Option<Self> {
        let object = value.as_object()?;
        let known = |key: &String| ["made", "field", "text", "item"].contains(&key.as_str());
        if !object.keys().all(known) {
            return None;
        }
        let text = object.get("text").map(|text| text.as_str().ok_or(())).transpose().ok()?;
        let item = object.get("item").map(|item| item.as_u64().ok_or(())).transpose().ok()?;
        Some(Self {
            port: object.get("made")?.as_str()?,
            field: object.get("field")?.as_str()?,
            text,
            item: item.map(|item| item as usize),
        })
    }

    /// The name of what the stage noted of itself, where that is meant.
    pub fn note(&self) -> Option<&'a str> {
        self.field.strip_prefix("notes.").filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_object_with_these_keys_is_a_wish() {
        let wish = json!({ "made": "log", "field": "notes.batch", "item": 3 });
        let found = MadeField::of(&wish).unwrap();
        assert_eq!((found.port, found.note(), found.text, found.item), ("log", Some("batch"), None, Some(3)));
        for other in [json!({ "made": "log" }), json!({ "made": "log", "field": "key", "by": 1 }), json!("made")] {
            assert_eq!(MadeField::of(&other), None);
        }
    }
}
