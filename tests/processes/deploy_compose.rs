//! Networks in containers, with the compose file of the repository and with one that `pom2dib compose` writes: they
//! train to their end, in any size, and neither a killed container nor a network failure changes a bit of the result.
//! Without a container engine, these tests say that they skip.

use std::{path::Path, sync::OnceLock};

use harness::{Container, Engine, PATIENCE, Place, Project, Signal, wait_until};
use serde_json::Value;

use crate::PROGRAM;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A short run that is long enough to be disturbed.
const SHORT: &str = "train.rounds=40; checkpoint.every=5; evaluation.passes=1";

fn engine() -> Option<Engine> {
    Engine::find(ROOT, PROGRAM)
}

/// The summary of a run whose coordinator prints JSON.
fn summary(coordinator: &Container) -> Value {
    let (stdout, stderr) = coordinator.logs();
    let line = stdout.lines().last().unwrap_or_else(|| panic!("no summary: {stderr}"));
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

fn assert_all_ended_well(project: &Project<'_>, services: &[(&str, usize)]) {
    for (service, count) in services {
        let containers = project.containers(service);
        assert_eq!(containers.len(), *count, "{service}");
        for container in containers {
            assert_eq!(container.status(), Some(0), "{service}: {}", container.logs().1);
        }
    }
}

/// The summary of [`SHORT`] without disturbance, computed once.
fn undisturbed_short() -> Value {
    static FINGERPRINT: OnceLock<Value> = OnceLock::new();
    FINGERPRINT.get_or_init(|| undisturbed(SHORT)).clone()
}

/// The summary of the same run as processes of this machine.
fn undisturbed(set: &str) -> Value {
    let place = Place::new(PROGRAM);
    let words: String = set.split("; ").map(|assignment| format!(" --set {assignment}")).collect();
    place.run(&format!("run --json --out a{words}")).done().json()["fingerprint"].clone()
}

/// The status of a run under way, asked in the coordinator's container; none without an answer.
fn status(project: &Project<'_>) -> Option<Value> {
    let outcome = project.run("exec -T coordinator pom2dib status --json");
    serde_json::from_str(outcome.stdout.lines().last()?).ok()
}

/// Starts a network and pauses its run once it has a checkpoint, so that it does not end while it is being disturbed.
fn start_and_hold(project: &Project<'_>) {
    project.run("up --no-build --detach").done();
    wait_until("a checkpoint", PATIENCE, || {
        status(project).is_some_and(|status| status["checkpoint"].as_u64().is_some_and(|round| round > 0))
    });
    project.run("exec -T coordinator pom2dib pause").done();
}

/// Waits until the network has gone back to its checkpoint and is complete again.
fn wait_for_return(project: &Project<'_>) {
    wait_until("the return of who was lost", PATIENCE, || {
        status(project).is_some_and(|status| status["phase"] == "training" && status["incarnation"] == 2)
    });
}

#[test]
fn what_a_build_needs_goes_into_the_context_of_the_image() {
    let read = |name: &str| std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap();
    let admitted = read(".dockerignore");
    let admitted: Vec<&str> = admitted.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    assert!(members.len() > 10, "{members:?}");
    for member in members.iter().map(|member| member.as_str().unwrap()) {
        for needed in ["Cargo.toml", "src"].map(|name| Path::new(member).join(name)) {
            assert!(
                admitted.iter().any(|path| needed.starts_with(path)),
                ".dockerignore leaves out {needed:?}"
            );
        }
    }
}

#[test]
fn the_image_holds_one_small_program_and_a_user_who_is_not_root() {
    let Some(engine) = engine() else { return };
    let (image, base) = (engine.image(None), engine.image(Some(&engine.base())));
    let size = |image: &Value| image["Size"].as_u64().expect("an image has a size");
    let own = size(&image) - size(&base);
    println!("the image adds {:.1} MB to its base of {:.1} MB", own as f64 / 1e6, size(&base) as f64 / 1e6);
    assert!(own < 60_000_000, "{own} bytes");
    assert_eq!(image["Config"]["User"], "10001");
    assert_eq!(image["Config"]["Labels"]["org.opencontainers.image.title"], "pom2dib");
    assert_eq!(image["Config"]["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    assert!(engine.run(&["--read-only"], &["--version"]).unwrap().contains(env!("CARGO_PKG_VERSION")));
    let all = engine.run(
        &["--entrypoint", "sh"],
        &["-c", "id -u; ls /usr/local/bin; test -s /etc/ssl/certs/ca-certificates.crt"],
    );
    assert_eq!(all.unwrap(), "10001\npom2dib\n");
}

/// The program of deploy/build-cuda.sh loads NVIDIA's libraries only when it looks for a GPU, and so starts without
/// them.
#[test]
fn the_image_for_gpus_starts_where_there_is_none() {
    let Some(engine) = engine() else { return };
    let places = ["target/cuda/{}/release/pom2dib", "target/cuda-check/{}/debug/pom2dib"];
    let built = places.map(|place| place.replace("{}", "x86_64-unknown-linux-gnu"));
    let Some(program) = built.iter().find(|place| Path::new(ROOT).join(place).exists()) else {
        eprintln!("skipped: deploy/build-cuda.sh has built nothing here");
        return;
    };
    assert!(engine.run_cuda(program, &["--version"]).unwrap().contains(env!("CARGO_PKG_VERSION")));
    let words = ["run", "--in-process", "--device", "cuda:0", "--out", "/tmp/run"];
    let error = engine.run_cuda(program, &words).unwrap_err();
    assert!(error.contains("device cuda:0 cannot be had"), "{error}");
}

/// Builders that export one tag concurrently fail ("already exists"), and a service without `build` must find the
/// image.
#[test]
fn one_service_builds_the_image_and_the_others_depend_on_it() {
    for (file, builder, dependants) in [
        ("docker-compose.yml", "coordinator", &["transmitter", "receiver"][..]),
        ("docker-compose.cuda.yml", "transmitter", &["receiver"]),
    ] {
        let text = std::fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
        let builds = text.lines().filter(|line| line.trim() == "build:").count();
        assert_eq!(builds, 1, "{file}");
        assert!(service(&text, builder).contains("\n    build:\n"), "{file}: {builder}");
        for dependant in dependants {
            let line = format!("\n    depends_on: [{builder}]\n");
            assert!(service(&text, dependant).contains(&line), "{file}: {dependant}");
        }
    }
}

/// A service's lines in a compose file.
fn service<'a>(file: &'a str, name: &str) -> &'a str {
    let (_, rest) = file.split_once("\nservices:\n").expect("a compose file has services");
    let start = rest.find(&format!("  {name}:\n")).expect("it has this one") + name.len() + 4;
    let is_next =
        |(at, _): &(usize, &str)| !rest[at + 1..].starts_with("   ") && !rest[at + 1..].starts_with('\n');
    let end = rest[start..].match_indices('\n').map(|(at, text)| (start + at, text)).find(is_next);
    &rest[start - 1..end.map_or(rest.len(), |(at, _)| at + 1)]
}

#[test]
fn the_default_network_trains_to_its_end_by_either_kind_of_compose() {
    let Some(engine) = engine() else { return };
    for kind in 0..engine.composes() {
        // Long enough once to be seen at work: the second time it suffices that the file is accepted.
        let rounds = if kind == 0 { "120" } else { "20" };
        let project = engine.project(kind, Path::new(ROOT), &[("POM2DIB_ROUNDS", rounds)]);
        let mut up = project.start("up --no-build");
        let healthy = || project.containers("transmitter").iter().any(Container::is_healthy);
        // A short run may end before its health is checked.
        wait_until("a transmitter's health", 2 * PATIENCE, || healthy() || up.has_ended());
        assert!(kind > 0 || !up.has_ended(), "healthy is who has its place in a run");
        up.finish_within(4 * PATIENCE).done();
        assert_all_ended_well(&project, &[("coordinator", 1), ("transmitter", 3), ("receiver", 3)]);
        let (table, _) = project.container("coordinator").logs();
        assert!(table.contains(&format!("pom2dib on digits: {rounds} rounds, seed 1;")), "{table}");
        assert!(table.contains("transmitter 2  noise-1") && table.contains("fingerprint"), "{table}");
        // Once more: a finished run is only evaluated again, and the folder is no obstacle.
        if kind > 0 {
            project.run("up --no-build").done();
            assert!(project.container("coordinator").logs().0.contains("fingerprint"));
        }
    }
}

#[test]
fn five_transmitters_and_two_receivers_get_their_indices_as_they_join() {
    let Some(engine) = engine() else { return };
    let set = "network.transmitters=5; network.receivers=2; train.rounds=5; evaluation.passes=1";
    let variables = [("POM2DIB_SET", set), ("POM2DIB_JSON", "true")];
    let project = engine.project(0, Path::new(ROOT), &variables);
    project.run("up --no-build --scale transmitter=5 --scale receiver=2").done();
    assert_all_ended_well(&project, &[("coordinator", 1), ("transmitter", 5), ("receiver", 2)]);
    let summary = summary(&project.container("coordinator"));
    assert_eq!(summary["test"]["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(summary["fingerprint"], undisturbed(set));
}

#[test]
fn killed_containers_are_started_again_and_change_no_bit() {
    let Some(engine) = engine() else { return };
    let variables =
        [("POM2DIB_SET", SHORT), ("POM2DIB_JSON", "true"), ("POM2DIB_TOKEN", "correct-horse-battery")];
    let project = engine.project(0, Path::new(ROOT), &variables);
    start_and_hold(&project);
    let transmitter = project.containers("transmitter").remove(1);
    transmitter.signal(Signal::Kill);
    wait_for_return(&project);
    // A restarted coordinator does not know of the pause.
    let coordinator = project.container("coordinator");
    coordinator.signal(Signal::Kill);
    wait_until("the end of the run", PATIENCE, || {
        coordinator.restarts() > 0 && coordinator.status().is_some()
    });
    wait_until("the end of all", PATIENCE, || {
        ["transmitter", "receiver"]
            .iter()
            .all(|service| project.containers(service).iter().all(|container| container.status().is_some()))
    });
    assert_all_ended_well(&project, &[("coordinator", 1), ("transmitter", 3), ("receiver", 3)]);
    assert_eq!((transmitter.restarts(), coordinator.restarts()), (1, 1));
    assert_eq!(summary(&coordinator)["fingerprint"], undisturbed_short());
}

#[test]
fn a_transmitter_that_is_cut_off_and_connected_again_changes_no_bit() {
    let Some(engine) = engine() else { return };
    let project = engine.project(0, Path::new(ROOT), &[("POM2DIB_SET", SHORT), ("POM2DIB_JSON", "true")]);
    start_and_hold(&project);
    let (transmitter, coordinator) =
        (project.containers("transmitter").remove(0), project.container("coordinator"));
    transmitter.connect(&project.network(), false);
    wait_until("the cut to be named", PATIENCE, || coordinator.logs().1.contains("going back to round"));
    let (_, log) = coordinator.logs();
    assert!(
        log.contains("left the run: it has said nothing for 10 s") || log.contains("lost transmitter"),
        "{log}"
    );
    transmitter.connect(&project.network(), true);
    wait_for_return(&project);
    project.run("exec -T coordinator pom2dib resume").done();
    wait_until("the end of the run", PATIENCE, || coordinator.status().is_some());
    assert_eq!(coordinator.status(), Some(0), "{}", coordinator.logs().1);
    assert_eq!(summary(&coordinator)["fingerprint"], undisturbed_short());
}

#[test]
fn a_stopped_network_ends_in_its_grace_period_and_goes_on_when_it_is_started_again() {
    let Some(engine) = engine() else { return };
    let kind = engine.composes() - 1;
    let project = engine.project(kind, Path::new(ROOT), &[("POM2DIB_SET", SHORT), ("POM2DIB_JSON", "true")]);
    start_and_hold(&project);
    project.run("stop").done();
    // No container had to be killed (137), and none reports an error.
    assert_all_ended_well(&project, &[("coordinator", 1), ("transmitter", 3), ("receiver", 3)]);
    let coordinator = project.container("coordinator");
    assert!(coordinator.logs().1.contains("stopped after round"), "{}", coordinator.logs().1);
    project.run("up --no-build").done();
    assert_eq!(summary(&project.container("coordinator"))["fingerprint"], undisturbed_short());
}

#[test]
fn a_written_compose_file_runs_its_scenario_with_certificates() {
    let Some(engine) = engine() else { return };
    let place = Place::new(PROGRAM);
    place
        .run("compose --scenario tiny.toml --set train.rounds=5 --tls --out net --image pom2dib-test")
        .done();
    for kind in 0..engine.composes() {
        let project = engine.project(kind, &place.path("net"), &[("POM2DIB_JSON", "true")]);
        project.run("up").done();
        let names = ["coordinator", "transmitter-0", "transmitter-1", "receiver-0", "receiver-1"];
        assert_all_ended_well(&project, &names.map(|name| (name, 1)));
        let (table, _) = project.container("coordinator").logs();
        assert!(table.contains("pom2dib on tiny: 5 rounds"), "{table}");
    }
}

/// BuildKit accepts the file with caches, and a build finds what an earlier one left in them. A script that counts its
/// builds in the kept folder replaces cargo.
#[test]
fn a_build_finds_what_the_one_before_left_in_the_caches() {
    let Some(engine) = engine() else { return };
    let place = Place::new(PROGRAM);
    let cargo = "#!/bin/sh\nset -e\ncount=$(cat target/count 2>/dev/null || echo 0)\nmkdir -p target/release\n\
                 echo $((count + 1)) > target/count\nprintf '#!/bin/sh\\necho %s %s\\n' \"$(cat target/count)\" \"$*\" > \
                 target/release/pom2dib\nchmod +x target/release/pom2dib\n";
    let mut counts = Vec::new();
    for source in ["one", "another"] {
        // Stages that run again, instead of coming from the builder's layers.
        place.write("source", format!("{source} {}", std::process::id()));
        let Some(said) = engine.build_with_caches(&place.path(""), cargo) else { return };
        let (count, words) = said.trim().split_once(' ').expect("a count, and what cargo was told");
        assert_eq!(
            words,
            "build --release --locked --package pom2dib --features certs,cloud,digital,otlp,tui"
        );
        counts.push(count.parse::<u64>().unwrap());
    }
    assert_eq!(counts[1], counts[0] + 1);
}

/// Builders with caches get the same image: the file has the other's base and last stage, and builds the same package.
/// The other has no mount: the builder of docker-compose 1.29 refuses a file with one.
#[test]
fn the_file_with_caches_is_of_the_same_image_and_the_plain_one_has_no_mounts() {
    let read = |name: &str| std::fs::read_to_string(Path::new(ROOT).join(name)).expect("it is there");
    let (plain, cached) = (read("Dockerfile"), read("deploy/cached.Dockerfile"));
    let instructions = |text: &str| -> Vec<String> {
        let joined = text.replace("\\\n", " ");
        let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    let (plain, cached) = (instructions(&plain), instructions(&cached));
    assert!(plain.iter().all(|line| !line.contains("--mount")));
    let base =
        plain.iter().position(|line| line.starts_with("FROM base AS prebuilt")).expect("it has that stage");
    assert_eq!(cached[..base], plain[..base]);
    let last =
        |lines: &[String]| lines[lines.len() - 2..].join("\n").replace("/built/", "/pom2dib/target/release/");
    assert_eq!(last(&cached), last(&plain));
    let build = |lines: &[String]| {
        let command = lines.iter().rev().find(|line| line.contains("cargo build")).expect("it builds");
        let words =
            command.split_whitespace().skip_while(|word| *word != "cargo").take_while(|word| *word != "&&");
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(build(&cached), build(&plain));
    assert!(cached.iter().any(|line| line.contains("--mount=type=cache,target=/pom2dib/target")));
    let over = read("docker-compose.cached.yml");
    assert!(over.contains("dockerfile: deploy/cached.Dockerfile"));
}
