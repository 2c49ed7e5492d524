//! From what stands in ports to what a panel draws.

use std::collections::BTreeMap;

use assay_cache::{Artifact, Table, Tensor, Values};
use ndarray::{Array2, Ix2};

use super::{
    Body, Panel,
    bars::{BarSeries, Bars},
    boxes::{BoxSeries, Boxes},
    curves::{Curves, Point, Series},
    heat::Heat,
    marks::Shape,
    network::network,
    spec::{Chart, ColorSpec, Hue, LineSpec, PanelSpec, SeriesSpec, Style, ZoneSpec},
};
use crate::{
    Failure, Inputs, Loaded,
    metrics::spread::spread,
    tables::{Filter, column, keep, numbers, stack, texts},
};

/// What is wrong with a panel's description whatever the data: where (below the panel), what, and what to do.
pub fn check(
    chart: Chart,
    series: &[SeriesSpec],
    lines: &[LineSpec],
    zones: &[ZoneSpec],
) -> Vec<(String, String, String)> {
    let mut wrong = vec![];
    if series.is_empty() {
        let help = "add `series = [{ from = \"PORT\", … }]`".to_owned();
        wrong.push(("series".to_owned(), "there is nothing to draw".to_owned(), help));
    }
    for (i, one) in series.iter().enumerate() {
        let needs = match chart {
            Chart::Heatmap if one.value.is_none() && one.x.is_none() && one.y.is_none() => vec![],
            Chart::Heatmap => vec![("x", &one.x), ("y", &one.y), ("value", &one.value)],
            Chart::Network if i > 0 => vec![("x", &one.x)],
            _ => vec![("x", &one.x), ("y", &one.y)],
        };
        for (name, _) in needs.into_iter().filter(|(_, given)| given.is_none()) {
            let message = format!("a {} series needs `{name}`, the name of a column", name_of(chart));
            wrong.push((format!("series[{i}]"), message, format!("add `{name} = \"COLUMN\"`")));
        }
    }
    if chart == Chart::Heatmap && series.len() > 1 {
        let message = "a heatmap shows one series".to_owned();
        wrong.push(("series[1]".to_owned(), message, "give each its own entry in `panels`".to_owned()));
    }
    if chart == Chart::Network && series.len() > 2 {
        let message = "a network is a series of edges, and one of nodes".to_owned();
        wrong.push(("series[2]".to_owned(), message, "give each network its own entry in `panels`".to_owned()));
    }
    for (i, _) in series.iter().enumerate().filter(|(_, one)| one.ends && chart != Chart::Line) {
        let message = "only a line has a start and an end".to_owned();
        wrong.push((format!("series[{i}].ends"), message, "leave it out, or draw with `chart = \"line\"`".to_owned()));
    }
    for (i, zone) in zones.iter().enumerate() {
        let backwards = [zone.x, zone.y].into_iter().flatten().any(|[from, to]| from >= to);
        let (message, help) = match (zone.x, zone.y) {
            (None, None) => ("a zone is a range of `x` or of `y`", "add `y = [FROM, TO]`"),
            _ if backwards => ("a zone goes from its lesser value to its greater", "turn the two round"),
            _ => continue,
        };
        wrong.push((format!("zones[{i}]"), message.to_owned(), help.to_owned()));
    }
    for (i, line) in lines.iter().enumerate() {
        let fixed = usize::from(line.x.is_some()) + usize::from(line.y.is_some());
        let help = match fixed + line.taken().count() {
            0 => "add `y = VALUE`, or `y-from = \"PORT.COLUMN\"`",
            1 => continue,
            _ => "keep one of them",
        };
        wrong.push((format!("lines[{i}]"), "a line stands at one `x` or one `y`".to_owned(), help.to_owned()));
    }
    wrong
}

fn name_of(chart: Chart) -> &'static str {
    match chart {
        Chart::Line => "line",
        Chart::Scatter => "scatter",
        Chart::Bar => "bar",
        Chart::Box => "box",
        Chart::Network => "network",
        Chart::Heatmap => "heatmap",
    }
}

