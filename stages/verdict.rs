//! The study's own decision rule, applied truthfully to what was measured.
//!
//! Values are computed from the inputs, criteria are judged, then the first rule that holds gives the verdict. A value
//! that is not defined (NaN, an empty column) fails the stage, unless it is `optional`: it can make no rule silently
//! true or false. What an expression may call is in `expression`.

mod criteria;

use std::collections::BTreeSet;

use assay_cache::Artifact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    Ctx, Failure, Given, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    expression::{self, Attempt, Outcome, Scope, identifier},
    tables,
};
pub use criteria::CriterionSpec;
use criteria::{Answer, Undefined, rests_on};

/// Decides by ordered rules over values computed from the inputs.
///
/// Inputs are visible by the names of their ports (with `_` for `-`): a table as its columns (`profile.depth`), a record
/// as it is, a tensor as nested lists. What was gathered is one table, with its axis labels as columns.
///
/// Expressions are minijinja's, with `mean`, `std` (ddof 0), `sum`, `min`, `max`, `median`, `count` of a column;
/// `area(x, y)` (trapezoids); `pearson(x, y)` and `spearman(x, y)`, which have `.r` or `.rho` and a two-sided `.p`;
/// `where(table, column=value)` and `without(table, column=value)` (a list means any of it, `range(5, 11)` is one),
/// `between(table, "column", from, to)` (half-open), `column(table, "name")`, `finite(x)` (without NaN), `defined(x)`,
/// `ceil`, `floor`, `sqrt`, `log`, `exp`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Verdict {
    /// What the rules are about, in order: later values may use earlier ones.
    #[serde(default)]
    pub values: Vec<ValueSpec>,
    /// Demands on the numbers, each answered by itself: SUCCESS, FAIL, or NOT TESTABLE where its value is not defined.
    /// Rules may use `passed`, `failed` and `untestable`, the numbers of criteria with these answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<CriterionSpec>,
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
    /// Whether it may be not defined: then it is `"NaN"` in the record, criteria that rest on it are not testable, and a
    /// rule about it must ask `defined(…)` first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
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
    /// The verdict, the rule that gave it, every value and every criterion.
    fn decide(&self, inputs: &Inputs) -> Result<Value, Failure> {
        let Evaluated { known, mut judged, values, units, undefined } = self.evaluate(inputs)?;
        let answers = criteria::judge(&self.criteria, &known, &undefined)?;
        if !self.criteria.is_empty() {
            let kinds = [Answer::Success, Answer::Fail, Answer::NotTestable];
            for (name, kind) in criteria::COUNTS.into_iter().zip(kinds) {
                judged.add(name, Outcome::from(answers.iter().filter(|(answer, _)| *answer == kind).count()));
            }
        }
        let fired = self.fired(&judged, &undefined)?;
        let mut record = json!({
            "verdict": self.rules[fired].then,
            "rule": { "index": fired, "when": self.rules[fired].when },
            "values": values,
            "units": units,
        });
        if !self.criteria.is_empty() {
            record["criteria"] = answers.into_iter().map(|(_, criterion)| criterion).collect();
        }
        Ok(record)
    }

    fn evaluate(&self, inputs: &Inputs) -> Result<Evaluated, Failure> {
        let mut done = Evaluated { known: Scope::of(inputs)?, ..Evaluated::default() };
        for spec in &self.values {
            let attempt = match rests_on(&spec.is, &done.undefined) {
                Some(why) => Ok(Attempt::Undefined(why)),
                None => done.known.attempt(&spec.is),
            };
            let attempt = attempt.and_then(|attempt| match attempt {
                Attempt::Undefined(why) if !spec.optional => Err(why),
                attempt => Ok(attempt),
            });
            let attempt = attempt.map_err(|why| {
                let columns = done.known.described();
                Failure::fatal(format!("the value `{}` = {} is not defined: {why}{columns}", spec.name, spec.is))
            })?;
            let value = match attempt {
                Attempt::Defined(value) => value,
                Attempt::Undefined(why) => {
                    done.undefined.insert(spec.name.clone(), why);
                    Outcome::undefined()
                }
            };
            done.values.insert(spec.name.clone(), value.to_json());
            done.units.extend(spec.unit.iter().map(|unit| (spec.name.clone(), json!(unit))));
            done.judged.add(&spec.name, value.clone());
            done.known.add(&spec.name, value);
        }
        Ok(done)
    }

    /// The first rule that holds.
    fn fired(&self, judged: &Scope, undefined: &Undefined) -> Result<usize, Failure> {
        for (i, rule) in self.rules.iter().enumerate() {
            if rule.holds(judged, undefined)? {
                return Ok(i);
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
        mistakes.extend(criteria::mistakes(&self.criteria, &known, given));
        let mut judged: BTreeSet<String> = self.values.iter().map(|value| value.name.clone()).collect();
        judged.extend(criteria::COUNTS.into_iter().filter(|_| !self.criteria.is_empty()).map(str::to_owned));
        for (i, rule) in self.rules.iter().enumerate() {
            if let Some(when) = &rule.when {
                mistakes.extend(expression::mistakes(&format!("rules[{i}].when"), when, &judged, given));
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

/// The values, as expressions and as the record see them.
#[derive(Default)]
struct Evaluated {
    /// The inputs and the values.
    known: Scope,
    /// What rules see: the values alone.
    judged: Scope,
    values: Map<String, Value>,
    units: Map<String, Value>,
    undefined: Undefined,
}

impl RuleSpec {
    fn holds(&self, values: &Scope, undefined: &Undefined) -> Result<bool, Failure> {
        let Some(when) = &self.when else { return Ok(true) };
        let fails = |why: String| Failure::fatal(format!("the rule `{when}` → {} cannot be decided: {why}", self.then));
        if let Some(why) = rests_on(when, undefined) {
            return Err(fails(format!("{why}; ask `defined(…)` first")));
        }
        values.evaluate(when).and_then(|value| value.truth()).map_err(fails)
    }
}

#[cfg(test)]
mod tests;
