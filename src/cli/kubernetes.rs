//! `pom2dib kubernetes`: the manifests of one network, for `kubectl apply -f -`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{bail, ensure};
use authority::Authority;
use coordinator::ScenarioArguments;
use link::Name;
use scenario::Scenario;
use serde_json::{Map, Value, json};

use crate::{cli::complain::complain, launch::yaml};

/// Validity of certificates, in days.
const DAYS: u32 = 365;

/// The user of the image.
const USER: u32 = 10001;

/// Where a container finds its data set.
const DATA: &str = "/data";

/// Print the manifests of a network for Kubernetes: one pod for every node of a scenario
///
/// The coordinator is a Job, complete when the table is in its log; transmitters and receivers are StatefulSets, whose
/// ordinals are the indices. A Secret admits the nodes: a token, or certificates with --tls. With --serve the
/// coordinator is a Deployment, which answers the samples of whoever calls its port 7312.
#[derive(clap::Args)]
#[command(after_long_help = "Examples:
  pom2dib kubernetes mine.toml --image registry.example/pom2dib:0.2.0 | kubectl apply -f -
  pom2dib kubernetes mine.toml --image registry.example/pom2dib:0.2.0 --serve mine-run | kubectl apply -f -
  kubectl wait --for=condition=complete --timeout=1h job/mine-coordinator && kubectl logs job/mine-coordinator
  kubectl delete all,configmap,secret,pdb,pvc -l app.kubernetes.io/instance=mine")]
pub(crate) struct Arguments {
    /// What is run.
    #[command(flatten)]
    scenario: ScenarioArguments,

    /// The name of the network, with which all names begin; by default the scenario's
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// The image; by default pom2dib of this version
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,

    /// Serve a run that has been trained: the claim of the volume with its folder, NAME-run of the manifests that
    /// trained it
    #[arg(long, value_name = "CLAIM", conflicts_with = "env_secret")]
    serve: Option<String>,

    /// A claim of a volume with the data set, mounted read-only in all nodes
    #[arg(long, value_name = "CLAIM")]
    data_claim: Option<String>,

    /// Size of the volume for the run's folder
    #[arg(long, default_value = "1Gi", value_name = "SIZE")]
    storage: String,

    /// A secret with environment variables of the coordinator, such as the keys of an object store (checkpoint.store)
    #[arg(long, value_name = "SECRET")]
    env_secret: Option<String>,

    /// Processors that each node asks for
    #[arg(long, default_value = "500m", value_name = "CPU")]
    cpu: String,

    /// Memory that each node may take
    #[arg(long, default_value = "1Gi", value_name = "SIZE")]
    node_memory: String,

    /// Give every node a GPU
    #[arg(long)]
    gpu: bool,

    /// Make certificates instead of a token
    #[arg(long)]
    tls: bool,
}

/// Prints the manifests and returns the exit status: 0 done, 2 wrong input.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match arguments.manifests() {
        Ok(text) => {
            node::say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => complain(&error, 2),
    }
}

/// A role with what distinguishes its pods.
struct Role {
    name: &'static str,
    count: usize,
}

impl Arguments {
    fn manifests(&self) -> anyhow::Result<String> {
        if self.tls {
            authority::check()?;
        }
        let scenario = self.scenario()?;
        let name = self.instance(&scenario)?;
        let roles = [
            Role { name: "transmitter", count: scenario.transmitters() },
            Role { name: "receiver", count: scenario.receivers() },
        ];
        let mut documents = self.secrets(&name, &roles)?;
        match &self.serve {
            Some(claim) => documents.extend(self.stream_service(&name, claim)),
            None => {
                documents.insert(0, self.config(&name, &scenario));
                documents.extend(self.coordinator(&name, scenario.checkpoint.store.is_some()));
            }
        }
        documents.extend(roles.iter().flat_map(|role| self.nodes(&name, role)));
        Ok(yaml::documents(&documents))
    }

