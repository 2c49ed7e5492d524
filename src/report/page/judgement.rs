//! Verdicts, expectations and controls: three different statements, each in a place of its own.

use assay_cache::Entry;
use serde::Serialize;
use serde_json::Value;

use super::{
    known::{Known, Made, Stamp},
    number::{Shown, with_minus},
    records,
};
use crate::run::{Criterion, Finding, Held, findings, named_in};

/// What a rule of the study decided.
#[derive(Serialize)]
pub struct VerdictView {
    pub title: String,
    /// What a control checks.
    pub control: Option<String>,
    pub labels: Option<String>,
    pub verdict: String,
    pub criteria: Vec<CriterionView>,
    /// `2 of 5 criteria are met, 1 is not testable`.
    pub met: Option<String>,
    pub values: Vec<ValueView>,
    pub rules: Vec<RuleView>,
    pub stamp: Stamp,
}

/// A demand on a value, and whether it is met.
#[derive(Serialize)]
pub struct CriterionView {
    pub name: String,
    pub value: Shown,
    pub unit: Option<String>,
    pub threshold: String,
    /// `SUCCESS`, `FAIL` or `NOT TESTABLE`.
    pub result: String,
    /// The class that colours it: `pass`, `fail`, `not-testable`.
    pub class: &'static str,
    pub because: Option<String>,
}

#[derive(Serialize)]
pub struct ValueView {
    pub name: String,
    pub value: Shown,
    pub unit: Option<String>,
    /// The expression that it is.
    pub is: Option<String>,
}

#[derive(Serialize)]
pub struct RuleView {
    pub when: Option<String>,
    /// The values that the condition names.
    pub named: Vec<Named>,
    pub then: Option<String>,
    pub fired: bool,
}

/// A value that a rule looks at.
#[derive(Serialize)]
pub struct Named {
    pub name: String,
    pub value: Shown,
}

/// A stage that is declared a control.
#[derive(Serialize)]
pub struct ControlView {
    pub control: String,
    pub title: String,
    pub cell: String,
    pub state: &'static str,
    pub verdict: Option<VerdictView>,
    /// What it made, where that is no verdict.
    pub outputs: Vec<String>,
    pub stamp: Option<Stamp>,
}

/// An expectation, and what became of it.
#[derive(Serialize)]
pub struct FindingView {
    /// `rank.avg_synergy [tau=1, head_idx=0]`.
    pub what: String,
    pub expected: Shown,
    pub tolerance: Option<String>,
    pub found: Option<Shown>,
    pub difference: Option<Shown>,
    /// `pass`, `fail`, `not applicable`, `not run`.
    pub held: &'static str,
    pub because: Option<String>,
    pub source: Option<String>,
    pub stamp: Option<Stamp>,
}

const VERDICT: &str = "verdict";

/// Whether an output is a verdict: the record in a port of that name.
pub fn is_verdict(made: &Made) -> bool {
    made.port == VERDICT && made.kind == "record"
}

/// The verdicts of the study; those of controls stand with their controls.
pub fn verdicts(known: &Known, made: &[Made]) -> Vec<VerdictView> {
    let verdicts = made.iter().filter(|made| is_verdict(made) && control(known, made).is_none());
    verdicts.map(|made| verdict(known, made)).collect()
}

/// The cells that will give a verdict and are not finished.
pub fn undecided(known: &Known) -> Vec<String> {
    let cells = known.plan.cells.iter().zip(known.entries).filter(|(cell, entry)| {
        let judges = cell.ports.outputs.iter().any(|port| port.name == VERDICT && port.ty.kind == "record");
        judges && entry.is_none() && known.plan.manifest.stages[cell.stage].control.is_none()
    });
    cells.map(|(cell, _)| cell.id.clone()).collect()
}

fn control(known: &Known, made: &Made) -> Option<String> {
    known.plan.manifest.stages[made.cell.stage].control.clone()
}

