use serde::{Deserialize, Serialize};

/// The device on which a node computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The best device available.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The n-th CUDA device.
    Cuda(usize),
}

impl std::str::FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "auto" => Ok(Device::Auto),
            None if text == "cpu" => Ok(Device::Cpu),
            Some(("cuda", number)) if number.parse::<usize>().is_ok() => {
                Ok(Device::Cuda(number.parse().expect("parsed just now")))
            }
            _ => Err(format!("device \"{text}\" is none of cpu, cuda:N and auto")),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Device::Auto => formatter.write_str("auto"),
            Device::Cpu => formatter.write_str("cpu"),
            Device::Cuda(number) => write!(formatter, "cuda:{number}"),
        }
    }
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        device.to_string()
    }
}
