//! A table of named, typed columns, and its stored form: CSV with shortest round-trip floats.
//!
//! CSV alone does not say whether `1` is an integer, so the schema stands in the entry beside the digest. The text is
//! written here, so that its quoting is ours to keep; the `csv` crate reads it.

use csv::{ReaderBuilder, StringRecord};
use serde::{Deserialize, Serialize};

use crate::{Malformed, canonical::shortest};

/// The values of a column. An integer may be missing (an empty cell); a missing float is NaN.
#[derive(Clone, PartialEq, Debug)]
pub enum Values {
    Int(Vec<Option<i64>>),
    Float(Vec<f64>),
    Text(Vec<String>),
    Bool(Vec<bool>),
}

/// A named column, with the unit of its numbers where they have one.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    pub name: String,
    pub unit: Option<String>,
    pub values: Values,
}

/// Columns of equal length.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Table {
    pub columns: Vec<Column>,
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Bool(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as numbers, where they are numbers; a missing integer is NaN.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        match self {
            Self::Int(values) => Some(values.iter().map(|v| v.map_or(f64::NAN, |v| v as f64)).collect()),
            Self::Float(values) => Some(values.clone()),
            Self::Text(_) | Self::Bool(_) => None,
        }
    }
}

impl Table {
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The table with one column more.
    ///
    /// # Panics
    /// Where the column's length is not the table's.
    pub fn with(mut self, name: &str, values: Values) -> Self {
        assert!(self.columns.is_empty() || values.len() == self.rows(), "columns of equal length");
        self.columns.push(Column { name: name.to_owned(), unit: None, values });
        self
    }

    /// The table with a unit on its last column.
    pub fn unit(mut self, unit: &str) -> Self {
        self.columns.last_mut().expect("`unit` follows `with`").unit = Some(unit.to_owned());
        self
    }
}

/// What CSV does not say of a column.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ColumnSchema {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ColumnKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    Int,
    Float,
    Text,
    Bool,
}

impl Table {
    /// What a reader of the CSV must know.
    pub fn schema(&self) -> Vec<ColumnSchema> {
        let of = |column: &Column| ColumnSchema {
            name: column.name.clone(),
            kind: column.values.kind(),
            unit: column.unit.clone(),
        };
        self.columns.iter().map(of).collect()
    }

    /// The table as CSV: a header, a line a row. No columns, no bytes.
    ///
    /// # Panics
    /// Where columns differ in length.
    pub fn encode(&self) -> Vec<u8> {
        let rows = self.rows();
        assert!(self.columns.iter().all(|column| column.values.len() == rows), "columns of equal length");
        let mut csv = String::new();
        push_line(self.columns.iter().map(|column| column.name.clone()), &mut csv);
        for row in 0..rows {
            push_line(self.columns.iter().map(|column| column.values.cell(row)), &mut csv);
        }
        csv.into_bytes()
    }

    /// The table that these bytes are under this schema.
    pub fn decode(schema: &[ColumnSchema], bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = ReaderBuilder::new().has_headers(false).from_reader(bytes);
        let mut lines = reader.records().map(|line| line.map_err(|error| Malformed(format!("bad CSV: {error}"))));
        let header = lines.next().transpose()?.unwrap_or_default();
        if !header.iter().eq(schema.iter().map(|column| column.name.as_str())) {
            return Err(Malformed(format!("the columns of the CSV are {header:?}, not those of its schema")));
        }
        let lines: Vec<StringRecord> = lines.collect::<Result<_, _>>()?;
        let column = |(index, schema): (usize, &ColumnSchema)| {
            let cells = lines.iter().map(|line| &line[index]);
            let values = schema.kind.values(cells).map_err(|(row, cell)| {
                Malformed(format!("column `{}`, row {}: `{cell}` is not {:?}", schema.name, row + 1, schema.kind))
            })?;
            Ok(Column { name: schema.name.clone(), unit: schema.unit.clone(), values })
        };
        Ok(Self { columns: schema.iter().enumerate().map(column).collect::<Result<_, _>>()? })
    }
}

impl Values {
    fn kind(&self) -> ColumnKind {
        match self {
            Self::Int(_) => ColumnKind::Int,
            Self::Float(_) => ColumnKind::Float,
            Self::Text(_) => ColumnKind::Text,
            Self::Bool(_) => ColumnKind::Bool,
        }
    }

    fn cell(&self, row: usize) -> String {
        match self {
            Self::Int(values) => values[row].map_or(String::new(), |value| value.to_string()),
            Self::Float(values) => shortest(values[row]),
            Self::Text(values) => values[row].clone(),
            Self::Bool(values) => values[row].to_string(),
        }
    }
}

impl ColumnKind {
    /// The values of a column's cells, or the first cell that is none, with its row.
    fn values<'a>(self, cells: impl Iterator<Item = &'a str>) -> Result<Values, (usize, &'a str)> {
        fn all<'a, T>(
            cells: impl Iterator<Item = &'a str>,
            value: impl Fn(&'a str) -> Option<T>,
        ) -> Result<Vec<T>, (usize, &'a str)> {
            cells.enumerate().map(|(row, cell)| value(cell).ok_or((row, cell))).collect()
        }
        Ok(match self {
            Self::Int => Values::Int(all(cells, |cell| match cell {
                "" => Some(None),
                cell => cell.parse().ok().map(Some),
            })?),
            Self::Float => Values::Float(all(cells, |cell| cell.parse().ok())?),
            Self::Text => Values::Text(all(cells, |cell| Some(cell.to_owned()))?),
            Self::Bool => Values::Bool(all(cells, |cell| cell.parse().ok())?),
        })
    }
}

