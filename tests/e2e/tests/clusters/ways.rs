//! Ways back: pairs of specifications, drawn at random. Wherever the second one leads, and however far it has come, the first
//! one brings the database back to where it began, with its data. The simulation goes many more of them.

use std::time::{Duration, Instant};

use e2e::etcd::{Canary, Etcd};
use e2e::runner::{Case, full};
use e2e::{Database, Manifest, Outcome, World, ensure};
use fastrand::Rng;
use serde_json::{Value, json};

const UP: Duration = Duration::from_mins(1);
const LONG: Duration = Duration::from_mins(5);
/// How many pairs, unless `ATOLL_PAIRS` says otherwise.
const PAIRS: u32 = 15;

pub fn cases() -> Vec<Case> {
    vec![full("fifteen ways there and back end where they began, and none is stuck", there_and_back)]
}

/// What a person may ask of the only component.
#[derive(Clone, Debug)]
struct Spec {
    replicas: usize,
    memory: &'static str,
    note: Option<u8>,
    fate: Fate,
}

/// Whether it can ever run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Runs,
    FitsNoNode,
    /// Of a version whose image is nowhere.
    HasNoImage,
}

impl Spec {
    fn draw(random: &mut Rng, fate: Fate) -> Self {
        Self {
            replicas: [1, 2, 3, 3, 3, 4, 5][random.usize(..7)],
            memory: ["256Mi", "288Mi", "320Mi"][random.usize(..3)],
            note: random.bool().then(|| random.u8(..3)),
            fate,
        }
    }

    fn write(&self, component: &mut Value) {
        component["replicas"] = self.replicas.into();
        component["resources"]["limits"]["memory"] = self.memory.into();
        component["env"] = self.note.map_or(Value::Null, |note| json!([{ "name": "NOTE", "value": note.to_string() }]));
        component["schedulingPolicy"] = match self.fate {
            Fate::FitsNoNode => json!({ "nodeSelector": { "disk": "made-of-gold" } }),
            Fate::Runs | Fate::HasNoImage => Value::Null,
        };
        component["serviceVersion"] = match self.fate {
            Fate::HasNoImage => "3.5.34".into(),
            Fate::Runs | Fate::FitsNoNode => "3.5.35".into(),
        };
    }

    /// Every pod, and every volume, is what this asks for.
    fn holds(&self, database: &Database) -> Outcome {
        let members = database.members()?;
        ensure!(members.len() == self.replicas, "{} members", members.len());
        let volumes =
            database.everything()?.iter().filter(|object| object.contains("/persistentvolumeclaims/")).count();
        ensure!(volumes == self.replicas, "{volumes} volumes");
        for member in members {
            let spec = database.pod(&member)?["spec"].take();
            let container = &spec["containers"][0];
            let note = container["env"].as_array().into_iter().flatten().find(|var| var["name"] == "NOTE");
            let expected = self.note.map(|note| note.to_string());
            let image = container["image"].as_str().unwrap_or_default();
            ensure!(note.and_then(|note| note["value"].as_str()) == expected.as_deref(), "{}: {note:?}", member.name);
            ensure!(container["resources"]["limits"]["memory"] == self.memory, "{}: {container}", member.name);
            ensure!(image.ends_with(":v3.5.35"), "{} runs {image}", member.name);
            ensure!(spec["nodeSelector"]["disk"].is_null(), "{}: {}", member.name, spec["nodeSelector"]);
        }
        Ok(())
    }
}

fn there_and_back(world: &World) -> Outcome {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let pairs = number("ATOLL_PAIRS").unwrap_or(PAIRS);
    let seed = number("ATOLL_SEED").unwrap_or_else(|| fastrand::u32(..));
    println!("           {pairs} pairs of seed {seed} (ATOLL_PAIRS, ATOLL_SEED)");
    let mut random = Rng::with_seed(seed.into());
    let database = world.create(&Manifest::new().placed("k8s-1,k8s-2,k8s-3").load_balanced().text())?;
    database.wait_until_running(UP)?;
    let canary = Canary::start(&Etcd::of(&database)?, "here before")?;
    for number in 1..=pairs {
        let fate = [Fate::Runs, Fate::Runs, Fate::FitsNoNode, Fate::HasNoImage][random.usize(..4)];
        let (home, away) = (Spec::draw(&mut random, Fate::Runs), Spec::draw(&mut random, fate));
        let began = Instant::now();
        database.edit(|component| home.write(component))?;
        database.wait_until_up_to_date(LONG)?;
        database.edit(|component| away.write(component))?;
        // Anywhere on the way, or at its end.
        if away.fate == Fate::Runs && random.bool() {
            database.wait_until_up_to_date(LONG)?;
        } else {
            std::thread::sleep(Duration::from_millis(random.u64(..20_000)));
        }
        database.edit(|component| home.write(component))?;
        database.wait_until_up_to_date(LONG)?;
        let took = began.elapsed().as_secs_f64();
        println!("           pair {number:>2} in {took:>5.1} s, by {away:?}, back to {home:?}");
        home.holds(&database)?;
        let etcd = Etcd::of(&database)?;
        canary.alive(&etcd)?;
        etcd.healthy(|_| Ok(()))?;
    }
    Ok(())
}