    fn scenario(&self) -> anyhow::Result<Scenario> {
        let mut scenario = self.scenario.resolve()?;
        if let Some(store) = scenario.checkpoint.store.as_ref().filter(|store| !store.contains("://")) {
            bail!(
                "checkpoint.store is {store}, a folder that no container has: name an object store, or none"
            );
        }
        let is_url = |path: &PathBuf| path.to_string_lossy().contains("://");
        if scenario.data.path.as_ref().is_some_and(|path| !is_url(path)) {
            ensure!(
                self.data_claim.is_some(),
                "data.path is a folder of this machine: name a claim of a volume that has the data, by --data-claim"
            );
        }
        if self.data_claim.is_some() {
            scenario.data.path = Some(DATA.into());
        }
        Ok(scenario)
    }

    /// The network's name: what a name in Kubernetes may be.
    fn instance(&self, scenario: &Scenario) -> anyhow::Result<String> {
        if let Some(name) = &self.name {
            let is_fit =
                |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
            let ends = name.starts_with(|letter: char| letter.is_ascii_lowercase()) && !name.ends_with('-');
            ensure!(
                ends && name.chars().all(is_fit) && name.len() <= 40,
                "--name {name}: up to 40 lower-case letters, digits and hyphens, a letter first"
            );
            return Ok(name.clone());
        }
        let safe =
            |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
        // The pods of the network that trained the run are others.
        let (most, ending) = if self.serve.is_some() { (34, "-serve") } else { (40, "") };
        let name: String = scenario.name.chars().map(safe).take(most).collect();
        let name = name.trim_matches('-').to_owned() + ending;
        Ok(match name.starts_with(|letter: char| letter.is_ascii_lowercase()) {
            true => name,
            false => format!("net-{name}").trim_end_matches('-').into(),
        })
    }

