//! Brings a table that was made elsewhere into a study, by its content.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use assay_cache::{Artifact, Column, Table, Values};
use csv::{ReaderBuilder, StringRecord};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Ctx, Failure, Fetch, File, Given, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Resolved, SourceError,
    Stage, load_tensor::present,
};

/// Loads a table from a CSV file with a header.
///
/// Where `types` does not say it, a column is of the first type that all its cells have: integers, floats, `true` and
/// `false`, else text. An empty cell is a missing number. Numbers with leading zeros are names, so text.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoadTable {
    /// The file.
    pub file: File,
    /// The types of columns by name, where they are not to be inferred: `int`, `float`, `bool` or `text`.
    #[serde(default)]
    pub types: BTreeMap<String, Type>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Type {
    Int,
    Float,
    Bool,
    Text,
}

impl Stage for LoadTable {
    const KIND: &'static str = "load-table";
    const VERSION: &'static [(&'static str, u32)] = &[("load-table", 1)];

    fn resolve(&self, _: Fetch) -> Result<Resolved, SourceError> {
        present(&self.file.0)
    }

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let mut table = OutputPort::new("table", PortType::of("table"));
        if let Some(path) = given.files.and_then(|files| files.files.get("file")) {
            let names = read(path, false).map_err(|message| vec![Mistake::new("file", message)])?.0;
            self.check(&names)?;
            table = table.with_facts(json!({ "columns": names }));
        }
        Ok(Ports { inputs: vec![], outputs: vec![table] })
    }

    fn run(&self, _: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        let (names, rows) = read(&self.file.0, true).map_err(Failure::fatal)?;
        self.check(&names).map_err(|mistakes| {
            let messages: Vec<_> = mistakes.into_iter().map(|mistake| mistake.message).collect();
            Failure::fatal(format!("{}: {}", self.file.0.display(), messages.join("; ")))
        })?;
        let columns = names.into_iter().enumerate().map(|(index, name)| self.column(name, index, &rows));
        Ok(Outputs::default().with("table", Artifact::Table(Table { columns: columns.collect::<Result<_, _>>()? })))
    }
}

impl LoadTable {
    /// A mistake for each type that is given to a column that there is not.
    fn check(&self, names: &[String]) -> Result<(), Vec<Mistake>> {
        let unknown = self.types.keys().filter(|name| !names.contains(name));
        let mistakes: Vec<_> = unknown
            .map(|name| {
                Mistake::new(format!("types.{name}"), format!("the table has no column `{name}`"))
                    .help(format!("its columns are {}", names.join(", ")))
            })
            .collect();
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }

    fn column(&self, name: String, index: usize, rows: &[StringRecord]) -> Result<Column, Failure> {
        let cells: Vec<&str> = rows.iter().map(|row| &row[index]).collect();
        let values = match self.types.get(&name) {
            None => infer(&cells),
            Some(&ty) => typed(ty, &cells).map_err(|row| {
                let (cell, file) = (cells[row], self.file.0.display());
                Failure::fatal(format!("{file}: row {} of column `{name}` is `{cell}`, not {ty:?}", row + 1))
            })?,
        };
        Ok(Column { name, unit: None, values })
    }
}

/// The header, and the rows where they are wanted.
fn read(path: &Path, rows: bool) -> Result<(Vec<String>, Vec<StringRecord>), String> {
    let bad = |error: csv::Error| format!("{}: {error}", path.display());
    let mut reader = ReaderBuilder::new().from_path(path).map_err(bad)?;
    let names: Vec<_> = reader.headers().map_err(bad)?.iter().map(str::to_owned).collect();
    if names.is_empty() {
        return Err(format!("{} is empty; expected CSV with a header", path.display()));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(format!("{}: two columns are called `{twice}`", path.display()));
    }
    let rows = if rows { reader.records().collect::<Result<_, _>>().map_err(bad)? } else { vec![] };
    Ok((names, rows))
}

/// The values under the first type that takes all of them.
fn infer(cells: &[&str]) -> Values {
    let named = cells.iter().all(|cell| cell.is_empty()) || cells.iter().any(|cell| leading_zero(cell));
    let candidates: &[Type] = if named { &[] } else { &[Type::Int, Type::Float, Type::Bool] };
    let found = candidates.iter().find_map(|&ty| typed(ty, cells).ok());
    found.unwrap_or_else(|| Values::Text(cells.iter().map(|cell| (*cell).to_owned()).collect()))
}

