//! Values of flags and of their environment variables.

use std::net::SocketAddr;

/// Parses a switch in an environment variable; an empty text is off.
///
/// # Errors
///
/// If the text is no such word.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text.trim().to_lowercase().as_str() {
        "1" | "true" | "yes" | "on" | "y" | "t" => Ok(true),
        "0" | "false" | "no" | "off" | "n" | "f" | "" => Ok(false),
        _ => Err("it must be 1, true, yes or on, or else 0, false, no or off".into()),
    }
}

/// Parses a seed.
///
/// # Errors
///
/// If the text is not an integer from 0 to 2^64 - 1.
pub fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("a seed is a whole number from 0 to {}", u64::MAX))
}

/// An address to listen on.
///
/// # Errors
///
/// If the text is no such address.
pub fn listening(text: &str) -> Result<SocketAddr, String> {
    let right = "it must be an IP address of this machine and a port, without a name or scheme: 127.0.0.1:7310, or 0.0.0.0:7310 and \
                 [::]:7310 for all of its addresses";
    text.parse().map_err(|_| right.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_taken_as_people_write_them() {
        for on in ["1", "true", "TRUE", "yes", "On", " y", "t"] {
            assert_eq!(boolean(on), Ok(true), "{on}");
        }
        for off in ["0", "false", "no", "OFF", "n", "f", ""] {
            assert_eq!(boolean(off), Ok(false), "{off}");
        }
        for neither in ["2", "maybe", "-1", "onn"] {
            assert!(boolean(neither).unwrap_err().contains("1, true, yes or on"), "{neither}");
        }
    }

    #[test]
    fn who_listens_has_an_address_and_no_name() {
        assert_eq!(listening("[::]:7310").map(|address| address.port()), Ok(7310));
        for wrong in ["http://127.0.0.1:7310", "localhost:7310", "127.0.0.1", ":7310", ""] {
            assert!(listening(wrong).unwrap_err().contains("127.0.0.1:7310"), "{wrong}");
        }
    }

    #[test]
    fn seeds_reach_to_the_end_of_64_bits() {
        assert_eq!((seed("0"), seed("18446744073709551615")), (Ok(0), Ok(u64::MAX)));
        for wrong in ["-1", "18446744073709551616", "1.0", ""] {
            assert!(seed(wrong).unwrap_err().contains("from 0 to 18446744073709551615"), "{wrong}");
        }
    }
}
