use scenario::Device;

use crate::NodeError;

/// Opens the device that was asked for. `auto` takes the processor in a build without CUDA.
pub fn resolve_device(wanted: Device) -> Result<candle_core::Device, NodeError> {
    match wanted {
        Device::Cpu | Device::Auto => Ok(candle_core::Device::Cpu),
        Device::Cuda(number) => Err(NodeError::Input(format!(
            "device cuda:{number} cannot be had: this build computes on the CPU only; use --device cpu"
        ))),
    }
}

/// The name of an open device, as scenarios write it.
pub fn device_name(device: &candle_core::Device) -> String {
    match device.location() {
        candle_core::DeviceLocation::Cpu => "cpu".into(),
        candle_core::DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        candle_core::DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}
