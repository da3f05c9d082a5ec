//! Kubernetes as a launcher: indexed Jobs, a point for each index, by kubectl.
//!
//! The sweep's folder is on a volume that is mounted at the same place here and in the pods. A pod that is lost is
//! replaced by Kubernetes itself; a run that failed ends its pod with success, since a further pod would fail too.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use serde_json::{Value, json};

use super::{Known, Launcher, Remote, jobs::Jobs};
use crate::{
    cli::kubernetes::{container_security, image, pod_security},
    launch::{ask, whole::replace, yaml},
};

/// How long kubectl may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The most indices of a Job of which Kubernetes keeps account in detail.
const LARGEST: usize = 10_000;

/// The annotation and label with a pod's index.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

pub(super) struct KubernetesLauncher<'a> {
    remote: &'a Remote<'a>,
    jobs: Jobs,
    claim: String,
    mount: PathBuf,
    /// Jobs by name, with the points of their indices.
    submitted: Vec<(String, Vec<Option<usize>>)>,
    known: BTreeMap<usize, Known>,
}

impl<'a> KubernetesLauncher<'a> {
    pub(super) fn new(remote: &'a Remote<'a>) -> anyhow::Result<Self> {
        let (claim, mount) = remote.options.volume_of(remote.out)?;
        let jobs = Jobs::of(remote.out)?;
        let (submitted, known) = (Vec::new(), BTreeMap::new());
        Ok(KubernetesLauncher { remote, jobs, claim, mount, submitted, known })
    }

    fn manifest(&self, name: &str, points: usize, list: &Path) -> String {
        let needs = self.remote.needs;
        let mut limits = json!({ "memory": format!("{}Mi", needs.memory) });
        if needs.gpus > 0 {
            limits["nvidia.com/gpu"] = needs.gpus.to_string().into();
        }
        let requests = json!({ "cpu": needs.cores.to_string(), "memory": format!("{}Mi", needs.memory) });
        let args = json!(["point", "--status-0", "--list", list]);
        let labels = json!({ "app.kubernetes.io/name": "pom2dib", "app.kubernetes.io/component": "sweep" });
        let directory = std::env::current_dir().unwrap_or_else(|_| "/".into());
        // Relative paths of the scenario are those of the volume, if this command was started there.
        let directory = if directory.starts_with(&self.mount) { directory } else { self.mount.clone() };
        let mut container = json!({
            "name": "point",
            "image": self.remote.options.image.clone().unwrap_or_else(image),
            "args": args,
            "workingDir": directory,
            "resources": { "requests": requests, "limits": limits },
            "securityContext": container_security(),
            "volumeMounts": [
                { "name": "sweep", "mountPath": self.mount },
                { "name": "tmp", "mountPath": "/tmp" },
            ],
        });
        if let Some(secret) = &self.remote.options.env_secret {
            container["envFrom"] = json!([{ "secretRef": { "name": secret } }]);
        }
        let job = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": name, "labels": labels },
            "spec": {
                "completionMode": "Indexed",
                "completions": points,
                "parallelism": self.remote.parallel.map_or(points, |parallel| parallel.min(points)),
                // Lost pods are replaced; runs that fail are not.
                "backoffLimit": 20 * points,
                "template": {
                    "metadata": { "labels": labels },
                    "spec": {
                        "restartPolicy": "Never",
                        "automountServiceAccountToken": false,
                        "enableServiceLinks": false,
                        "terminationGracePeriodSeconds": self.remote.options.notice(),
                        "securityContext": pod_security(),
                        "containers": [container],
                        "volumes": [
                            { "name": "sweep", "persistentVolumeClaim": { "claimName": self.claim } },
                            { "name": "tmp", "emptyDir": {} },
                        ],
                    },
                },
            },
        });
        yaml::documents(&[job])
    }

    /// Writes the files of a Job, and returns its number and manifest.
    fn write(&self, points: &[usize]) -> anyhow::Result<(usize, String)> {
        let folders = points.iter().map(|&at| self.remote.planned[at].folder.as_path());
        let (number, list) = self.jobs.list("yaml", folders)?;
        let manifest = self.manifest(&self.jobs.name(number), points.len(), &list);
        let file = self.jobs.file(number, "yaml");
        replace(&file, manifest.as_bytes()).with_context(|| file.display().to_string())?;
        Ok((number, manifest))
    }
}

