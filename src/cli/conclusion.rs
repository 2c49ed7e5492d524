//! The last lines of a run: what was decided, what was expected, what was done, and where the results are.

use std::collections::BTreeMap;

use assay_cache::glance;
use serde_json::Value;

use super::values::value;
use crate::{
    manifest::visible,
    plan::Plan,
    report::Results,
    run::{Control, Criterion, Decided, Finding, Held, Record, Verdict},
};

/// What a run has to tell at its end.
pub struct Told {
    pub verdicts: Vec<Verdict>,
    pub findings: Vec<Finding>,
    pub controls: Vec<Control>,
}

/// Significant digits of a measured number.
const DIGITS: usize = 5;

/// Values that are told of a rule.
const MOST_VALUES: usize = 6;

/// The order in which outcomes are counted.
const COUNTED: [&str; 7] = ["ran", "reproduced", "same", "cached", "failed", "skipped", "stopped"];

pub fn conclude(plan: &Plan, record: &Record, told: &Told, results: &Results) {
    if !(told.verdicts.is_empty() && told.controls.is_empty() && told.findings.is_empty()) {
        eprintln!();
    }
    for verdict in &told.verdicts {
        say(&judgement(verdict));
        reasons(&verdict.decided).iter().for_each(|line| say(line));
    }
    let (mute, telling): (Vec<_>, Vec<_>) =
        told.controls.iter().partition(|control| control.finished && control.decided.is_none());
    for control in telling {
        say(&check(control));
        control.decided.iter().flat_map(reasons).for_each(|line| say(&line));
    }
    if !mute.is_empty() {
        say(&format!("controls: {} more finished; what they found stands in the report", mute.len()));
    }
    expected(&told.findings).iter().for_each(|line| say(line));
    let (study, page) = (&plan.manifest.study.name.value, results.page());
    let page = page.display();
    let count = |name: &str| record.outcomes.iter().filter(|outcome| outcome.name() == name).count();
    let counts = counted(count);
    if record.nothing_to_do() {
        say(&format!("{study}: nothing to do, all {} stages are cached; report in {page}", count("cached")));
    } else if record.stopped.is_some() {
        say(&format!("{study}: stopped ({counts}); the same command goes on from here; report in {page}"));
    } else {
        say(&format!("{study}: {counts}; report in {page}"));
    }
}

/// A line on stderr, safe for a terminal whatever a manifest or an artifact holds.
fn say(line: &str) {
    eprintln!("{}", visible(line));
}

/// `3 ran, 2 cached`
pub fn counted(count: impl Fn(&str) -> usize) -> String {
    let counts = COUNTED.iter().map(|name| (count(name), name)).filter(|(count, _)| *count > 0);
    counts.map(|(count, name)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}

/// A verdict, and the question it answers, for people.
fn judgement(verdict: &Verdict) -> String {
    let text = plain(&verdict.decided.verdict);
    match &verdict.title {
        Some(title) => format!("{}: {text} ({title})", verdict.cell),
        None => format!("{}: {text}", verdict.cell),
    }
}

/// What came of each criterion; without any, the rule that decided and what it looked at.
fn reasons(decided: &Decided) -> Vec<String> {
    if !decided.criteria.is_empty() {
        return criteria(&decided.criteria);
    }
    let Some(reason) = &decided.reason else { return vec![] };
    let why = reason.when.as_deref().unwrap_or("no other rule holds");
    let more = reason.values.len().saturating_sub(MOST_VALUES);
    let values = reason.values.iter().take(MOST_VALUES).map(|(name, found)| format!("{name} = {}", measured(found)));
    let values: Vec<String> = values.chain((more > 0).then(|| format!("{more} more"))).collect();
    let with = if values.is_empty() { String::new() } else { format!(" ({})", values.join(", ")) };
    vec![format!("  because {why}{with}")]
}

/// A line for each criterion, the answers below one another.
fn criteria(criteria: &[Criterion]) -> Vec<String> {
    let widest = criteria.iter().map(|one| one.result.chars().count()).max().unwrap_or(0);
    let line = |one: &Criterion| {
        let unit = one.unit.as_ref().map_or(String::new(), |unit| format!(" {unit}"));
        let found = match &one.because {
            Some(because) => because.clone(),
            None => format!("{}{unit}", measured(&one.value)),
        };
        format!("  {:widest$}  {}: {found} ({})", one.result, one.name, one.demand())
    };
    criteria.iter().map(line).collect()
}

/// A number at a glance, anything else as a manifest would write it.
fn measured(found: &Value) -> String {
    match found.as_f64().filter(|_| found.is_f64()) {
        Some(number) if number.fract() == 0.0 => number.to_string(),
        Some(number) => glance(number, DIGITS),
        None => value(found),
    }
}

/// A text as it is, anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a control checks and found, for people.
fn check(control: &Control) -> String {
    let found = match &control.decided {
        Some(decided) => plain(&decided.verdict),
        None => "not finished".to_owned(),
    };
    format!("control {}: {found} ({})", control.cell, control.control)
}

/// What came of the expectations: how many hold, each that does not, and how many were not judged, by the reason.
fn expected(findings: &[Finding]) -> Vec<String> {
    let (mut hold, mut missed) = (0, vec![]);
    let mut unjudged: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for finding in findings {
        let called = called(finding);
        match &finding.held {
            Held::Pass { .. } => hold += 1,
            Held::Fail { found, because } => {
                missed.push(format!("expect {called}: FAIL: found {found}, expected {}: {because}", finding.expected));
            }
            Held::NotApplicable { because } => {
                unjudged.entry(format!("not applicable to these weights ({because})")).or_default().push(called);
            }
            Held::NotRun => unjudged.entry("not finished".to_owned()).or_default().push(called),
        }
    }
    let judged = hold + missed.len();
    let count = (judged > 0).then(|| format!("expectations: {hold} of {judged} hold"));
    let others = unjudged.into_iter().map(|(why, called)| match called.as_slice() {
        [one] => format!("expect {one}: {why}"),
        many => format!("{} expectations: {why}", many.len()),
    });
    count.into_iter().chain(missed).chain(others).collect()
}

/// What an expectation is about, for people.
fn called(finding: &Finding) -> String {
    let labels = finding.cell.split_once('[').map(|(_, labels)| labels.trim_end_matches(']').to_owned());
    let picks =
        finding.picks.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or(&value.to_string())));
    let details: Vec<_> = labels.into_iter().chain(picks).collect();
    match details.as_slice() {
        [] => finding.that.clone(),
        _ => format!("{} [{}]", finding.that, details.join(",")),
    }
}
