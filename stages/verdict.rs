//! The study's own decision rule, applied truthfully to what was measured.
//!
//! Values are computed from the inputs, then the first rule that holds gives the verdict. A value that is not defined
//! (NaN, an empty column) fails the stage: it can make no rule silently true or false. What an expression may call is
//! in `expression`.

use std::collections::BTreeSet;

use assay_cache::Artifact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    Ctx, Failure, Given, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    expression::{self, Scope, identifier},
    tables,
};

/// Decides by ordered rules over values computed from the inputs.
///
/// Inputs are visible by the names of their ports (with `_` for `-`): a table as its columns (`profile.depth`), a record
/// as it is, a tensor as nested lists. What was gathered is one table, with its axis labels as columns.
///
/// Expressions are minijinja's, with `mean`, `std` (ddof 0), `sum`, `min`, `max`, `median`, `quantile(x, q)` (linear, as
/// NumPy's), `argmax` (the place of the first largest value), `first`, `last`, `count` of a column; `gradient(x)`
/// (NumPy's, unit spacing); `area(x, y)` (trapezoids); `pearson(x, y)` and `spearman(x, y)`, which have `.r` or `.rho`
/// and a two-sided `.p`; `cohens_d(a, b)` (pooled std, ddof 1) and `hedges_g(a, b)` (its exact small-sample
/// correction); `where(table, column=value)` and `without(table, column=value)` (a list means any of it, `range(5, 11)`
/// is one), `between(table, "column", from, to)` (half-open), `column(table, "name")`, `finite(x)` (without NaN),
/// `defined(x)`, `abs`, `ceil`, `floor`, `sqrt`, `log`, `exp`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Verdict {
    /// What the rules are about, in order: later values may use earlier ones.
    #[serde(default)]
    pub values: Vec<ValueSpec>,
    /// The first rule whose `when` holds decides. The last one has no `when`.
    pub rules: Vec<RuleSpec>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ValueSpec {
    /// What rules call it, and what it is called in the record.
    pub name: String,
    /// The expression.
    pub is: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RuleSpec {
    /// A condition on the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The verdict where it holds.
    pub then: String,
}

impl Stage for Verdict {
    const KIND: &'static str = "verdict";
    const VERSION: &'static [(&'static str, u32)] = &[("verdict", 1)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let names = tables::wired(given);
        let mistakes = self.mistakes(given, &names);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Ports { inputs: tables::ports(&names), outputs: vec![OutputPort::new("verdict", PortType::of("record"))] })
    }

    fn run(&self, inputs: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        Ok(Outputs::default().with("verdict", Artifact::Record(self.decide(inputs)?)))
    }
}

impl Verdict {
    /// The verdict, the rule that gave it, and every value.
    fn decide(&self, inputs: &Inputs) -> Result<Value, Failure> {
        let mut known = Scope::of(inputs)?;
        let mut judged = Scope::default();
        let (mut values, mut units) = (Map::new(), Map::new());
        for spec in &self.values {
            let value = known.evaluate(&spec.is).map_err(|why| {
                let columns = known.described();
                Failure::fatal(format!("the value `{}` = {} is not defined: {why}{columns}", spec.name, spec.is))
            })?;
            values.insert(spec.name.clone(), value.to_json());
            if let Some(unit) = &spec.unit {
                units.insert(spec.name.clone(), json!(unit));
            }
            judged.add(&spec.name, value.clone());
            known.add(&spec.name, value);
        }
        for (i, rule) in self.rules.iter().enumerate() {
            if rule.holds(&judged)? {
                return Ok(json!({
                    "verdict": rule.then,
                    "rule": { "index": i, "when": rule.when },
                    "values": values,
                    "units": units,
                }));
            }
        }
        Err(Failure::fatal("no rule holds: the last one should have no `when`"))
    }

    fn mistakes(&self, given: &Given, ports: &BTreeSet<&str>) -> Vec<Mistake> {
        let mut mistakes = self.rule_mistakes();
        let mut known: BTreeSet<String> = ports.iter().map(|port| identifier(port)).collect();
        for (i, value) in self.values.iter().enumerate() {
            let at = format!("values[{i}]");
            if identifier(&value.name) != value.name || known.contains(&value.name) {
                let message = format!("`{}` is taken, or is not a name of letters, digits and `_`", value.name);
                mistakes.push(Mistake::new(format!("{at}.name"), message));
            }
            mistakes.extend(expression::mistakes(&format!("{at}.is"), &value.is, &known, given));
            known.insert(value.name.clone());
        }
        let values: BTreeSet<String> = self.values.iter().map(|value| value.name.clone()).collect();
        for (i, rule) in self.rules.iter().enumerate() {
            if let Some(when) = &rule.when {
                mistakes.extend(expression::mistakes(&format!("rules[{i}].when"), when, &values, given));
            }
        }
        mistakes
    }

    fn rule_mistakes(&self) -> Vec<Mistake> {
        let Some((last, others)) = self.rules.split_last() else {
            return vec![Mistake::new("rules", "a verdict needs at least one rule")];
        };
        let mut mistakes = vec![];
        if last.when.is_some() {
            let at = format!("rules[{}]", others.len());
            let help = "add a rule with only `then`: the verdict where no other rule holds";
            mistakes.push(Mistake::new(at, "the last rule is conditional").help(help));
        }
        for (i, _) in others.iter().enumerate().filter(|(_, rule)| rule.when.is_none()) {
            mistakes
                .push(Mistake::new(format!("rules[{i}]"), "no rule after this one, which always holds, is reached"));
        }
        mistakes
    }
}

impl RuleSpec {
    fn holds(&self, values: &Scope) -> Result<bool, Failure> {
        let Some(when) = &self.when else { return Ok(true) };
        let fails = |why: String| Failure::fatal(format!("the rule `{when}` → {} cannot be decided: {why}", self.then));
        values.evaluate(when).and_then(|value| value.truth()).map_err(fails)
    }
}

#[cfg(test)]
mod tests;
