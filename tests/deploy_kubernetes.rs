//! The manifests for Kubernetes are valid by its own schemas, and consistent with each other. Without kubectl or
//! kubernetes-validate, these tests say that they skip.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use harness::Place;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pom2dib");
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

/// All manifests with fresh certificates, as kubectl would send them.
fn rendered(place: &Place) -> PathBuf {
    for entry in Path::new(MANIFESTS).read_dir().unwrap().flatten() {
        if entry.path().is_file() {
            let name = entry.file_name().into_string().unwrap();
            place.write(&format!("kubernetes/{name}"), std::fs::read(entry.path()).unwrap());
        }
    }
    place.run("certs new kubernetes/certs").done();
    let folder = place.path("kubernetes");
    let text = ask("kubectl", &["kustomize", folder.to_str().unwrap()]).unwrap().unwrap();
    place.write("all.yaml", text);
    place.path("all.yaml")
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
    let file = rendered(&place);
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

/// Without kubectl: with the tag `latest` the cluster's nodes would never use an image loaded into them.
#[test]
fn the_image_is_of_this_version() {
    let text = std::fs::read_to_string(format!("{MANIFESTS}/kustomization.yaml")).unwrap();
    let tags: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("newTag: ")).collect();
    assert_eq!(tags, [env!("CARGO_PKG_VERSION")]);
}

#[test]
fn the_manifests_name_ports_variables_and_words_that_the_program_knows() {
    if !has("kubectl", &["kustomize", "--help"]) {
        return;
    }
    let place = Place::new(PROGRAM);
    let text = std::fs::read_to_string(rendered(&place)).unwrap();
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

/// Stands for kubectl and a cluster: runs the pods of a Job as processes here. There is no API server to be had.
const STAND_IN: &str = r#"#!/bin/sh
state="$FAKE_CLUSTER"
case "$1 $2" in
"apply -f")
    cat > "$state/manifest.yaml"
    name=$(sed -n 's/^  name: \(pom2dib-.*\)$/\1/p' "$state/manifest.yaml")
    count=$(sed -n 's/^  completions: //p' "$state/manifest.yaml")
    list=$(sed -n 's/.*"--list", \(.*\)\]$/\1/p' "$state/manifest.yaml")
    mkdir "$state/$name"
    index=0
    while [ $index -lt "$count" ]; do
        echo Running > "$state/$name/$index"
        (
            JOB_COMPLETION_INDEX=$index "$FAKE_PROGRAM" point --status-0 --list "$list" && phase=Succeeded || phase=Failed
            echo $phase > "$state/$name/$index"
        ) > /dev/null 2>&1 &
        index=$((index + 1))
    done
    ;;
"get job")
    [ -d "$state/$3" ] || exit 0
    [ "$6" = name ] && echo "job.batch/$3" || echo '{"status": {}}'
    ;;
"get pods")
    name=${4#job-name=}
    separator=
    printf '{"items": ['
    for file in "$state/$name"/*; do
        index=${file##*/}
        printf '%s{"metadata": {"name": "%s-%s", "annotations": {"batch.kubernetes.io/job-completion-index": "%s"}},' \
            "$separator" "$name" "$index" "$index"
        printf '"spec": {"nodeName": "here"}, "status": {"phase": "%s"}}' "$(cat "$file")"
        separator=,
    done
    printf ']}'
    ;;
*) echo "error: $*" >&2; exit 1 ;;
esac
"#;

#[test]
fn a_sweep_runs_as_an_indexed_job_and_ends_with_the_table_of_this_machine() {
    let place = Place::new(PROGRAM);
    place.write("bin/kubectl", STAND_IN);
    let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.path("bin/kubectl"), runs).unwrap();
    std::fs::create_dir(place.path("cluster")).unwrap();
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    let path = format!("{}:{}", text(place.path("bin")), std::env::var("PATH").unwrap());
    let variables = || {
        [
            ("PATH".to_owned(), path.clone()),
            ("FAKE_CLUSTER".into(), text(place.path("cluster"))),
            ("FAKE_PROGRAM".into(), PROGRAM.into()),
        ]
    };
    let points = "sweep tiny.toml --seed 1,2 --rounds 2 --in-process --json";
    let volume = format!("claim:{}", text(place.path("")));
    let words = format!("{points} --out far --on kubernetes --cores 1 --memory 300M --volume {volume}");
    let start = |words: &str| place.start_words(variables(), words.split_whitespace()).finish();

    let printed = start(&format!("{words} --print").replace("--out far", "--out printed")).done();
    assert!(
        printed.stdout.contains("kind: Job") && !place.path("cluster/manifest.yaml").exists(),
        "{printed}"
    );
    let outcome = start(&words).done();
    let table = outcome.json();
    let local = place.run(&format!("{points} --out local")).done().json();
    for point in 0..2 {
        assert_eq!(table["points"][point]["fingerprint"], local["points"][point]["fingerprint"]);
    }
    start(&words.replace(&volume, "claim:/elsewhere"))
        .failed(2, &["--volume claim:/elsewhere", "is not in it"]);
    start(&words.replace(&format!("--volume {volume}"), "")).failed(2, &["--volume CLAIM:FOLDER"]);

    if has("kubernetes-validate", &["--version"]) {
        for version in VERSIONS {
            validate(version, &place.path("cluster/manifest.yaml"))
                .unwrap_or_else(|error| panic!("{version}: {error}"));
        }
    }
}
