//! Ways back: pairs of specifications, drawn at random. Wherever the second one leads, and however far it has come, the first
//! one brings the database back to where it began (Acto's way back, SOSP'23).

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::tools::{begin, done, pod, respec, standing, until_of, volumes};
use crate::stage::{
    Stage,
    people::{People, Wanted},
};

/// How many pairs one database goes through, unless `ATOLL_PAIRS` says otherwise.
const PAIRS: u32 = 4;

/// What a person may ask of the only component.
#[derive(Clone, Debug, PartialEq)]
struct Spec {
    replicas: usize,
    cpu: String,
    version: &'static str,
    variable: Option<u8>,
    /// Whether any node has what it asks for.
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Anywhere,
    Nowhere,
}

impl Spec {
    fn draw(random: &mut Rng, place: Place) -> Self {
        Self {
            replicas: [1, 2, 3, 3, 3, 4, 5][random.usize(..7)],
            cpu: format!("{}m", 100 + 50 * random.u32(..3)),
            version: ["3.5.26", "3.5.35"][random.usize(..2)],
            variable: random.bool().then(|| random.u8(..3)),
            place,
        }
    }

    fn write(&self, component: &mut Value) {
        component["replicas"] = json!(self.replicas);
        component["serviceVersion"] = json!(self.version);
        let size = json!({ "cpu": self.cpu, "memory": "100M" });
        component["resources"] = json!({ "limits": size, "requests": size });
        component["env"] =
            self.variable.map_or(json!(null), |value| json!([{ "name": "NOTE", "value": value.to_string() }]));
        component["schedulingPolicy"] = match self.place {
            Place::Anywhere => json!(null),
            Place::Nowhere => json!({ "nodeSelector": { "disk": "made-of-gold" } }),
        };
    }
}

/// Row 58: all end where they began, and none is stuck.
pub async fn every_way_leads_back_to_where_it_began(stage: &impl Stage) {
    let pairs = std::env::var("ATOLL_PAIRS").ok().and_then(|pairs| pairs.parse().ok()).unwrap_or(PAIRS);
    let mut random = Rng::with_seed(stage.luck());
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    for number in 1..=pairs {
        let home = Spec::draw(&mut random, Place::Anywhere);
        let place = if random.u8(..4) == 0 { Place::Nowhere } else { Place::Anywhere };
        let away = Spec::draw(&mut random, place);
        stage.say(&format!("pair {number} of {pairs}: from {home:?} to {away:?} and back"));
        respec(stage, "a", |component| home.write(component)).await;
        until_of(stage, "a", home.replicas).await;
        let before = volumes(&standing(stage, "a").await).len();
        respec(stage, "a", |component| away.write(component)).await;
        // Anywhere on the way, or at its end.
        match random.u8(..3) {
            0 if away.place == Place::Anywhere => until_of(stage, "a", away.replicas).await,
            _ => stage.sleep(Duration::from_millis(random.u64(..20_000))).await,
        }
        respec(stage, "a", |component| home.write(component)).await;
        until_of(stage, "a", home.replicas).await;
        assert_eq!(volumes(&standing(stage, "a").await).len(), before, "as many volumes as before");
        is_home(stage, &home).await;
    }
}

/// Every pod is what the first specification asks for.
async fn is_home(stage: &impl Stage, home: &Spec) {
    let found = stage.resource("a").await;
    for member in found["status"]["atoll"]["members"].as_array().into_iter().flatten() {
        let (worker, ordinal) = (member["worker"].as_str().unwrap_or_default(), member["ordinal"].as_u64());
        let name = pod("a", ordinal.and_then(|ordinal| u32::try_from(ordinal).ok()).unwrap_or_default());
        let pods = super::tools::api::<k8s_openapi::api::core::v1::Pod>(stage, &worker.into());
        let there = done(stage, "a person looks at a pod", async || pods.get(&name).await).await;
        let there = serde_json::to_value(&there).expect("a pod");
        let container = &there["spec"]["containers"][0];
        assert_eq!(container["resources"]["requests"]["cpu"], home.cpu, "{name}");
        let image = container["image"].as_str().unwrap_or_default();
        assert!(image.ends_with(&format!(":v{}", home.version)), "{name} runs {image}");
        let note = container["env"].as_array().and_then(|env| env.iter().find(|var| var["name"] == "NOTE"));
        assert_eq!(
            note.map(|note| note["value"].clone()),
            home.variable.map(|value| json!(value.to_string())),
            "{name}"
        );
        assert!(there["spec"]["nodeSelector"]["disk"].is_null(), "{name}");
    }
}
