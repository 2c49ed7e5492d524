//! Which device a run uses, found out without touching one that is not there.
//!
//! burn starts a CUDA device in a worker thread that panics where the driver is missing; so the driver is asked first.

use super::Device;

/// A device that was found, and the name under which entries record it.
#[derive(Clone, Debug)]
pub struct Opened {
    pub device: Device,
    pub name: String,
}

/// Finds the device that `wanted` means: `auto`, `cpu`, `cuda` or `cuda:N`. `auto` is the first CUDA device, else the
/// CPU.
pub fn open(wanted: &str) -> Result<Opened, String> {
    match wanted {
        "cpu" => Ok(cpu()),
        "auto" => Ok(cuda(0).unwrap_or_else(|reason| {
            tracing::info!("computing on the CPU: {reason}");
            cpu()
        })),
        _ => cuda(cuda_index(wanted)?).map_err(|reason| format!("the device `{wanted}` cannot be used: {reason}")),
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

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Opened, String> {
    Err("this build has no CUDA; `cargo build --release --features cuda` makes one that has".to_owned())
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Opened, String> {
    let name = driver::device_name(index)?;
    Ok(Opened { device: Device::Cuda(burn_cuda::CudaDevice::new(index)), name: format!("cuda:{index} ({name})") })
}

/// The few calls of the CUDA driver that tell whether a device is there.
#[cfg(feature = "cuda")]
mod driver {
    use std::ffi::{CStr, c_char, c_int, c_uint};

    use libloading::{Library, Symbol};

    const LIBRARIES: [&str; 2] = ["libcuda.so.1", "libcuda.so"];

    type Init = unsafe extern "C" fn(c_uint) -> c_int;
    type GetCount = unsafe extern "C" fn(*mut c_int) -> c_int;
    type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
    type GetName = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;

    /// The name of device `index`, or why there is none.
    pub fn device_name(index: usize) -> Result<String, String> {
        // SAFETY: loading the driver runs its initialisers, as any program that uses CUDA does.
        let library = LIBRARIES
            .iter()
            .find_map(|name| unsafe { Library::new(*name) }.ok())
            .ok_or("there is no NVIDIA driver on this machine (libcuda.so.1)")?;
        // SAFETY: the four functions have had these signatures since CUDA 2; pointers are to locals that outlive the
        // calls, and the name's buffer is as long as is said.
        unsafe {
            let init: Symbol<Init> = symbol(&library, b"cuInit")?;
            let get_count: Symbol<GetCount> = symbol(&library, b"cuDeviceGetCount")?;
            let get: Symbol<Get> = symbol(&library, b"cuDeviceGet")?;
            let get_name: Symbol<GetName> = symbol(&library, b"cuDeviceGetName")?;
            succeeded("cuInit", init(0))?;
            let mut count = 0;
            succeeded("cuDeviceGetCount", get_count(&mut count))?;
            let wanted = c_int::try_from(index).ok().filter(|index| *index < count);
            let wanted = wanted.ok_or_else(|| format!("device {index} does not exist: there are {count}"))?;
            let mut device = 0;
            succeeded("cuDeviceGet", get(&mut device, wanted))?;
            let mut name = [0; 128];
            succeeded("cuDeviceGetName", get_name(name.as_mut_ptr(), name.len() as c_int - 1, device))?;
            Ok(CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned())
        }
    }

    unsafe fn symbol<'a, T>(library: &'a Library, name: &[u8]) -> Result<Symbol<'a, T>, String> {
        unsafe { library.get(name) }.map_err(|error| format!("the NVIDIA driver is not usable: {error}"))
    }

    fn succeeded(call: &str, code: c_int) -> Result<(), String> {
        if code == 0 { Ok(()) } else { Err(format!("the NVIDIA driver refuses {call} (error {code})")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        assert_eq!(open("cpu").unwrap().name, "cpu");
        assert_eq!(cuda_index("cuda"), Ok(0));
        assert_eq!(cuda_index("cuda:3"), Ok(3));
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda-1", "", "CPU"] {
            assert!(open(wrong).unwrap_err().contains("devices are auto, cpu"), "{wrong}");
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error_and_auto_finds_another() {
        let error = open("cuda:4096").unwrap_err();
        assert!(error.contains("the device `cuda:4096` cannot be used"), "{error}");
        assert!(!open("auto").unwrap().name.is_empty());
        #[cfg(not(feature = "cuda"))]
        assert!(error.contains("--features cuda"), "{error}");
    }
}
