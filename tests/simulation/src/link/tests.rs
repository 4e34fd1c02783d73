use std::{sync::Arc, time::Duration};

use apiserver::{ApiServer, Options};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::PostParams};
use tokio::time::sleep;

use super::*;
use crate::entropy;

fn server(identity: &str) -> ApiServer {
    let (identity, version) = (identity.to_owned(), "v1.34.4".to_owned());
    ApiServer::new(Options { identity, version, clock: Arc::new(entropy::wall), seed: 1 })
}

fn namespaces(server: &ApiServer) -> usize {
    server.list("namespaces").iter().filter(|namespace| namespace["metadata"]["name"] == "ours").count()
}

#[test]
fn what_is_on_its_way_to_one_cluster_never_reaches_another_that_takes_its_address() {
    for (moves, expected) in [(false, (1, 0)), (true, (0, 0))] {
        let reached = entropy::simulate(1, async || {
            let weather = Weather::default();
            let links = Links::new(Tape::new(Vec::new()), weather.clone(), 1);
            let (address, other) = (Site::from("w1"), Site::from("other-w1"));
            let (one, another) = (server("one"), server("another"));
            links.serve(&address, one.clone());
            links.serve(&other, another.clone());
            weather.set(&address, Way::Asleep);
            let client = links.client(Party::Controller(Life(1)), &address, Who::Admin);
            let sent = tokio::spawn(async move {
                let ours = serde_json::from_value::<Namespace>(serde_json::json!({ "metadata": { "name": "ours" } }));
                let api: Api<Namespace> = Api::all(client);
                api.create(&PostParams::default(), &ours.expect("a namespace")).await.is_ok()
            });
            sleep(Duration::from_secs(5)).await;
            if moves {
                links.lead(&address, &other);
            }
            weather.set(&address, Way::Open);
            assert_eq!(sent.await.expect("no panic"), !moves);
            (namespaces(&one), namespaces(&another))
        });
        assert_eq!(reached, expected, "the address moves: {moves}");
    }
}
