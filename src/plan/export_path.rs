//! Paths of `[export]`, which may hold `{axis}` and `{run-stamp}`: `"log_{condition}_seed_{seed}.json"`.

use assay_cache::Labels;

use crate::manifest::encode_label;

/// The start of the run that computed what is written.
pub const RUN_STAMP: &str = "run-stamp";

#[derive(Clone, PartialEq, Debug)]
enum Part {
    Text(String),
    Name(String),
}

/// A path whose names are known, and not yet what they stand for.
#[derive(Clone, PartialEq, Debug)]
pub struct ExportPath(Vec<Part>);

impl ExportPath {
    /// The parts of a path; `{{` and `}}` stand for a brace. Or what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (mut parts, mut plain) = (vec![], String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
            } else if brace == "{" {
                let end = rest.find('}').ok_or("a `{` in it has no `}`")?;
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Name(rest[..end].to_owned()));
                rest = &rest[end + 1..];
            } else {
                return Err("a `}` in it has no `{`");
            }
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        Ok(Self(parts))
    }

    /// The names in braces.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| if let Part::Name(name) = part { Some(name.as_str()) } else { None })
    }

    /// The path of one cell, whose labels stand in it as they stand in ids and folders.
    pub fn filled(&self, labels: &Labels, run_stamp: &str) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Name(name) if name == RUN_STAMP => run_stamp.to_owned(),
            Part::Name(name) => {
                let label = labels.iter().find(|(axis, _)| axis == name);
                label.map_or_else(String::new, |(_, label)| encode_label(label))
            }
        };
        self.0.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_the_stamp_are_put_in() {
        let path = ExportPath::parse("logs/{condition}_seed_{seed}_{run-stamp}{{x}}.json").unwrap();
        assert_eq!(path.names().collect::<Vec<_>>(), ["condition", "seed", "run-stamp"]);
        let labels = vec![("condition".to_owned(), "a/b".to_owned()), ("seed".to_owned(), "42".to_owned())];
        assert_eq!(path.filled(&labels, "20260131_235959"), "logs/a%2Fb_seed_42_20260131_235959{x}.json");
    }

    #[test]
    fn braces_come_in_pairs() {
        assert!(ExportPath::parse("a{b.json").is_err() && ExportPath::parse("a}b.json").is_err());
        assert_eq!(ExportPath::parse("a.json").unwrap().filled(&vec![], ""), "a.json");
    }
}
