use std::{
    fs::Permissions,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::{Outcome, PATIENCE, Process, RunFolder, Running, Signal, wait_for, wait_until};

/// The smallest scenario that covers everything: two transmitters, two receivers, small networks, a few rounds of few
/// samples.
const TINY: &str = r#"
name = "tiny"
[network]
feature_dim = 4
transmitter_limit = 2
[network.encoder]
hidden = [32, 16]
[network.joint]
hidden = [32, 16]
[network.local]
hidden = [32, 16]
[network.selector]
hidden = [32, 16]
[train]
rounds = 6
ticks_per_round = 3
samples_per_tick = 20
[evaluation]
passes = 1
joint_rate_samples = 60
[checkpoint]
every = 0
[[transmitter]]
modalities = ["noise-1", "noise-2", "fft"]
[[transmitter]]
modalities = ["fft", "mel"]
[[receiver]]
task = "parity"
[[receiver]]
task = "digit"
"#;

/// Time limit for the processes of a run that has ended, or cannot continue, to end.
const SOON: Duration = Duration::from_secs(10);

/// A temporary folder in which the program runs, as in a terminal. It contains `tiny.toml`.
pub struct Place {
    program: &'static str,
    /// Its real path, as in the table of processes.
    root: PathBuf,
    _folder: TempDir,
}

impl Place {
    /// A fresh place for the program of that path.
    pub fn new(program: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let root = folder.path().canonicalize().expect("it is there");
        let place = Place { program, root, _folder: folder };
        place.write("tiny.toml", TINY);
        place
    }

    /// The same where `tiny.toml` has the paper's networks, for tests that interrupt, observe or disturb a run: it
    /// lasts longer.
    pub fn for_longer_runs(program: &'static str) -> Self {
        let place = Place::new(program);
        place.write_tiny_with(
            "tiny.toml",
            "[network.encoder]\n[network.joint]\n[network.local]\n[network.selector]\n",
        );
        place
    }

    /// A path in this place.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file, and creates the folders above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        let folder = path.parent().expect("a file lies in a folder");
        std::fs::create_dir_all(folder).expect("a folder can be made");
        std::fs::write(&path, content).expect("a file can be written");
    }

    /// Writes `tiny.toml` under another name, with tables of networks; those stand in the place of its own of the same
    /// names.
    pub fn write_tiny_with(&self, name: &str, networks: &str) {
        let bare = |line: &str| line.split('#').next().unwrap_or_default().trim_end().to_owned();
        let is_replaced = |table: &str| networks.lines().any(|line| bare(line) == table);
        let mut text = String::new();
        let mut skips = false;
        for line in TINY.lines() {
            if line.starts_with('[') {
                skips = is_replaced(line);
            }
            if !skips {
                text += line;
                text.push('\n');
            }
        }
        self.write(name, text + networks);
    }

    /// Writes a file that nobody else may read.
    pub fn write_secret(&self, name: &str, content: impl AsRef<[u8]>) {
        self.write(name, content);
        let closed = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.path(name), closed).expect("the file is ours");
    }

    /// The folder of a run in this place.
    pub fn run_folder(&self, name: &str) -> RunFolder {
        RunFolder::at(self.path(name))
    }

    /// Starts the program with these words, separated by spaces, after environment variables (`NAME=value`). It sees no
    /// other variables of its own.
    pub fn start(&self, words: &str) -> Process {
        let is_variable = |word: &&str| !word.starts_with('-') && word.contains('=');
        let variables = words.split_whitespace().take_while(is_variable);
        let mut command = self.command();
        command.envs(variables.filter_map(|variable| variable.split_once('=')));
        command.args(words.split_whitespace().skip_while(is_variable));
        Process::start(words, &mut command)
    }

    /// The same with variables and words of which some have spaces.
    pub fn start_words<'a>(
        &self,
        variables: impl IntoIterator<Item = (String, String)>,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Process {
        let words: Vec<&str> = words.into_iter().collect();
        let mut command = self.command();
        command.envs(variables).args(&words);
        Process::start(&words.join(" "), &mut command)
    }

    /// Starts a script of a shell.
    pub fn shell(&self, variables: impl IntoIterator<Item = (String, String)>, script: &str) -> Process {
        let mut command = self.command_of("sh");
        command.envs(variables).args(["-c", script]);
        Process::start(script, &mut command)
    }

    /// The same for a process with this limit of open files.
    pub fn start_with_few_files(&self, files: u32, words: &str) -> Process {
        let mut command = self.command_of("sh");
        let script = "ulimit -n \"$1\" && shift && exec \"$@\"";
        command.args(["-c", script, "sh", &files.to_string(), self.program]).args(words.split_whitespace());
        Process::start(words, &mut command)
    }

    /// Starts the program and waits for its end.
    pub fn run(&self, words: &str) -> Outcome {
        self.start(words).finish()
    }

    /// The same as another user, outside this place; none if this user may not do that.
    pub fn run_as(&self, uid: u32, words: &str) -> Option<Outcome> {
        let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir();
        let folder = folder.expect("a temporary folder can be made");
        // The other user may not be able to reach the program's folder.
        let program = folder.path().join("pom2dib");
        std::fs::copy(self.program, &program).expect("the program can be copied");
        let mut command = Command::new(program);
        command.current_dir("/").env_clear().uid(uid).args(words.split_whitespace());
        let may = Command::new("true").uid(uid).status().is_ok_and(|status| status.success());
        may.then(|| Process::start(words, &mut command).finish())
    }

    /// Waits until the coordinator of the run in a folder has written its address.
    pub fn address(&self, name: &str) -> SocketAddr {
        let path = self.path(name).join("address");
        wait_for("the coordinator's address", PATIENCE, || read_address(&path))
    }

    /// All running processes that work here, whoever started them.
    pub fn running(&self) -> Vec<Running> {
        Running::in_folder(&self.root)
    }

    /// The process with that role ("transmitter 1") among them.
    pub fn find(&self, role: &str) -> Option<Running> {
        self.running().into_iter().find(|process| process.role == role)
    }

    /// Kills a run, which must not have ended, with all processes that work here, and waits for their end.
    pub fn kill(&self, mut run: Process) {
        assert!(!run.has_ended(), "the run ended before it was to be killed: {}", run.stderr());
        run.signal(Signal::Kill);
        self.running().iter().for_each(|process| process.signal(Signal::Kill));
        run.finish().killed_by(Signal::Kill);
        self.assert_all_gone();
    }

    /// Asserts that all processes end soon.
    pub fn assert_all_gone(&self) {
        let what = "the end of all processes";
        wait_until(what, SOON, || self.running().is_empty());
    }

    fn command(&self) -> Command {
        self.command_of(self.program)
    }

    fn command_of(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("POM2DIB_") {
                command.env_remove(name);
            }
        }
        command
    }
}

fn read_address(path: &Path) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{}: \"{text}\": {error}", path.display())))
}
