//! What is known at plan time of the columns that a port will have.

use super::{is_axis_of, is_misspelt, no_column};
use crate::{Given, Mistake};

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
        let slip = || !is_axis_of(name, &self.from) && self.names.iter().any(|other| is_misspelt(name, other));
        (!here && (self.complete || slip())).then(|| no_column(name, &self.from, self.names.iter().map(String::as_str)))
    }

    /// The mistakes of names that cannot be columns here, each with where it stands in the manifest.
    pub fn mistakes<'n>(&self, named: impl IntoIterator<Item = (String, &'n String)>) -> Vec<Mistake> {
        let mistake = |(at, name): (String, &String)| Some(Mistake::new(at, self.lacks(name)?));
        named.into_iter().filter_map(mistake).collect()
    }

    /// The same under other names, and some more: others that there may be stay possible.
    pub fn renamed(self, name: impl Fn(String) -> String, more: Vec<String>) -> Self {
        if self.names.is_empty() {
            return self; // of nothing known, nothing looks misspelt
        }
        Self { names: self.names.into_iter().map(name).chain(more).collect(), ..self }
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

    /// `seed` looks like `step`, and `drift_L0` like `drift_0`: one is an axis, the other what a column is called now.
    #[test]
    fn axes_and_new_names_are_no_misspellings() {
        let columns = json!({ "columns": ["step", "drift_0"] });
        let known = Known::of(&given(&[("run[seed=42].log", PortType::of("table"), columns)]), "table");
        assert_eq!(known.lacks("seed"), None);
        assert!(known.lacks("stop").is_some() && known.lacks("drift_L0").is_some());
        let renamed = known.renamed(|name| name.replace("drift_0", "drift_L0"), vec!["slope".to_owned()]);
        assert_eq!((renamed.lacks("drift_L0"), renamed.lacks("slope"), renamed.complete()), (None, None, None));
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
