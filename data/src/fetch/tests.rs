//! Fetching from a server of our own: whole, cut, broken and malicious.

use super::*;
use crate::{
    catalogue::sum_of,
    content::ClipName,
    verify::{VerifyReport, verify},
};
use flate2::{Compression, write::GzEncoder};
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// How a server treats requests.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Honest,
    /// Breaks off after half of what is left, but at most this often for each file.
    CutsOff(usize),
    /// Does not know ranges: sends everything always, and breaks off once.
    IgnoresRanges,
    Refuses,
    /// Flips a bit in the middle.
    Corrupts,
}

/// A server on a port of its own, as long as the test runs.
struct Server {
    address: String,
    /// Path and range of each request.
    requests: Arc<Mutex<Vec<(String, u64)>>>,
}

impl Server {
    fn start(files: HashMap<String, Vec<u8>>, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &files, manner, &log);
            }
        });
        Server { address, requests }
    }

    fn mirrors(&self) -> Mirrors {
        Mirrors { mnist: vec![self.address.clone()], fsdd: vec![format!("{}fsdd.tar.gz", self.address)] }
    }
}

fn answer(
    mut stream: TcpStream,
    files: &HashMap<String, Vec<u8>>,
    manner: Manner,
    log: &Mutex<Vec<(String, u64)>>,
) {
    let (path, start) = request(&stream);
    let earlier = log.lock().unwrap().iter().filter(|(other, _)| *other == path).count();
    log.lock().unwrap().push((path.clone(), start));
    let Some(file) = files.get(&path) else { return head(&mut stream, "404 Not Found", 0, "") };
    if manner == Manner::Refuses {
        return head(&mut stream, "503 Service Unavailable", 0, "");
    }
    let start = if manner == Manner::IgnoresRanges { 0 } else { start as usize };
    if start >= file.len() {
        return head(&mut stream, "416 Range Not Satisfiable", 0, "");
    }
    let mut body = file[start..].to_vec();
    if manner == Manner::Corrupts {
        let middle = body.len() / 2;
        body[middle] ^= 1;
    }
    match start {
        0 => head(&mut stream, "200 OK", body.len(), ""),
        _ => {
            let range = format!("Content-Range: bytes {start}-{}/{}\r\n", file.len() - 1, file.len());
            head(&mut stream, "206 Partial Content", body.len(), &range);
        }
    }
    let cuts = match manner {
        Manner::CutsOff(times) => times,
        Manner::IgnoresRanges => 1,
        _ => 0,
    };
    let sent = if earlier < cuts { body.len() / 2 } else { body.len() };
    stream.write_all(&body[..sent]).unwrap();
}

/// The path asked for, and where its range starts.
fn request(stream: &TcpStream) -> (String, u64) {
    let lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    let path = lines[0].split(' ').nth(1).unwrap().trim_start_matches('/').to_string();
    let range = lines.iter().find_map(|line| {
        let line = line.to_ascii_lowercase();
        line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok()
    });
    (path, range.unwrap_or(0))
}

fn head(stream: &mut TcpStream, status: &str, length: usize, more: &str) {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n")
        .unwrap();
}

/// A small publication: two idx files and six recordings.
struct Publication {
    catalogue: Catalogue,
    files: HashMap<String, Vec<u8>>,
}

fn publication() -> Publication {
    let mut files = HashMap::new();
    let mut mnist = Vec::new();
    for (name, seed) in [("train-labels-idx1-ubyte", 1u32), ("t10k-labels-idx1-ubyte", 2)] {
        let content = noise(seed, 300_000);
        mnist.push((name.to_string(), sum_of(&content[..]).unwrap()));
        files.insert(format!("{name}.gz"), gzip(&content));
    }
    let recordings: Vec<(ClipName, Vec<u8>)> = (0..6)
        .map(|digit| {
            (ClipName { digit, speaker: "anna".into(), index: 0 }, noise(10 + u32::from(digit), 5_000))
        })
        .collect();
    let entries = recordings
        .iter()
        .map(|(name, bytes)| (format!("fsdd-1/recordings/{}", name.file_name()), &bytes[..]));
    let readme = [("fsdd-1/README.md".to_string(), &b"read me"[..])];
    files.insert("fsdd.tar.gz".into(), gzip(&tarball(entries.chain(readme))));
    Publication { catalogue: catalogue(mnist, &recordings), files }
}

fn catalogue(mnist: Vec<(String, String)>, recordings: &[(ClipName, Vec<u8>)]) -> Catalogue {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in recordings {
        fs::write(folder.path().join(name.file_name()), bytes).unwrap();
    }
    let names = recordings.iter().map(|(name, _)| name);
    let recordings_digest = recordings_digest(folder.path(), names).unwrap();
    let sum = |bytes: &[u8]| sum_of(bytes).unwrap()[..8].to_string();
    let recordings = recordings.iter().map(|(name, bytes)| (name.clone(), sum(bytes))).collect();
    Catalogue { mnist, recordings, recordings_digest }
}

