//! A small engine that keeps a list of members, for whole lives of a database: it answers, and does as it is told where
//! a real one would.

use super::*;
use crate::plan::{
    budget::majority,
    command::{Command, Wish},
    membership::{Answer, Ballot, Listed, Membership, Role, Rung},
    name::MemberName,
    record::{Member, Part},
};

/// The members' own list, once they have founded.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    pub list: Vec<Listed>,
    pub leader: Option<String>,
    pub joined: u32,
    /// How often leadership was handed over.
    pub handed_over: u32,
    /// Who runs, and whose answers reach nobody but the other members.
    pub mute: BTreeSet<MemberName>,
    /// What was refused, in order.
    pub refused: Vec<&'static str>,
}

impl World {
    fn founded(&mut self) {
        if !self.engine.list.is_empty() {
            return;
        }
        let Some(record) = &self.record else { return };
        let listed = |member: &Member| {
            let peers = member.peer.iter().cloned().collect();
            Some(Listed { id: member.engine_id.clone()?, ballot: Ballot::Voter, peers })
        };
        self.engine.list = record.members.iter().filter_map(listed).collect();
    }

    fn member_of(&self, listed: &Listed) -> Option<&Member> {
        let members = &self.record.as_ref()?.members;
        members.iter().find(|member| member.engine_id.as_ref() == Some(&listed.id))
    }

    /// Whether a process of this listed member runs, on the volume that it knows.
    pub fn runs(&self, listed: &Listed) -> bool {
        let Some(member) = self.member_of(listed) else { return false };
        let Some(objects) = self.seen.workers.get(&member.worker).and_then(|worker| worker.view.objects()) else {
            return false;
        };
        let pod = objects.pods.get(&ObjectName::from(&member.name));
        pod.is_some_and(|pod| pod.process == Process::Runs && pod.phase == PodPhase::Running)
    }

    fn voters(&self) -> Vec<&Listed> {
        self.engine.list.iter().filter(|listed| listed.ballot == Ballot::Voter).collect()
    }

    pub fn serving(&self) -> usize {
        self.voters().into_iter().filter(|listed| self.runs(listed)).count()
    }

    fn has_quorum(&self) -> bool {
        self.serving() >= majority(self.voters().len())
    }

    /// Everyone who runs answers.
    pub fn ask(&mut self) {
        self.founded();
        let running = |id: &String| self.voters().into_iter().any(|listed| listed.id == *id && self.runs(listed));
        if !self.engine.leader.as_ref().is_some_and(running) {
            self.engine.leader = self.voters().into_iter().find(|listed| self.runs(listed)).map(|l| l.id.clone());
        }
        let quorum = self.has_quorum();
        let answer = |listed: &Listed| {
            let leads = quorum && self.engine.leader.as_ref() == Some(&listed.id);
            let role = match listed.ballot {
                Ballot::Learner => Role::Learner,
                Ballot::Voter if leads => Role::Leader,
                Ballot::Voter => Role::Follower,
            };
            Answer {
                rung: Rung::Address,
                cluster: "c".into(),
                member: listed.id.clone(),
                role,
                listed: (quorum && listed.ballot == Ballot::Voter).then(|| self.engine.list.clone()),
                term: 1,
            }
        };
        let running = self.engine.list.iter().filter(|listed| self.runs(listed));
        let named = running.filter_map(|listed| Some((self.member_of(listed)?.name.clone(), answer(listed))));
        let answers = named.filter(|(name, _)| !self.engine.mute.contains(name)).collect();
        self.seen.membership = Some(Membership { answers, asked: Asked::Now, ..Membership::default() });
    }

