//! The simulation's scenarios on real API servers, in real time.
//!
//! kube-apiserver and etcd are real (`lab::bare`), and so are TLS, sockets, serialisation and clocks. Atoll runs as
//! `atoll run` runs it, one thread for each life. What stands around the API servers (schedulers, kubelets, storage,
//! load balancers, networks, databases) is the simulation's, over the API.

pub mod cluster;
pub mod counted;
pub mod lives;
pub mod run;
pub mod stage;
