//! Several panels: aligned in rows and columns, with axes of their own or shared, and legends above them.

use super::*;

/// The upper ends of the left axis lines, panel by panel.
fn corners(svg: &str) -> Vec<(f64, f64)> {
    let numbers = |line: &str| -> Vec<f64> {
        ["x1", "y1", "x2", "y2"]
            .iter()
            .map(|name| line.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect()
    };
    let panels = svg.split("class=\"panel\"").skip(1);
    let axis = |panel: &str| {
        let lines = panel.lines().filter(|line| line.starts_with("<line")).map(numbers);
        let upright = lines.filter(|line| line[0] == line[2]);
        upright.max_by(|a, b| (a[3] - a[1]).total_cmp(&(b[3] - b[1]))).map(|line| (line[0], line[1])).unwrap()
    };
    panels.map(axis).collect()
}

/// Two by two panels of lines: small numbers and large ones, with a legend and without.
fn four_panels(shared: bool) -> String {
    let table = Table::default()
        .with("x", Values::Float(vec![0.0, 1.0, 2.0]))
        .with("small", Values::Float(vec![0.1, 0.25, 0.3]))
        .with("large", Values::Float(vec![1000.0, 2500.5, 8000.0]));
    let series = |y: &str, label: &str| json!({ "from": "t", "x": "x", "y": y, "label": label });
    let params = json!({
        "columns": 2, "shared-y": shared,
        "panels": [
            { "title": "One", "series": [series("small", "a"), series("small", "b")] },
            { "title": "Two", "series": [series("large", "")] },
            { "series": [series("large", "")] },
            { "series": [series("small", "")] },
        ],
    });
    draw(params, &[("t", Artifact::Table(table))]).unwrap()
}

#[test]
fn panels_align_in_rows_and_columns() {
    let [(x1, y1), (x2, y2), (x3, y3), (x4, y4)] = corners(&four_panels(false))[..] else { panic!("four panels") };
    assert_eq!((x1, x2), (x3, x4), "the left edges of each column");
    assert_eq!((y1, y3), (y2, y4), "the upper edges of each row");
    assert!(x2 > x1 + 300.0 && y3 > y1 + 100.0);
}

#[test]
fn panels_can_share_their_y() {
    assert_eq!(count(&four_panels(false), ">8000<"), 2);
    assert_eq!(count(&four_panels(true), ">8000<"), 4);
}

/// The legend is laid out in the width that it has beside the axis: it never reaches into the plot.
#[test]
fn a_legend_stays_above_the_plot() {
    let table =
        Table::default().with("x", Values::Float(vec![0.0, 1.0])).with("y", Values::Float(vec![1000.0, 1_000_000.5]));
    for letters in 20..60 {
        let label = "m".repeat(letters);
        let series = json!({ "from": "t", "x": "x", "y": "y", "label": label });
        let params = json!({ "series": [series, series, series] });
        let svg = draw(params, &[("t", Artifact::Table(table.clone()))]).unwrap();
        let lowest = svg
            .lines()
            .filter(|line| line.contains(&format!(">{label}<")))
            .map(|line| line.split(" y=\"").nth(1).unwrap().split('"').next().unwrap().parse::<f64>().unwrap())
            .fold(0.0, f64::max);
        assert!(lowest < corners(&svg)[0].1, "{letters} letters: {lowest} lies in the plot");
    }
}
