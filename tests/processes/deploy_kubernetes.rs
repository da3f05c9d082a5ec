//! The manifests for Kubernetes are valid by its own schemas, and consistent with each other. Without kubectl or
//! kubernetes-validate, these tests say that they skip.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use harness::{PATIENCE, Place, Process, Signal, table_of_sweep, wait_until};

use crate::PROGRAM;

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/kubernetes");

/// The schemas of the oldest version that the manifests are for, and of a new one.
const VERSIONS: [&str; 2] = ["1.28", "1.34"];

fn ask(program: &str, words: &[&str]) -> Option<Result<String, String>> {
    let output = Command::new(program).args(words).output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stdout) + &text(&output.stderr))
    })
}

fn has(program: &str, words: &[&str]) -> bool {
    let there = matches!(ask(program, words), Some(Ok(_)));
    if !there {
        eprintln!("skipped: there is no {program} here");
    }
    there
}

/// All manifests of a kustomization with fresh certificates, as kubectl would send them.
fn rendered(place: &Place, kustomization: &str) -> PathBuf {
    if !place.path("kubernetes").exists() {
        copy(Path::new(MANIFESTS), &place.path("kubernetes"));
        place.run("certs new kubernetes/base/certs").done();
    }
    let folder = place.path("kubernetes").join(kustomization);
    let text = ask("kubectl", &["kustomize", folder.to_str().unwrap()]).unwrap().unwrap();
    place.write("all.yaml", text);
    place.path("all.yaml")
}

/// Copies a folder but for certificates that somebody has made in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap().flatten() {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true if entry.file_name() == "certs" => {}
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn validate(version: &str, file: &Path) -> Result<String, String> {
    ask("kubernetes-validate", &["--strict", "--kubernetes-version", version, file.to_str().unwrap()])
        .unwrap()
}

#[test]
fn the_manifests_are_valid_by_the_schemas_of_kubernetes() {
    if !has("kubectl", &["kustomize", "--help"]) || !has("kubernetes-validate", &["--version"]) {
        return;
    }
    let place = Place::new(PROGRAM);
    let file = rendered(&place, "");
    for version in VERSIONS {
        validate(version, &file).unwrap_or_else(|error| panic!("{version}: {error}"));
        // The validator must detect an error.
        let text = std::fs::read_to_string(&file).unwrap();
        for (right, wrong) in
            [("podManagementPolicy:", "podManagementPolicies:"), ("port: 7300", "port: health")]
        {
            assert!(text.contains(right));
            place.write("wrong.yaml", text.replace(right, wrong));
            assert!(validate(version, &place.path("wrong.yaml")).is_err(), "{version}: {wrong}");
        }
    }
}

#[test]
fn every_variant_of_the_manifests_is_valid_and_changes_what_it_says() {
    if !has("kubectl", &["kustomize", "--help"]) {
        return;
    }
    let place = Place::new(PROGRAM);
    let gpu = "nvidia.com/gpu: 1";
    let (store, keys) = ("checkpoint.store=s3://bucket/prefix", "name: object-store");
    let (spread, claim) = ("topologyKey: kubernetes.io/hostname", "kind: PersistentVolumeClaim");
    let (policy, data) = ("kind: NetworkPolicy", "POM2DIB_DATA: /data");
    let all = [gpu, store, keys, spread, claim, policy, data];
    // How often each of them stands in the base and its variants.
    for (variant, expected) in [
        ("", [0, 0, 0, 0, 1, 0, 0]),
        ("overlays/gpu", [2, 0, 0, 0, 1, 0, 0]),
        ("overlays/object-store", [0, 1, 1, 0, 0, 0, 0]),
        ("overlays/spread", [0, 0, 0, 2, 1, 0, 0]),
        ("overlays/company", [2, 1, 1, 2, 0, 1, 1]),
    ] {
        let file = rendered(&place, variant);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(all.map(|what| text.matches(what).count()), expected, "{variant}: {text}");
        if has("kubernetes-validate", &["--version"]) {
            // The base is validated elsewhere, and the last variant has all of the others.
            let versions = match variant {
                "" => &[],
                "overlays/company" => &VERSIONS[..],
                _ => &VERSIONS[..1],
            };
            for version in versions {
                validate(version, &file).unwrap_or_else(|error| panic!("{variant} {version}: {error}"));
            }
        }
    }
    let text = std::fs::read_to_string(place.path("all.yaml")).unwrap();
    let documents = text.split("---\n").count();
    assert_eq!(text.matches("  namespace: pom2dib\n").count(), documents, "all in the namespace");
    assert_eq!(text.matches("image: registry.example/team/pom2dib:").count(), 3, "{text}");
    assert_eq!(text.matches("claimName: data").count(), 2, "transmitters and receivers read the data");
    assert!(text.contains("emptyDir: {}\n        name: run") && text.contains("- name: registry"), "{text}");
}

