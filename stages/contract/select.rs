//! Which of several things (layers, heads, positions, steps), as a manifest says it, and which those are of so many.
//!
//! Numbers count from 0, negative ones from the end. A selection of layers or heads must exist; one of positions means
//! those that a text has, since texts differ in length.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;

/// Which of several things: `"all"`, a half-open range (`"10..26"`, `"5.."`, `"-16.."`, `"..-1"`), a number, or a list
/// of numbers. A negative number counts from the end: −1 is the last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Select {
    #[default]
    All,
    /// From the first to before the second, or to the end.
    Range(i64, Option<i64>),
    List(Vec<i64>),
}

impl Select {
    /// The selected indices below `count`, ascending; or what is out of bounds.
    pub fn indices(&self, count: usize, what: &str) -> Result<Vec<usize>, String> {
        let absent = |i: i64| {
            let there = if i < 0 { format!("-{count} to -1") } else { format!("0 to {}", count.saturating_sub(1)) };
            Err(format!("{what} {i} does not exist: there are {count} ({there})"))
        };
        let bound = count as i64;
        match self {
            Self::Range(from, _) if *from < -bound => return absent(*from),
            Self::Range(_, Some(to)) if *to < -bound => return absent(*to),
            Self::Range(from, Some(to)) if *to > bound => return absent(bound.max(*from)),
            Self::Range(from, _) if *from >= bound => return absent(*from),
            Self::List(list) => {
                if let Some(i) = list.iter().find(|i| !(-bound..bound).contains(*i)) {
                    return absent(*i);
                }
            }
            _ => (),
        }
        match self.present(count) {
            none if none.is_empty() && count > 0 => {
                Err(format!("{} selects nothing of {count} {what}s", Value::from(self)))
            }
            some => Ok(some),
        }
    }

    /// The selected indices that there are among `count`, ascending, each once.
    pub fn present(&self, count: usize) -> Vec<usize> {
        let mut present: Vec<usize> = self.slots(count).into_iter().flatten().collect();
        present.sort_unstable();
        present.dedup();
        present
    }

    /// What stands at each place of an axis of the selected: an index below `count`, or nothing where there is none.
    ///
    /// A place means the same whatever `count` is: the number that [`labels`](Self::labels) gives it.
    pub fn slots(&self, count: usize) -> Vec<Option<usize>> {
        let bound = count as i64;
        let at = |i: i64| usize::try_from(if i < 0 { i + bound } else { i }).ok().filter(|i| *i < count);
        match self {
            Self::All => (0..count).map(Some).collect(),
            Self::Range(from, to) if *from < 0 => (*from..to.unwrap_or(0)).map(at).collect(),
            Self::Range(from, to) => {
                let to = to.map_or(bound, |to| if to < 0 { to + bound } else { to.min(bound) });
                (*from..to).map(at).collect()
            }
            Self::List(_) => self.listed().into_iter().map(at).collect(),
        }
    }

    /// Whether `index` is selected where `end` is what negative numbers count back from. A range without an end goes on
    /// beyond it.
    pub fn has(&self, index: usize, end: usize) -> bool {
        let (index, end) = (index as i64, end as i64);
        let at = |i: i64| if i < 0 { i + end } else { i };
        match self {
            Self::All => true,
            Self::Range(from, to) => at(*from) <= index && to.is_none_or(|to| index < at(to)),
            Self::List(list) => list.iter().any(|i| at(*i) == index),
        }
    }

    /// The names of the first `count` places of an axis of the selected; none where all are.
    pub fn labels(&self, count: usize) -> Option<Vec<String>> {
        let numbers: Vec<i64> = match self {
            Self::All => return None,
            Self::Range(from, _) => (*from..*from + count as i64).collect(),
            Self::List(_) => self.listed(),
        };
        Some(numbers.iter().take(count).map(i64::to_string).collect())
    }

