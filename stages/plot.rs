//! Tables, tensors and records as figures for papers.
//!
//! One grammar for every study: series name the port and the columns they come from; a figure is one panel, or several
//! that share what they do not set themselves. Colours after Okabe and Ito; matplotlib's uniform maps. The figure is
//! SVG, the same bytes for the same inputs.

use std::collections::BTreeSet;

use assay_cache::Artifact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Ctx, Failure, Given, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Stage,
    charts::{
        self, Figure,
        spec::{AxisSpec, Chart, ColorSpec, LineSpec, PanelSpec, SeriesSpec, ZoneSpec},
    },
    tables::{self, is_axis_of, is_misspelt, no_column},
};

/// Draws a figure of what stands in its input ports, whose names the manifest chooses.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plot {
    /// How values are drawn.
    #[serde(default)]
    pub chart: Chart,
    /// What stands above the figure. (A stage's `title` is what the report calls it, and no part of the figure.)
    #[serde(default)]
    pub headline: String,
    /// The figure's width in pixels; 640, or 960 where panels stand side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<f64>,
    /// The height of a panel in pixels; otherwise what suits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<f64>,
    /// Panels in a row.
    #[serde(default = "two")]
    pub columns: usize,
    /// The horizontal axis; without a label it is named by its column.
    #[serde(default)]
    pub x: AxisSpec,
    /// The vertical axis.
    #[serde(default)]
    pub y: AxisSpec,
    /// The colours of a heatmap.
    #[serde(default)]
    pub color: ColorSpec,
    /// What is drawn, each from a port.
    #[serde(default)]
    pub series: Vec<SeriesSpec>,
    /// Lines at fixed values of x or y.
    #[serde(default)]
    pub lines: Vec<LineSpec>,
    /// Shaded ranges behind the marks.
    #[serde(default)]
    pub zones: Vec<ZoneSpec>,
    /// The heatmaps of the figure have one range of colours, and one colour bar.
    #[serde(default)]
    pub shared_color: bool,
    /// The panels have one range of y, that of all their data.
    #[serde(default)]
    pub shared_y: bool,
    /// Several panels; each has from the figure what it leaves out.
    #[serde(default)]
    pub panels: Vec<PanelSpec>,
}

fn two() -> usize {
    2
}

impl Stage for Plot {
    const KIND: &'static str = "plot";
    const VERSION: &'static [(&'static str, u32)] = &[("plot", 4)];

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let names = tables::wired(given);
        let mistakes = self.mistakes(given, &names);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Ports { inputs: tables::ports(&names), outputs: vec![OutputPort::new("figure", PortType::of("figure"))] })
    }

    fn run(&self, inputs: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        let panels = self.resolved();
        let mut drawn = panels.iter().map(|(_, panel)| charts::panel(panel, inputs)).collect::<Result<Vec<_>, _>>()?;
        let side_by_side = drawn.len() > 1 && self.columns > 1;
        let bar = if self.shared_color { charts::share_colors(&mut drawn) } else { None };
        if self.shared_y {
            charts::share_y(&mut drawn);
        }
        let width = self.width.unwrap_or(if side_by_side { 960.0 } else { 640.0 });
        let figure = Figure {
            bar,
            title: self.headline.clone(),
            panels: drawn,
            columns: self.columns,
            width,
            height: self.height,
        };
        Ok(Outputs::default().with("figure", Artifact::Figure(figure.draw())))
    }
}

impl Plot {
    /// The panels with what they have from the figure, and where in the manifest each stands.
    fn resolved(&self) -> Vec<(String, PanelSpec)> {
        if self.panels.is_empty() {
            return vec![(String::new(), self.complete(&PanelSpec::default()))];
        }
        let at = |i| format!("panels[{i}].");
        self.panels.iter().enumerate().map(|(i, panel)| (at(i), self.complete(panel))).collect()
    }

    fn complete(&self, panel: &PanelSpec) -> PanelSpec {
        PanelSpec {
            title: panel.title.clone(),
            chart: panel.chart.or(Some(self.chart)),
            x: panel.x.clone().or_else(|| Some(self.x.clone())),
            y: panel.y.clone().or_else(|| Some(self.y.clone())),
            color: panel.color.clone().or_else(|| Some(self.color.clone())),
            series: if panel.series.is_empty() { self.series.clone() } else { panel.series.clone() },
            lines: panel.lines.clone().or_else(|| Some(self.lines.clone())),
            zones: panel.zones.clone().or_else(|| Some(self.zones.clone())),
        }
    }