impl Launcher for KubernetesLauncher<'_> {
    fn recover(&mut self) -> anyhow::Result<()> {
        self.submitted.clear();
        for number in self.jobs.numbers("yaml") {
            let name = self.jobs.name(number);
            let there = kubectl(&["get", "job", &name, "--ignore-not-found", "-o", "name"], "")?;
            if !there.trim().is_empty() {
                self.submitted.push((name, self.jobs.points(number, self.remote.planned)));
            }
        }
        self.look()?;
        self.known.retain(|_, known| matches!(known, Known::Alive(_)));
        Ok(())
    }

    fn room(&self) -> usize {
        let alive = self.known.values().filter(|known| matches!(known, Known::Alive(_))).count();
        match self.remote.parallel {
            // A Job limits itself; further ones would add their own limit to it.
            Some(parallel) if alive > 0 => parallel.saturating_sub(alive),
            _ => usize::MAX,
        }
    }

    fn start(&mut self, points: &[usize]) -> anyhow::Result<()> {
        for points in points.chunks(LARGEST) {
            let (number, manifest) = self.write(points)?;
            kubectl(&["apply", "-f", "-"], &manifest)?;
            let name = self.jobs.name(number);
            for &point in points {
                self.known.insert(point, Known::Alive(format!("job {name} submitted")));
            }
            self.submitted.push((name, points.iter().copied().map(Some).collect()));
        }
        Ok(())
    }

    fn look(&mut self) -> anyhow::Result<BTreeMap<usize, Known>> {
        let mut known = BTreeMap::new();
        for (name, points) in &self.submitted {
            let job: Value = read(&kubectl(&["get", "job", name, "--ignore-not-found", "-o", "json"], "")?)?;
            let pods: Value =
                read(&kubectl(&["get", "pods", "-l", &format!("job-name={name}"), "-o", "json"], "")?)?;
            let mut states = pods_by_index(&pods);
            for (index, point) in points.iter().enumerate() {
                let Some(point) = *point else { continue };
                let state = match (states.remove(&index), ended(&job)) {
                    (Some(state), _) => state,
                    // Nothing but a person removes a Job.
                    (None, _) if job.is_null() => Known::Cancelled(format!("job {name} was deleted")),
                    (None, None) => Known::Alive(format!("job {name} has no pod for index {index} yet")),
                    (None, Some(how)) => Known::Ended { how: format!("job {name}: {how}"), again: true },
                };
                known.insert(point, state);
            }
        }
        self.known.clone_from(&known);
        Ok(known)
    }

    fn forget(&mut self, point: usize) {
        self.known.remove(&point);
        for (_, points) in &mut self.submitted {
            points.iter_mut().filter(|at| **at == Some(point)).for_each(|at| *at = None);
        }
        self.submitted.retain(|(_, points)| points.iter().any(Option::is_some));
    }

    fn print(&mut self, points: &[usize]) -> anyhow::Result<String> {
        let mut text = String::new();
        for points in points.chunks(LARGEST) {
            text += &self.write(points)?.1;
        }
        Ok(text)
    }
}

/// What the pods of a Job tell, by index. A pod that failed is replaced, unless its Job has ended.
fn pods_by_index(pods: &Value) -> BTreeMap<usize, Known> {
    let mut states = BTreeMap::new();
    for pod in pods["items"].as_array().into_iter().flatten() {
        let metadata = &pod["metadata"];
        let index = metadata["annotations"][INDEX].as_str().or_else(|| metadata["labels"][INDEX].as_str());
        let Some(index) = index.and_then(|index| index.parse().ok()) else { continue };
        let name = metadata["name"].as_str().unwrap_or("a pod");
        let node = pod["spec"]["nodeName"].as_str().map_or_else(String::new, |node| format!(" on {node}"));
        let waiting = &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
        let reason = waiting.as_str().map_or_else(String::new, |reason| format!(" ({reason})"));
        match pod["status"]["phase"].as_str() {
            Some("Succeeded") => {
                let how = format!("pod {name}{node} has ended without a done file");
                // A pod under way counts more than one that has ended.
                states.entry(index).or_insert(Known::Ended { how, again: true });
            }
            Some(phase @ ("Pending" | "Running" | "Unknown")) => {
                let words = format!("pod {name} {}{node}{reason}", phase.to_lowercase());
                states.insert(index, Known::Alive(words));
            }
            _ => {}
        }
    }
    states
}

/// How a Job ended; none if it has not.
fn ended(job: &Value) -> Option<String> {
    let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    let mut ends = conditions.filter(|condition| condition["status"] == "True");
    let end = ends.find(|condition| condition["type"] == "Failed" || condition["type"] == "Complete")?;
    let word = |key: &str| end[key].as_str().unwrap_or_default();
    Some(format!("{} {}", word("type").to_lowercase(), word("message")).trim().to_owned())
}

fn read(text: &str) -> anyhow::Result<Value> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).context("kubectl: its answer is no JSON")
}

fn kubectl(words: &[&str], input: &str) -> anyhow::Result<String> {
    ask::answer("kubectl", words, input, LIMIT).context("Kubernetes does not answer")
}
