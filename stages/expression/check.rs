//! What can be told of an expression before anything runs.

use std::collections::BTreeSet;

use super::{identifier, parse};
use crate::{
    Given, Mistake,
    tables::{Known, by_nearness},
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
        let port = given.inputs.keys().find(|port| identifier(port) == name);
        let (Some(port), Some(attribute)) = (port, attribute) else { continue };
        let columns = Known::of(given, port);
        mistakes.extend(columns.lacks(&attribute).map(|message| Mistake::new(at, message)));
    }
    mistakes
}