    /// How many there must be for every number named here to exist.
    pub fn needs(&self) -> usize {
        let needs = |i: i64| if i < 0 { i.unsigned_abs() as usize } else { i as usize + 1 };
        match self {
            Self::All => 0,
            Self::Range(_, Some(to)) if *to > 0 => needs(to - 1),
            Self::Range(from, _) => needs(*from),
            Self::List(list) => list.iter().map(|i| needs(*i)).max().unwrap_or(0),
        }
    }

    /// The numbers of a list: those from the start, ascending, then those from the end.
    fn listed(&self) -> Vec<i64> {
        let Self::List(list) = self else { return vec![] };
        let mut list = list.clone();
        list.sort_unstable_by_key(|i| (*i < 0, *i));
        list.dedup();
        list
    }

    fn parse(value: &Value) -> Result<Self, String> {
        let expected = || {
            format!(
                "expected \"all\", a range such as \"10..26\" or \"-16..\", a number or a list of numbers, not {value}"
            )
        };
        match value {
            Value::String(text) if text == "all" => Ok(Self::All),
            Value::String(text) => {
                let (from, to) = text.split_once("..").ok_or_else(expected)?;
                let number = |text: &str| text.trim().parse::<i64>().map_err(|_| expected());
                let end = if to.trim().is_empty() { None } else { Some(number(to)?) };
                let start = match (from.trim(), end) {
                    ("", None) => return Err(expected()),
                    ("", _) => 0,
                    (from, _) => number(from)?,
                };
                Self::range(text, start, end)
            }
            Value::Number(number) => Ok(Self::List(vec![number.as_i64().ok_or_else(expected)?])),
            Value::Array(items) => {
                items.iter().map(|item| item.as_i64().ok_or_else(expected)).collect::<Result<_, _>>().map(Self::List)
            }
            _ => Err(expected()),
        }
    }

    fn range(text: &str, from: i64, to: Option<i64>) -> Result<Self, String> {
        match to {
            Some(to) if from < 0 && to >= 0 => {
                Err(format!("the range \"{text}\" begins at the end and ends at the start: write \"{from}..\""))
            }
            Some(to) if (from < 0) == (to < 0) && from >= to => Err(format!("the range \"{text}\" is empty")),
            _ => Ok(Self::Range(from, to)),
        }
    }
}

impl From<&Select> for Value {
    fn from(select: &Select) -> Self {
        serde_json::to_value(select).expect("a selection is a word, a number or a list")
    }
}

