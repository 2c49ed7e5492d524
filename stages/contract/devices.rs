//! The devices of a machine, as the command line lists them: plain data.

use serde::Serialize;

/// What there is to compute on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Devices {
    pub devices: Vec<DeviceFacts>,
    /// The name of the one that `auto` takes.
    pub auto: String,
    /// Why there is no CUDA device, where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_cuda: Option<String>,
}

/// One device; what is not known of it, or does not apply, is left out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct DeviceFacts {
    /// As `--device` takes it: `cpu`, `cuda:0`.
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// The widest vector instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}
