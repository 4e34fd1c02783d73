//! Random walks: whatever is edited, lost, hidden and half done, no step of any list of acts breaks a rule (S1, S3, S4, S8).
//!
//! The rules are asserted where the small world does what it is told (`engine.rs`). The walk is short here;
//! `ATOLL_WALK=1000000 cargo test --release -p atoll --lib walk` looks at a million states.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::*;

/// Luck from a seed: a walk that fails can be walked again.
struct Luck(u64);

impl Luck {
    fn below(&mut self, bound: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// What was hidden of a worker, to be shown again.
type Hidden = BTreeMap<WorkerName, WorkerView>;

fn states() -> usize {
    std::env::var("ATOLL_WALK").ok().and_then(|states| states.parse().ok()).unwrap_or(20_000)
}

#[test]
fn no_step_of_any_walk_breaks_a_rule() {
    let (mut seen, mut seed) = (0, 0);
    while seen < states() {
        seed += 1;
        seen += walk(seed);
    }
    println!("{seen} states in {seed} walks");
}

/// Says which walk it was that failed.
struct Walking(u64);

impl Drop for Walking {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("in walk {}", self.0);
        }
    }
}

/// One life with 120 turns; gives how many states were decided on.
fn walk(seed: u64) -> usize {
    let _walking = Walking(seed);
    let mut luck = Luck(seed);
    let policy = [OnDelete::Wipe, OnDelete::KeepVolumes][luck.below(2)];
    let network = [Network::PodNames, with_network(Exposure::LoadBalancer, Spread::Unique).network];
    let replicas = [1, 3, 3, 5][luck.below(4)];
    let network = network[luck.below(2)].clone();
    let mut world = World::running(Database { replicas, network, on_delete: policy, ..testing::database() });
    world.ask();
    let mut hidden = Hidden::new();
    let mut decided = 0;
    for _ in 0..120 {
        if luck.below(4) == 0 {
            befall(&mut world, &mut luck, &mut hidden);
        }
        decided += turn(&mut world, &mut luck);
    }
    decided
}

/// Something that is not of our doing.
fn befall(world: &mut World, luck: &mut Luck, hidden: &mut Hidden) {
    let worker = WorkerName::from(["a", "b", "c"][luck.below(3)]);
    match luck.below(10) {
        0 | 1 => world.database.replicas = u32::try_from(1 + luck.below(5)).unwrap(),
        2 => {
            let memory = Quantity(format!("{}Mi", 100 + luck.below(3)));
            world.database.pod.resources.requests = Some(BTreeMap::from([("memory".to_owned(), memory)]));
        }
        3 => {
            let version = ["3.5.26", "3.5.35", "3.6.6", "3.6.16"][luck.below(4)];
            world.database.engine.version = crate::engine::Version::new(version);
            world.database.engine.image = format!("gcr.io/etcd-development/etcd:v{version}");
        }
        4 | 5 => {
            let view = &mut world.seen.workers.get_mut(&worker).unwrap().view;
            if let Some(shown) = hidden.remove(&worker) {
                *view = shown;
            } else {
                let absence = Absence::Since(testing::now());
                hidden.insert(worker, std::mem::replace(view, WorkerView::Unseen { absence, why: "timed out".into() }));
            }
        }
        what => {
            let WorkerView::Seen(objects) = &mut world.seen.workers.get_mut(&worker).unwrap().view else { return };
            let Some(name) = objects.pods.keys().nth(luck.below(objects.pods.len().max(1))).cloned() else { return };
            let claim = ObjectName::new(format!("data-{name}"));
            match what {
                6 => drop(objects.pods.remove(&name)),
                7 => {
                    let pod = objects.pods.get_mut(&name).unwrap();
                    (pod.process, pod.ready) = (Process::Stands, Readiness::NotReady(None));
                }
                8 => {
                    if let Some(claim) = objects.claims.get_mut(&claim) {
                        claim.meta.deleting = Some(testing::now());
                    }
                }
                _ => {
                    objects.pods.remove(&name);
                    objects.claims.remove(&claim);
                }
            }
        }
    }
}

/// A few steps, of which any may be lost, half done, or done without a word.
fn turn(world: &mut World, luck: &mut Luck) -> usize {
    world.rest();
    for decided in 1..8 {
        match world.decide().step {
            // Lost, or written by a life that ends with it.
            Step::Record(record) if luck.below(5) > 0 => world.record = Some(*record),
            Step::Record(_) | Step::Release => return decided,
            Step::LookAgain(workers) => world.look(&workers),
            Step::AskAgain(workers) => {
                world.look(&workers);
                world.ask();
            }
            Step::Command(command) => {
                if luck.below(4) > 0 {
                    let _ = world.obey(&command);
                }
                world.rest();
            }
            Step::Act(acts) => {
                // Every prefix of every list.
                let so_many = if luck.below(3) == 0 { luck.below(acts.len() + 1) } else { acts.len() };
                acts[..so_many].iter().for_each(|act| world.carry_out(act));
                world.rest();
                if acts.is_empty() || so_many < acts.len() {
                    if luck.below(2) == 0 {
                        world.start();
                    }
                    return decided;
                }
            }
            Step::Book(entries) => entries.iter().for_each(|entry| world.book(entry)),
        }
    }
    8
}
