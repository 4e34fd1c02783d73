use std::time::Instant as Wall;

use super::*;
use crate::{
    admin::{
        Carrier, Clients, JobRoute, PodRoute, Silence,
        testing::{Server, black_hole, ok},
    },
    engine::{Exchange, HttpRequest, Method},
    plan::{membership::Role, name::WorkerName},
    worker::gate::{Gate, Open},
};

use futures::{FutureExt, future::BoxFuture};

/// Members answer with their name; a judge believes only that.
fn judge(member: &MemberName, rung: Rung, replies: &[HttpReply]) -> Result<Answer, Distrust> {
    let said = replies.first().map(|reply| reply.body.clone()).unwrap_or_default();
    if said == member.as_str() {
        Ok(Answer { rung, cluster: "c".into(), member: said, role: Role::Follower, listed: None, term: 1 })
    } else {
        Err(Distrust::WrongIdentity { member: member.clone(), cluster: "other".into(), id: said })
    }
}

fn question(member: &str) -> Question {
    let request = HttpRequest { method: Method::Get, path: "/".into(), body: String::new() };
    Question { member: member.into(), port: 2379, exchange: Exchange::Http(vec![request]) }
}

fn forward() -> Route {
    Route::PortForward(PodRoute {
        worker: "k8s-1".into(),
        namespace: "default".into(),
        pod: "etcd-0".into(),
        port: 2379,
    })
}

fn job() -> Route {
    Route::Job(JobRoute {
        worker: "k8s-1".into(),
        namespace: "default".into(),
        address: "10.0.0.1:2379".into(),
        labels: BTreeMap::new(),
    })
}

struct NoClients;

impl Clients for NoClients {
    fn client(&self, _: &WorkerName) -> Option<kube::Client> {
        None
    }

    fn gate(&self) -> &dyn Gate {
        &Open
    }
}

fn network() -> Ladder {
    Ladder::new(Arc::new(Carrier::new(Arc::new(NoClients), None)), Patience::default())
}

fn database() -> Uid {
    "uid".into()
}

/// Which rungs answer, and what was tried, on virtual time: a rung that does not answer takes all its time.
#[derive(Default)]
struct Script {
    answering: Mutex<Vec<Rung>>,
    tried: Mutex<Vec<Rung>>,
}

impl Script {
    fn ladder(answering: &[Rung]) -> (Arc<Self>, Ladder) {
        let script = Arc::new(Self { answering: Mutex::new(answering.to_vec()), tried: Mutex::default() });
        (Arc::clone(&script), Ladder::new(script, Patience::default()))
    }

    fn tried(&self) -> Vec<Rung> {
        std::mem::take(&mut *self.tried.lock().expect("lock"))
    }
}

impl Ask for Script {
    fn ask<'a>(
        &'a self,
        route: &'a Route,
        question: &'a Question,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<HttpReply>, Silence>> {
        async move {
            self.tried.lock().expect("lock").push(route.rung());
            if self.answering.lock().expect("lock").contains(&route.rung()) {
                return Ok(vec![HttpReply { status: 200, body: question.member.as_str().to_owned() }]);
            }
            deadline.bound(std::future::pending()).await
        }
        .boxed()
    }
}

fn all_rungs() -> Vec<Route> {
    vec![Route::Address("10.0.0.1:2379".into()), Route::Service("lb:2379".into()), forward(), job()]
}

#[tokio::test]
async fn an_answer_of_somebody_else_is_reported_and_the_next_rung_is_tried() {
    let (wrong, right) = (Server::start(|_| ok("etcd-7")).await, Server::start(|_| ok("etcd-0")).await);
    let routes = [Route::Service(right.address()), Route::Address(wrong.address())];
    let (answer, distrusted) = network().ask(&database(), &question("etcd-0"), &routes, &judge).await;
    assert_eq!(answer.expect("believed").rung, Rung::Service);
    assert_eq!(distrusted.len(), 1);
    assert_eq!(distrusted[0].route, Route::Address(wrong.address()));
}