/// Without kubectl: with the tag `latest` the cluster's nodes would never use an image loaded into them.
#[test]
fn the_image_is_of_this_version() {
    let text = std::fs::read_to_string(format!("{MANIFESTS}/base/kustomization.yaml")).unwrap();
    let tags: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("newTag: ")).collect();
    assert_eq!(tags, [env!("CARGO_PKG_VERSION")]);
}

#[test]
fn the_manifests_name_ports_variables_and_words_that_the_program_knows() {
    if !has("kubectl", &["kustomize", "--help"]) {
        return;
    }
    let place = Place::new(PROGRAM);
    let text = std::fs::read_to_string(rendered(&place, "")).unwrap();
    let help: String = ["coordinator", "transmitter", "receiver"]
        .map(|role| place.run(&format!("{role} --help")).done().stdout)
        .concat();
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let variables: Vec<&str> = words.filter(|word| word.starts_with("POM2DIB_")).collect();
    assert!(variables.len() > 8, "{text}");
    for variable in variables {
        assert!(help.contains(variable), "{variable}");
    }
    // Pods have the label that their service, their budget and their set select; a job makes its own.
    for (role, times) in [("coordinator", 3), ("transmitter", 4), ("receiver", 4)] {
        assert_eq!(text.matches(&format!("secretName: {role}-tls")).count(), 1);
        assert_eq!(text.matches(&format!("app.kubernetes.io/component: {role}")).count(), times, "{role}");
    }
    for name in ["transmitter", "receiver"] {
        assert!(text.contains(&format!("{name}-2.key:")), "a certificate for every replica");
    }
}

