use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{PATIENCE, wait_for};

/// The names under which systems have Chromium.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A headless Chromium with one page, driven over its DevTools protocol: messages of JSON, each with a zero byte at its
/// end, through pipes. Dropping it ends it.
pub struct Browser {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    next: u64,
    session: String,
    requests: Vec<String>,
    complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Opens a browser with an empty page; none, with a word why, where this machine has no Chromium.
    pub fn open() -> Option<Self> {
        let is_there = |name: &&str| {
            let found =
                Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            found.is_ok_and(|status| status.success())
        };
        let Some(name) = NAMES.into_iter().find(is_there) else {
            println!("there is no Chromium: skipped");
            return None;
        };
        let profile = tempfile::tempdir().expect("a temporary folder can be made");
        // Chromium reads commands at descriptor 3 and writes answers at 4.
        let script = "exec \"$0\" --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                      --disable-background-networking --hide-scrollbars --remote-debugging-pipe --user-data-dir=\"$1\" \
                      about:blank 3<&0 4>&1 >/dev/null 2>&1 </dev/null";
        let mut process = Command::new("sh")
            .args(["-c", script, name])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell can be started");
        let commands = process.stdin.take().expect("it was piped");
        let mut answers = BufReader::new(process.stdout.take().expect("it was piped"));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut text = Vec::new();
            while answers.read_until(0, &mut text).is_ok_and(|read| read > 0) {
                text.pop();
                if let Ok(message) = serde_json::from_slice(&text)
                    && sender.send(message).is_err()
                {
                    return;
                }
                text.clear();
            }
        });
        let mut browser = Browser {
            process,
            commands,
            messages,
            next: 0,
            session: String::new(),
            requests: Vec::new(),
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].as_str().expect("a session has a name").into();
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Goes to an address.
    pub fn visit(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
    }

    /// The value of an expression in the page; promises are waited for.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression in the page is true.
    pub fn wait_until(&mut self, expression: &str) {
        wait_for(expression, PATIENCE, || {
            (self.evaluate(&format!("Boolean({expression})")) == true).then_some(())
        });
    }

    /// Clicks into the middle of the element that a selector finds, as a mouse does, once it stands still.
    pub fn click(&mut self, selector: &str) {
        let place = format!(
            "(async () => {{ const found = document.querySelector({selector:?}); found.scrollIntoView({{ block: 'center' }}); \
             const place = () => {{ const box = found.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }}; \
             for (let last = null, now = place(); ; [last, now] = [now, place()]) {{ \
             if (last?.every((at, n) => at === now[n])) return now; await new Promise(requestAnimationFrame); }} }})()"
        );
        let place = self.evaluate(&place);
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Sets the size of the window in pixels, and whether the system asks for dark colours.
    pub fn look(&mut self, width: u32, height: u32, is_dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// Saves what the window shows as PNG.
    pub fn picture(&mut self, path: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = from_base64(answer["data"].as_str().expect("a picture is text"));
        std::fs::write(path, bytes).expect("a picture can be written");
    }

    /// Bytes of the page's heap in JavaScript that are in use, with those of its arrays, garbage among them.
    pub fn heap_bytes(&mut self) -> f64 {
        let usage = self.call("Runtime.getHeapUsage", json!({}));
        let of = |name: &str| usage[name].as_f64().unwrap_or(0.0);
        assert!(of("usedSize") > 0.0, "{usage}");
        of("usedSize") + of("backingStorageSize")
    }

    /// The addresses of all requests so far.
    pub fn requests(&mut self) -> &[String] {
        self.hear();
        &self.requests
    }

    /// Errors and warnings in the console, and exceptions, so far.
    pub fn complaints(&mut self) -> &[String] {
        self.hear();
        &self.complaints
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            command["sessionId"] = self.session.clone().into();
        }
        let text = command.to_string() + "\0";
        self.commands.write_all(text.as_bytes()).expect("the browser lives");
        loop {
            let message = self.messages.recv_timeout(PATIENCE).expect("the browser answers");
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.note(&message);
        }
    }

    fn hear(&mut self) {
        while let Ok(message) = self.messages.try_recv() {
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let parameters = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                self.requests.push(parameters["request"]["url"].as_str().unwrap_or_default().into());
            }
            "Runtime.consoleAPICalled"
                if ["error", "warning"].iter().any(|kind| parameters["type"] == *kind) =>
            {
                self.complaints.push(parameters["args"].to_string());
            }
            "Runtime.exceptionThrown" => self.complaints.push(parameters["exceptionDetails"].to_string()),
            "Log.entryAdded"
                if ["error", "warning"].iter().any(|kind| parameters["entry"]["level"] == *kind) =>
            {
                self.complaints.push(parameters["entry"].to_string());
            }
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = text.bytes().filter(|letter| *letter != b'=').map(value).collect();
    let mut bytes = Vec::new();
    for group in letters.chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, letter| bits << 6 | u32::from(*letter))
            << (6 * (4 - group.len()));
        bytes.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    bytes
}