fn verdict(known: &Known, made: &Made) -> VerdictView {
    let record = records::read(known, made);
    let said = |record: &Value| match &record["verdict"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let verdict = record.as_ref().map_or_else(|error| format!("(cannot be read: {error})"), said);
    let record = record.unwrap_or_default();
    let params = &made.entry.recipe.params;
    let criteria = criteria(&record);
    VerdictView {
        title: known.title(made.cell),
        control: control(known, made),
        labels: made.labels(),
        verdict,
        met: met(&criteria),
        criteria,
        values: values(&record, params),
        rules: rules(&record, params),
        stamp: known.stamp(made.index, made.entry),
    }
}

/// The criteria, in the manifest's order.
fn criteria(record: &Value) -> Vec<CriterionView> {
    let criteria = serde_json::from_value::<Vec<Criterion>>(record["criteria"].clone()).unwrap_or_default();
    let view = |one: Criterion| CriterionView {
        threshold: with_minus(one.demand()),
        value: Shown::json(&one.value),
        class: match one.result.as_str() {
            "SUCCESS" => "pass",
            "FAIL" => "fail",
            _ => "not-testable",
        },
        name: one.name,
        unit: one.unit,
        result: one.result,
        because: one.because,
    };
    criteria.into_iter().map(view).collect()
}

/// How many criteria are met, in a few words.
fn met(criteria: &[CriterionView]) -> Option<String> {
    let count = |class| criteria.iter().filter(|one| one.class == class).count();
    let all = match criteria.len() {
        0 => return None,
        1 => "1 criterion".to_owned(),
        many => format!("{many} criteria"),
    };
    let met = format!("{} of {all} met", count("pass"));
    Some(match count("not-testable") {
        0 => met,
        untestable => format!("{met}, {untestable} not testable"),
    })
}

/// The values that the rules looked at, in the manifest's order.
fn values(record: &Value, params: &Value) -> Vec<ValueView> {
    let Some(values) = record["values"].as_object() else { return vec![] };
    let specs = params["values"].as_array().map_or(&[][..], Vec::as_slice);
    let place = |name: &str| specs.iter().position(|spec| spec["name"] == name);
    let mut views: Vec<_> = values.iter().map(|(name, value)| (place(name), name, value)).collect();
    views.sort_by_key(|(place, ..)| place.unwrap_or(usize::MAX));
    let view = |(place, name, value): (Option<usize>, &String, &Value)| ValueView {
        name: name.clone(),
        value: Shown::json(value),
        unit: record["units"][name].as_str().map(str::to_owned),
        is: place.and_then(|place| specs[place]["is"].as_str()).map(str::to_owned),
    };
    views.into_iter().map(view).collect()
}

/// The rules in order, and which fired.
fn rules(record: &Value, params: &Value) -> Vec<RuleView> {
    let fired = record["rule"]["index"].as_u64();
    let rules = params["rules"].as_array().map_or(&[][..], Vec::as_slice);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let named = |rule: &Value| {
        let when = rule["when"].as_str().unwrap_or_default();
        let values = named_in(&[when], record, params).into_iter();
        values.map(|(name, value)| Named { name, value: Shown::json(&value) }).collect()
    };
    let view = |(i, rule): (usize, &Value)| RuleView {
        when: text(&rule["when"]),
        named: named(rule),
        then: text(&rule["then"]),
        fired: fired == Some(i as u64),
    };
    rules.iter().enumerate().map(view).collect()
}

/// The stages that the manifest declares to be controls, cell by cell.
pub fn controls(known: &Known, made: &[Made]) -> Vec<ControlView> {
    let cells = known.plan.cells.iter().enumerate();
    cells
        .filter_map(|(index, cell)| {
            let control = known.plan.manifest.stages[cell.stage].control.clone()?;
            let own = || made.iter().filter(|made| made.index == index);
            let outputs = own().filter(|made| !is_verdict(made)).map(|made| made.port.to_owned()).collect();
            Some(ControlView {
                control,
                title: known.title(cell),
                cell: cell.id.clone(),
                state: known.cells[index].word,
                verdict: own().find(|made| is_verdict(made)).map(|made| verdict(known, made)),
                outputs,
                stamp: known.entries[index].as_ref().map(|entry| known.stamp(index, entry)),
            })
        })
        .collect()
}

/// The expectations, those that fail first; while the run `goes_on`, none is held against anything yet.
pub fn expectations(known: &Known, goes_on: bool) -> Vec<FindingView> {
    let nothing = vec![None; known.entries.len()];
    let entries = if goes_on { &nothing } else { known.entries };
    let mut findings = findings(known.plan, entries, known.store);
    findings.sort_by_key(|finding| !matches!(finding.held, Held::Fail { .. }));
    findings.iter().map(|finding| expectation(known, finding)).collect()
}

fn expectation(known: &Known, finding: &Finding) -> FindingView {
    let (held, found, because) = match &finding.held {
        Held::Pass { found } => ("pass", Some(found), None),
        Held::Fail { found, because } => ("fail", Some(found), Some(because.clone())),
        Held::NotApplicable { because } => ("not applicable", None, Some(because.clone())),
        Held::NotRun => ("not run", None, None),
    };
    FindingView {
        what: what(finding),
        expected: glance(&finding.expected),
        tolerance: tolerance(finding),
        difference: found.and_then(|found| difference(found, &finding.expected)).map(Shown::roughly),
        found: found.filter(|found| !found.is_null()).map(glance),
        held,
        because,
        source: finding.source.clone(),
        stamp: entry(known, &finding.cell).map(|(index, entry)| known.stamp(index, entry)),
    }
}

/// A value, or the first few of a list.
fn glance(value: &Value) -> Shown {
    const MOST: usize = 4;
    match value {
        Value::Array(items) => Shown { full: Some(value.to_string()), ..records::line(items, MOST) },
        scalar => Shown::json(scalar),
    }
}

fn entry<'k>(known: &Known<'k>, id: &str) -> Option<(usize, &'k Entry)> {
    let index = known.plan.cells.iter().position(|cell| cell.id == id)?;
    known.entries[index].as_ref().map(|entry| (index, entry))
}