/// A panel with its data. `spec` has everything that it takes from the figure.
pub fn panel(spec: &PanelSpec, inputs: &Inputs) -> Result<Panel, Failure> {
    let body = match spec.chart.unwrap_or_default() {
        Chart::Heatmap => Body::Heat(heat(&spec.series[0], spec.color.clone().unwrap_or_default(), inputs)?),
        Chart::Bar => Body::Bars(bars(&spec.series, inputs)?),
        Chart::Box => Body::Boxes(boxes(&spec.series, inputs)?),
        Chart::Network => Body::Network(network(&spec.series, inputs)?),
        chart => Body::Curves(curves(&spec.series, chart == Chart::Line, inputs)?),
    };
    let mut panel = Panel {
        title: spec.title.clone(),
        x: spec.x.clone().unwrap_or_default(),
        y: spec.y.clone().unwrap_or_default(),
        lines: spec.lines.iter().flatten().map(|line| placed(line, inputs)).collect::<Result<_, _>>()?,
        zones: spec.zones.clone().unwrap_or_default(),
        body,
        left: 0.0,
        top: 0.0,
        side: f64::INFINITY,
    };
    match panel.body {
        // A circle has no axes.
        Body::Network(_) => (panel.x, panel.y) = Default::default(),
        _ => name_axes(&mut panel, &spec.series[0], inputs),
    }
    Ok(panel)
}

/// A line with the value that it takes from a port.
fn placed(line: &LineSpec, inputs: &Inputs) -> Result<LineSpec, Failure> {
    let mut placed = line.clone();
    for (key, from) in line.taken() {
        let (port, name) = from.ok_or_else(|| Failure::fatal(format!("`{key}` is not of the form \"port.column\"")))?;
        let table = stack(port, inputs.many(port))?;
        let values = numbers(&table, name, port)?;
        let &[value] = values.as_slice() else {
            let rows = values.len();
            return Err(Failure::fatal(format!("`{key}` takes one value, and `{port}` has {rows} rows")));
        };
        if !value.is_finite() {
            return Err(Failure::fatal(format!("the line at `{port}.{name}` stands nowhere: it is {value}")));
        }
        *(if key == "x-from" { &mut placed.x } else { &mut placed.y }) = Some(value);
    }
    Ok(placed)
}

/// An axis without a label is named by its column, and has its unit; a tensor's by the tensor's axes.
fn name_axes(panel: &mut Panel, series: &SeriesSpec, inputs: &Inputs) {
    let table = stack(&series.from, inputs.many(&series.from)).ok().filter(|_| series.y.is_some());
    let tensor = match inputs.optional(&series.from) {
        Some(Artifact::Tensor(tensor)) if table.is_none() => Some(tensor),
        _ => None,
    };
    let names = [(&mut panel.y, &series.y, 0), (&mut panel.x, &series.x, 1)];
    for (axis, name, position) in names {
        if !axis.label.is_empty() {
            continue;
        }
        if let Some(column) = table.as_deref().zip(name.as_ref()).and_then(|(table, name)| table.column(name)) {
            axis.label = column.name.clone();
            axis.unit = axis.unit.take().or_else(|| column.unit.clone());
        } else if let Some(tensor_axis) = tensor.and_then(|tensor| tensor.axes.get(position)) {
            axis.label = tensor_axis.name.clone();
        }
    }
}

fn curves(specs: &[SeriesSpec], joined: bool, inputs: &Inputs) -> Result<Curves, Failure> {
    let mut series = vec![];
    for spec in specs {
        for (label, table) in parts(spec, specs.len() > 1, inputs)? {
            let nth = series.len();
            series.push(Series {
                label,
                points: points(spec, &table, joined && !spec.ends)?,
                style: spec.style.unwrap_or_else(|| nth_style(nth)),
                hue: spec.color.filter(|_| spec.split.is_none()).unwrap_or_else(|| Hue::nth(nth)),
                shape: Shape::nth(nth),
                markers: spec.markers.or(spec.ends.then_some(false)),
                ends: spec.ends && joined,
            });
        }
    }
    Ok(Curves { series, joined })
}

/// Styles of series that name none: with the colours, they repeat after 28.
fn nth_style(index: usize) -> Style {
    [Style::Solid, Style::Dashed, Style::DashDot, Style::Dotted][index % 4]
}

