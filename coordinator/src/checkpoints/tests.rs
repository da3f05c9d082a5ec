//! What is left of checkpoints, whatever was damaged, removed or written in between.

use std::collections::BTreeMap;

use store::Store;

use super::{Checkpoints, failing::Failing, manifest_name};
use crate::{
    Manifest,
    manifest::{state_name, tests::binding},
    members::Member,
    summary::sha256_hex,
};

const MEMBERS: [Member; 2] =
    [Member { role: node::Role::Transmitter, index: 0 }, Member { role: node::Role::Receiver, index: 0 }];

/// Writes the states of all members at a version; returns their hashes.
async fn write(checkpoints: &Checkpoints, round: u64) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for member in MEMBERS {
        let state = format!("{member} at {round}");
        let mut writer = checkpoints.state_writer(round, member, 1);
        writer.write(state.clone().into()).await.unwrap();
        writer.finish().await.unwrap();
        files.insert(state_name(member, 1), sha256_hex(state.as_bytes()));
    }
    files
}

async fn write_and_commit(checkpoints: &Checkpoints, round: u64) {
    let files = write(checkpoints, round).await;
    checkpoints.commit(&Manifest::new(round, files, binding())).await.unwrap();
}

/// The round of the last whole checkpoint.
async fn last(checkpoints: &Checkpoints) -> Option<u64> {
    checkpoints.last(None).await.unwrap().map(|manifest| manifest.round)
}

#[tokio::test]
async fn only_a_committed_checkpoint_counts_and_the_last_two_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(Store::folder(directory.path().into()).unwrap());
    assert_eq!(last(&checkpoints).await, None);
    write(&checkpoints, 10).await;
    assert_eq!(last(&checkpoints).await, None);
    for round in [20, 30, 40] {
        write_and_commit(&checkpoints, round).await;
        assert_eq!(last(&checkpoints).await, Some(round));
    }
    let folders = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut folders: Vec<_> = folders.collect();
    folders.sort();
    assert_eq!(folders, ["round-000030", "round-000040"]);
    checkpoints.check_numerics(&checkpoints.manifest(40).await.unwrap()).unwrap();
}

#[tokio::test]
async fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(Store::folder(directory.path().into()).unwrap());
    for round in [20, 30] {
        write_and_commit(&checkpoints, round).await;
    }
    let spoil = |name: &str, content: &str| std::fs::write(directory.path().join(name), content).unwrap();
    spoil("round-000030/receiver-0.1.safetensors", "receiver 0 at 3");
    assert_eq!(last(&checkpoints).await, Some(20));
    write_and_commit(&checkpoints, 30).await;
    assert_eq!(last(&checkpoints).await, Some(30));
    spoil("round-000030/manifest.json", "{\"round\": 30, \"pro");
    assert_eq!(last(&checkpoints).await, Some(20));
    std::fs::remove_file(directory.path().join("round-000020/transmitter-0.1.safetensors")).unwrap();
    let error = checkpoints.last(None).await.unwrap_err();
    assert!(error.is_input() && error.to_string().contains("round-000030/manifest.json"), "{error}");
}

