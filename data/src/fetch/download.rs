//! One HTTP download, continued where an earlier one stopped.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::Path,
    time::Duration,
};
use ureq::{Agent, Body, config::AutoHeaderValue, http::Response};

/// No file here is nearly as long: what is longer is not what was asked for.
const MOST: u64 = 1 << 30;

/// How long a mirror may take to answer, and to send; what arrived in that time is kept, and the next attempt goes on.
const ANSWER: Duration = Duration::from_secs(20);
const TRANSFER: Duration = Duration::from_secs(300);

/// Connections to mirrors.
pub(super) struct Client(Agent);

impl Client {
    pub(super) fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A mirror must not unpack or pack on the way: ranges and checksums are those of the file.
            .accept_encoding(AutoHeaderValue::Provided("identity".to_string().into()))
            .timeout_connect(Some(ANSWER))
            .timeout_recv_response(Some(ANSWER))
            .timeout_recv_body(Some(TRANSFER))
            .build();
        Client(config.into())
    }

    /// Downloads `url` to the file `part`, or what is missing of it; `arrived` hears of bytes so far and in all.
    ///
    /// An error says in one line what went wrong; what arrived before it stays.
    pub(super) fn download(
        &self,
        url: &str,
        part: &Path,
        arrived: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<(), String> {
        let have = part.metadata().map_or(0, |metadata| metadata.len());
        let mut request = self.0.get(url);
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let response = request.call().map_err(|error| error.to_string())?;
        let start = match response.status().as_u16() {
            200 => 0,
            206 if continues_at(&response, have) => have,
            // Nothing lies beyond what is here: it may be whole, which its checksum will tell.
            416 if have > 0 => return Ok(()),
            status => return Err(format!("answered with status {status}")),
        };
        let file = open(part, start).map_err(|error| format!("{}: {error}", part.display()))?;
        receive(response, file, start, arrived)
    }
}

/// Whether a partial answer begins where it should.
fn continues_at(response: &Response<Body>, have: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

/// Opens the file for writing after its first `start` bytes, which are none or all.
fn open(part: &Path, start: u64) -> std::io::Result<File> {
    if start > 0 { OpenOptions::new().append(true).open(part) } else { File::create(part) }
}

fn receive(
    response: Response<Body>,
    mut file: File,
    start: u64,
    arrived: &mut dyn FnMut(u64, Option<u64>),
) -> Result<(), String> {
    let total = response.body().content_length().map(|length| start + length);
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 16];
    let mut done = start;
    loop {
        arrived(done, total);
        let length = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) => return Err(format!("broke off after {done} bytes ({error})")),
        };
        done += length as u64;
        if done > MOST {
            return Err(format!("sent more than {MOST} bytes"));
        }
        file.write_all(&buffer[..length]).map_err(|error| format!("could not be written ({error})"))?;
    }
    match total {
        Some(total) if total != done => Err(format!("broke off after {done} of {total} bytes")),
        _ => file.sync_all().map_err(|error| format!("could not be written ({error})")),
    }
}
