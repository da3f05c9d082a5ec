use std::{fmt, str::FromStr};

use tonic::transport::Uri;

/// The address of a collector that takes OTLP over gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector(String);

impl Collector {
    /// As a URL.
    pub fn url(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for Collector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        check(cfg!(feature = "otlp"))?;
        let wanted = "give the URL of a collector that takes OTLP over gRPC, like http://127.0.0.1:4317";
        let url: Uri = text.parse().map_err(|error| format!("{error}; {wanted}"))?;
        match (url.scheme_str(), url.host(), url.path()) {
            (Some("http" | "https"), Some(_), "/") => Ok(Collector(text.into())),
            _ => Err(wanted.into()),
        }
    }
}

/// Refuses a collector where the program cannot speak to one.
fn check(is_built_in: bool) -> Result<(), String> {
    match is_built_in {
        true => Ok(()),
        false => Err("this program was built without OpenTelemetry: build it with --features otlp (cargo build --release \
                      --features otlp), or use the Python package or the image, which have it"
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_url_of_a_host() {
        if !cfg!(feature = "otlp") {
            return;
        }
        for text in ["http://127.0.0.1:4317", "https://collector.example:4317/", "http://collector"] {
            assert_eq!(text.parse::<Collector>().unwrap().url(), text);
        }
        for text in ["127.0.0.1:4317", "collector", "", "ftp://a:1", "http://a:1/v1/traces", "http://a b"] {
            let refused = text.parse::<Collector>().unwrap_err();
            assert!(refused.contains("like http://127.0.0.1:4317"), "{text}: {refused}");
        }
    }

    #[test]
    fn a_program_without_the_feature_says_how_to_get_it() {
        assert!(check(false).unwrap_err().contains("--features otlp"));
        assert_eq!(check(true), Ok(()));
    }
}
