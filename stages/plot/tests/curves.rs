//! Lines, bars and boxes: marks, bands, lines across, zones and gaps.

use super::*;

#[test]
fn a_line_chart_has_its_marks_its_axes_and_its_legend() {
    let svg = draw(curve_params(), &[("curve", curve())]).unwrap();
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"640\""));
    assert!(svg.contains("viewBox=\"0 0 640 "));
    assert_eq!(count(&svg, "<polyline"), 2);
    assert_eq!(count(&svg, "fill-opacity=\"0.2\""), 1, "one band");
    assert_eq!(count(&svg, "<circle"), 9 + 1, "nine points of the first series, and its key");
    for text in [">heads removed<", ">KL divergence (nats)<", ">random orders (mean ± std)<", ">all heads removed<"] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(svg.contains("stroke-dasharray=\"7 4\""), "the random order is dashed");
}

#[test]
fn a_missing_value_is_a_gap() {
    let table = Table::default()
        .with("x", Values::Float(vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]))
        .with("y", Values::Float(vec![1.0, 2.0, f64::NAN, 2.0, 1.0, 3.0]));
    let params = json!({ "series": [{ "from": "t", "x": "x", "y": "y", "markers": false }] });
    let svg = draw(params, &[("t", Artifact::Table(table))]).unwrap();
    assert_eq!(count(&svg, "<polyline"), 2);
    assert!(!svg.contains("NaN"));
}

/// A line at a measured value stands where a line at that number does.
#[test]
fn a_line_can_stand_at_a_value_from_a_port() {
    let base = Artifact::Record(json!({ "kl": 0.25, "nowhere": "NaN" }));
    let with_lines = |lines: Value| {
        let mut params = curve_params();
        params["lines"] = lines;
        draw(params, &[("curve", curve()), ("base", base.clone())])
    };
    let taken = with_lines(json!([{ "y-from": "base.kl", "label": "base" }])).unwrap();
    assert_eq!(taken, with_lines(json!([{ "y": 0.25, "label": "base" }])).unwrap());
    let failed = |from: &str| with_lines(json!([{ "y-from": from }])).unwrap_err().to_string();
    assert_eq!(failed("base.nowhere"), "the line at `base.nowhere` stands nowhere: it is NaN");
    assert!(failed("base.kll").contains("`base` has no column `kll`; it has kl"));
    assert!(failed("curve.num_heads_removed").contains("takes one value, and `curve` has"));
}

#[test]
fn a_path_keeps_the_order_of_its_rows_and_marks_its_ends() {
    let table = Table::default()
        .with("a", Values::Float(vec![8.0, 13.0, 10.0]))
        .with("accuracy", Values::Float(vec![0.0, 0.5, 1.0]));
    let series = |ends: bool| {
        json!({
            "series": [{ "from": "t", "x": "a", "y": "accuracy", "ends": ends, "label": "run" }],
            "zones": [{ "y": [0.15, 0.85], "label": "transition" }, { "x": [9.0, 10.0] }],
        })
    };
    let path = draw(series(true), &[("t", Artifact::Table(table.clone()))]).unwrap();
    let xs = |svg: &str| -> Vec<f64> {
        let points = svg.split("<polyline points=\"").nth(1).unwrap().split('"').next().unwrap();
        points.split(' ').map(|point| point.split(',').next().unwrap().parse().unwrap()).collect()
    };
    let [first, second, third] = xs(&path)[..] else { panic!("{path}") };
    assert!(first < third && third < second, "the path turns back");
    let line = draw(series(false), &[("t", Artifact::Table(table))]).unwrap();
    assert!(xs(&line).is_sorted(), "a line goes on to the right");
    assert!(path.contains(">start<") && path.contains(">end<") && !line.contains(">start<"));
    assert_eq!(count(&path, "fill=\"#f0ecdc\""), 3, "two zones, and the ground of the label of one");
}

#[test]
fn bars_start_at_zero_and_have_error_bars() {
    let table = Table::default()
        .with("region", Values::Text(["early", "middle", "late"].map(String::from).to_vec()))
        .with("recovery", Values::Float(vec![0.65, -0.12, 0.02]))
        .with("std", Values::Float(vec![0.1, 0.05, 0.01]));
    let params = json!({
        "chart": "bar",
        "series": [{ "from": "t", "x": "region", "y": "recovery", "band": "std" }],
        "lines": [{ "y": 0.2, "label": "20 %" }],
    });
    let svg = draw(params, &[("t", Artifact::Table(table))]).unwrap();
    assert_eq!(count(&svg, "fill=\"#0072b2\""), 3);
    assert_eq!(count(&svg, "<polyline"), 3, "error bars");
    assert!(svg.contains(">middle<") && svg.contains(">20 %<"));
}

#[test]
fn a_box_plot_has_a_box_its_outliers_and_its_count() {
    let series = json!([{ "from": "t", "x": "site", "y": "ratio", "split": "run" }]);
    let params =
        json!({ "chart": "box", "width": 500, "series": series, "zones": [{ "y": [1.0, 2.0], "label": "usual" }] });
    let svg = draw(params, &[("t", measured())]).unwrap();
    assert_eq!(count(&svg, ">n = 8<"), 4, "a box for each site and run");
    assert_eq!(count(&svg, "<circle"), 2, "one outlier, an open disc");
    assert_eq!(count(&svg, "stroke-width=\"2.2\""), 4, "a median each");
    for text in [">run 0<", ">run 1<", ">ratio<", ">usual<", ">suppressor<", ">other heads", "layer<"] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
}