#[tokio::test]
async fn what_a_manifest_names_outlives_a_later_attempt_at_the_same_version() {
    let checkpoints = Checkpoints::new(Store::in_memory());
    write_and_commit(&checkpoints, 20).await;
    let mut again = checkpoints.state_writer(20, MEMBERS[0], 2);
    again.write("something else".into()).await.unwrap();
    again.finish().await.unwrap();
    assert_eq!(last(&checkpoints).await, Some(20));
    let (mut state, hash) = checkpoints.state(20, MEMBERS[0]).await.unwrap();
    assert_eq!(hash, sha256_hex(b"transmitter 0 at 20"));
    let content = tokio_stream::StreamExt::next(&mut state).await.unwrap().unwrap();
    assert_eq!(content, "transmitter 0 at 20");
    // The next commit of that version removes files that do not belong to it.
    write_and_commit(&checkpoints, 20).await;
    let names = checkpoints.store.names().await.unwrap();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[tokio::test]
async fn a_checkpoint_of_the_first_versions_can_be_read() {
    let checkpoints = Checkpoints::new(Store::in_memory());
    let mut files = BTreeMap::new();
    for member in MEMBERS {
        let file = format!("{}-{}.safetensors", member.role.name(), member.index);
        checkpoints.keep(&format!("round-000020/{file}"), file.clone()).await.unwrap();
        files.insert(file.clone(), sha256_hex(file.as_bytes()));
    }
    let manifest = serde_json::json!({ "round": 20, "program": "0.2.0", "numerics": 2, "files": files });
    checkpoints.keep("round-000020/manifest.json", manifest.to_string()).await.unwrap();
    assert_eq!(last(&checkpoints).await, Some(20));
    for member in MEMBERS {
        assert!(checkpoints.state(20, member).await.is_ok());
    }
}

#[tokio::test]
async fn a_new_checkpoint_outlives_later_ones_that_are_damaged() {
    let checkpoints = Checkpoints::new(Store::in_memory());
    for round in [20, 30, 40] {
        write_and_commit(&checkpoints, round).await;
    }
    for round in [30, 40] {
        checkpoints.keep(&manifest_name(round), "damaged").await.unwrap();
    }
    write_and_commit(&checkpoints, 25).await;
    assert_eq!(last(&checkpoints).await, Some(25));
    let names = checkpoints.store.names().await.unwrap();
    assert!(names.iter().all(|name| name.starts_with("round-000025/")), "{names:?}");
}

#[tokio::test]
async fn a_checkpoint_without_a_state_of_every_member_is_passed_over() {
    let checkpoints = Checkpoints::new(Store::in_memory());
    write_and_commit(&checkpoints, 20).await;
    let mut files = write(&checkpoints, 30).await;
    for left in ["receiver 0", "transmitter 0"] {
        files.pop_first();
        checkpoints.commit(&Manifest::new(30, files.clone(), binding())).await.unwrap();
        assert_eq!(last(&checkpoints).await, Some(20), "{left} is missing");
    }
    checkpoints.clear().await.unwrap();
    checkpoints.commit(&Manifest::new(30, files, binding())).await.unwrap();
    let error = checkpoints.last(None).await.unwrap_err();
    assert!(error.is_input() && error.to_string().contains("names no state of transmitter 0"), "{error}");
}

/// Writes checkpoints until a write fails; returns the last committed one.
async fn commit_until_failure(checkpoints: &Checkpoints) -> Option<u64> {
    let mut last = None;
    for round in 1.. {
        let mut files = BTreeMap::new();
        for member in MEMBERS {
            let state = format!("{member} at {round}");
            let mut writer = checkpoints.state_writer(round, member, 1);
            let written = async {
                writer.write(state.clone().into()).await?;
                writer.finish().await
            };
            if written.await.is_err() {
                return last;
            }
            files.insert(state_name(member, 1), sha256_hex(state.as_bytes()));
        }
        if checkpoints.commit(&Manifest::new(round, files, binding())).await.is_err() {
            return last;
        }
        last = Some(round);
    }
    last
}

#[tokio::test]
async fn a_failure_at_any_write_loses_no_committed_checkpoint() {
    for writes in 0..40 {
        let failing = Failing::after(writes);
        let checkpoints = Checkpoints::new(Store::over(std::sync::Arc::new(failing), "test"));
        let committed = commit_until_failure(&checkpoints).await;
        let found = last(&checkpoints).await;
        // A commit that failed only after its manifest was written was not acknowledged, but counts.
        assert!(found >= committed, "after {writes} writes {found:?} is left of {committed:?}");
        assert!(found <= committed.map_or(Some(1), |round| Some(round + 1)), "{found:?} was never written");
    }
}

#[tokio::test]
async fn the_numerics_of_another_program_are_refused() {
    let checkpoints = Checkpoints::new(Store::in_memory());
    write_and_commit(&checkpoints, 20).await;
    let files = checkpoints.manifest(20).await.unwrap().files;
    let old = serde_json::json!({ "round": 20, "program": "0.1.0", "files": files });
    checkpoints.keep("round-000020/manifest.json", old.to_string()).await.unwrap();
    let refusal =
        checkpoints.check_numerics(&checkpoints.manifest(20).await.unwrap()).unwrap_err().to_string();
    assert!(refusal.contains("computed by numerics version 1, and this"), "{refusal}");
}