#[test]
fn the_manifests_that_the_program_prints_are_valid_too() {
    let place = Place::new(PROGRAM);
    let sizes = "--set network.transmitters=2 --set network.receivers=3";
    let printed = place.run(&format!("kubernetes digits {sizes} --name small --gpu")).done().stdout;
    let kinds = |text: &str, kind: &str| text.lines().filter(|line| *line == format!("kind: {kind}")).count();
    for (kind, count) in [
        ("ConfigMap", 1),
        ("Job", 1),
        ("PersistentVolumeClaim", 1),
        ("PodDisruptionBudget", 3),
        ("Secret", 1),
        ("Service", 3),
        ("StatefulSet", 2),
    ] {
        assert_eq!(kinds(&printed, kind), count, "{kind}: {printed}");
    }
    for line in [
        "  replicas: 2",
        "  replicas: 3",
        "  name: small-transmitter",
        "            readOnlyRootFilesystem: true",
        "        runAsNonRoot: true",
        &format!("          image: \"pom2dib:{}\"", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(printed.lines().any(|known| known == line), "{line}: {printed}");
    }
    // A token of its own each time.
    assert_ne!(printed, place.run(&format!("kubernetes digits {sizes} --name small --gpu")).done().stdout);
    let certified = place.run("kubernetes tiny.toml --tls").done().stdout;
    assert_eq!(kinds(&certified, "Secret"), 3);
    assert!(certified.contains("  transmitter-1.key: |\n    -----BEGIN"), "{certified}");
    for (words, expected) in [
        ("tiny.toml --name Big", "--name Big: up to 40 lower-case letters"),
        ("tiny.toml --set checkpoint.store=here", "checkpoint.store is "),
        ("handwritten --data .", "--data-claim"),
    ] {
        place.run(&format!("kubernetes {words}")).failed(2, &[expected]);
    }
    let stored =
        place.run("kubernetes tiny.toml --set checkpoint.store=s3://bucket/run --env-secret keys").done();
    assert_eq!(kinds(&stored.stdout, "PersistentVolumeClaim"), 0);

    if !has("kubernetes-validate", &["--version"]) {
        return;
    }
    for (name, text) in [("a.yaml", &printed), ("b.yaml", &certified), ("c.yaml", &stored.stdout)] {
        place.write(name, text);
        for version in VERSIONS {
            validate(version, &place.path(name)).unwrap_or_else(|error| panic!("{version}: {error}"));
        }
    }
}

#[test]
fn the_manifests_of_a_service_are_valid_too() {
    let place = Place::new(PROGRAM);
    let printed = place.run("kubernetes tiny.toml --serve tiny-run").done().stdout;
    let kinds = |kind: &str| printed.lines().filter(|line| *line == format!("kind: {kind}")).count();
    for (kind, count) in
        [("Deployment", 1), ("StatefulSet", 2), ("Service", 3), ("Secret", 1), ("Job", 0), ("ConfigMap", 0)]
    {
        assert_eq!(kinds(kind), count, "{kind}: {printed}");
    }
    for line in ["  name: tiny-serve-coordinator", "            claimName: tiny-run", "    - name: samples"] {
        assert!(printed.lines().any(|known| known.starts_with(line)), "{line}: {printed}");
    }
    let help = place.run("coordinator --help").done().stdout;
    for word in ["POM2DIB_SOURCE", "--serve", "grpc:IP:PORT"] {
        assert!(help.contains(word), "{word}");
    }
    if !has("kubernetes-validate", &["--version"]) {
        return;
    }
    place.write("serve.yaml", &printed);
    for version in VERSIONS {
        validate(version, &place.path("serve.yaml")).unwrap_or_else(|error| panic!("{version}: {error}"));
    }
}

/// Stands for kubectl and a cluster: runs the pods of a Job as processes here, replaces one that fails, and after the
/// second failure of an index ends the Job, as its back-off limit does. There is no API server to be had.
const STAND_IN: &str = r#"#!/bin/sh
state="$FAKE_CLUSTER"
index() {
    attempt=0
    while [ $attempt -lt 2 ]; do
        pod="$state/$name/$1-$attempt"
        JOB_COMPLETION_INDEX=$1 "$FAKE_PROGRAM" point --status-0 --list "$list" &
        echo $! > "$state/$name.$1"
        echo Running > "$pod"
        wait $! && { echo Succeeded > "$pod"; return; }
        [ -e "$state/$name" ] || return
        echo Failed > "$pod"
        attempt=$((attempt + 1))
    done
    touch "$state/$name.failed"
    # All other pods are told to end, and are not replaced.
    for other in "$state/$name".[0-9]*; do kill "$(cat "$other")" 2> /dev/null; done
}
case "$1 $2" in
"apply -f")
    cat > "$state/manifest.yaml"
    name=$(sed -n 's/^  name: \(pom2dib-.*\)$/\1/p' "$state/manifest.yaml")
    count=$(sed -n 's/^  completions: //p' "$state/manifest.yaml")
    list=$(sed -n 's/.*"--list", \(.*\)\]$/\1/p' "$state/manifest.yaml")
    mkdir "$state/$name"
    at=0
    while [ $at -lt "$count" ]; do
        index $at > /dev/null 2>&1 &
        at=$((at + 1))
    done
    ;;
