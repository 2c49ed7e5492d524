//! What is wrong with an expression before anything is computed.

use std::collections::BTreeSet;

use super::{identifier, parse};
use crate::{
    Given, Mistake,
    tables::{by_nearness, no_column},
};

/// What is wrong with an expression: its syntax, a name that nothing has, a column that facts rule out.
pub fn mistakes(at: &str, text: &str, known: &BTreeSet<String>, given: &Given) -> Vec<Mistake> {
    let used = match parse(text, known) {
        Ok(used) => used,
        Err(why) => return vec![Mistake::new(at, why)],
    };
    let mut mistakes = vec![];
    for (name, attribute) in used {
        if !known.contains(&name) {
            let near = by_nearness(&name, known.iter().map(String::as_str)).join(", ");
            mistakes.push(Mistake::new(at, format!("nothing is called `{name}`")).help(format!("there is {near}")));
            continue;
        }
        let port = given.inputs.iter().find(|(port, _)| identifier(port) == name);
        let (Some((_, arrived)), Some(attribute)) = (port, attribute) else { continue };
        if let [arrived] = arrived.as_slice()
            && let Some(columns) = arrived.facts.get("columns").and_then(|columns| columns.as_array())
            && !columns.iter().any(|column| column == attribute.as_str())
        {
            let columns = columns.iter().filter_map(|column| column.as_str());
            mistakes.push(Mistake::new(at, no_column(&attribute, &arrived.from, columns)));
        }
    }
    mistakes
}
