//! Makes a failing script short: fewer steps, shorter steps, fewer databases, fewer workers, as long as the same check
//! still fails.

use std::time::{Duration, Instant};

use crate::{
    play::{Options, play},
    script::{Act, Script},
};

/// How long shrinking may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A shorter script that fails in the same check, and how many tries that took.
pub fn shrink(script: &Script, check: &str, options: &Options) -> (Script, u32) {
    let mut search = Search { best: script.clone(), check, options, tries: 0, until: Instant::now() + PATIENCE };
    loop {
        let before = search.best.clone();
        search.fewer_steps();
        search.shorter_steps();
        search.fewer_databases();
        search.fewer_workers();
        if search.best == before || search.is_over() {
            return (search.best, search.tries);
        }
    }
}

struct Search<'a> {
    best: Script,
    check: &'a str,
    options: &'a Options,
    tries: u32,
    until: Instant,
}

impl Search<'_> {
    fn is_over(&self) -> bool {
        Instant::now() > self.until
    }

    /// Takes a candidate if it still fails in the same way.
    fn try_out(&mut self, candidate: Script) -> bool {
        if candidate == self.best || self.is_over() {
            return false;
        }
        self.tries += 1;
        let fails = play(&candidate, self.options).violations.iter().any(|violation| violation.check == self.check);
        if fails {
            self.best = candidate;
        }
        fails
    }

    /// Delta debugging: first halves, then smaller and smaller parts are left out.
    fn fewer_steps(&mut self) {
        let mut size = self.best.steps.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < self.best.steps.len() {
                let mut candidate = self.best.clone();
                let end = (at + size).min(candidate.steps.len());
                candidate.steps.drain(at..end);
                if !self.try_out(candidate) {
                    at += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    fn shorter_steps(&mut self) {
        for at in 0..self.best.steps.len() {
            for divisor in [8, 2] {
                let mut candidate = self.best.clone();
                candidate.steps[at].lasts /= divisor;
                self.try_out(candidate);
            }
            let mut candidate = self.best.clone();
            if let Act::Request(_, shot) = &mut candidate.steps[at].act {
                shot.times = 1;
                self.try_out(candidate);
            }
        }
    }

    fn fewer_databases(&mut self) {
        for at in (0..self.best.databases.len()).rev() {
            let mut candidate = self.best.clone();
            let gone = candidate.databases.remove(at);
            candidate.steps.retain(|step| !step.act.concerns(&gone.name));
            self.try_out(candidate);
        }
    }

    fn fewer_workers(&mut self) {
        while self.best.workers > 3 {
            let mut candidate = self.best.clone();
            let gone = format!("w{}", candidate.workers);
            candidate.workers -= 1;
            candidate.steps.retain(|step| !step.act.concerns(&gone));
            if !self.try_out(candidate) {
                return;
            }
        }
    }
}