/// The tables of a series, one for each value of the column that splits it, with their labels.
fn parts(spec: &SeriesSpec, several: bool, inputs: &Inputs) -> Result<Vec<(String, Table)>, Failure> {
    let table = keep(&*stack(&spec.from, inputs.many(&spec.from))?, &spec.filter, &spec.from)?;
    if table.rows() == 0 {
        let filter = serde_json::to_string(&spec.filter).unwrap_or_default();
        return Err(Failure::fatal(format!("no row of `{}` passes `where` = {filter}", spec.from)));
    }
    let plain = || spec.label.clone().or_else(|| spec.y.clone().filter(|_| several)).unwrap_or_default();
    let Some(split) = &spec.split else { return Ok(vec![(plain(), table)]) };
    distinct(&texts(&column(&table, split, &spec.from)?.values))
        .into_iter()
        .map(|value| {
            let label = match &spec.label {
                Some(label) => format!("{label} {value}").trim_start().to_owned(),
                None => format!("{split} {value}"),
            };
            Ok((label, keep(&as_text(&table, split), &Filter::from([(split.clone(), value.into())]), &spec.from)?))
        })
        .collect()
}

/// The table with one column as texts, so that any of its values can be asked for.
fn as_text(table: &Table, name: &str) -> Table {
    let mut table = table.clone();
    for column in table.columns.iter_mut().filter(|column| column.name == name) {
        column.values = Values::Text(texts(&column.values));
    }
    table
}

/// The different values, in the order in which they first come.
fn distinct(values: &[String]) -> Vec<String> {
    let mut seen = vec![];
    for value in values {
        if !seen.contains(value) {
            seen.push(value.clone());
        }
    }
    seen
}

fn points(spec: &SeriesSpec, table: &Table, sorted: bool) -> Result<Vec<Point>, Failure> {
    let xs = numbers(table, named(&spec.x, "x")?, &spec.from)?;
    let (ys, bands) = values(spec, table)?;
    let mut points: Vec<_> =
        xs.into_iter().zip(ys).zip(bands).map(|((x, y), band)| Point { x, y, band: band.abs() }).collect();
    if sorted {
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
    }
    Ok(points)
}

/// The y column and its bands, NaN where there are none.
fn values(spec: &SeriesSpec, table: &Table) -> Result<(Vec<f64>, Vec<f64>), Failure> {
    let ys = numbers(table, named(&spec.y, "y")?, &spec.from)?;
    let bands = match &spec.band {
        Some(band) => numbers(table, band, &spec.from)?,
        None => vec![f64::NAN; ys.len()],
    };
    Ok((ys, bands))
}

pub fn named<'s>(column: &'s Option<String>, key: &str) -> Result<&'s str, Failure> {
    column.as_deref().ok_or_else(|| Failure::fatal(format!("the series names no column for `{key}`")))
}

fn bars(specs: &[SeriesSpec], inputs: &Inputs) -> Result<Bars, Failure> {
    let mut found = vec![];
    for spec in specs {
        for (label, table) in parts(spec, specs.len() > 1, inputs)? {
            let categories = texts(&column(&table, named(&spec.x, "x")?, &spec.from)?.values);
            let hue = spec.color.filter(|_| spec.split.is_none()).unwrap_or_else(|| Hue::nth(found.len()));
            found.push((label, categories, values(spec, &table)?, hue));
        }
    }
    let categories = distinct(&found.iter().flat_map(|(_, names, ..)| names.clone()).collect::<Vec<_>>());
    let series = found.into_iter().map(|(label, names, (ys, errors), hue)| {
        let row = |category| names.iter().position(|name| name == category);
        let pick = |of: &[f64]| categories.iter().map(|c| row(c).map_or(f64::NAN, |row| of[row])).collect();
        BarSeries { label, values: pick(&ys), bands: pick(&errors), hue }
    });
    let series = series.collect();
    Ok(Bars { categories, series })
}

fn boxes(specs: &[SeriesSpec], inputs: &Inputs) -> Result<Boxes, Failure> {
    let mut found = vec![];
    for spec in specs {
        for (label, table) in parts(spec, specs.len() > 1, inputs)? {
            let categories = texts(&column(&table, named(&spec.x, "x")?, &spec.from)?.values);
            let hue = spec.color.filter(|_| spec.split.is_none()).unwrap_or_else(|| Hue::nth(found.len()));
            found.push((label, categories, numbers(&table, named(&spec.y, "y")?, &spec.from)?, hue));
        }
    }
    let categories = distinct(&found.iter().flat_map(|(_, names, ..)| names.clone()).collect::<Vec<_>>());
    let series = found.into_iter().map(|(label, names, values, hue)| {
        let of = |category: &String| -> Vec<f64> {
            names.iter().zip(&values).filter(|(name, _)| *name == category).map(|(_, value)| *value).collect()
        };
        BoxSeries { label, boxes: categories.iter().map(|category| spread(&of(category))).collect(), hue }
    });
    let series = series.collect();
    Ok(Boxes { categories, series })
}

