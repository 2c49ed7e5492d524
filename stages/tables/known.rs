//! What is known at plan time of the columns that a port will have.

use super::{is_misspelt, no_column};
use crate::Given;

/// The columns of a port, as far as facts tell.
///
/// What was gathered over axes, or listed, has columns that no facts name (`stack` adds them). Of such a port only a
/// misspelling is told; of one whose columns are all known, any name that is not among them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Known {
    from: String,
    names: Vec<String>,
    complete: bool,
}

impl Known {
    pub fn of(given: &Given, port: &str) -> Self {
        let arrived = given.inputs.get(port).map_or(&[][..], Vec::as_slice);
        let Some(first) = arrived.first() else { return Self::default() };
        let names: Vec<String> = match first.facts.get("columns").and_then(|columns| columns.as_array()) {
            Some(columns) => columns.iter().filter_map(|column| column.as_str()).map(str::to_owned).collect(),
            None if first.ty.kind == "tensor" && !first.ty.axes.is_empty() => {
                first.ty.axes.iter().cloned().chain(["value".to_owned()]).collect()
            }
            None => vec![],
        };
        // A cell's id has its labels in brackets; whether the port is gathered over them is not known here.
        let complete = !names.is_empty() && arrived.len() == 1 && !first.from.contains('[');
        Self { from: first.from.clone(), names, complete }
    }

    /// All columns of a table that is made of these.
    pub fn made(from: &str, names: Vec<String>) -> Self {
        Self { from: from.to_owned(), names, complete: true }
    }

    /// What to say if there is no column of this name; nothing where it may be there.
    pub fn lacks(&self, name: &str) -> Option<String> {
        let here = self.names.iter().any(|other| other == name);
        let slip = || self.names.iter().any(|other| is_misspelt(name, other));
        (!here && (self.complete || slip())).then(|| no_column(name, &self.from, self.names.iter().map(String::as_str)))
    }

    /// The names of all columns, where all are known.
    pub fn complete(&self) -> Option<&[String]> {
        self.complete.then_some(&self.names)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::{Arrived, PortType};

    fn given(arrived: &[(&str, PortType, Value)]) -> Given<'static> {
        let one = |(from, ty, facts): &(&str, PortType, Value)| Arrived {
            from: (*from).to_owned(),
            ty: ty.clone(),
            facts: facts.clone(),
        };
        let inputs = BTreeMap::from([("table".to_owned(), arrived.iter().map(one).collect())]);
        Given { inputs, ..Given::default() }
    }

    #[test]
    fn one_table_with_facts_is_known_whole() {
        let columns = json!({ "columns": ["layer", "score"] });
        let known = Known::of(&given(&[("rank.ranking", PortType::of("table"), columns)]), "table");
        assert_eq!(known.lacks("score"), None);
        assert_eq!(known.lacks("head").unwrap(), "`rank.ranking` has no column `head`; it has layer, score");
        assert_eq!(known.complete().unwrap(), ["layer", "score"]);
    }

    #[test]
    fn a_tensor_has_its_axes_and_a_value() {
        let ty = PortType::tensor(&["layer", "head"]);
        let known = Known::of(&given(&[("e.z", ty, Value::Null)]), "table");
        assert_eq!(known.complete().unwrap(), ["layer", "head", "value"]);
        assert_eq!(Known::of(&given(&[("e.z", PortType::of("tensor"), Value::Null)]), "table").complete(), None);
    }

    #[test]
    fn where_labels_may_stand_only_a_slip_is_told() {
        let one = |from| (from, PortType::of("table"), json!({ "columns": ["layer", "score"] }));
        for arrived in [vec![one("s[seed=1].t"), one("s[seed=2].t")], vec![one("s[seed=1].t")]] {
            let known = Known::of(&given(&arrived), "table");
            assert_eq!((known.lacks("seed"), known.complete()), (None, None));
            assert!(known.lacks("scoer").unwrap().contains("it has score, layer"));
        }
        assert_eq!(Known::of(&given(&[]), "table").lacks("anything"), None);
    }
}