"get job")
    [ -d "$state/$3" ] || exit 0
    if [ "$6" = name ]; then
        echo "job.batch/$3"
    elif [ -e "$state/$3.failed" ]; then
        echo '{"status": {"conditions": [{"type": "Failed", "status": "True", "message": "Job has reached the specified backoff limit"}]}}'
    else
        echo '{"status": {}}'
    fi
    ;;
"get pods")
    name=${4#job-name=}
    separator=
    printf '{"items": ['
    for file in "$state/$name"/*; do
        [ -e "$file" ] || continue
        pod=${file##*/}
        printf '%s{"metadata": {"name": "%s-%s", "annotations": {"batch.kubernetes.io/job-completion-index": "%s"}},' \
            "$separator" "$name" "$pod" "${pod%-*}"
        printf '"spec": {"nodeName": "here"}, "status": {"phase": "%s"}}' "$(cat "$file")"
        separator=,
    done
    printf ']}'
    ;;
*) echo "error: $*" >&2; exit 1 ;;
esac
"#;

/// A cluster of processes in a place.
struct Cluster<'a> {
    place: &'a Place,
}

impl<'a> Cluster<'a> {
    fn new(place: &'a Place) -> Self {
        place.write("bin/kubectl", STAND_IN);
        let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(place.path("bin/kubectl"), runs).unwrap();
        std::fs::create_dir(place.path("cluster")).unwrap();
        Cluster { place }
    }

    fn start(&self, words: &str) -> Process {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let path = format!("{}:{}", text(self.place.path("bin")), std::env::var("PATH").unwrap());
        let variables = [
            ("PATH".to_owned(), path),
            ("FAKE_CLUSTER".into(), text(self.place.path("cluster"))),
            ("FAKE_PROGRAM".into(), PROGRAM.into()),
        ];
        self.place.start_words(variables, words.split_whitespace())
    }

    /// The words of a sweep in a folder of the volume.
    fn sweep(&self, points: &str, out: &str) -> String {
        let volume = self.place.path("");
        format!(
            "sweep tiny.toml {points} --in-process --json --out {out} --on kubernetes --cores 1 --memory 300M --volume claim:{}",
            volume.display()
        )
    }

    /// The names of all Jobs.
    fn jobs(&self) -> Vec<String> {
        let entries = self.place.path("cluster").read_dir().unwrap().flatten();
        let mut jobs: Vec<String> = entries
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        jobs.sort();
        jobs
    }
}

#[test]
fn a_sweep_runs_as_an_indexed_job_and_ends_with_the_table_of_this_machine() {
    let place = Place::new(PROGRAM);
    let cluster = Cluster::new(&place);
    let words = cluster.sweep("--seed 1,2 --rounds 2", "far");
    let volume = format!("--volume claim:{}", place.path("").display());
    let start = |words: &str| cluster.start(words).finish();

    let stored = words.replace("--out far", "--out printed") + " --env-secret keys";
    let printed = start(&format!("{stored} --print")).done();
    assert!(
        printed.stdout.contains("secretRef:\n                name: keys")
            && !place.path("cluster/manifest.yaml").exists(),
        "{printed}"
    );
    let outcome = start(&words).done();
    let table = outcome.json();
    let local =
        place.run("sweep tiny.toml --seed 1,2 --rounds 2 --in-process --json --out local").done().json();
    for point in 0..2 {
        assert_eq!(table["points"][point]["fingerprint"], local["points"][point]["fingerprint"]);
    }
    start(&words.replace(&volume, "--volume claim:/elsewhere"))
        .failed(2, &["--volume claim:/elsewhere", "is not in it"]);
    start(&words.replace(&volume, "")).failed(2, &["--volume CLAIM:FOLDER"]);

    if has("kubernetes-validate", &["--version"]) {
        place.write("printed.yaml", printed.stdout);
        for (version, file) in VERSIONS.into_iter().zip(["cluster/manifest.yaml", "printed.yaml"]) {
            validate(version, &place.path(file)).unwrap_or_else(|error| panic!("{version}: {error}"));
        }
    }
}