#[tokio::test]
async fn a_black_hole_costs_its_rung_only_and_under_four_seconds() {
    let (hole, _open) = black_hole().await;
    let server = Server::start(|_| ok("etcd-0")).await;
    let routes = [Route::Address(hole), Route::Service(server.address())];
    let (ladder, started) = (network(), Wall::now());
    let (answer, _) = ladder.ask(&database(), &question("etcd-0"), &routes, &judge).await;
    assert_eq!(answer.expect("believed").rung, Rung::Service);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    // The second time the hole is not tried.
    let started = Wall::now();
    assert!(ladder.ask(&database(), &question("etcd-0"), &routes, &judge).await.0.is_ok());
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_silent_member_comes_with_each_rung_and_why() {
    let gone = Server::start(|_| String::new()).await.stop().await;
    let wrong = Server::start(|_| ok("etcd-7")).await;
    let routes = [Route::Address(gone.clone()), Route::Service(wrong.address()), forward(), job()];
    let (answer, _) = network().ask(&database(), &question("etcd-0"), &routes, &judge).await;
    let why = answer.expect_err("silent");
    for part in [
        &format!("Address {gone}: cannot connect: "),
        &format!("Service {}: etcd-0 was asked, but cluster other member etcd-7 answered", wrong.address()),
        "PortForward to etcd-0 in k8s-1: worker k8s-1 has no verified connection",
        "Job in k8s-1: no image for jobs is configured; start Atoll with --job-image",
    ] {
        assert!(why.contains(part), "{part:?} is not in {why:?}");
    }
    let (answer, _) = network().ask(&database(), &question("etcd-0"), &[], &judge).await;
    assert_eq!(answer.expect_err("silent"), "there is no route to it yet");
}

#[tokio::test(start_paused = true)]
async fn members_are_asked_at_the_same_time() {
    let (_, ladder) = Script::ladder(&[]);
    let asked: Vec<_> = ["etcd-0", "etcd-1", "etcd-2"]
        .map(|member| Asked { question: question(member), routes: all_rungs()[..3].to_vec() })
        .to_vec();
    let started = Instant::now();
    let heard = ladder.ask_all(&database(), &asked, &judge).await;
    assert_eq!(heard.membership.silent.len(), 3);
    assert!(started.elapsed() <= Duration::from_millis(9_100), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_rung_that_served_is_where_the_next_question_begins_until_the_cheaper_ones_get_another_chance() {
    let (script, ladder) = Script::ladder(&[Rung::PortForward]);
    let (database, question, routes) = (database(), question("etcd-0"), all_rungs());
    let ask = || ladder.ask(&database, &question, &routes, &judge);
    assert!(ask().await.0.is_ok());
    assert_eq!(script.tried(), [Rung::Address, Rung::Service, Rung::PortForward]);
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(70)).await;
        assert!(ask().await.0.is_ok());
        assert_eq!(script.tried(), [Rung::PortForward]);
    }
    script.answering.lock().expect("lock").push(Rung::Address);
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!(ask().await.0.expect("believed").rung, Rung::Address);
    assert_eq!(script.tried(), [Rung::Address]);
}

#[tokio::test(start_paused = true)]
async fn when_the_remembered_rung_fails_the_others_are_tried_from_the_cheapest() {
    let (script, ladder) = Script::ladder(&[Rung::Service]);
    let (database, question, routes) = (database(), question("etcd-0"), all_rungs());
    let ask = || ladder.ask(&database, &question, &routes, &judge);
    assert!(ask().await.0.is_ok());
    script.tried();
    *script.answering.lock().expect("lock") = vec![Rung::PortForward];
    assert!(ask().await.0.is_ok());
    assert_eq!(script.tried(), [Rung::Service, Rung::Address, Rung::PortForward]);
    // After a forgotten database of the same name nothing is left.
    ladder.forget(&database);
    assert!(ask().await.0.is_ok());
    assert_eq!(script.tried(), [Rung::Address, Rung::Service, Rung::PortForward]);
}

#[tokio::test(start_paused = true)]
async fn the_time_for_all_rungs_is_bounded_and_a_job_has_its_own() {
    let (script, ladder) = Script::ladder(&[Rung::Job]);
    let many: Vec<_> = (0..6).map(|n| Route::Address(format!("10.0.0.{n}:2379"))).chain([job()]).collect();
    let started = Instant::now();
    assert!(ladder.ask(&database(), &question("etcd-0"), &many, &judge).await.0.is_ok());
    assert_eq!(script.tried().len(), 5, "four addresses use up the time, the job is asked nevertheless");
    assert!(started.elapsed() <= Duration::from_millis(10_100), "{:?}", started.elapsed());
    script.answering.lock().expect("lock").clear();
    let why = ladder.ask(&database(), &question("etcd-0"), &many, &judge).await.0.expect_err("silent");
    assert!(why.contains("10.0.0.5:2379: not tried, 10 s were used up"), "{why}");
}
