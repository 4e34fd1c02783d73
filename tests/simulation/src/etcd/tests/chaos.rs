//! Random faults. What etcd promises must hold in all of them, and must not where a member founds twice.

use super::*;
use crate::etcd::dice::Dice;

/// A world with faults, and one client that remembers.
struct Chaos {
    town: Town,
    dice: Dice,
    /// Members that belong to the cluster, and whether they run.
    members: BTreeMap<String, bool>,
    next: char,
    written: u64,
    /// The last number that was acknowledged.
    acknowledged: u64,
    places: Vec<(u64, u64)>,
    answers: u64,
    replaced: u64,
}

/// What came of one run.
struct Report {
    answers: u64,
    replaced: u64,
}

impl Chaos {
    fn new(seed: u64, founders: &str) -> Self {
        let mut town = Town::new(seed);
        let members = founders.chars().map(|name| (name.to_string(), true)).collect();
        for name in founders.chars() {
            town.start(&name.to_string(), "new", founders);
        }
        town.run(8);
        let next = char::from(b'a' + u8::try_from(founders.len()).expect("few"));
        let dice = Dice::new(seed, 99);
        Self { town, dice, members, next, written: 0, acknowledged: 0, places: Vec::new(), answers: 0, replaced: 0 }
    }

    fn one(&mut self) -> String {
        let at = usize::try_from(self.dice.below(self.members.len() as u64)).expect("few");
        self.members.keys().nth(at).expect("a member").clone()
    }

    fn all(&self) -> String {
        self.members.keys().map(String::as_str).collect()
    }

    fn start(&mut self, name: &str) {
        self.town.stop(name);
        let all = self.all();
        self.town.start(name, "existing", &all);
        self.members.insert(name.to_owned(), true);
    }

    fn fault(&mut self) {
        let name = self.one();
        match self.dice.below(10) {
            0 | 1 => {
                let other = self.one();
                self.town.cut(&name, &other);
            }
            2 => {
                let all = self.all().replace(&name, "");
                self.town.cut(&name, &all);
            }
            3 | 4 => self.town.heal(),
            5 | 6 => {
                self.town.stop(&name);
                self.members.insert(name, false);
            }
            7 | 8 => self.start(&name),
            _ => self.replace(&name),
        }
    }

    /// A disk is lost: the member goes and another comes, under another identity.
    fn replace(&mut self, name: &str) {
        self.town.run(6);
        let through = self.one();
        if through == name {
            return;
        }
        let Some(id) = self.town.views().into_iter().find(|view| view.name == name).and_then(|view| view.member_id)
        else {
            return;
        };
        let gone = |reply: Option<Reply>| reply.is_some_and(|reply| reply.status == 200);
        if !gone(self.town.about(&through, "remove", id)) {
            // Nobody knows; it may be removed later, so it is not counted on to come back.
            return;
        }
        self.town.stop(name);
        self.town.etcds.lose_volume(&format!("vol-{name}"));
        self.members.remove(name);
        let new = self.next.to_string();
        for _ in 0..20 {
            self.town.run(3);
            let through = self.one();
            if gone(self.town.add(&through, &new, false)) {
                self.members.insert(new.clone(), true);
                let all = self.all();
                self.next = char::from_u32(u32::from(self.next) + 1).expect("a letter");
                self.town.start(&new, "existing", &all);
                self.replaced += 1;
                return;
            }
        }
    }

    fn write(&mut self) {
        let name = self.one();
        self.written += 1;
        if let Outcome::Acknowledged { index, term, .. } = self.town.put(&name, "k", &self.written.to_string()) {
            self.acknowledged = self.written;
            self.places.push((index, term));
            self.answers += 1;
        }
    }

    fn read(&mut self) {
        let name = self.one();
        if let Read::Value(text) = self.town.read(&name, "k") {
            let read: u64 = text.parse().expect("a number");
            assert!(read >= self.acknowledged, "{name} read {read} after {} was acknowledged", self.acknowledged);
            // What was read once is there for ever, too.
            self.acknowledged = self.acknowledged.max(read);
        }
    }

    fn leads_once(&self) {
        let serving = self.town.etcds.history("db");
        assert!(serving.len() <= 1, "{} leaders with a majority", serving.len());
    }

    fn run(mut self, rounds: u64) -> Report {
        for _ in 0..rounds {
            if self.dice.below(3) == 0 {
                self.fault();
            }
            self.write();
            for _ in 0..=self.dice.below(8) {
                self.town.run_steps(1);
                self.leads_once();
            }
            self.read();
        }
        self.town.heal();
        let names: Vec<_> = self.members.keys().cloned().collect();
        // A process that ended over its flags or its peers is started again, as a kubelet does.
        for _ in 0..6 {
            for name in &names {
                if !self.members[name] || self.town.exit(name).is_some() {
                    self.start(name);
                }
            }
            self.town.run(5);
        }
        let history = self.town.etcds.history("db");
        assert_eq!(history.len(), 1, "{:#?}", self.town.views());
        let value: u64 = history[0].keys.get("k").map_or(0, |text| text.parse().expect("a number"));
        assert!(value >= self.acknowledged, "{value} is there, {} was acknowledged", self.acknowledged);
        for (index, term) in &self.places {
            assert!(history[0].holds(*index, *term), "entry {index} of term {term} is gone");
        }
        Report { answers: self.answers, replaced: self.replaced }
    }
}

impl Town {
    fn run_steps(&mut self, steps: u64) {
        for _ in 0..steps {
            self.now += Duration::from_millis(100);
            self.etcds.tick(self.now);
        }
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_whatever_is_cut_killed_and_replaced() {
    let (mut answers, mut replaced) = (0, 0);
    for seed in 0..60 {
        let founders = if seed % 3 == 0 { "abcde" } else { "abc" };
        let report = Chaos::new(seed, founders).run(120);
        answers += report.answers;
        replaced += report.replaced;
    }
    assert!(answers > 2_000 && replaced > 25, "{answers} answers, {replaced} replaced: too little happened");
}

#[test]
fn the_same_faults_make_the_same_world() {
    let world = || {
        let mut chaos = Chaos::new(77, "abc");
        for _ in 0..100 {
            chaos.fault();
            chaos.write();
            chaos.town.run_steps(4);
        }
        format!("{:?} {}", chaos.town.views(), chaos.answers)
    };
    assert_eq!(world(), world());
}
