//! The same job by what kube brings: its default client for each worker, four watches, all objects kept.

use std::{io::Read as _, path::PathBuf};

use futures::StreamExt as _;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{PersistentVolumeClaim, Pod, Service},
};
use kube::{
    Api, Client, Config, Resource,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{WatchStreamExt as _, reflector, watcher},
};
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::servers::Fleet;

/// What it is told.
#[derive(clap::Args)]
pub struct Args {
    /// Where the kubeconfigs are.
    #[arg(long)]
    folder: PathBuf,
    /// How many workers.
    #[arg(long)]
    number: usize,
}

/// Watches until its standard input ends; says `ready` when everything has been listed.
pub async fn run(args: Args) {
    let (listed, mut all) = mpsc::unbounded_channel();
    for number in 1..=args.number {
        let path = args.folder.join(format!("worker-{number}"));
        let kubeconfig = Kubeconfig::read_from(path).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a kubeconfig");
        let client = Client::try_from(config).expect("a client");
        follow::<Pod>(&client, &listed);
        follow::<PersistentVolumeClaim>(&client, &listed);
        follow::<Service>(&client, &listed);
        follow::<Job>(&client, &listed);
    }
    for _ in 0..args.number * 4 {
        all.recv().await.expect("a watch that lists");
    }
    println!("ready");
    let ended = spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
    ended.expect("no panic").expect("standard input");
}

fn follow<K>(client: &Client, listed: &mpsc::UnboundedSender<()>)
where
    K: Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + k8s_openapi::serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (store, writer) = reflector::store();
    let config = watcher::Config::default().labels(&Fleet::selector());
    let events = watcher(Api::<K>::all(client.clone()), config).default_backoff().reflect(writer);
    let listed = listed.clone();
    tokio::spawn(async move {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::InitDone) => drop(listed.send(())),
                Ok(_) => {}
                Err(error) => eprintln!("{error}"),
            }
        }
        drop(store);
    });
}
