//! A small dynamic provisioner: a directory of this machine for each claim, and it can grow.
//!
//! It stands where a cloud's CSI driver would. Sizes are promises only: nothing limits what a pod writes.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::sync::watch as channel;

use super::Config;
use super::connection::{Failure, ask};
use super::grumble::{Complaint, Grumbler, complaint_of};
use super::level::Addon;
use super::sight::{self, Key, Sight};
use super::volumes::{Act, Storage, decide, still_removable};

/// Serves the storage classes `standard`, `local-path` and `hostpath`.
pub struct Provisioner {
    client: Client,
    root: PathBuf,
    classes: Sight<StorageClass>,
    claims: Sight<PersistentVolumeClaim>,
    volumes: Sight<PersistentVolume>,
    grumbler: Grumbler,
}

impl Provisioner {
    pub(super) fn new(config: &Config, client: &Client) -> Self {
        Self {
            client: client.clone(),
            root: config.storage_root.clone(),
            classes: sight::watch(client, &config.cluster, ""),
            claims: sight::watch(client, &config.cluster, ""),
            volumes: sight::watch(client, &config.cluster, ""),
            grumbler: Grumbler::new(&config.cluster, client, "provisioner"),
        }
    }

    async fn carry_out(&self, act: Act) -> Option<Complaint> {
        match act {
            Act::Offer(class) => {
                let made = ask(Api::all(self.client.clone()).create(&PostParams::default(), &*class)).await;
                self.outcome(made, &*class, "StorageClassNotMade", "made storage class")
            }
            Act::Provide(volume) => {
                let made = self.provide(&volume).await;
                self.outcome(made, &*volume, "ProvisioningFailed", "made volume")
            }
            Act::GrowVolume { volume, size } => {
                let grown = self.grow_volume(&volume, &size).await;
                self.outcome(grown, &*volume, "VolumeResizeFailed", &format!("grown to {}:", size.0))
            }
            Act::GrowClaim { claim, size } => {
                let grown = self.grow_claim(&claim, &size).await;
                self.outcome(grown, &*claim, "VolumeResizeFailed", &format!("told the claim it has {}:", size.0))
            }
            Act::Remove { volume, directory } => {
                let removed = self.remove(&volume, &directory).await;
                self.outcome(removed, &*volume, "VolumeFailedDelete", "removed volume")
            }
        }
    }

    fn outcome<K: kube::Resource<DynamicType = ()>, T>(
        &self,
        result: Result<T, Failure>,
        object: &K,
        reason: &'static str,
        done: &str,
    ) -> Option<Complaint> {
        match result {
            Ok(_) => {
                self.grumbler.log(&format!("{done} {}", Key::of(object)));
                None
            }
            Err(failure) => complaint_of(object, reason, failure),
        }
    }

    /// The directory first: a volume without one would fail its pod.
    async fn provide(&self, volume: &PersistentVolume) -> Result<PersistentVolume, Failure> {
        let directory = self.root.join(volume.name_any());
        on_disk(directory, make_directory).await?;
        ask(Api::all(self.client.clone()).create(&PostParams::default(), volume)).await
    }

    async fn grow_volume(&self, volume: &PersistentVolume, size: &Quantity) -> Result<(), Failure> {
        let patch = json!({
            "metadata": {"resourceVersion": volume.metadata.resource_version},
            "spec": {"capacity": {"storage": size}},
        });
        let volumes = Api::<PersistentVolume>::all(self.client.clone());
        let grown = ask(volumes.patch(&volume.name_any(), &PatchParams::default(), &Patch::Merge(patch))).await?;
        self.volumes.learn(grown);
        Ok(())
    }

    async fn grow_claim(&self, claim: &PersistentVolumeClaim, size: &Quantity) -> Result<(), Failure> {
        let patch = json!({
            "metadata": {"resourceVersion": claim.metadata.resource_version},
            "status": {
                "capacity": {"storage": size},
                "conditions": null, "allocatedResources": null, "allocatedResourceStatuses": null,
            },
        });
        let claims =
            Api::<PersistentVolumeClaim>::namespaced(self.client.clone(), &claim.namespace().unwrap_or_default());
        let grown = ask(claims.patch_status(&claim.name_any(), &PatchParams::default(), &Patch::Merge(patch))).await?;
        self.claims.learn(grown);
        Ok(())
    }

    /// The directory first: what is left of a removal that was cut short is still a volume, and is removed again.
    async fn remove(&self, volume: &PersistentVolume, directory: &Path) -> Result<(), Failure> {
        let volumes = Api::<PersistentVolume>::all(self.client.clone());
        // Data is removed on what is so now, not on what was seen.
        let live = ask(volumes.get(&volume.name_any())).await?;
        if !still_removable(&self.root, volume, &live) {
            return Err(Failure::Stale);
        }
        on_disk(directory.to_owned(), remove_directory).await?;
        let only_this = Preconditions { uid: volume.metadata.uid.clone(), resource_version: None };
        let parameters = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
        ask(volumes.delete(&volume.name_any(), &parameters)).await.map(|_| ())
    }
}

impl Addon for Provisioner {
    fn name(&self) -> &'static str {
        "provisioner"
    }

    fn wakers(&self) -> Vec<channel::Receiver<u64>> {
        vec![self.classes.waker(), self.claims.waker(), self.volumes.waker()]
    }

    async fn pass(&mut self) {
        let (Some(classes), Some(claims), Some(volumes)) =
            (self.classes.objects(), self.claims.objects(), self.volumes.objects())
        else {
            return;
        };
        let seen = Storage { classes: &classes, claims: &claims, volumes: &volumes, root: &self.root };
        let (acts, mut complaints) = decide(&seen);
        for act in acts {
            complaints.extend(self.carry_out(act).await);
        }
        self.grumbler.tell(&complaints).await;
    }
}

/// Runs a step on the disk where it cannot hold up the watches.
async fn on_disk(path: PathBuf, step: fn(&Path) -> std::io::Result<()>) -> Result<(), Failure> {
    let told = path.display().to_string();
    let result = tokio::task::spawn_blocking(move || step(&path)).await;
    result
        .map_err(|error| error.to_string())
        .and_then(|done| done.map_err(|error| error.to_string()))
        .map_err(|why| Failure::Refused(format!("directory {told}: {why}")))
}

fn make_directory(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)?;
    // Pods that do not run as root write there, too; host paths know no fsGroup.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
}

fn remove_directory(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