    fn config(&self, name: &str, scenario: &Scenario) -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name, "scenario", "scenario"),
            "data": { "scenario.toml": scenario.to_toml() },
        })
    }

    /// The secret of each role, or one for all.
    fn secrets(&self, name: &str, roles: &[Role]) -> anyhow::Result<Vec<Value>> {
        let secret = |of: &str, data: Value| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": metadata(name, of, of),
                "type": "Opaque", "stringData": data,
            })
        };
        if !self.tls {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
            let token = randomness::hex(&bytes);
            return Ok(vec![secret("token", json!({ "token": token }))]);
        }
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("certs");
        let authority = Authority::create(&place, DAYS)?;
        let mut secrets = Vec::new();
        let coordinator = [Role { name: "coordinator", count: 0 }];
        for role in coordinator.iter().chain(roles) {
            let names: Vec<Name> = match role.name {
                "coordinator" => vec![Name::Coordinator],
                "transmitter" => (0..role.count as u32).map(Name::Transmitter).collect(),
                _ => (0..role.count as u32).map(Name::Receiver).collect(),
            };
            let mut data = Map::new();
            data.insert("ca.pem".into(), std::fs::read_to_string(place.join("ca.pem"))?.into());
            for of in names {
                authority.issue(of, DAYS)?;
                for kind in ["pem", "key"] {
                    let file = format!("{}.{kind}", of.stem());
                    data.insert(file.clone(), std::fs::read_to_string(place.join(&file))?.into());
                }
            }
            secrets.push(secret(&format!("{}-tls", role.name), data.into()));
        }
        Ok(secrets)
    }

    fn coordinator(&self, name: &str, has_store: bool) -> Vec<Value> {
        let run = match has_store {
            // The store has what a run needs to go on.
            true => json!({ "name": "run", "emptyDir": {} }),
            false => {
                json!({ "name": "run", "persistentVolumeClaim": { "claimName": format!("{name}-run") } })
            }
        };
        let mounts = vec![
            json!({ "name": "run", "mountPath": "/var/lib/pom2dib" }),
            json!({ "name": "scenario", "mountPath": "/scenario", "readOnly": true }),
        ];
        let volumes =
            vec![run, json!({ "name": "scenario", "configMap": { "name": format!("{name}-scenario") } })];
        let env = [("POM2DIB_LISTEN", "0.0.0.0:7310"), ("POM2DIB_SCENARIO", "/scenario/scenario.toml")];
        let requests =
            json!({ "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "memory": "512Mi" } });
        let mut template = self.pod(
            name,
            "coordinator",
            &["coordinator", "--resume-or-start"],
            &env,
            requests,
            mounts,
            volumes,
        );
        template["spec"]["restartPolicy"] = "OnFailure".into();
        // It saves a checkpoint when it is told to end.
        template["spec"]["terminationGracePeriodSeconds"] = 45.into();
        template["spec"]["containers"][0]["ports"] = json!([
            { "name": "grpc", "containerPort": 7310 }, { "name": "health", "containerPort": 7300 }
        ]);
        if let Some(secret) = &self.env_secret {
            template["spec"]["containers"][0]["envFrom"] = json!([{ "secretRef": { "name": secret } }]);
        }
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata(name, "coordinator", "coordinator"),
            "spec": { "backoffLimit": 20, "template": template },
        });
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata(name, "run", "coordinator"),
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": self.storage } },
            },
        });
        // A coordinator that is evicted ends with status 0, which would complete the Job.
        let budget = budget(name, "coordinator", json!({ "minAvailable": 1 }));
        let mut documents = vec![job];
        documents.extend((!has_store).then_some(claim));
        documents.extend([service(name, "coordinator", &[("grpc", 7310)]), budget]);
        documents
    }

    /// The coordinator as a service of the run in a volume.
    fn stream_service(&self, name: &str, claim: &str) -> Vec<Value> {
        let mounts = vec![json!({ "name": "run", "mountPath": "/var/lib/pom2dib" })];
        let volumes = vec![json!({ "name": "run", "persistentVolumeClaim": { "claimName": claim } })];
        let env = [("POM2DIB_LISTEN", "0.0.0.0:7310"), ("POM2DIB_SOURCE", "grpc:0.0.0.0:7312")];
        let requests =
            json!({ "requests": { "cpu": "250m", "memory": "128Mi" }, "limits": { "memory": "1Gi" } });
        let args = ["coordinator", "--serve", "/var/lib/pom2dib/run"];
        let mut template = self.pod(name, "coordinator", &args, &env, requests, mounts, volumes);
        // It answers what it has taken when it is told to end.
        template["spec"]["terminationGracePeriodSeconds"] = 45.into();
        template["spec"]["containers"][0]["ports"] = json!([
            { "name": "grpc", "containerPort": 7310 }, { "name": "samples", "containerPort": 7312 },
            { "name": "health", "containerPort": 7300 }
        ]);
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": metadata(name, "coordinator", "coordinator"),
            "spec": {
                "replicas": 1,
                // Two would share the volume, and each node could serve one of them only.
                "strategy": { "type": "Recreate" },
                "selector": { "matchLabels": labels(name, "coordinator") },
                "template": template,
            },
        });
        vec![deployment, service(name, "coordinator", &[("grpc", 7310), ("samples", 7312)])]
    }

    fn nodes(&self, name: &str, role: &Role) -> Vec<Value> {
        let coordinator = format!("{name}-coordinator:7310");
        // For as long as there is no run.
        let mut env = vec![("POM2DIB_COORDINATOR", coordinator.as_str()), ("POM2DIB_PATIENCE", "31536000")];
        let mut ports = vec![("health", 7300)];
        if role.name == "transmitter" {
            env.push(("POM2DIB_LISTEN", "0.0.0.0:7311"));
            ports.insert(0, ("grpc", 7311));
        }
        if self.gpu {
            env.push(("POM2DIB_DEVICE", "cuda:0"));
        }
        let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
        if let Some(claim) = &self.data_claim {
            mounts.push(json!({ "name": "data", "mountPath": DATA, "readOnly": true }));
            volumes.push(json!({
                "name": "data", "persistentVolumeClaim": { "claimName": claim, "readOnly": true }
            }));
        }
        let mut limits = json!({ "memory": self.node_memory });
        if self.gpu {
            limits["nvidia.com/gpu"] = "1".into();
        }
        let resources =
            json!({ "requests": { "cpu": self.cpu, "memory": self.node_memory }, "limits": limits });
        let mut template = self.pod(name, role.name, &[role.name], &env, resources, mounts, volumes);
        let container = &mut template["spec"]["containers"][0];
        container["ports"] =
            ports.iter().map(|(name, port)| json!({ "name": name, "containerPort": port })).collect();
        let index = json!({
            // The pod's ordinal (Kubernetes 1.28 and later).
            "name": "POM2DIB_INDEX",
            "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']" } },
        });
        if let Some(env) = container["env"].as_array_mut() {
            env.push(index);
        }
        // It leaves after a checkpoint.
        template["spec"]["terminationGracePeriodSeconds"] = 15.into();
        let set = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata(name, role.name, role.name),
            "spec": {
                "serviceName": format!("{name}-{}", role.name),
                "replicas": role.count,
                // They may start in any order.
                "podManagementPolicy": "Parallel",
                "selector": { "matchLabels": labels(name, role.name) },
                "template": template,
            },
        });
        // Whenever one is lost, all go back to the last checkpoint: one after the other, then.
        let rule = json!({ "maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow" });
        vec![set, service(name, role.name, &ports[..1]), budget(name, role.name, rule)]
    }

    /// A pod's template.
    #[expect(clippy::too_many_arguments, reason = "each is a part of the manifest")]
    fn pod(
        &self,
        name: &str,
        role: &str,
        args: &[&str],
        env: &[(&str, &str)],
        resources: Value,
        mut mounts: Vec<Value>,
        mut volumes: Vec<Value>,
    ) -> Value {
        let mut args: Vec<&str> = args.to_vec();
        let mut env: Vec<Value> =
            env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        env.push(json!({ "name": "POM2DIB_HEALTH", "value": "0.0.0.0:7300" }));
        if self.tls {
            args.extend(["--tls", "/certs"]);
            mounts.push(json!({ "name": "certs", "mountPath": "/certs", "readOnly": true }));
            let secret = format!("{name}-{role}-tls");
            volumes
                .push(json!({ "name": "certs", "secret": { "secretName": secret, "defaultMode": 0o440 } }));
        } else {
            let secret = json!({ "name": format!("{name}-token"), "key": "token" });
            env.push(json!({ "name": "POM2DIB_TOKEN", "valueFrom": { "secretKeyRef": secret } }));
        }
        mounts.push(json!({ "name": "tmp", "mountPath": "/tmp" }));
        volumes.push(json!({ "name": "tmp", "emptyDir": {} }));
        let image = self.image.clone().unwrap_or_else(image);
        json!({
            "metadata": { "labels": labels(name, role) },
            "spec": {
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "securityContext": pod_security(),
                "containers": [{
                    "name": role,
                    "image": image,
                    "args": args,
                    "env": env,
                    // A probe has neither token nor certificate to show: hence a port of its own.
                    "livenessProbe": { "grpc": { "port": 7300 } },
                    "readinessProbe": { "grpc": { "port": 7300, "service": "ready" } },
                    "resources": resources,
                    "securityContext": container_security(),
                    "volumeMounts": mounts,
                }],
                "volumes": volumes,
            },
        })
    }
}