/// A line of CSV. Of no cells, no line; of one empty cell, a quoted one, because readers skip empty lines.
fn push_line(cells: impl ExactSizeIterator<Item = String>, csv: &mut String) {
    let count = cells.len();
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            csv.push(',');
        }
        let quoted = cell.contains(['"', ',', '\n', '\r', BYTE_ORDER_MARK]) || (count == 1 && cell.is_empty());
        if quoted {
            csv.push('"');
            csv.push_str(&cell.replace('"', "\"\""));
            csv.push('"');
        } else {
            csv.push_str(&cell);
        }
    }
    if count > 0 {
        csv.push('\n');
    }
}

/// Readers drop it from the beginning of a file, unless it is quoted.
const BYTE_ORDER_MARK: char = '\u{feff}';

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::canonical;

    /// The table through its bytes, and its schema through the JSON of an entry.
    fn decoded(table: &Table) -> Table {
        let schema = canonical(&serde_json::to_value(table.schema()).unwrap());
        let schema: Vec<ColumnSchema> = serde_json::from_str(&schema).unwrap();
        Table::decode(&schema, &table.encode()).unwrap()
    }

    #[test]
    fn the_stored_form_is_the_specified_one() {
        let table = Table::default()
            .with("head, layer", Values::Text(vec!["L0H1".into(), "a \"b\"\nc".into(), String::new()]))
            .with("n", Values::Int(vec![Some(-3), None, Some(i64::MAX)]))
            .with("Φ", Values::Float(vec![0.1, f64::NAN, f64::NEG_INFINITY]))
            .unit("nats")
            .with("kept", Values::Bool(vec![true, false, true]));
        let expected = "\"head, layer\",n,Φ,kept\n\
                        L0H1,-3,0.1,true\n\
                        \"a \"\"b\"\"\nc\",,NaN,false\n\
                        ,9223372036854775807,-inf,true\n";
        assert_eq!(String::from_utf8(table.encode()).unwrap(), expected);
        // NaN is not equal to itself: compare what is printed.
        assert_eq!(format!("{:?}", decoded(&table)), format!("{table:?}"));
    }

    #[test]
    fn floats_are_the_shortest_that_read_back() {
        let floats = vec![1.0, -0.0, 1e-5, 1.5e300, 0.1 + 0.2, f64::MIN_POSITIVE, f64::INFINITY];
        let table = Table::default().with("x", Values::Float(floats));
        let expected = "x\n1.0\n-0.0\n1e-5\n1.5e300\n0.30000000000000004\n2.2250738585072014e-308\ninf\n";
        assert_eq!(String::from_utf8(table.encode()).unwrap(), expected);
        assert_eq!(decoded(&table), table);
    }

    #[test]
    fn tables_without_rows_or_columns_survive() {
        let empty = Table::default();
        assert_eq!((empty.encode().len(), decoded(&empty)), (0, empty));
        let header = Table::default().with("", Values::Int(vec![]));
        assert_eq!((header.encode(), decoded(&header)), (b"\"\"\n".to_vec(), header));
        let missing = Table::default().with("a", Values::Int(vec![None, Some(1), None]));
        assert_eq!((missing.encode(), decoded(&missing)), (b"a\n\"\"\n1\n\"\"\n".to_vec(), missing));
    }

    #[test]
    fn what_does_not_fit_the_schema_is_refused_by_place() {
        let schema = Table::default().with("n", Values::Int(vec![])).with("b", Values::Bool(vec![])).schema();
        let says = |csv: &str| Table::decode(&schema, csv.as_bytes()).unwrap_err().to_string();
        assert_eq!(says("n,b\n1,true\n2,yes\n"), "column `b`, row 2: `yes` is not Bool");
        assert_eq!(says("n,b\nx,true\n"), "column `n`, row 1: `x` is not Int");
        assert!(says("n,c\n").contains("not those of its schema"));
        assert!(says("n,b\n1\n").contains("bad CSV"));
        assert!(says("").contains("not those of its schema"));
    }

    proptest! {
        #[test]
        fn any_table_survives(
            names in prop::collection::vec("(?s).{0,4}", 4),
            rows in prop::collection::vec(
                ("[\"',\n\r\u{feff} a]{0,6}|(?s).{0,8}", any::<Option<i64>>(), any::<f64>(), any::<bool>()), 0..6),
            columns in 1..=4_usize,
        ) {
            let mut table = Table::default()
                .with(&names[0], Values::Text(rows.iter().map(|row| row.0.clone()).collect()))
                .with(&names[1], Values::Int(rows.iter().map(|row| row.1).collect()))
                .with(&names[2], Values::Float(rows.iter().map(|row| row.2).collect()))
                .with(&names[3], Values::Bool(rows.iter().map(|row| row.3).collect()))
                .unit("bits, \"b\"");
            table.columns.truncate(columns);
            prop_assert_eq!(format!("{:?}", decoded(&table)), format!("{table:?}"));
        }
    }
}
