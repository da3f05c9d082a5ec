//! What a run needs, measured by a short one on this machine.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use scenario::Device;

use super::{plan::Planned, pool::last_line};
use crate::{
    launch::{Engine, EngineOptions, Needs},
    program,
    run::{LaunchOptions, processes::OF_ONE_PROCESS},
};

/// Rounds of the probe: the first allocates, and later ones show what remains.
const ROUNDS: u64 = 3;

/// Pause between two observations.
const PAUSE: Duration = Duration::from_millis(20);

/// What is asked for is this much more than what was seen, and at least [`LEAST_MEMORY`] MiB.
const MARGIN: f64 = 1.5;
const LEAST_MEMORY: u64 = 256;

/// What every point asks for: what the options say, else what a probe run of the first open point takes.
pub(crate) fn needs(
    options: &EngineOptions,
    engine: &Engine,
    place: &LaunchOptions,
    planned: &[Planned],
) -> anyhow::Result<Needs> {
    let gpus = options.gpus.unwrap_or_else(|| gpus(devices(place, planned)));
    if let (Some(cores), Some(memory)) = (options.cores, options.memory) {
        return Ok(Needs { cores, memory, gpus });
    }
    let asks = match engine {
        Engine::Slurm | Engine::Kubernetes => true,
        Engine::Here => false,
        Engine::Command(template) => template.contains("{cores}") || template.contains("{memory}"),
    };
    let open = planned.iter().find(|planned| !matches!(planned.found, super::Found::Finished(_)));
    let Some(point) = open.filter(|_| asks) else {
        let (cores, memory) = (options.cores.unwrap_or(1), options.memory.unwrap_or(LEAST_MEMORY));
        return Ok(Needs { cores, memory, gpus });
    };
    let (busy, peak) =
        probe(point, place).context("the probe run on this machine; or say --cores and --memory")?;
    let cores = options.cores.unwrap_or((busy.round() as u16).max(1));
    let asked = ((peak as f64 * MARGIN) as u64 + LEAST_MEMORY).next_multiple_of(LEAST_MEMORY);
    let memory = options.memory.unwrap_or(asked);
    eprintln!(
        "note: a probe run of {ROUNDS} rounds kept {busy:.1} cores busy and took {peak} MiB: each job asks for {cores} \
         cores and {memory} MiB (--cores, --memory)"
    );
    Ok(Needs { cores, memory, gpus })
}

/// The devices that a run names: the command's for all nodes, else those of the scenarios.
fn devices(place: &LaunchOptions, planned: &[Planned]) -> Vec<Device> {
    let of_scenario = |planned: &Planned| -> Vec<Device> {
        let transmitters = planned.scenario.transmitter.iter().map(|node| node.device);
        transmitters.chain(planned.scenario.receiver.iter().map(|node| node.device)).collect()
    };
    match place.device {
        Some(device) => vec![device],
        None => planned.iter().flat_map(of_scenario).collect(),
    }
}

/// GPUs that a job asks for, so that all of these devices are there: a job's own are numbered from 0.
fn gpus(devices: Vec<Device>) -> u16 {
    let least = |device| match device {
        Device::Cuda(number) => u16::try_from(number + 1).ok(),
        Device::Auto | Device::Cpu => None,
    };
    devices.into_iter().filter_map(least).max().unwrap_or(0)
}

/// Cores kept busy and peak memory, in MiB, of a short run of a point.
fn probe(point: &Planned, place: &LaunchOptions) -> anyhow::Result<(f64, u64)> {
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let (scenario, log) = (folder.path().join("probe.toml"), folder.path().join("log"));
    let mut short = point.scenario.clone();
    short.train.rounds = short.train.rounds.min(ROUNDS);
    short.evaluation.passes = 1;
    // It is to leave nothing there.
    short.checkpoint.store = None;
    fs::write(&scenario, short.to_toml())?;
    let mut command: Command = program::again()?;
    command.arg("run").arg(&scenario).args(["--end-with-parent", "--json", "--page", "off"]);
    command.arg("--out").arg(folder.path().join("run"));
    command.args(place.words(super::pool::threads(&short, place, 1)));
    for name in OF_ONE_PROCESS {
        command.env_remove(format!("POM2DIB_{name}"));
    }
    // A group of its own: by it all its processes are found.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(fs::File::create(&log)?);
    let mut child = command.spawn()?;
    let (begun, mut peak, mut busy) = (Instant::now(), 0, 0.0_f64);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let (ticks, bytes) = group(child.id());
        peak = peak.max(bytes);
        // Processor time of processes that have ended is lost with them: the highest share is that of the rounds.
        busy = busy.max(ticks as f64 / 100.0 / begun.elapsed().as_secs_f64().max(0.1));
        std::thread::sleep(PAUSE);
    };
    if !status.success() {
        bail!("it failed: {}", last_line(&log).unwrap_or_else(|| "it said nothing".into()));
    }
    Ok((busy, peak >> 20))
}

/// Processor time, in hundredths of a second, and resident bytes of a group of processes.
fn group(group: u32) -> (u64, u64) {
    let Ok(processes) = fs::read_dir("/proc") else { return (0, 0) };
    let of_process = |entry: fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name: state, parent, group, ...; 11 and 12 are the times.
        let words: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| words.get(at)?.parse::<u64>().ok();
        (number(2)? == u64::from(group)).then_some(())?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = resident.trim().trim_end_matches(" kB").parse().ok()?;
        Some((number(11)? + number(12)?, kilobytes << 10))
    };
    let seen = processes.flatten().filter_map(of_process);
    seen.fold((0, 0), |(ticks, bytes), (of_ticks, of_bytes)| (ticks + of_ticks, bytes + of_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_as_many_gpus_as_its_devices_are_numbered() {
        assert_eq!(gpus(vec![Device::Auto, Device::Cpu]), 0);
        assert_eq!(gpus(vec![Device::Cuda(0), Device::Cpu, Device::Cuda(2), Device::Cuda(0)]), 3);
    }
}
