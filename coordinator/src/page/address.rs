use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

/// Where the page of a run is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageAddress {
    /// Nowhere.
    #[default]
    Off,
    /// On loopback, at a free port.
    Free,
    /// At an address.
    At(SocketAddr),
}

impl PageAddress {
    /// A free port of the loopback address on which the coordinator listens, or of 127.0.0.1.
    pub(crate) fn free(listen: SocketAddr) -> SocketAddr {
        let loopback = Some(listen.ip()).filter(IpAddr::is_loopback);
        SocketAddr::new(loopback.unwrap_or(Ipv4Addr::LOCALHOST.into()), 0)
    }
}

impl FromStr for PageAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(PageAddress::Off),
            "free" => Ok(PageAddress::Free),
            text => node::listening(text).map(PageAddress::At).map_err(|error| format!("{error}; or off")),
        }
    }
}

impl fmt::Display for PageAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PageAddress::Off => formatter.write_str("off"),
            PageAddress::Free => formatter.write_str("free"),
            PageAddress::At(address) => address.fmt(formatter),
        }
    }
}