fn heat(spec: &SeriesSpec, color: ColorSpec, inputs: &Inputs) -> Result<Heat, Failure> {
    let heat = match inputs.many(&spec.from) {
        [Loaded { artifact, .. }] if spec.value.is_none() => match &**artifact {
            Artifact::Tensor(tensor) => matrix(&spec.from, tensor, color)?,
            _ => return Err(Failure::fatal(format!("`{}` is not a tensor: name `x`, `y` and `value`", spec.from))),
        },
        loaded => pivot(spec, &keep(&*stack(&spec.from, loaded)?, &spec.filter, &spec.from)?, color)?,
    };
    if heat.values.is_empty() {
        return Err(Failure::fatal(format!("`{}` has nothing to draw: it has no elements", spec.from)));
    }
    Ok(heat)
}

/// A tensor with two axes: the first goes down, the second to the right.
fn matrix(port: &str, tensor: &Tensor, color: ColorSpec) -> Result<Heat, Failure> {
    let shape = tensor.shape().to_vec();
    let values = tensor.data.to_f64().into_dimensionality::<Ix2>().map_err(|_| {
        let axes = tensor.axis_names().join(", ");
        Failure::fatal(format!("a heatmap needs two axes, but `{port}` is a tensor[{axes}] of shape {shape:?}"))
    })?;
    let labels = |axis: usize| match &tensor.axes[axis].labels {
        Some(labels) => labels.clone(),
        None => (0..shape[axis]).map(|i| i.to_string()).collect(),
    };
    let color = ColorSpec { unit: color.unit.clone().or_else(|| tensor.unit.clone()), ..color };
    Ok(Heat { rows: labels(0), columns: labels(1), values, color, bar: true })
}

/// A table's `value` over its `x` and `y`, whose values are in order where they are numbers.
fn pivot(spec: &SeriesSpec, table: &Table, color: ColorSpec) -> Result<Heat, Failure> {
    let across = places(table, named(&spec.x, "x")?, &spec.from)?;
    let down = places(table, named(&spec.y, "y")?, &spec.from)?;
    let name = named(&spec.value, "value")?;
    let mut values = Array2::from_elem((down.names.len(), across.names.len()), f64::NAN);
    let mut filled = BTreeMap::new();
    for (row, value) in numbers(table, name, &spec.from)?.into_iter().enumerate() {
        let cell = (down.of_row[row], across.of_row[row]);
        if filled.insert(cell, row).is_some() {
            let (y, x) = (&down.names[cell.0], &across.names[cell.1]);
            return Err(Failure::fatal(format!(
                "`{}` has several rows at ({x}, {y}): choose with `where`, or take means with `summarize`",
                spec.from
            )));
        }
        values[cell] = value;
    }
    let unit = color.unit.clone().or_else(|| table.column(name).and_then(|column| column.unit.clone()));
    let label = if color.label.is_empty() { name.to_owned() } else { color.label.clone() };
    Ok(Heat { rows: down.names, columns: across.names, values, color: ColorSpec { unit, label, ..color }, bar: true })
}

/// The different values of a column, and which of them each row has.
struct Places {
    names: Vec<String>,
    of_row: Vec<usize>,
}

fn places(table: &Table, name: &str, port: &str) -> Result<Places, Failure> {
    let values = &column(table, name, port)?.values;
    let row_names = texts(values);
    let mut names = distinct(&row_names);
    if let Some(keys) = values.to_f64() {
        let key = |name: &String| row_names.iter().position(|row| row == name).map_or(f64::NAN, |row| keys[row]);
        names.sort_by(|a, b| key(a).total_cmp(&key(b)));
    }
    let position: BTreeMap<&String, usize> = names.iter().enumerate().map(|(i, name)| (name, i)).collect();
    let of_row = row_names.iter().map(|name| position[name]).collect();
    Ok(Places { names: names.clone(), of_row })
}
