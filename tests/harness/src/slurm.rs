use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant, SystemTime},
};

use tempfile::TempDir;

use crate::{Signal, accounting::Accounting, free_port, wait_until};

/// How long the controller keeps a change to itself at most: then it has saved it before.
const SAVED: Duration = Duration::from_secs(10);

/// Time limit for Slurm's daemons to be ready.
const READY: Duration = Duration::from_secs(60);

/// A real Slurm on this machine: a controller and two nodes, n1 and n2, of four cores each, with a partition `low`
/// whose jobs are put back into the queue by those of a partition `high`. Dropping it ends it with all its jobs.
pub struct Slurm {
    folder: TempDir,
    controller: Child,
    nodes: Vec<Child>,
    _accounting: Option<Accounting>,
}

impl Slurm {
    /// Starts it. None if it is not installed, or this process may not: then a line says so.
    pub fn start() -> Option<Slurm> {
        Slurm::begin(false)
    }

    /// The same with accounting, whose controller itself soon forgets jobs that have ended.
    pub fn with_accounting() -> Option<Slurm> {
        Slurm::begin(true)
    }

    fn begin(accounts: bool) -> Option<Slurm> {
        let has = |program: &str| Command::new(program).arg("-V").output().is_ok();
        let lacks = ["sbatch", "slurmctld", "slurmd"].into_iter().find(|program| !has(program));
        let lacks = lacks.or_else(|| (!Path::new("/etc/munge/munge.key").exists()).then_some("munge"));
        let lacks = lacks.or_else(|| Accounting::lacks().filter(|_| accounts));
        if let Some(program) = lacks.or_else(|| (!is_root()).then_some("right of root")) {
            eprintln!("skipped: there is no {program} here, for a Slurm of the test's own");
            return None;
        }
        let folder = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a temporary folder can be made");
        let root = folder.path();
        std::fs::create_dir(root.join("state")).expect("a folder can be made");
        start_munge(root);
        let accounting = accounts.then(|| Accounting::start(root, [free_port(), free_port()]));
        let ports = [free_port(), free_port(), free_port()];
        let (lines, age) = match &accounting {
            Some(accounting) => (accounting.lines(root), 2),
            None => ("AccountingStorageType=accounting_storage/none\n".into(), 600),
        };
        let text = configuration(root, ports, age) + &lines;
        std::fs::write(root.join("slurm.conf"), text).expect("a file can be written");
        let controller = daemon(root, "slurmctld", &["-D", "-c"]);
        let nodes = ["n1", "n2"].map(|node| daemon(root, "slurmd", &["-D", "-N", node])).into();
        let slurm = Slurm { folder, controller, nodes, _accounting: accounting };
        wait_until("the nodes of Slurm", READY, || {
            slurm.say("sinfo --noheader --Node --format=%N:%T").matches(":idle").count() >= 4
        });
        Some(slurm)
    }

    /// The variable by which Slurm's commands find it.
    pub fn variable(&self) -> (String, String) {
        ("SLURM_CONF".into(), self.folder.path().join("slurm.conf").to_string_lossy().into_owned())
    }

    /// The output of one of its commands; empty if it fails.
    pub fn say(&self, words: &str) -> String {
        let output = self.ask(words);
        if output.status.success() {
            String::from_utf8_lossy(&output.stdout).into_owned()
        } else {
            String::new()
        }
    }

    /// Runs one of its commands, which must succeed.
    pub fn order(&self, words: &str) {
        let output = self.ask(words);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn ask(&self, words: &str) -> Output {
        let mut words = words.split_whitespace();
        let mut command = Command::new(words.next().expect("a command"));
        command.args(words).envs([self.variable()]).stdin(Stdio::null()).output().expect("it is installed")
    }

    /// Kills the controller, once it has saved what has just happened: it does so within a few seconds.
    pub fn kill_controller(&mut self) {
        let (begun, now) = (Instant::now(), SystemTime::now());
        let saved =
            || std::fs::metadata(self.folder.path().join("state/job_state")).and_then(|file| file.modified());
        wait_until("the controller's state", READY, || {
            saved().is_ok_and(|time| time > now) || begun.elapsed() > SAVED
        });
        Signal::Kill.send(self.controller.id());
        self.controller.wait().expect("it can be waited for");
    }

    /// Starts the controller again, which finds its jobs in its state.
    pub fn restart_controller(&mut self) {
        self.controller = daemon(self.folder.path(), "slurmctld", &["-D"]);
    }

    /// Kills the controller, removes its state, and starts it again, as after the loss of its disk: it knows of no job.
    pub fn lose_state(&mut self) {
        Signal::Kill.send(self.controller.id());
        self.controller.wait().expect("it can be waited for");
        let state = self.folder.path().join("state");
        std::fs::remove_dir_all(&state).expect("it can be removed");
        std::fs::create_dir(&state).expect("a folder can be made");
        self.controller = daemon(self.folder.path(), "slurmctld", &["-D", "-c"]);
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        let _ = self.ask("scancel --me --signal=KILL");
        let _ = self.ask("scancel --me");
        wait_until("the end of all jobs", READY, || {
            self.say("squeue --noheader --states=RUNNING,COMPLETING").trim().is_empty()
        });
        for daemon in self.nodes.iter_mut().chain([&mut self.controller]) {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let pid = std::fs::read_to_string(self.folder.path().join("munge/pid")).unwrap_or_default();
        if let Ok(pid) = pid.trim().parse() {
            Signal::Terminate.send(pid);
        }
    }
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").expect("there is /proc")) == 0
}

fn daemon(root: &Path, program: &str, words: &[&str]) -> Child {
    let log = File::options().create(true).append(true).open(root.join("daemons.log"));
    let log = log.expect("a file can be written");
    let mut command = Command::new(program);
    command.args(words).arg("-f").arg(root.join("slurm.conf")).stdin(Stdio::null());
    command.stdout(log.try_clone().expect("a handle can be doubled")).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Munge authenticates Slurm's messages. It must not run as root.
fn start_munge(root: &Path) {
    let folder = root.join("munge");
    let words = |script: String| {
        let status = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).status();
        assert!(status.expect("there is a shell").success(), "{script}");
    };
    let path = folder.display();
    words(format!("install -d -o munge -g munge -m 0755 {path}"));
    words(format!(
        "su -s /bin/sh munge -c 'exec /usr/sbin/munged --socket={path}/socket --pid-file={path}/pid --log-file={path}/log \
         --seed-file={path}/seed'"
    ));
    wait_until("munge", READY, || folder.join("socket").exists());
}

fn configuration(root: &Path, [controller, first, second]: [u16; 3], age: u32) -> String {
    let root: PathBuf = root.to_owned();
    let root = root.display();
    format!(
        "ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=cred_expire=5,socket={root}/munge/socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=3
MinJobAge={age}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={first} CPUs=4 RealMemory=4000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={second} CPUs=4 RealMemory=4000
PartitionName=low Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"
    )
}
