//! Brings an array that was made elsewhere into a study, by its content.
//!
//! The formats are read in `load_tensor/`; here are the parameters and what can be checked before anything runs: a
//! header is cheap to read, so a wrong name or number of axes is a mistake of the plan, not of the run.

mod npy;
mod safetensors;

use std::path::Path;

use assay_cache::{Artifact, Axis, Data, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Ctx, Failure, Fetch, File, Given, Inputs, Mistake, OutputPort, Outputs, PortType, Ports, Resolved, SourceError,
    Stage,
};

/// Loads a tensor from a file: `.npy`, `.npz` or `.safetensors`.
///
/// Numbers of 32 and 64 bits are kept (32-bit integers as 64-bit ones), those of 16 bits become 32-bit floats. The
/// file enters the study's keys by its content.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoadTensor {
    /// The file.
    pub file: File,
    /// Which of the file's arrays, where it holds several (`.npz`, `.safetensors`).
    #[serde(default)]
    pub name: Option<String>,
    /// The names of the axes, in order, such as `["prompt", "node", "step"]`. Needed unless the file is a safetensors
    /// file that Assay wrote: it names them itself.
    #[serde(default)]
    pub axes: Option<Vec<String>>,
}

impl Stage for LoadTensor {
    const KIND: &'static str = "load-tensor";
    const VERSION: &'static [(&'static str, u32)] = &[("load-tensor", 1)];

    fn resolve(&self, _: Fetch) -> Result<Resolved, SourceError> {
        present(&self.file.0)
    }

    fn ports(&self, given: &Given) -> Result<Ports, Vec<Mistake>> {
        let format = Format::of(&self.file.0).map_err(|message| vec![Mistake::new("file", message)])?;
        if let Some(axis) = self.axes.iter().flatten().position(String::is_empty) {
            return Err(vec![Mistake::new(format!("axes[{axis}]"), "an axis needs a name")]);
        }
        let at_hand = given.files.and_then(|files| files.files.get("file"));
        let header = at_hand.map(|path| self.header(format, path)).transpose().map_err(|mistake| vec![mistake])?;
        let names = match (&self.axes, header.and_then(|header| header.axes)) {
            (Some(names), _) => Some(names.clone()),
            (None, Some(axes)) => Some(axes.into_iter().map(|axis| axis.name).collect()),
            (None, None) if at_hand.is_some() || format != Format::Safetensors => return Err(vec![unnamed()]),
            (None, None) => None,
        };
        let ty = PortType { kind: "tensor", axes: names.unwrap_or_default() };
        Ok(Ports { inputs: vec![], outputs: vec![OutputPort::new("tensor", ty)] })
    }

    fn run(&self, _: &Inputs, _: &dyn Ctx) -> Result<Outputs, Failure> {
        let path = &self.file.0;
        let failure = |message: String| Failure::fatal(format!("{}: {message}", path.display()));
        let format = Format::of(path).map_err(failure)?;
        let tensor = format.read(path, self.name.as_deref()).and_then(|found| self.named(found)).map_err(failure)?;
        Ok(Outputs::default().with("tensor", Artifact::Tensor(tensor)))
    }
}

/// What a header tells. The array of an `.npz` is compressed, header and all, so its shape is read when it runs.
struct Header {
    shape: Option<Vec<usize>>,
    axes: Option<Vec<Axis>>,
}

/// What a file holds: numbers, and the names and unit where it says them.
struct Found {
    data: Data,
    axes: Option<Vec<Axis>>,
    unit: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Npy,
    Npz,
    Safetensors,
}

impl Format {
    fn of(path: &Path) -> Result<Self, String> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Ok(Self::Npy),
            Some("npz") => Ok(Self::Npz),
            Some("safetensors") => Ok(Self::Safetensors),
            _ => Err("expected a file that ends in .npy, .npz or .safetensors".to_owned()),
        }
    }

    fn read(self, path: &Path, name: Option<&str>) -> Result<Found, String> {
        let unnamed = |data| Found { data, axes: None, unit: None };
        match self {
            Self::Npy => npy::read(path).map(unnamed),
            Self::Npz => npy::read_npz(path, name).map(unnamed),
            Self::Safetensors => safetensors::read(path, name),
        }
    }
}

impl LoadTensor {
    /// What is known without the numbers, checked against the parameters.
    fn header(&self, format: Format, path: &Path) -> Result<Header, Mistake> {
        let name = self.name.as_deref();
        let header = match format {
            Format::Npy if name.is_some() => {
                return Err(Mistake::new("name", "an .npy file holds one array, which has no name"));
            }
            Format::Npy => npy::shape(path).map(|shape| Header { shape: Some(shape), axes: None }),
            Format::Npz => npy::pick(path, name).map(|_| Header { shape: None, axes: None }),
            Format::Safetensors => safetensors::header(path, name),
        };
        let header = header.map_err(|message| Mistake::new("file", format!("{}: {message}", path.display())))?;
        match (&self.axes, &header.shape) {
            (Some(axes), Some(shape)) if axes.len() != shape.len() => {
                Err(Mistake::new("axes", misfit(axes.len(), shape)).help("name each dimension of the array, in order"))
            }
            _ => Ok(header),
        }
    }

    /// The tensor under the names of the manifest, else under its own.
    fn named(&self, found: Found) -> Result<Tensor, String> {
        let own = self.axes.as_ref().map(|names| names.iter().map(|name| Axis::new(name)).collect::<Vec<_>>());
        let axes = own.or(found.axes).ok_or_else(|| unnamed().message)?;
        if axes.len() != found.data.shape().len() {
            return Err(misfit(axes.len(), found.data.shape()));
        }
        Ok(Tensor { axes, unit: found.unit, data: found.data })
    }
}

fn misfit(axes: usize, shape: &[usize]) -> String {
    format!("`axes` names {axes} axes, but the array has the shape {shape:?}")
}

fn unnamed() -> Mistake {
    Mistake::new("axes", "this file does not say what its axes are")
        .help("name them, such as axes = [\"prompt\", \"node\", \"step\"]")
}

/// The file, if there is one.
pub fn present(path: &Path) -> Result<Resolved, SourceError> {
    if path.is_file() {
        Ok(Resolved::file(path.to_owned()))
    } else {
        Err(SourceError::Unavailable(format!("there is no file {}", path.display())))
    }
}

/// The only array of a file, or the one of this name; or what there is instead.
fn choose(names: &[String], wanted: Option<&str>) -> Result<String, String> {
    let there = || if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    match (wanted, names) {
        (Some(wanted), _) if names.iter().any(|name| name == wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => Err(format!("holds no array `{wanted}`; there is {}", there())),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(format!("holds {} arrays: choose one with `name` ({})", names.len(), there())),
    }
}

#[cfg(test)]
mod tests;