    fn mistakes(&self, given: &Given, names: &BTreeSet<&str>) -> Vec<Mistake> {
        let mut mistakes = self.size_mistakes();
        for (at, panel) in self.resolved() {
            let lines = panel.lines.as_deref().unwrap_or_default();
            let (chart, zones) = (panel.chart.unwrap_or_default(), panel.zones.as_deref().unwrap_or_default());
            for (inner, message, help) in charts::check(chart, &panel.series, lines, zones) {
                mistakes.push(Mistake::new(format!("{at}{inner}"), message).help(help));
            }
            for (name, axis) in [("x", &panel.x), ("y", &panel.y)] {
                mistakes.extend(axis.iter().filter_map(|axis| range_mistake(&format!("{at}{name}"), axis)));
            }
            for (i, line) in lines.iter().enumerate() {
                mistakes.extend(line_mistakes(&format!("{at}lines[{i}]"), line, given, names));
            }
            for (i, series) in panel.series.iter().enumerate() {
                mistakes.extend(series_mistakes(&format!("{at}series[{i}]"), series, given, names));
            }
        }
        mistakes
    }

    fn size_mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = vec![];
        for (at, size) in [("width", self.width), ("height", self.height)] {
            if size.is_some_and(|size| !(100.0..=10_000.0).contains(&size)) {
                mistakes.push(Mistake::new(at, "a figure is from 100 to 10000 pixels large"));
            }
        }
        if self.columns == 0 {
            mistakes.push(Mistake::new("columns", "there is at least one panel in a row"));
        }
        mistakes
    }
}

fn range_mistake(at: &str, axis: &AxisSpec) -> Option<Mistake> {
    if axis.min.zip(axis.max).is_some_and(|(min, max)| min >= max) {
        return Some(Mistake::new(format!("{at}.min"), "`min` is not below `max`").help("turn an axis with `reverse`"));
    }
    let below = [axis.min, axis.max].into_iter().flatten().any(|end| end <= 0.0);
    (axis.log && below).then(|| Mistake::new(at, "a logarithmic axis shows positive values only"))
}

fn no_port(at: String, name: &str, names: &BTreeSet<&str>) -> Mistake {
    let known: Vec<_> = names.iter().copied().collect();
    Mistake::new(at, format!("no input port is called `{name}`")).help(format!("`inputs` names: {}", known.join(", ")))
}

/// What is wrong with where a line takes its value from.
fn line_mistakes(at: &str, line: &LineSpec, given: &Given, names: &BTreeSet<&str>) -> Vec<Mistake> {
    let mut mistakes = vec![];
    for (key, from) in line.taken() {
        let at = format!("{at}.{key}");
        let Some((port, name)) = from else {
            mistakes.push(Mistake::new(at, "expected a port and one of its columns: \"port.column\""));
            continue;
        };
        if !names.contains(port) {
            mistakes.push(no_port(at, port, names));
            continue;
        }
        for arrived in given.inputs.get(port).into_iter().flatten() {
            let series = SeriesSpec { y: Some(name.to_owned()), ..SeriesSpec::default() };
            let wrong = column_mistakes("", &series, &arrived.from, &arrived.facts).into_iter();
            mistakes.extend(wrong.map(|mistake| Mistake { at: at.clone(), ..mistake }));
        }
    }
    mistakes
}

fn series_mistakes(at: &str, series: &SeriesSpec, given: &Given, names: &BTreeSet<&str>) -> Vec<Mistake> {
    if !names.contains(series.from.as_str()) {
        return vec![no_port(format!("{at}.from"), &series.from, names)];
    }
    let mut mistakes = vec![];
    for (name, wanted) in &series.filter {
        if wanted.is_object() || wanted.is_null() {
            mistakes.push(Mistake::new(format!("{at}.where.{name}"), "expected a value or a list of values"));
        }
    }
    for arrived in given.inputs.get(&series.from).into_iter().flatten() {
        mistakes.extend(column_mistakes(at, series, &arrived.from, &arrived.facts));
    }
    mistakes
}

/// Columns that the upstream stage's facts rule out. An axis label of a gathered port is a column too, and facts do
/// not know those: where a label may stand, only a misspelling is a mistake.
fn column_mistakes(at: &str, series: &SeriesSpec, from: &str, facts: &serde_json::Value) -> Vec<Mistake> {
    let Some(columns) = facts.get("columns").and_then(|columns| columns.as_array()) else { return vec![] };
    let columns: Vec<&str> = columns.iter().filter_map(|column| column.as_str()).collect();
    let own = [("y", &series.y), ("value", &series.value), ("band", &series.band)];
    let labels = [("x", &series.x), ("split", &series.split)];
    let filters = series.filter.keys().map(|name| (format!("where.{name}"), name.as_str(), true));
    own.into_iter()
        .filter_map(|(key, name)| Some((key.to_owned(), name.as_deref()?, false)))
        .chain(labels.into_iter().filter_map(|(key, name)| Some((key.to_owned(), name.as_deref()?, true))))
        .chain(filters)
        .filter(|(_, name, may_be_label)| {
            let misspelt = || !is_axis_of(name, from) && columns.iter().any(|column| is_misspelt(name, column));
            !columns.contains(name) && (!may_be_label || misspelt())
        })
        .map(|(key, name, _)| Mistake::new(format!("{at}.{key}"), no_column(name, from, columns.iter().copied())))
        .collect()
}

#[cfg(test)]
mod tests;