/// Bytes that do not compress.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    use randomness::{Purpose, Seed};
    let mut stream = Seed::from_number(seed.into()).stream(Purpose::Test, &[], 0);
    (0..length).map(|_| stream.below(256) as u8).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn tarball<'a>(entries: impl Iterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        // Written byte by byte: the library would refuse to make a malicious path.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Fetches into `dir` and keeps what was reported.
fn fetched(dir: &Path, mirrors: &Mirrors, catalogue: &Catalogue) -> (Result<(), DataError>, Vec<FetchEvent>) {
    let mut events = Vec::new();
    let outcome = fetch(dir, mirrors, catalogue, &mut |event| events.push(event));
    (outcome, events)
}

fn assert_whole(dir: &Path, catalogue: &Catalogue) {
    let report: VerifyReport = verify(dir, catalogue).unwrap();
    assert!(report.is_ok(), "{:?}", report.faults().next());
    let leftovers = |folder: &str| fs::read_dir(dir.join(folder)).unwrap().count();
    assert_eq!((leftovers("mnist"), leftovers("fsdd")), (2, 1));
}

fn failures(events: &[FetchEvent]) -> usize {
    events.iter().filter(|event| matches!(event, FetchEvent::Failed { .. })).count()
}

#[test]
fn everything_is_fetched_once_and_reported() {
    let Publication { catalogue, files } = publication();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(files.clone(), Manner::Honest);
    let (outcome, events) = fetched(dir.path(), &server.mirrors(), &catalogue);
    outcome.unwrap();
    assert_whole(dir.path(), &catalogue);
    assert_eq!(failures(&events), 0);
    let size = files["train-labels-idx1-ubyte.gz"].len() as u64;
    let name = || "train-labels-idx1-ubyte.gz".to_string();
    assert!(events.contains(&FetchEvent::Progress { name: name(), done: 0, total: Some(size) }));
    assert!(events.contains(&FetchEvent::Progress { name: name(), done: size, total: Some(size) }));
    assert!(events.contains(&FetchEvent::Done { name: name() }));

    let (outcome, events) = fetched(dir.path(), &server.mirrors(), &catalogue);
    outcome.unwrap();
    assert!(events.iter().all(|event| matches!(event, FetchEvent::Present { .. })) && events.len() == 3);
    assert_eq!(server.requests.lock().unwrap().len(), 3);
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let Publication { catalogue, files } = publication();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(files, Manner::CutsOff(2));
    let (outcome, events) = fetched(dir.path(), &server.mirrors(), &catalogue);
    outcome.unwrap();
    assert_whole(dir.path(), &catalogue);
    assert_eq!(failures(&events), 2 * 3);
    let requests = server.requests.lock().unwrap();
    let starts: Vec<u64> = requests.iter().map(|(_, start)| *start).collect();
    assert!(starts[0] == 0 && starts[0] < starts[1] && starts[1] < starts[2], "{starts:?}");
}

#[test]
fn what_an_earlier_fetch_left_is_continued_or_dropped_if_it_was_wrong() {
    let Publication { catalogue, files } = publication();
    let whole = &files["train-labels-idx1-ubyte.gz"];
    for (left, starts) in [
        (whole[..1000].to_vec(), vec![1000]),
        (vec![7; 1000], vec![1000, 0]),
        (whole.clone(), vec![whole.len() as u64]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("mnist")).unwrap();
        fs::write(dir.path().join("mnist/train-labels-idx1-ubyte.gz.part"), left).unwrap();
        let server = Server::start(files.clone(), Manner::Honest);
        fetched(dir.path(), &server.mirrors(), &catalogue).0.unwrap();
        assert_whole(dir.path(), &catalogue);
        let requests = server.requests.lock().unwrap();
        let of_file = requests.iter().filter(|(path, _)| path == "train-labels-idx1-ubyte.gz");
        assert_eq!(of_file.map(|(_, start)| *start).collect::<Vec<_>>(), starts);
    }
}

#[test]
fn servers_without_ranges_start_again() {
    let Publication { catalogue, files } = publication();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(files, Manner::IgnoresRanges);
    fetched(dir.path(), &server.mirrors(), &catalogue).0.unwrap();
    assert_whole(dir.path(), &catalogue);
}

#[test]
fn the_next_mirror_helps_where_one_fails() {
    let Publication { catalogue, files } = publication();
    for manner in [Manner::Refuses, Manner::Corrupts] {
        let dir = tempfile::tempdir().unwrap();
        let (bad, good) =
            (Server::start(files.clone(), manner), Server::start(files.clone(), Manner::Honest));
        let mut mirrors = bad.mirrors();
        mirrors.mnist.extend(good.mirrors().mnist);
        mirrors.fsdd.extend(good.mirrors().fsdd);
        let (outcome, events) = fetched(dir.path(), &mirrors, &catalogue);
        outcome.unwrap();
        assert_whole(dir.path(), &catalogue);
        assert_eq!(failures(&events), 3);
    }
}