/// `007`, but not `0` or `0.5`.
fn leading_zero(cell: &str) -> bool {
    let digits = cell.trim_start_matches(['+', '-']).as_bytes();
    digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit()
}

/// The values under a type, or the row of the first cell that it does not take.
fn typed(ty: Type, cells: &[&str]) -> Result<Values, usize> {
    fn all<T>(cells: &[&str], value: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, usize> {
        cells.iter().enumerate().map(|(row, cell)| value(cell).ok_or(row)).collect()
    }
    Ok(match ty {
        Type::Int => Values::Int(all(cells, |cell| match cell {
            "" => Some(None),
            cell => cell.parse().ok().map(Some),
        })?),
        Type::Float => {
            Values::Float(all(cells, |cell| if cell.is_empty() { Some(f64::NAN) } else { cell.parse().ok() })?)
        }
        Type::Bool => Values::Bool(all(cells, |cell| match cell {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        })?),
        Type::Text => Values::Text(all(cells, |cell| Some(cell.to_owned()))?),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::contract::testing::TestCtx;

    struct Folder(TempDir);

    impl Folder {
        fn with(csv: &str) -> Self {
            let folder = TempDir::new().unwrap();
            fs::write(folder.path().join("t.csv"), csv).unwrap();
            Self(folder)
        }

        fn stage(&self, types: Value) -> LoadTable {
            serde_json::from_value(json!({ "file": self.0.path().join("t.csv"), "types": types })).unwrap()
        }

        fn load(&self, types: Value) -> Result<Table, String> {
            match self.stage(types).run(&Inputs::default(), &TestCtx::new()) {
                Ok(mut outputs) => match outputs.artifacts.remove("table") {
                    Some(Artifact::Table(table)) => Ok(table),
                    other => panic!("not a table: {other:?}"),
                },
                Err(error) => Err(error.to_string()),
            }
        }
    }

    #[test]
    fn types_are_inferred_column_by_column() {
        let csv = "id,n,x,ok,code,note\na,1,0.5,true,007,\nb,,1e-3,False,12,\n\"c, d\",-3,,true,1,\n";
        let table = Folder::with(csv).load(json!({})).unwrap();
        let values = |name: &str| &table.column(name).unwrap().values;
        assert_eq!(*values("id"), Values::Text(vec!["a".into(), "b".into(), "c, d".into()]));
        assert_eq!(*values("n"), Values::Int(vec![Some(1), None, Some(-3)]));
        let Values::Float(x) = values("x") else { panic!("x is a float") };
        assert!(x[..2] == [0.5, 1e-3] && x[2].is_nan());
        assert_eq!(*values("ok"), Values::Bool(vec![true, false, true]));
        assert_eq!(*values("code"), Values::Text(vec!["007".into(), "12".into(), "1".into()]));
        assert_eq!(*values("note"), Values::Text(vec![String::new(); 3]));
    }

    #[test]
    fn given_types_rule() {
        let folder = Folder::with("a,b\n1,2\n3,4\n");
        let table = folder.load(json!({ "a": "float", "b": "text" })).unwrap();
        assert_eq!(table.column("a").unwrap().values, Values::Float(vec![1.0, 3.0]));
        assert_eq!(table.column("b").unwrap().values, Values::Text(vec!["2".into(), "4".into()]));
        let message = folder.load(json!({ "b": "bool" })).unwrap_err();
        assert!(message.contains("t.csv: row 1 of column `b` is `2`, not Bool"), "{message}");
    }

    #[test]
    fn a_table_of_no_rows_keeps_its_columns() {
        let table = Folder::with("a,b\n").load(json!({ "a": "int" })).unwrap();
        assert_eq!((table.columns.len(), table.rows()), (2, 0));
        assert_eq!(table.column("a").unwrap().values, Values::Int(vec![]));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let says = |csv: &str| Folder::with(csv).load(json!({})).unwrap_err();
        assert!(says("a,b\n1\n").contains("line: 2"), "{}", says("a,b\n1\n"));
        assert!(says("a,a\n1,2\n").contains("two columns are called `a`"));
        assert!(says("").contains("is empty"));

        let folder = Folder::with("a,b\n1,2\n");
        let stage = folder.stage(json!({ "c": "int" }));
        let files = stage.resolve(Fetch::Never).unwrap();
        let mistakes = stage.ports(&Given { files: Some(&files), ..Given::default() }).unwrap_err();
        assert_eq!((mistakes[0].at.as_str(), mistakes[0].help.as_deref()), ("types.c", Some("its columns are a, b")));
    }
}
