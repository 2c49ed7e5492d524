//! Which device a run uses, and which there are, found out without touching one that is not there.
//!
//! burn starts a CUDA device in a worker thread that panics where the driver is missing, or what compiles kernels; so
//! both are asked first ([`Cuda`]).

mod cpu;
mod cuda;

use super::Device;
use crate::contract::{DeviceFacts, Devices};

/// A device that was found, and the name under which entries record it.
#[derive(Clone, Debug)]
pub struct Opened {
    pub device: Device,
    pub name: String,
}

/// What can be asked of CUDA on a machine.
pub trait Cuda {
    /// The devices that kernels can be compiled for and run on, or why there are none.
    fn devices(&self) -> Result<Vec<Found>, String>;

    /// The device of this index, which [`devices`](Self::devices) has found.
    fn device(&self, index: usize) -> Device;
}

/// A CUDA device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    pub model: String,
    /// In bytes.
    pub memory: u64,
}

/// Finds the device that `wanted` means: `auto`, `cpu`, `cuda` or `cuda:N`. `auto` is the first CUDA device, else the
/// CPU.
pub fn open(wanted: &str) -> Result<Opened, String> {
    chosen(wanted, &cuda::Machine)
}

/// Every device of this machine.
pub fn all() -> Devices {
    listed(&cuda::Machine)
}

fn chosen(wanted: &str, cuda: &dyn Cuda) -> Result<Opened, String> {
    match wanted {
        "cpu" => Ok(cpu()),
        "auto" => Ok(numbered(0, cuda).unwrap_or_else(|reason| {
            tracing::info!("computing on the CPU: {reason}");
            cpu()
        })),
        _ => {
            let index = cuda_index(wanted)?;
            numbered(index, cuda).map_err(|reason| format!("the device `{wanted}` cannot be used: {reason}"))
        }
    }
}

fn cuda_index(wanted: &str) -> Result<usize, String> {
    let index = match wanted.strip_prefix("cuda") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix(':').and_then(|index| index.parse().ok()),
        None => None,
    };
    index.ok_or_else(|| format!("there is no device `{wanted}`: devices are auto, cpu, cuda and cuda:N"))
}

fn cpu() -> Opened {
    Opened { device: Device::Flex(Default::default()), name: "cpu".to_owned() }
}

fn numbered(index: usize, cuda: &dyn Cuda) -> Result<Opened, String> {
    let found = cuda.devices()?;
    let Some(Found { model, .. }) = found.get(index) else {
        return Err(match found.len() {
            0 => "the NVIDIA driver knows of no device".to_owned(),
            1 => format!("device {index} does not exist: there is cuda:0"),
            count => format!("device {index} does not exist: there are cuda:0 to cuda:{}", count - 1),
        });
    };
    Ok(Opened { device: cuda.device(index), name: format!("cuda:{index} ({model})") })
}

fn listed(cuda: &dyn Cuda) -> Devices {
    let (found, no_cuda) = match cuda.devices() {
        Ok(found) if found.is_empty() => (found, Some("the NVIDIA driver knows of no device".to_owned())),
        Ok(found) => (found, None),
        Err(reason) => (vec![], Some(reason)),
    };
    let auto = if found.is_empty() { "cpu" } else { "cuda:0" };
    let gpu = |(index, found): (usize, Found)| DeviceFacts {
        name: format!("cuda:{index}"),
        model: Some(found.model),
        memory: Some(found.memory),
        ..DeviceFacts::default()
    };
    let devices = std::iter::once(cpu::facts()).chain(found.into_iter().enumerate().map(gpu)).collect();
    Devices { devices, auto: auto.to_owned(), no_cuda }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with these devices, or none for a reason. What it opens is the CPU.
    struct Fake(Result<Vec<Found>, String>);

    impl Cuda for Fake {
        fn devices(&self) -> Result<Vec<Found>, String> {
            self.0.clone()
        }

        fn device(&self, index: usize) -> Device {
            assert!(index < self.0.as_ref().map_or(0, Vec::len), "only what was found is opened");
            cpu().device
        }
    }

    fn two() -> Fake {
        let found = |model: &str, gigabytes: u64| Found { model: model.to_owned(), memory: gigabytes << 30 };
        Fake(Ok(vec![found("Big", 80), found("Small", 8)]))
    }

    fn none() -> Fake {
        Fake(Err("no driver".to_owned()))
    }

    fn name(wanted: &str, cuda: &Fake) -> String {
        chosen(wanted, cuda).unwrap().name
    }

    fn refused(wanted: &str, cuda: &Fake) -> String {
        chosen(wanted, cuda).unwrap_err()
    }

    #[test]
    fn auto_takes_the_first_gpu_that_answers_and_else_the_cpu() {
        assert_eq!(name("auto", &two()), "cuda:0 (Big)");
        assert_eq!(name("auto", &none()), "cpu");
        assert_eq!(name("auto", &Fake(Ok(vec![]))), "cpu");
        assert_eq!(name("cpu", &two()), "cpu");
    }

    #[test]
    fn a_gpu_that_is_named_must_be_there() {
        assert_eq!(name("cuda", &two()), "cuda:0 (Big)");
        assert_eq!(name("cuda:1", &two()), "cuda:1 (Small)");
        assert_eq!(
            refused("cuda:2", &two()),
            "the device `cuda:2` cannot be used: device 2 does not exist: there are cuda:0 to cuda:1"
        );
        assert_eq!(refused("cuda", &none()), "the device `cuda` cannot be used: no driver");
        assert!(refused("cuda", &Fake(Ok(vec![]))).contains("knows of no device"));
    }

    #[test]
    fn devices_have_names() {
        assert_eq!(cuda_index("cuda"), Ok(0));
        assert_eq!(cuda_index("cuda:3"), Ok(3));
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda-1", "", "CPU"] {
            assert!(refused(wrong, &two()).contains("devices are auto, cpu"), "{wrong}");
        }
    }

    #[test]
    fn the_list_has_every_device_and_says_why_there_is_none() {
        let devices = listed(&two());
        let names: Vec<_> = devices.devices.iter().map(|device| device.name.as_str()).collect();
        assert_eq!((names, devices.auto.as_str()), (vec!["cpu", "cuda:0", "cuda:1"], "cuda:0"));
        assert_eq!(devices.devices[2].memory, Some(8 << 30));
        assert_eq!(devices.no_cuda, None);
        let devices = listed(&none());
        assert_eq!((devices.devices.len(), devices.auto.as_str()), (1, "cpu"));
        assert_eq!(devices.no_cuda.as_deref(), Some("no driver"));
    }

    /// Whatever this machine has, asking it ends well.
    #[test]
    fn this_machine_has_a_cpu() {
        let devices = all();
        let cpu = &devices.devices[0];
        assert!(cpu.name == "cpu" && cpu.threads.is_some_and(|threads| threads > 0));
        assert!(open("cuda:4096").unwrap_err().contains("the device `cuda:4096` cannot be used"));
        #[cfg(not(feature = "cuda"))]
        assert!(devices.no_cuda.is_some_and(|reason| reason.contains("--features cuda")));
    }
}