/// The image of this version. With the tag `latest` the cluster's nodes would never use an image loaded into them.
pub(crate) fn image() -> String {
    format!("pom2dib:{}", env!("CARGO_PKG_VERSION"))
}

/// What a pod may not do.
pub(crate) fn pod_security() -> Value {
    json!({
        "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

/// What a container may not do.
pub(crate) fn container_security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] },
    })
}

fn labels(name: &str, role: &str) -> Value {
    json!({
        "app.kubernetes.io/name": "pom2dib",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": role,
    })
}

fn metadata(name: &str, of: &str, role: &str) -> Value {
    json!({ "name": format!("{name}-{of}"), "labels": labels(name, role) })
}

fn service(name: &str, role: &str, ports: &[(&str, u16)]) -> Value {
    let ports: Vec<Value> = ports.iter().map(|(name, port)| json!({ "name": name, "port": port })).collect();
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(name, role, role),
        "spec": {
            "clusterIP": "None",
            // They are reached before they are ready: until then they are asked again.
            "publishNotReadyAddresses": true,
            "selector": labels(name, role),
            "ports": ports,
        },
    })
}

fn budget(name: &str, role: &str, mut rule: Value) -> Value {
    rule["selector"] = json!({ "matchLabels": labels(name, role) });
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata(name, role, role),
        "spec": rule,
    })
}
