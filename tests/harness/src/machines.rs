//! Machines for tests: network namespaces of this machine, each with its own addresses on two networks.

use std::{
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

/// Network namespaces around two switches. A machine of number n is 10.77.1.n and fd77:1::n on the first, and 10.77.2.n
/// and fd77:2::n on the second. They are isolated from the outside.
pub struct Machines {
    prefix: String,
    names: Vec<&'static str>,
}

impl Machines {
    /// Machines of these names, numbered from 1. None if this process may not make them: then a line says so.
    pub fn of(names: &[&'static str]) -> Option<Machines> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let machines =
            Machines { prefix: format!("p2d{}x{number}", std::process::id()), names: names.to_vec() };
        match machines.build() {
            Ok(()) => Some(machines),
            Err(reason) => {
                eprintln!(
                    "skipped: no network namespaces can be made here (as root, with iproute2): {reason}"
                );
                None
            }
        }
    }

    fn build(&self) -> Result<(), String> {
        let hub = self.space("hub");
        ip(&format!("netns add {hub}"))?;
        for cable in 1..=2 {
            ip(&format!("-n {hub} link add switch{cable} type bridge"))?;
            ip(&format!("-n {hub} link set switch{cable} up"))?;
        }
        for (index, name) in self.names.iter().enumerate() {
            let (space, number) = (self.space(name), index + 1);
            ip(&format!("netns add {space}"))?;
            ip(&format!("-n {space} link set lo up"))?;
            for cable in 1..=2 {
                let (own, other) = (format!("eth{cable}"), format!("port{number}x{cable}"));
                ip(&format!("-n {hub} link add {other} type veth peer name {own} netns {space}"))?;
                ip(&format!("-n {hub} link set {other} master switch{cable} up"))?;
                ip(&format!("-n {space} address add 10.77.{cable}.{number}/24 dev {own}"))?;
                ip(&format!("-n {space} address add fd77:{cable}::{number}/64 dev {own} nodad"))?;
                ip(&format!("-n {space} link set {own} up"))?;
            }
        }
        Ok(())
    }

    /// The first words of an `ip` command that starts a program on a machine.
    pub fn on(&self, name: &str) -> String {
        format!("netns exec {}", self.space(name))
    }

    /// Disconnects a machine from one of the switches (1 or 2), or reconnects it.
    pub fn connect(&self, name: &str, cable: usize, connected: bool) {
        let number = self.names.iter().position(|other| *other == name).expect("there is such a machine") + 1;
        let state = if connected { "up" } else { "down" };
        ip(&format!("-n {} link set port{number}x{cable} {state}", self.space("hub")))
            .expect("the plug moves");
    }

    fn space(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in self.names.iter().chain(&["hub"]) {
            // It may not exist.
            let _ = ip(&format!("netns delete {}", self.space(name)));
        }
    }
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