#[test]
fn lost_pods_and_failed_jobs_lose_nothing_and_a_deleted_job_is_left_alone() {
    let place = Place::new(PROGRAM);
    let cluster = Cluster::new(&place);
    // Delays make rounds last without work.
    let points = "--seed 1..3 --rounds 60 --set checkpoint.every=5 --set link=[{delay=0.05}]";
    let local =
        place.start(&format!("sweep tiny.toml {points} --in-process --json --parallel 3 --out local"));
    let first = cluster.start(&cluster.sweep(points, "far"));
    let folder = |seed: u64| place.run_folder(&format!("far/seed={seed}"));
    let owner =
        |seed: u64, claim: u64| folder(seed).json(&format!("claims/{claim:06}"))["pid"].as_u64().unwrap();
    let kill = |pid: u64| drop(ask("kill", &["-KILL", &pid.to_string()]));
    let begun = |seed: u64, claim: u64| folder(seed).has(&format!("claims/{claim:06}"));
    wait_until("all to have checkpoints", PATIENCE, || {
        (1..=3).all(|seed| !folder(seed).checkpoints().is_empty())
    });

    // A pod is lost, and Kubernetes replaces it. The watch is interrupted, and comes back to the same Job.
    kill(owner(1, 1));
    wait_until("the pod that takes its place", PATIENCE, || begun(1, 2));
    first.signal(Signal::Interrupt);
    let left = first.finish();
    assert!(left.status.code() == Some(1) && left.stderr.contains("the jobs go on without"), "{left}");
    let back = cluster.start("sweep --resume far --json");

    // An index fails for good, and its Job with it: what has not ended is submitted in another one.
    kill(owner(1, 2));
    wait_until("a second Job", PATIENCE, || cluster.jobs().len() == 2);
    let back = back.finish_within(2 * PATIENCE).done();
    assert_eq!(table_of_sweep(&back.json()), table_of_sweep(&local.finish().done().json()));
    for seed in 1..=3 {
        assert_eq!(folder(seed).rounds(), 60, "every round once");
    }
    let again = back.stderr.lines().find(|line| line.starts_with("seed=1: starting it again, from round "));
    assert!(again.is_some_and(|line| line.contains("Job has reached the specified backoff limit")), "{back}");

    // A Job that somebody deletes is not submitted again by this watch, but by --resume.
    let watch = cluster.start(&cluster.sweep(&points.replace("1..3", "4"), "gone"));
    wait_until("a checkpoint", PATIENCE, || !place.run_folder("gone/run").checkpoints().is_empty());
    let job = cluster.jobs().into_iter().find(|job| job.ends_with("0001") && !is_of(&place, job)).unwrap();
    std::fs::remove_dir_all(place.path("cluster").join(&job)).unwrap();
    kill(place.run_folder("gone/run").json("claims/000001")["pid"].as_u64().unwrap());
    let outcome = watch.finish();
    assert_eq!(outcome.status.code(), Some(1), "{outcome}");
    let point = &outcome.json()["points"][0];
    assert_eq!(point["status"], "cancelled");
    let line = point["error"].as_str().unwrap();
    assert!(line.starts_with(&format!("job {job} was deleted; `pom2dib sweep --resume ")), "{line}");
    assert!(outcome.stderr.contains("error: 1 of 1 points were cancelled"), "{outcome}");
    assert_eq!(
        cluster.start("sweep --resume gone --json").finish().done().json()["points"][0]["status"],
        "done"
    );
}

/// Whether a Job is of the sweep in `far`.
fn is_of(place: &Place, job: &str) -> bool {
    job.contains(place.run_folder("far/jobs").text("number").trim())
}
