//! What the CPU is: its name, its threads, and the widest vector instructions that it has.

use std::fs;

use crate::contract::DeviceFacts;

pub fn facts() -> DeviceFacts {
    DeviceFacts {
        name: "cpu".to_owned(),
        model: model(),
        threads: Some(rayon::current_num_threads()),
        instructions: instructions().map(str::to_owned),
        memory: None,
    }
}

/// Its name, where the system tells it.
fn model() -> Option<String> {
    let told = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = told.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The instructions that products of matrices run on.
#[cfg(target_arch = "x86_64")]
fn instructions() -> Option<&'static str> {
    Some(if is_x86_feature_detected!("avx512f") {
        "AVX-512"
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        "AVX2"
    } else {
        "SSE2"
    })
}

#[cfg(target_arch = "aarch64")]
fn instructions() -> Option<&'static str> {
    Some("NEON")
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn instructions() -> Option<&'static str> {
    None
}