impl Serialize for Select {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Range(from, None) => serializer.collect_str(&format_args!("{from}..")),
            Self::Range(from, Some(to)) => serializer.collect_str(&format_args!("{from}..{to}")),
            Self::List(list) => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Select {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Select {
    fn schema_name() -> Cow<'static, str> {
        "Select".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "\"all\", a half-open range such as \"10..26\" or \"-16..\", a number, or a list; negative numbers count from the end",
            "anyOf": [
                { "type": "string", "pattern": r"^(all|-?\d*\.\.-?\d*)$" },
                { "type": "integer" },
                { "type": "array", "items": { "type": "integer" } }
            ]
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(json: &str) -> Result<Select, String> {
        Select::parse(&serde_json::from_str(json).unwrap())
    }

    fn indices(json: &str, count: usize) -> Result<Vec<usize>, String> {
        select(json)?.indices(count, "layer")
    }

    #[test]
    fn ranges_are_half_open_and_lists_are_lists() {
        assert_eq!(indices("\"10..13\"", 20).unwrap(), [10, 11, 12]);
        assert_eq!(indices("[4, 0, 2, 2]", 5).unwrap(), [0, 2, 4]);
        assert_eq!(indices("3", 5).unwrap(), [3]);
        assert_eq!(indices("\"all\"", 2).unwrap(), [0, 1]);
    }

    #[test]
    fn negative_numbers_count_from_the_end() {
        assert_eq!(indices("-1", 5).unwrap(), [4]);
        assert_eq!(indices("[-1, 0, 4]", 5).unwrap(), [0, 4]);
        assert_eq!(indices("\"-2..\"", 5).unwrap(), [3, 4]);
        assert_eq!(indices("\"-3..-1\"", 5).unwrap(), [2, 3]);
        assert_eq!(indices("\"..-3\"", 5).unwrap(), [0, 1]);
        assert_eq!(indices("\"1..-1\"", 5).unwrap(), [1, 2, 3]);
        assert_eq!(indices("\"3..\"", 5).unwrap(), [3, 4]);
    }

    #[test]
    fn what_does_not_exist_is_named() {
        assert_eq!(indices("\"1..5\"", 3).unwrap_err(), "layer 3 does not exist: there are 3 (0 to 2)");
        assert_eq!(indices("\"-4..\"", 3).unwrap_err(), "layer -4 does not exist: there are 3 (-3 to -1)");
        assert_eq!(indices("[0, -7]", 3).unwrap_err(), "layer -7 does not exist: there are 3 (-3 to -1)");
        assert_eq!(indices("\"2..-2\"", 3).unwrap_err(), "\"2..-2\" selects nothing of 3 layers");
        assert!(indices("\"0..99999999999999\"", 3).unwrap_err().contains("layer 3 does not exist"));
        assert!(indices("\"9..\"", 3).unwrap_err().contains("layer 9"));
        assert!(select("\"5..5\"").unwrap_err().contains("empty"));
        assert!(select("\"-1..-1\"").unwrap_err().contains("empty"));
        assert!(select("\"-3..5\"").unwrap_err().contains("begins at the end"));
        assert!(select("\"..\"").is_err() && select("\"5-7\"").is_err() && select("1.5").is_err());
    }

    /// A window at the end has a place for each offset: a text that lacks one has nothing there.
    #[test]
    fn a_place_means_the_same_in_every_text() {
        let slots = |json: &str, count| select(json).unwrap().slots(count);
        assert_eq!(slots("\"-3..\"", 2), [None, Some(0), Some(1)]);
        assert_eq!(slots("[-1, 5, 0]", 4), [Some(0), None, Some(3)]);
        assert_eq!(slots("\"1..-1\"", 4), [Some(1), Some(2)]);
        assert_eq!(slots("\"1..9\"", 3), [Some(1), Some(2)]);
        assert_eq!(select("\"-3..\"").unwrap().labels(3).unwrap(), ["-3", "-2", "-1"]);
        assert_eq!(select("[-1, 5, 0]").unwrap().labels(3).unwrap(), ["0", "5", "-1"]);
        assert_eq!(select("\"-3..\"").unwrap().present(2), [0, 1]);
        assert_eq!(select("[0, -1]").unwrap().present(1), [0]);
        assert_eq!(select("[3, 17]").unwrap().needs(), 18);
        assert_eq!(select("\"-16..\"").unwrap().needs(), 16);
    }

    /// While a text grows, its end stays where it was, and an open range goes on.
    #[test]
    fn an_open_range_goes_beyond_the_end() {
        let has = |json: &str, index| select(json).unwrap().has(index, 10);
        assert!(has("\"-1..\"", 9) && has("\"-1..\"", 12) && !has("\"-1..\"", 8));
        assert!(has("-1", 9) && !has("-1", 10));
        assert!(has("\"..-8\"", 1) && !has("\"..-8\"", 2) && !has("\"-20..-8\"", 5) && has("\"-20..-8\"", 0));
        assert!(!has("\"0..10\"", 10) && has("\"all\"", 99));
    }

    #[test]
    fn there_is_one_spelling_of_each() {
        let spelt = |json: &str| Value::from(&select(json).unwrap()).to_string();
        assert_eq!(spelt("\"10..26\""), "\"10..26\"");
        assert_eq!(spelt("\"..4\""), "\"0..4\"");
        assert_eq!(spelt("\"-16..\""), "\"-16..\"");
        assert_eq!(spelt("-1"), "[-1]");
    }
}
