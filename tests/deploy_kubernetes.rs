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
