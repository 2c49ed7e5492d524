//! What a manifest says of a chart: the parameter types of `plot`. Their doc comments are the manifest's documentation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tables::Filter;

/// How values are drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Chart {
    /// Lines through (x, y), each with a band where its series has one.
    #[default]
    Line,
    /// Points at (x, y), with error bars where the series has a band.
    Scatter,
    /// Bars over categories, side by side where there are several series, with error bars.
    Bar,
    /// A matrix in colour: a tensor with two axes, or a table's `value` over `x` and `y`.
    Heatmap,
    /// Boxes over categories: the quartiles of the rows of each `x`, whiskers to the farthest within 1.5 times their
    /// range, what lies beyond as points, and the number of values.
    Box,
    /// Nodes on a circle, ordered and coloured by layer, and edges between them. The first series is the edges: `x` and `y`
    /// name the columns of their ends, `value` that of their weights. A second one may be the nodes: `x` names the column
    /// of their names, `split` one to colour them by instead.
    Network,
}

/// One panel of a figure; what it leaves out, it has from the figure.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PanelSpec {
    /// What stands above the panel.
    #[serde(default)]
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<AxisSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<AxisSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<ColorSpec>,
    #[serde(default)]
    pub series: Vec<SeriesSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<LineSpec>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zones: Option<Vec<ZoneSpec>>,
}

/// An axis. Its range, where none is given, is that of the data.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AxisSpec {
    /// What the axis shows.
    #[serde(default)]
    pub label: String,
    /// The unit, written behind the label in parentheses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Equal steps are equal factors. Values that are not positive are left out.
    #[serde(default)]
    pub log: bool,
    /// The other way round. (A heatmap's first row is at the top; reversed, at the bottom.)
    #[serde(default)]
    pub reverse: bool,
    /// Where ticks stand; otherwise round numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticks: Option<Vec<f64>>,
}

/// The colours of a heatmap.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ColorSpec {
    #[serde(default)]
    pub map: Map,
    /// What the colour bar shows.
    #[serde(default)]
    pub label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The value at the middle of the map, from which the range goes equally far both ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub center: Option<f64>,
    /// Writes each cell's number into it, with so many decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimals: Option<u8>,
}

/// Colour maps: perceptually uniform, and safe for colour-blind readers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Map {
    #[default]
    Viridis,
    Cividis,
    Magma,
    /// Diverging: blue below, white in the middle, red above.
    BlueRed,
}

/// Where a series comes from, and how it looks.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SeriesSpec {
    /// The port. A record in it is a row, a tensor one row an element: columns are its axes and `value`. What was
    /// gathered has its axis labels as columns; what was listed, the column `from`, counted from 0.
    pub from: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// The column that a heatmap shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The column with the half-width of the band around the line, or of the error bar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<String>,
    /// Only rows with these values in these columns; a list means any of them.
    #[serde(default, rename = "where")]
    pub filter: Filter,
    /// One series for each value of this column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// What the legend says; otherwise the name of the y column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub style: Option<Style>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<Hue>,
    /// Whether a line shows its points; otherwise it does where there are few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markers: Option<bool>,
    /// A line that is a path: its points are joined in the order of the rows, whatever their x, and its start and its end
    /// are marked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    #[default]
    Solid,
    Dashed,
    DashDot,
    Dotted,
}

/// Okabe and Ito's colours, which colour-blind readers tell apart, and grey.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hue {
    Blue,
    Vermillion,
    Green,
    Purple,
    Sky,
    Orange,
    Black,
    Grey,
}

/// A line at a fixed value: give `x` or `y`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LineSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub style: Option<Style>,
}

/// A shaded range behind the marks: give `x` or `y`, or both for a rectangle.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ZoneSpec {
    /// From and to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<[f64; 2]>,
    /// From and to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<[f64; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl AxisSpec {
    /// The label and, in parentheses, the unit.
    pub fn title(&self) -> String {
        with_unit(&self.label, self.unit.as_deref())
    }
}

impl ColorSpec {
    /// The label and, in parentheses, the unit.
    pub fn title(&self) -> String {
        with_unit(&self.label, self.unit.as_deref())
    }
}

fn with_unit(label: &str, unit: Option<&str>) -> String {
    match unit {
        Some(unit) if label.is_empty() => unit.to_owned(),
        Some(unit) => format!("{label} ({unit})"),
        None => label.to_owned(),
    }
}
