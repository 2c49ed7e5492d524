//! What runs at the same time: several stages on the host's cores, one on the device.

use assay_stages::Lane;

/// The lanes of a run, and what is free in them.
pub struct Lanes {
    host: usize,
    device: Device,
}

enum Device {
    Free,
    Busy,
    /// A stage panicked on it: what is left in its memory cannot be trusted.
    Closed(String),
}

impl Lanes {
    /// Lanes for `jobs` stages on the host.
    pub fn new(jobs: usize) -> Self {
        Self { host: jobs.max(1), device: Device::Free }
    }

    pub fn is_free(&self, lane: Lane) -> bool {
        match lane {
            Lane::Host => self.host > 0,
            Lane::Device => matches!(self.device, Device::Free),
        }
    }

    /// Why nothing will ever run in this lane again.
    pub fn closed(&self, lane: Lane) -> Option<&str> {
        match (&self.device, lane) {
            (Device::Closed(cause), Lane::Device) => Some(cause),
            _ => None,
        }
    }

    pub fn occupy(&mut self, lane: Lane) {
        match lane {
            Lane::Host => self.host -= 1,
            Lane::Device => self.device = Device::Busy,
        }
    }

    pub fn release(&mut self, lane: Lane) {
        match lane {
            Lane::Host => self.host += 1,
            Lane::Device => self.device = Device::Free,
        }
    }

    /// Releases a lane in which a stage panicked.
    pub fn release_broken(&mut self, lane: Lane, cause: &str) {
        match lane {
            Lane::Host => self.host += 1,
            Lane::Device => self.device = Device::Closed(cause.to_owned()),
        }
    }
}
