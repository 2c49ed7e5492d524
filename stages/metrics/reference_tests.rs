//! The numbers of SciPy, NumPy and networkx that statistics are tested with (fixtures/statistics.json).

use serde_json::Value;

/// Calls `check` with every case of a statistic.
pub fn each(statistic: &str, check: impl Fn(&Value)) {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/statistics.json")).unwrap();
    let cases = fixture[statistic].as_array().unwrap();
    assert!(!cases.is_empty());
    cases.iter().for_each(check);
}

pub fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

pub fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(float).collect()
}

/// Fails where two numbers differ by more than `relative` of the expected one.
#[track_caller]
pub fn close(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs() + 1e-15, "{found}, not {expected}");
}
