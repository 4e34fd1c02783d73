//! Taking over what another resource left: only what the volumes tell for certain.

use super::*;
use crate::plan::{adopt::ClaimRecord, database::Recover};

fn keeping(members: u32) -> World {
    World::running(Database { on_delete: OnDelete::KeepVolumes, ..life::of_size(members) })
}

/// How many founders each volume tells of, by its name.
fn told(world: &World) -> Vec<(String, u32)> {
    let seen = world.seen.workers.values().filter_map(|worker| worker.view.objects());
    let mut told: Vec<_> = seen
        .flat_map(|objects| objects.claims.values())
        .map(|claim| {
            let part: ClaimRecord = serde_json::from_str(claim.record.as_ref().unwrap()).unwrap();
            (claim.meta.name.to_string(), part.founders)
        })
        .collect();
    told.sort();
    told
}

fn founders(world: &World) -> Vec<u32> {
    told(world).into_iter().map(|(_, founders)| founders).collect()
}

/// Another resource of the same name, with a person's word that it is to take over what this one left.
fn hand_over(world: &mut World) -> Decision {
    world.database.consent.adopt = Some(world.database.id.uid.clone());
    world.database.id.uid = Uid::from("uid-new");
    world.database.intent = Intent::Run;
    world.record = None;
    world.live()
}

#[test]
fn volumes_tell_the_founders_only_as_long_as_all_of_them_are_members() {
    let unchanged = vec![3; 3];
    for (members, expected) in [(3, unchanged), (5, vec![3, 3, 3, 0, 0]), (2, vec![0; 3]), (1, vec![0; 3])] {
        let mut world = keeping(3);
        world.database.replicas = members;
        let decision = world.live();
        assert_eq!(decision.report.phase, Phase::Running, "{members}: {:?}", decision.report);
        assert_eq!(founders(&world), expected, "{members}: {:?}", told(&world));
    }
}

#[test]
fn whoever_has_left_does_not_come_back_with_a_volume_that_is_taken_over() {
    for members in [2, 1] {
        let mut world = keeping(3);
        world.database.replicas = members;
        world.live();
        world.delete();
        world.settle();
        assert_eq!(world.left(), (0, 3, 0));
        world.database.replicas = 3;
        let decision = hand_over(&mut world);
        assert_eq!(condition(&decision, "RecordFound"), Some((Truth::False, "RecordLost")));
        assert!(decision.report.message.contains("joined or left"), "{}", decision.report.message);
        assert_eq!(world.left(), (0, 3, 0), "nothing runs on them");
    }
}

#[test]
fn a_deletion_that_comes_just_when_one_has_left_still_has_the_volumes_tell_it() {
    let mut world = keeping(3);
    let record = world.record.as_mut().unwrap();
    record.members[2].part = crate::plan::record::Part::Removed;
    world.delete();
    world.settle();
    assert_eq!(world.left(), (0, 3, 0));
    assert_eq!(founders(&world), [0; 3]);
}

#[test]
fn whoever_was_given_up_does_not_come_back_with_a_volume_that_is_taken_over() {
    let mut world = World::running(life::of_size(3));
    world.ask();
    let absence = Absence::Since(world.now);
    for worker in ["b", "c"] {
        let hidden = WorkerView::Unseen { absence, why: "timed out".into() };
        world.seen.workers.get_mut(&WorkerName::from(worker)).unwrap().view = hidden;
    }
    let of = world.database.id.uid.clone();
    let words = format!("{of}/db-etcd-0/1");
    world.database.consent.recover = Some(Recover { words, from: "db-etcd-0".into(), of });
    world.database.replicas = 1;
    world.live();
    assert_eq!(told(&world), [("data-db-etcd-0".to_owned(), 0)], "{:?}", world.record);
}
