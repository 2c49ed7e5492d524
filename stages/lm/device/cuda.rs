//! CUDA on this machine: the driver, which knows the devices, and the compiler that makes kernels at run time (NVRTC)
//! with the headers that kernels include. A device counts as there if all three are.

use super::{Cuda, Found};
use crate::lm::Device;

/// The machine that this process runs on.
pub struct Machine;

#[cfg(not(feature = "cuda"))]
impl Cuda for Machine {
    fn devices(&self) -> Result<Vec<Found>, String> {
        Err("this build has no CUDA; `cargo build --release --features cuda` makes one that has".to_owned())
    }

    fn device(&self, _: usize) -> Device {
        unreachable!("no device was found")
    }
}

#[cfg(feature = "cuda")]
impl Cuda for Machine {
    fn devices(&self) -> Result<Vec<Found>, String> {
        let found = driver::devices()?;
        compiler::answers()?;
        Ok(found)
    }

    fn device(&self, index: usize) -> Device {
        Device::Cuda(burn_cuda::CudaDevice::new(index))
    }
}

/// The first of these libraries that can be loaded.
#[cfg(feature = "cuda")]
fn library(names: &[&str]) -> Option<libloading::Library> {
    // SAFETY: loading the driver or NVRTC runs their initialisers, as any program that uses CUDA does.
    names.iter().find_map(|name| unsafe { libloading::Library::new(*name) }.ok())
}

/// The few calls of the driver that tell which devices there are.
#[cfg(feature = "cuda")]
mod driver {
    use std::ffi::{CStr, c_char, c_int, c_uint};

    use libloading::{Library, Symbol};

    use super::Found;

    type Init = unsafe extern "C" fn(c_uint) -> c_int;
    type GetCount = unsafe extern "C" fn(*mut c_int) -> c_int;
    type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
    type GetName = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
    type TotalMem = unsafe extern "C" fn(*mut usize, c_int) -> c_int;

    pub fn devices() -> Result<Vec<Found>, String> {
        let library = super::library(&["libcuda.so.1", "libcuda.so"])
            .ok_or("there is no NVIDIA driver on this machine (libcuda.so.1)")?;
        let mut count = 0;
        // SAFETY: both functions have had these signatures since CUDA 2; the pointer is to a local that outlives the
        // call.
        unsafe {
            succeeded("cuInit", symbol::<Init>(&library, b"cuInit")?(0))?;
            succeeded("cuDeviceGetCount", symbol::<GetCount>(&library, b"cuDeviceGetCount")?(&mut count))?;
        }
        (0..count).map(|index| device(&library, index)).collect()
    }

    fn device(library: &Library, index: c_int) -> Result<Found, String> {
        let (mut device, mut memory, mut name) = (0, 0, [0; 128]);
        let room = name.len() as c_int - 1;
        // SAFETY: as above (the total since CUDA 3.2, under the name with `_v2`); the name's buffer is as long as is
        // said, and ends in a zero whatever is written.
        unsafe {
            succeeded("cuDeviceGet", symbol::<Get>(library, b"cuDeviceGet")?(&mut device, index))?;
            let get_name = symbol::<GetName>(library, b"cuDeviceGetName")?;
            succeeded("cuDeviceGetName", get_name(name.as_mut_ptr(), room, device))?;
            let total = symbol::<TotalMem>(library, b"cuDeviceTotalMem_v2")?;
            succeeded("cuDeviceTotalMem", total(&mut memory, device))?;
            let model = CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned();
            Ok(Found { model, memory: memory as u64 })
        }
    }

    unsafe fn symbol<'a, T>(library: &'a Library, name: &[u8]) -> Result<Symbol<'a, T>, String> {
        unsafe { library.get(name) }.map_err(|error| format!("the NVIDIA driver is not usable: {error}"))
    }

    fn succeeded(call: &str, code: c_int) -> Result<(), String> {
        if code == 0 { Ok(()) } else { Err(format!("the NVIDIA driver refuses {call} (error {code})")) }
    }
}

/// Whether kernels can be compiled.
#[cfg(feature = "cuda")]
mod compiler {
    use std::{env, path::PathBuf};

    const LIBRARIES: [&str; 5] = ["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11", "libnvrtc.so.1"];

    pub fn answers() -> Result<(), String> {
        super::library(&LIBRARIES).ok_or("the library that compiles kernels, NVRTC (libnvrtc.so), cannot be loaded")?;
        let folder = toolkit().ok_or("there is no CUDA toolkit, whose headers kernels need: set CUDA_PATH to one")?;
        match folder.join("include/cuda_runtime.h").is_file() {
            true => Ok(()),
            false => {
                Err(format!("kernels need the CUDA header include/cuda_runtime.h, which {} lacks", folder.display()))
            }
        }
    }

    /// Where the backend looks for headers. (It panics in a worker thread where it finds nothing.)
    fn toolkit() -> Option<PathBuf> {
        let given = env::var_os("CUDA_PATH").map(PathBuf::from);
        let usual = ["/usr/local/cuda", "/opt/cuda"].map(PathBuf::from).into_iter().find(|folder| folder.exists());
        let packaged = || PathBuf::from("/usr/bin/nvcc").exists().then(|| PathBuf::from("/usr"));
        given.or(usual).or_else(packaged)
    }
}
