use std::{net::SocketAddr, str::FromStr, time::Duration};

/// Samples that are answered together, unless the user says otherwise.
const BATCH: u16 = 32;

/// Seconds to wait for a lost transmitter, likewise.
const WITHOUT_AFTER: u32 = 30;

/// Samples that may wait, likewise.
const QUEUE: u32 = 1024;

/// What is served, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "The stream")]
pub struct StreamArguments {
    /// Where samples come from: test (the rows of the test set, over and over), stdin (JSON lines, or .npy arrays),
    /// tcp:IP:PORT (the same from anybody who dials), grpc:IP:PORT (callers of Serving.Observe), or grpc (the same at
    /// the coordinator's own address)
    #[arg(long, env = "POM2DIB_SOURCE", default_value = "test", value_name = "SOURCE")]
    pub source: SampleSource,

    /// With --source test: samples per second; by default as many as the network can answer
    #[arg(long, env = "POM2DIB_RATE", value_name = "N", value_parser = positive)]
    pub rate: Option<f64>,

    /// End after N samples; by default at the end of the source or on Ctrl-C
    #[arg(long, env = "POM2DIB_LIMIT", value_name = "N")]
    pub limit: Option<u64>,

    /// How many samples are answered together at most
    #[arg(long, env = "POM2DIB_BATCH_UP_TO", default_value_t = BATCH, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub batch_up_to: u16,

    /// Milliseconds that a sample waits for others to be answered with
    #[arg(long, env = "POM2DIB_WAIT_UP_TO", default_value_t = 0.0, value_name = "MS", value_parser = milliseconds)]
    pub wait_up_to: f64,

    /// How many samples may wait
    #[arg(long, env = "POM2DIB_QUEUE", default_value_t = QUEUE, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub queue: u32,

    /// What happens to a sample that finds the queue full: block (the source waits), drop-oldest, or drop-newest
    #[arg(long, env = "POM2DIB_WHEN_FULL", value_enum, default_value = "block")]
    pub when_full: WhenFull,

    /// Milliseconds after which a sample is answered without what has not come of it: a transmitter's features, and of
    /// lines that bring a sample in parts, the rest. Without it, a line is a whole sample, and features are waited for
    #[arg(long, env = "POM2DIB_DEADLINE", value_name = "MS", value_parser = milliseconds)]
    pub deadline: Option<f64>,

    /// Take a newer checkpoint of the run as soon as there is one, while samples are answered (with --best, a better
    /// one)
    #[arg(long, env = "POM2DIB_RELOAD", value_parser = node::boolean)]
    pub reload: bool,

    /// Seconds to wait for a transmitter that was lost, before the network answers without it
    #[arg(long, env = "POM2DIB_WITHOUT_AFTER", default_value_t = WITHOUT_AFTER, value_name = "SECONDS")]
    pub without_after: u32,

    /// Draw u, and so the selection, anew: every=N (samples), or after so many seconds, as in 10s
    #[arg(long, env = "POM2DIB_REDRAW", value_name = "every=N|SECONDSs")]
    pub redraw: Option<Redraw>,
}

/// When u is drawn anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redraw {
    /// After so many samples.
    Samples(u64),
    /// After so long.
    After(Duration),
}

/// Where samples come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleSource {
    /// The rows of the test set, over and over.
    Test,
    /// Lines on standard input.
    Stdin,
    /// Lines from whoever dials this address.
    Tcp(SocketAddr),
    /// Callers of `Serving.Observe`: at an address of its own, or at the coordinator's.
    Grpc(Option<SocketAddr>),
}

/// What happens to a sample that finds the queue full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum WhenFull {
    /// The source waits.
    Block,
    /// The sample that has waited longest goes unanswered.
    DropOldest,
    /// The new sample goes unanswered.
    DropNewest,
}

impl Default for StreamArguments {
    fn default() -> Self {
        StreamArguments {
            source: SampleSource::Test,
            rate: None,
            limit: None,
            batch_up_to: BATCH,
            wait_up_to: 0.0,
            queue: QUEUE,
            when_full: WhenFull::Block,
            deadline: None,
            redraw: None,
            reload: false,
            without_after: WITHOUT_AFTER,
        }
    }
}

impl StreamArguments {
    pub(crate) fn wait(&self) -> Duration {
        Duration::from_secs_f64(self.wait_up_to / 1000.0)
    }

    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.without_after.into())
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline.map(|milliseconds| Duration::from_secs_f64(milliseconds / 1000.0))
    }
}

impl FromStr for SampleSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, address) =
            text.split_once(':').map_or((text, None), |(kind, address)| (kind, Some(address)));
        let parsed = |address: &str| {
            let wrong = |_| format!("{address} is no address: give IP:PORT, as in {kind}:127.0.0.1:7320");
            address.parse().map_err(wrong)
        };
        match (kind, address) {
            ("test", None) => Ok(SampleSource::Test),
            ("stdin", None) => Ok(SampleSource::Stdin),
            ("tcp", Some(address)) => parsed(address).map(SampleSource::Tcp),
            ("grpc", address) => address.map(parsed).transpose().map(SampleSource::Grpc),
            _ => Err("give test, stdin, tcp:IP:PORT, grpc or grpc:IP:PORT".into()),
        }
    }
}

impl FromStr for Redraw {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "give every=N samples, as in every=1000, or seconds, as in 10s".to_owned();
        if let Some(samples) = text.strip_prefix("every=") {
            return samples
                .parse()
                .ok()
                .filter(|samples| *samples > 0)
                .map(Redraw::Samples)
                .ok_or_else(wrong);
        }
        let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse::<f64>().ok());
        let seconds = seconds.filter(|seconds| (1e-3..1e9).contains(seconds)).ok_or_else(wrong)?;
        Ok(Redraw::After(Duration::from_secs_f64(seconds)))
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (1e-6..=1e9).contains(number));
    number.ok_or_else(|| "give a number above 0".into())
}

fn milliseconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=1e9).contains(number));
    number.ok_or_else(|| "give milliseconds, 0 or more".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_redraws_are_read() {
        assert_eq!("tcp:127.0.0.1:7".parse(), Ok(SampleSource::Tcp("127.0.0.1:7".parse().unwrap())));
        assert_eq!("stdin".parse(), Ok(SampleSource::Stdin));
        assert_eq!("grpc".parse(), Ok(SampleSource::Grpc(None)));
        assert_eq!("grpc:[::1]:7".parse(), Ok(SampleSource::Grpc(Some("[::1]:7".parse().unwrap()))));
        assert!("tcp:nowhere".parse::<SampleSource>().unwrap_err().contains("tcp:127.0.0.1"));
        for wrong in ["file", "tcp", "grpc:", "test:1"] {
            assert!(wrong.parse::<SampleSource>().is_err(), "{wrong}");
        }
        assert_eq!("every=40".parse(), Ok(Redraw::Samples(40)));
        assert_eq!("2.5s".parse(), Ok(Redraw::After(Duration::from_millis(2500))));
        for wrong in ["every=0", "every=", "5", "-1s", "NaNs", "0s"] {
            assert!(wrong.parse::<Redraw>().is_err(), "{wrong}");
        }
    }
}