#[test]
fn without_a_good_mirror_one_line_says_what_to_put_where() {
    let Publication { catalogue, files } = publication();
    let nowhere = Mirrors { mnist: vec!["http://127.0.0.1:1/".into()], fsdd: vec![] };
    for mirrors in [nowhere, Server::start(files, Manner::Corrupts).mirrors()] {
        let dir = tempfile::tempdir().unwrap();
        let error = fetched(dir.path(), &mirrors, &catalogue).0.unwrap_err().to_string();
        let place = dir.path().join("mnist/train-labels-idx1-ubyte.gz");
        assert!(!error.contains('\n'), "{error}");
        for word in
            ["train-labels-idx1-ubyte.gz", &mirrors.mnist[0], "put it at", &place.display().to_string()]
        {
            assert!(error.contains(word), "{error}");
        }
        assert!(!place.exists());
    }
}

#[test]
fn files_that_differ_are_replaced_and_recordings_kept_aside() {
    let Publication { catalogue, files } = publication();
    let server = Server::start(files, Manner::Honest);
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("fsdd/recordings")).unwrap();
    fs::create_dir(dir.path().join("mnist")).unwrap();
    fs::write(dir.path().join("fsdd/recordings/0_anna_0.wav"), "mine").unwrap();
    fs::write(dir.path().join("mnist/t10k-labels-idx1-ubyte.gz"), "broken").unwrap();
    fetched(dir.path(), &server.mirrors(), &catalogue).0.unwrap();
    assert!(verify(dir.path(), &catalogue).unwrap().is_ok());
    assert_eq!(fs::read(dir.path().join("fsdd/recordings.replaced-1/0_anna_0.wav")).unwrap(), b"mine");

    fs::write(dir.path().join("mnist/t10k-labels-idx1-ubyte"), "in the way").unwrap();
    let error = fetched(dir.path(), &server.mirrors(), &catalogue).0.unwrap_err().to_string();
    assert!(error.contains("t10k-labels-idx1-ubyte: ") && error.contains("move it away"), "{error}");
}

#[test]
fn an_archive_that_reaches_out_of_its_folder_is_refused() {
    let Publication { catalogue, mut files } = publication();
    for path in
        ["../recordings/0_anna_0.wav", "/tmp/recordings/0_anna_0.wav", "fsdd-1/../../recordings/0_anna_0.wav"]
    {
        files.insert("fsdd.tar.gz".into(), gzip(&tarball([(path.to_string(), &b"evil"[..])].into_iter())));
        let server = Server::start(files.clone(), Manner::Honest);
        let dir = tempfile::tempdir().unwrap();
        let error = fetched(dir.path(), &server.mirrors(), &catalogue).0.unwrap_err().to_string();
        assert!(error.contains("leads out of it") && !error.contains('\n'), "{error}");
        assert!(!dir.path().join("fsdd/recordings").exists() && !dir.path().join("recordings").exists());
    }
}

#[test]
fn verifying_names_what_is_missing_different_or_too_much() {
    let Publication { catalogue, files } = publication();
    let server = Server::start(files, Manner::Honest);
    let dir = tempfile::tempdir().unwrap();
    fetched(dir.path(), &server.mirrors(), &catalogue).0.unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::remove_file(path("mnist/t10k-labels-idx1-ubyte.gz")).unwrap();
    fs::write(path("fsdd/recordings/1_anna_0.wav"), "other").unwrap();
    fs::remove_file(path("fsdd/recordings/2_anna_0.wav")).unwrap();
    fs::write(path("fsdd/recordings/surplus.wav"), "").unwrap();
    let report = verify(dir.path(), &catalogue).unwrap();
    let kind = |state: &FileState| match state {
        FileState::Ok => "ok",
        FileState::Missing => "missing",
        FileState::Differs(_) => "differs",
    };
    let faults: Vec<_> = report.faults().map(|file| (file.path.clone(), kind(&file.state))).collect();
    let expected = [
        (path("mnist/t10k-labels-idx1-ubyte.gz"), "missing"),
        (path("fsdd/recordings/1_anna_0.wav"), "differs"),
        (path("fsdd/recordings/2_anna_0.wav"), "missing"),
        (path("fsdd/recordings/surplus.wav"), "differs"),
    ];
    assert_eq!(faults, expected);
    assert_eq!(report.files.len(), 2 + 6 + 1);
    assert!(verify(&path("nowhere"), &catalogue).unwrap_err().to_string().contains("nowhere"));
}