fn what(finding: &Finding) -> String {
    let labels = finding.cell.split_once('[').map(|(_, labels)| labels.trim_end_matches(']').to_owned());
    let picks = finding.picks.iter().map(|(name, value)| format!("{name}={}", Shown::json(value).text));
    let details: Vec<_> = labels.into_iter().chain(picks).collect();
    if details.is_empty() { finding.that.clone() } else { format!("{} [{}]", finding.that, details.join(", ")) }
}

fn tolerance(finding: &Finding) -> Option<String> {
    let absolute = finding.within.map(|within| format!("± {within}"));
    let relative = finding.within_relative.map(|within| format!("± {} %", round(within * 100.0)));
    match (absolute, relative) {
        (Some(absolute), Some(relative)) => Some(format!("{absolute} or {relative}")),
        (absolute, relative) => absolute.or(relative),
    }
}

/// Without the last digits that a multiplication by 100 leaves.
fn round(percent: f64) -> f64 {
    (percent * 1e9).round() / 1e9
}

/// Found minus expected; of lists, the difference that is farthest from nothing.
fn difference(found: &Value, expected: &Value) -> Option<f64> {
    match (found, expected) {
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => {
            let differences = found.iter().zip(expected).map(|(found, expected)| difference(found, expected));
            let differences: Vec<f64> = differences.collect::<Option<_>>()?;
            differences.into_iter().max_by(|a, b| a.abs().total_cmp(&b.abs()))
        }
        (found, Value::Array(expected)) if expected.len() == 1 => difference(found, &expected[0]),
        (found, expected) => Some(found.as_f64()? - expected.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_difference_of_lists_is_the_one_farthest_from_nothing() {
        assert_eq!(difference(&json!([1.0, 2.0, 3.0]), &json!([1.0, 2.5, 3.25])), Some(-0.5));
        assert_eq!(difference(&json!(0.75), &json!(0.5)), Some(0.25));
        assert_eq!(difference(&json!("a"), &json!(0.5)), None);
        assert_eq!(difference(&json!([1.0]), &json!([1.0, 2.0])), None);
    }

    #[test]
    fn the_rule_that_fired_is_marked_among_all() {
        let params = json!({"rules": [{"when": "x > 1", "then": "A"}, {"then": "B"}]});
        let rules = rules(&json!({"rule": {"index": 1, "when": null}}), &params);
        assert_eq!(rules.iter().map(|rule| rule.fired).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn criteria_are_counted_by_their_answers() {
        let one = |result: &str| json!({ "name": "n", "value": 0.5, "threshold": "> 1", "result": result });
        let record = json!({ "criteria": [one("SUCCESS"), one("FAIL"), one("NOT TESTABLE"), one("SUCCESS")] });
        let views = criteria(&record);
        let classes: Vec<_> = views.iter().map(|view| view.class).collect();
        assert_eq!(classes, ["pass", "fail", "not-testable", "pass"]);
        assert_eq!(met(&views).as_deref(), Some("2 of 4 criteria met, 1 not testable"));
        assert_eq!(met(&criteria(&json!({ "criteria": [one("FAIL")] }))).as_deref(), Some("0 of 1 criterion met"));
        assert_eq!(met(&criteria(&json!({ "verdict": "A" }))), None);
    }

    #[test]
    fn values_stand_in_the_order_of_the_manifest() {
        let params = json!({"values": [{"name": "z", "is": "1 + 1"}, {"name": "a", "is": "z"}]});
        let values = values(&json!({"values": {"a": 2, "z": 2}, "units": {"z": "nats"}}), &params);
        let names: Vec<_> = values.iter().map(|value| (value.name.as_str(), value.unit.as_deref())).collect();
        assert_eq!(names, [("z", Some("nats")), ("a", None)]);
    }
}
