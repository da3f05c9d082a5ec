use std::{
    fs::File,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::wait_until;

/// Time limit for the daemons to be ready.
const READY: Duration = Duration::from_secs(60);

/// The tables of users and rights that a database begins with.
const TABLES: [&str; 2] = ["mysql_system_tables.sql", "mysql_system_tables_data.sql"];

/// Slurm's accounting, as it is on clusters: slurmdbd over a database of its own.
pub(crate) struct Accounting {
    database: Child,
    daemon: Child,
    port: u16,
}

impl Accounting {
    /// The program that is missing for it, if one is.
    pub(crate) fn lacks() -> Option<&'static str> {
        let has = |program: &str| Command::new(program).arg("-V").output().is_ok();
        ["mariadbd", "slurmdbd"].into_iter().find(|program| !has(program))
    }

    /// Starts it for the Slurm in a folder, of which munge runs already.
    pub(crate) fn start(root: &Path, [database, port]: [u16; 2]) -> Self {
        let folder = root.join("database");
        make_database(&folder);
        let words = [
            "--skip-grant-tables".to_owned(),
            "--bind-address=127.0.0.1".into(),
            format!("--port={database}"),
            format!("--socket={}", folder.join("socket").display()),
        ];
        let log = log(root);
        let mut command = server(&folder, &log);
        let started = command.args(words).stdin(Stdio::null()).spawn().expect("it is installed");
        wait_for_port("the database of accounting", database);

        let text = format!(
            "AuthType=auth/munge
AuthInfo=socket={munge}
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=root
StorageLoc=slurm
PidFile={folder}/slurmdbd.pid
",
            munge = root.join("munge/socket").display(),
            folder = folder.display()
        );
        // It is found beside Slurm's own file, and must be closed to others.
        let file = root.join("slurmdbd.conf");
        std::fs::write(&file, text).expect("a file can be written");
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, closed).expect("it is ours");
        let mut command = Command::new("slurmdbd");
        command.arg("-D").env("SLURM_CONF", root.join("slurm.conf")).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a handle can be doubled")).stderr(log);
        let daemon = command.spawn().expect("it is installed");
        wait_for_port("slurmdbd", port);
        Accounting { database: started, daemon, port }
    }

    /// The lines of Slurm's configuration that turn it on.
    pub(crate) fn lines(&self, root: &Path) -> String {
        format!(
            "AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={}
AccountingStoragePass={}/munge/socket
",
            self.port,
            root.display()
        )
    }
}

impl Drop for Accounting {
    fn drop(&mut self) {
        for daemon in [&mut self.daemon, &mut self.database] {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn log(root: &Path) -> File {
    let log = File::options().create(true).append(true).open(root.join("daemons.log"));
    log.expect("a file can be written")
}

/// MariaDB's server for a folder, as small as it goes.
fn server(folder: &Path, log: &File) -> Command {
    let mut command = Command::new("mariadbd");
    command.args(["--no-defaults", "--user=root"]).arg(format!("--datadir={}/data", folder.display()));
    command.arg(format!("--pid-file={}/pid", folder.display()));
    command.args(["--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M"]);
    command.arg("--innodb-flush-log-at-trx-commit=0");
    let double = || log.try_clone().expect("a handle can be doubled");
    command.stdout(double()).stderr(double());
    command
}

fn make_database(folder: &Path) {
    std::fs::create_dir_all(folder.join("data/mysql")).expect("a folder can be made");
    let mut text = "use mysql;\n".to_owned();
    for name in TABLES {
        let file = PathBuf::from("/usr/share/mysql").join(name);
        text += &std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    let script = folder.join("tables.sql");
    std::fs::write(&script, text).expect("a file can be written");
    let log = File::create(folder.join("log")).expect("a file can be written");
    let mut command = server(folder, &log);
    command.arg("--bootstrap").stdin(File::open(&script).expect("it was just written"));
    let status = command.status().expect("it is installed");
    let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    assert!(status.success(), "mariadbd --bootstrap: {}", log());
}

fn wait_for_port(what: &str, port: u16) {
    wait_until(what, READY, || TcpStream::connect(("127.0.0.1", port)).is_ok());
}
