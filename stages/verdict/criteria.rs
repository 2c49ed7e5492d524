//! Criteria: what a study asked of its numbers beforehand, each answered by itself.
//!
//! A criterion has three answers. One whose value is not defined (no such head was found, one seed where a spread
//! needs two) is neither met nor missed, and says why.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    Failure, Given, Mistake,
    expression::{self, Attempt, Scope, identifier, parse},
};

/// What rules may ask about criteria.
pub const COUNTS: [&str; 3] = ["passed", "failed", "untestable"];

/// A demand on a value, made beforehand.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CriterionSpec {
    /// What is asked, in words.
    pub name: String,
    /// The value that is judged: an expression that may use the inputs and the verdict's `values`.
    pub value: String,
    /// When it is met: a condition on `value`, as in `value < 0.05`; it may use the inputs and `values` too.
    pub pass: String,
    /// What people read as the threshold; without it, `pass` as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// The answer to a criterion, by the words of the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Success,
    Fail,
    NotTestable,
}

impl Answer {
    pub fn word(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Fail => "FAIL",
            Self::NotTestable => "NOT TESTABLE",
        }
    }
}

/// The names of values that are not defined, and why.
pub type Undefined = std::collections::BTreeMap<String, String>;

/// The answers, as the record holds them.
pub fn judge(specs: &[CriterionSpec], known: &Scope, undefined: &Undefined) -> Result<Vec<(Answer, Value)>, Failure> {
    specs.iter().map(|spec| spec.judge(known, undefined)).collect()
}

impl CriterionSpec {
    fn judge(&self, known: &Scope, undefined: &Undefined) -> Result<(Answer, Value), Failure> {
        let fails = |why: String| {
            let columns = known.described();
            Failure::fatal(format!("the criterion `{}` cannot be judged: {why}{columns}", self.name))
        };
        if let Some(why) = rests_on(&self.value, undefined).or_else(|| rests_on(&self.pass, undefined)) {
            return Ok(self.answered(Answer::NotTestable, json!("NaN"), Some(why)));
        }
        let value = match known.attempt(&self.value).map_err(|why| fails(format!("{} = {why}", self.value)))? {
            Attempt::Defined(value) => value,
            Attempt::Undefined(why) => return Ok(self.answered(Answer::NotTestable, json!("NaN"), Some(why))),
        };
        let mut scope = known.clone();
        scope.add("value", value.clone());
        let passes = match scope.attempt(&self.pass).map_err(|why| fails(format!("{}: {why}", self.pass)))? {
            Attempt::Defined(passes) => passes.truth().map_err(|why| fails(format!("{}: {why}", self.pass)))?,
            Attempt::Undefined(why) => return Ok(self.answered(Answer::NotTestable, value.to_json(), Some(why))),
        };
        Ok(self.answered(if passes { Answer::Success } else { Answer::Fail }, value.to_json(), None))
    }

    fn answered(&self, answer: Answer, value: Value, because: Option<String>) -> (Answer, Value) {
        let mut fields = Map::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("value".to_owned(), value),
            ("threshold".to_owned(), json!(self.threshold.as_ref().unwrap_or(&self.pass))),
            ("result".to_owned(), json!(answer.word())),
        ]);
        fields.extend(self.unit.iter().map(|unit| ("unit".to_owned(), json!(unit))));
        fields.extend(because.map(|because| ("because".to_owned(), json!(because))));
        (answer, Value::Object(fields))
    }
}

/// Why an expression has no answer: it rests on a value that is not defined, and does not ask whether that is so.
pub fn rests_on(text: &str, undefined: &Undefined) -> Option<String> {
    if undefined.is_empty() || text.contains("defined(") {
        return None;
    }
    let own = undefined.keys().cloned().collect();
    let used = parse(text, &own).ok()?;
    let (name, why) = undefined.iter().find(|(name, _)| used.iter().any(|(used, _)| used == *name))?;
    Some(format!("`{name}` is not defined: {why}"))
}

/// What is wrong with criteria: names given twice, expressions that use what there is not.
pub fn mistakes(specs: &[CriterionSpec], known: &BTreeSet<String>, given: &Given) -> Vec<Mistake> {
    let mut mistakes = vec![];
    let mut with_value = known.clone();
    with_value.insert("value".to_owned());
    for (i, spec) in specs.iter().enumerate() {
        let at = format!("criteria[{i}]");
        if specs[..i].iter().any(|earlier| earlier.name == spec.name) {
            mistakes.push(Mistake::new(format!("{at}.name"), format!("`{}` is the name of two criteria", spec.name)));
        }
        mistakes.extend(expression::mistakes(&format!("{at}.value"), &spec.value, known, given));
        mistakes.extend(expression::mistakes(&format!("{at}.pass"), &spec.pass, &with_value, given));
    }
    let taken = COUNTS.into_iter().chain(["value"]).filter(|name| !specs.is_empty() && known.contains(*name));
    mistakes.extend(taken.map(|name| {
        let at = if given.inputs.keys().any(|port| identifier(port) == name) { "inputs" } else { "values" };
        let message = format!("with `criteria`, the name `{name}` is taken: it is what criteria come to");
        Mistake::new(at, message).help("choose another name")
    }));
    mistakes
}
