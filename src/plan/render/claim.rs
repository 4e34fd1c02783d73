//! Volume claims.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};

use super::Owner;
use crate::plan::{
    adopt::ClaimRecord,
    database::Volume,
    labels,
    record::{Member, Recorded},
};

/// The claim for one volume of a member.
///
/// It carries its member's part of the record, so that a volume that has lost its database still tells whose it is.
#[must_use]
pub fn claim(owner: Owner, record: &Recorded, member: &Member, volume: &Volume) -> PersistentVolumeClaim {
    let name = owner.database.names.claim(&volume.name, &member.name);
    let home = member.home(&owner.database.id);
    let mut metadata = super::metadata(home, &name);
    metadata.labels = Some(labels::of_member(owner.master, owner.database, &member.name, home));
    metadata.annotations = Some(BTreeMap::from([(
        labels::MEMBER_RECORD.to_owned(),
        ClaimRecord::of(owner.database, record, member).to_text(),
    )]));
    PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(volume.access_modes.clone()),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), volume.size.clone())])),
                limits: None,
            }),
            storage_class_name: volume.class.clone(),
            volume_mode: volume.mode.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
