//! Services: addresses that never come, or change.

use std::time::Duration;

use super::tools::{begin, everything, nothing_is_left, says, standing, three, until_told, until_up_to_date};
use crate::{
    stage::{
        Stage,
        people::{DATABASES, People, Wanted},
    },
    world::Goods,
};

/// Row 52.
pub async fn a_load_balancer_without_an_address_holds_up_only_its_database(stage: &impl Stage) {
    begin(stage).await;
    let [w1, w2, w3] = three(stage);
    stage.fault("load balancer pending", &format!("{w2} gives no addresses"));
    stage.world(&w2).withhold(Goods::LoadBalancers);
    stage.create(&Wanted::named("a")).await;
    let message = until_told(stage, "a", "AddressesKnown", "False", "WaitingForLoadBalancer").await;
    says(&message, "a-etcd-peer-1");
    says(&message, &w2);
    let no_pods = async || everything(stage, "a").await.iter().all(|thing| !thing.contains(": pod "));
    stage.stays("no pod is made without an address", Duration::from_secs(15), no_pods).await;
    stage.run(&Wanted::named("b").of(2).within(&[&w1, &w3])).await;
    stage.world(&w2).provide(Goods::LoadBalancers);
    stage.until_phase("a", "Running").await;
}

/// Row 52: the address changes later.
pub async fn a_load_balancer_that_changes_its_address_moves_its_member_and_nobody_else(stage: &impl Stage) {
    begin(stage).await;
    stage.run(&Wanted::named("a")).await;
    let before = standing(stage, "a").await;
    let known = stage.resource("a").await["status"]["members"][1]["peer"].clone();
    let [_, w2, _] = three(stage);
    stage.fault("load balancer", &format!("the load balancer of a member in {w2} gets another address"));
    stage.world(&w2).change_load_balancer_address(DATABASES, "a-etcd-peer-1");
    let moved = async || stage.resource("a").await["status"]["members"][1]["peer"] != known;
    stage.until("the member is known elsewhere", moved).await;
    until_up_to_date(stage, "a").await;
    let after = standing(stage, "a").await;
    let changed: Vec<_> = after.iter().filter(|(thing, uid)| before.get(*thing) != Some(uid)).collect();
    assert!(matches!(changed.as_slice(), [(thing, _)] if thing.ends_with("pod a-etcd-1")), "{changed:?}");
    stage.delete("a").await;
    stage.until_gone("a").await;
    nothing_is_left(stage, "a").await;
}
