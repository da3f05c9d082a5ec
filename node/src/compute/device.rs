use scenario::Device;

use crate::NodeError;

/// Opens the wanted device, and logs which it took and why. `auto` takes the first GPU or, without one, the CPU.
///
/// # Errors
///
/// [`NodeError::Input`] if the device is not there or cannot be opened.
pub fn resolve_device(wanted: Device) -> Result<candle_core::Device, NodeError> {
    match wanted {
        Device::Cpu => Ok(candle_core::Device::Cpu),
        Device::Cuda(number) => open_cuda(number).map_err(|reason| {
            NodeError::Input(format!(
                "device cuda:{number} cannot be had: {reason}; use --device cpu or auto"
            ))
        }),
        Device::Auto => Ok(open_cuda(0).map_or_else(
            |reason| {
                // A build without CUDA always takes the CPU: nothing to report.
                match cfg!(feature = "cuda") {
                    true => tracing::info!(%reason, "device auto: computes on the CPU"),
                    false => tracing::debug!(%reason, "device auto: computes on the CPU"),
                }
                candle_core::Device::Cpu
            },
            |device| {
                tracing::info!("device auto: computes on cuda:0, which is there");
                device
            },
        )),
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(number: usize) -> Result<candle_core::Device, String> {
    kernels::open_cuda(number).map_err(|error| {
        let said = error.to_string();
        said.lines().next().unwrap_or_default().to_owned()
    })
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_: usize) -> Result<candle_core::Device, String> {
    Err("this build computes on the CPU only (docs/cuda.md says how to build for GPUs)".into())
}

/// The name of an open device as in scenarios, with the GPU's model: `cpu`, `cuda:0 (NVIDIA H100 80GB HBM3)`.
pub fn device_name(device: &candle_core::Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}{}", gpu_model(device)),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

#[cfg(feature = "cuda")]
fn gpu_model(device: &candle_core::Device) -> String {
    kernels::gpu_name(device).map_or_else(|_| String::new(), |name| format!(" ({name})"))
}

#[cfg(not(feature = "cuda"))]
fn gpu_model(_: &candle_core::Device) -> String {
    String::new()
}