    /// Does as it is told, if a majority serves.
    pub fn obey(&mut self, command: &Command) -> Result<(), &'static str> {
        let done = self.try_to_obey(command);
        self.engine.refused.extend(done.err());
        done
    }

    fn try_to_obey(&mut self, command: &Command) -> Result<(), &'static str> {
        if !self.has_quorum() {
            return Err("no leader");
        }
        let index = |id: &String| self.engine.list.iter().position(|listed| listed.id == *id).ok_or("not found");
        match &command.wish {
            Wish::HandOver { to } => {
                assert!(self.runs(&self.engine.list[index(to)?]), "leadership goes to who runs");
                self.engine.leader = Some(to.clone());
                self.engine.handed_over += 1;
            }
            Wish::Join { peer } => {
                let all_run = self.voters().into_iter().all(|listed| self.runs(listed));
                if self.voters().len() > 1 && !all_run {
                    return Err("unhealthy cluster");
                }
                self.engine.joined += 1;
                let id = format!("joined-{}", self.engine.joined);
                self.engine.list.push(Listed { id, ballot: Ballot::Learner, peers: vec![peer.clone()] });
            }
            Wish::Promote { member } => {
                let index = index(member)?;
                if !self.runs(&self.engine.list[index]) {
                    return Err("can only promote a learner member which is in sync with leader");
                }
                self.engine.list[index].ballot = Ballot::Voter;
            }
            Wish::Leave { member } => {
                let index = index(member)?;
                let left = self.voters().len() - usize::from(self.engine.list[index].ballot == Ballot::Voter);
                let other = |listed: &&Listed| listed.id != *member;
                let serving = self.voters().into_iter().filter(other).filter(|listed| self.runs(listed)).count();
                assert!(serving >= majority(left), "S1: {serving} of {left} are left after {command:?}");
                assert!(self.engine.leader.as_ref() != Some(member) || left == 1, "leadership is moved away first");
                self.engine.list.remove(index);
            }
            Wish::Move { member, peer } => {
                let index = index(member)?;
                if self.engine.list.iter().any(|listed| listed.id != *member && listed.peers.contains(peer)) {
                    return Err("Peer URLs already exists");
                }
                self.engine.list[index].peers = vec![peer.clone()];
            }
        }
        Ok(())
    }

    /// S1: what serves is taken down only where nobody else is down, and a majority is left or never could be.
    pub fn may_take_down(&self, pod: &ObjectName) {
        if matches!(self.database.intent, Intent::Delete(_)) {
            return;
        }
        // Without a majority nobody serves, and a person has said so.
        if self.record.as_ref().is_some_and(|record| record.recovering.is_some()) {
            return;
        }
        let is_it =
            |listed: &&Listed| self.member_of(listed).is_some_and(|member| member.name.as_str() == pod.as_str());
        let voters = self.voters();
        if !voters.iter().any(|listed| is_it(listed) && self.runs(listed)) {
            return;
        }
        let left = self.serving() - 1;
        let spared = left == voters.len() - 1 && (left >= majority(voters.len()) || voters.len() <= 2);
        assert!(spared, "S1: {pod} is taken down, and {left} of {} are left", voters.len());
        let leads = |listed: &&&Listed| self.engine.leader.as_ref() == Some(&listed.id);
        let leader = voters.iter().filter(leads).any(is_it);
        assert!(!leader || voters.len() == 1, "leadership is moved away before {pod} is taken down");
    }

    /// S8: a volume goes after its member has left.
    pub fn volume_deleted(&self, claim: &ObjectName, uid: &Uid) {
        if matches!(self.database.intent, Intent::Delete(_)) {
            return;
        }
        let of_voter = self
            .engine
            .list
            .iter()
            .filter_map(|listed| self.member_of(listed))
            .find(|member| self.database.names.claim("data", &member.name) == *claim);
        assert!(of_voter.is_none(), "S8: {claim} goes, and its member is listed still");
        let record = self.record.as_ref().unwrap();
        let member = record.members.iter().find(|member| self.database.names.claim("data", &member.name) == *claim);
        assert_eq!(member.unwrap().part, Part::Removed, "S8: {claim}");
        assert_eq!(member.unwrap().volume.as_ref().unwrap_or(uid), uid, "S4: {claim} is somebody else's");
        assert_eq!(self.database.on_delete, OnDelete::Wipe, "S4: the policy keeps {claim}");
    }

    /// S3: a member runs on the volume that was recorded with its identity, and only while the others list it.
    pub fn may_start(&self, pod: &k8s_openapi::api::core::v1::Pod) {
        let name = pod.metadata.name.clone().unwrap();
        let Some(record) = self.record.as_ref().filter(|_| !self.engine.list.is_empty()) else { return };
        // A placeholder is nobody.
        let Some(member) = record.member(&name) else { return };
        let owner = pod.metadata.owner_references.as_ref().unwrap()[0].uid.clone();
        assert_eq!(
            member.volume.as_ref().map(Uid::as_str),
            Some(owner.as_str()),
            "S3: {name} starts on another volume"
        );
        let objects = self.seen.workers[&member.worker].view.objects().unwrap();
        let claim = &objects.claims[&self.database.names.claim("data", &member.name)];
        assert_eq!(claim.meta.uid.as_str(), owner, "S3: {name} starts without its data");
        assert!(!member.has_left(), "S3: {name} has left, and starts");
        let args = pod.spec.as_ref().unwrap().containers[0].args.clone().unwrap_or_default();
        assert!(!args.iter().any(|arg| arg == "--initial-cluster-state=new"), "S2: {name} founds again");
    }

    /// Lets time pass until nothing changes any more: pods start, and everything that waits is tried again.
    pub fn live(&mut self) -> Decision {
        for _ in 0..60 {
            let before = self.state();
            let decision = self.settle();
            self.start();
            if before == self.state() {
                return decision;
            }
        }
        panic!("it never comes to rest: {:?}", self.decide().step)
    }

    fn state(&self) -> impl PartialEq + use<> {
        let objects = self.seen.workers.values().filter_map(|worker| worker.view.objects());
        let pods: Vec<_> = objects.flat_map(|objects| objects.pods.values().cloned()).collect();
        (self.record.clone(), self.engine.list.clone(), self.made, pods)
    }

    /// Kubelets start what can be started: a learner is not ready before it has its vote.
    pub fn start(&mut self) {
        self.founded();
        let learners: Vec<_> =
            self.engine.list.iter().filter(|listed| listed.ballot == Ballot::Learner).cloned().collect();
        let learners: Vec<_> =
            learners.iter().filter_map(|l| Some(ObjectName::from(&self.member_of(l)?.name))).collect();
        // Whoever starts alone forgets all others.
        let pods =
            self.seen.workers.values().filter_map(|w| w.view.objects()).flat_map(|objects| objects.pods.values());
        let alone =
            pods.filter(|pod| pod.alone && pod.process == Process::Stands).find_map(|pod| pod.meta.member.clone());
        let id = alone.and_then(|name| self.record.as_ref()?.member(&name)?.engine_id.clone());
        if let Some(id) = id {
            self.engine.list.retain(|listed| listed.id == id);
        }
        let now = self.now;
        let stuck = &self.stuck;
        for worker in self.seen.workers.values_mut() {
            let WorkerView::Seen(objects) = &mut worker.view else { continue };
            let used: BTreeSet<_> = objects.pods.values().filter_map(|pod| pod.meta.member.clone()).collect();
            objects.claims.retain(|_, claim| {
                claim.meta.deleting.is_none() || claim.meta.member.as_ref().is_some_and(|member| used.contains(member))
            });
            for (name, pod) in objects.pods.iter_mut().filter(|(_, pod)| pod.meta.member.is_some()) {
                if stuck.contains(name) {
                    continue;
                }
                pod.phase = PodPhase::Running;
                pod.process = Process::Runs;
                pod.ready =
                    if learners.contains(name) { Readiness::NotReady(Some(now)) } else { Readiness::Ready(Some(now)) };
            }
        }
    }
}
