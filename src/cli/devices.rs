//! `assay devices`: what a run can compute on here.

use assay_stages::{DeviceFacts, Devices};
use clap::Args;

use super::Exit;

/// List the devices that a run can compute on
#[derive(Args)]
pub struct Arguments {
    /// Print one JSON document to stdout
    #[arg(long)]
    json: bool,
}

pub fn devices(arguments: &Arguments) -> Exit {
    let devices = assay_stages::devices();
    match arguments.json {
        true => println!("{}", serde_json::json!(devices)),
        false => print!("{}", page(&devices)),
    }
    Exit::DONE
}

fn page(devices: &Devices) -> String {
    let mut page: String = devices.devices.iter().map(line).collect();
    if let Some(reason) = &devices.no_cuda {
        page.push_str(&format!("{:<8}none: {reason}\n", "cuda"));
    }
    page + &format!("\n`--device auto`, the default, takes {}.\n", devices.auto)
}

fn line(device: &DeviceFacts) -> String {
    let threads =
        device.threads.map(|count| if count == 1 { "1 thread".to_owned() } else { format!("{count} threads") });
    let memory = device.memory.map(|bytes| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)));
    let facts = [device.model.clone(), threads, device.instructions.clone(), memory];
    format!("{:<8}{}\n", device.name, facts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_is_a_line() {
        let cpu = DeviceFacts {
            name: "cpu".to_owned(),
            threads: Some(2),
            instructions: Some("AVX2".to_owned()),
            ..DeviceFacts::default()
        };
        let gpu = DeviceFacts {
            name: "cuda:0".to_owned(),
            model: Some("Big".to_owned()),
            memory: Some(80 << 30),
            ..DeviceFacts::default()
        };
        let with = Devices { devices: vec![cpu.clone(), gpu], auto: "cuda:0".to_owned(), no_cuda: None };
        assert_eq!(
            page(&with),
            "cpu     2 threads, AVX2\ncuda:0  Big, 80.0 GiB\n\n`--device auto`, the default, takes cuda:0.\n"
        );
        let without = Devices { devices: vec![cpu], auto: "cpu".to_owned(), no_cuda: Some("no driver".to_owned()) };
        assert!(page(&without).contains("\ncuda    none: no driver\n"));
    }
}
