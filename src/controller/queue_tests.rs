use super::*;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

fn queue(concurrency: usize) -> Queue<&'static str> {
    Queue::new(limits(concurrency), 7)
}

fn limits(concurrency: usize) -> Limits {
    Limits { concurrency, first_retry: FIRST, longest_retry: LONGEST }
}

fn at(milliseconds: u64) -> Moment {
    Moment(Duration::from_millis(milliseconds))
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn an_empty_queue_is_idle() {
    assert_eq!(queue(1).next(at(0)), Next::Idle);
}

#[test]
fn a_key_woken_many_times_runs_once() {
    let mut queue = queue(2);
    for _ in 0..5 {
        queue.wake("a", at(0));
    }
    assert_eq!(queue.next(at(0)), Next::Run("a"));
    assert_eq!(queue.next(at(0)), Next::Idle);
}

#[test]
fn a_wake_during_a_run_makes_one_more_run_after_it() {
    let mut queue = queue(2);
    queue.wake("a", at(0));
    assert_eq!(queue.next(at(0)), Next::Run("a"));
    queue.wake("a", at(1));
    queue.wake("a", at(2));
    assert_eq!(queue.next(at(3)), Next::Idle, "it still runs");
    queue.finished(&"a", Finish::Settled, at(4));
    assert_eq!(queue.next(at(4)), Next::Run("a"));
    queue.finished(&"a", Finish::Settled, at(5));
    assert_eq!(queue.next(at(5)), Next::Idle);
}

#[test]
fn keys_run_in_the_order_in_which_they_became_ready() {
    let mut queue = queue(1);
    for key in ["c", "a", "b"] {
        queue.wake(key, at(0));
    }
    let mut order = Vec::new();
    while let Next::Run(key) = queue.next(at(0)) {
        order.push(key);
        if order.len() < 6 {
            queue.wake(key, at(0));
        }
        queue.finished(&key, Finish::Settled, at(0));
    }
    assert_eq!(order, ["c", "a", "b", "c", "a", "b", "c", "a"]);
}

#[test]
fn no_more_keys_run_at_once_than_allowed() {
    let mut queue = queue(2);
    for key in ["a", "b", "c"] {
        queue.wake(key, at(0));
    }
    assert_eq!(queue.next(at(0)), Next::Run("a"));
    assert_eq!(queue.next(at(0)), Next::Run("b"));
    assert_eq!(queue.next(at(0)), Next::Idle);
    assert_eq!((queue.ready(), queue.running()), (1, 2));
    queue.finished(&"b", Finish::Settled, at(0));
    assert_eq!(queue.next(at(0)), Next::Run("c"));
}

#[test]
fn a_limit_of_zero_still_makes_progress() {
    let mut queue = queue(0);
    queue.wake("a", at(0));
    assert_eq!(queue.next(at(0)), Next::Run("a"));
}

#[test]
fn of_several_timers_the_earliest_counts() {
    for delays in [[30, 10, 20], [10, 20, 30], [30, 20, 10]] {
        let mut queue = queue(1);
        for delay in delays {
            queue.after("a", milliseconds(delay), at(0));
        }
        assert_eq!(queue.next(at(0)), Next::WaitUntil(at(10)));
        assert_eq!(queue.waiting(), 1);
        assert_eq!(queue.next(at(10)), Next::Run("a"));
        queue.finished(&"a", Finish::Settled, at(11));
        assert_eq!(queue.next(at(100)), Next::Idle);
    }
}

#[test]
fn a_timer_outlives_a_run_that_another_cause_started_before_it() {
    let mut queue = queue(1);
    queue.after("a", milliseconds(50), at(0));
    queue.wake("a", at(1));
    assert_eq!(queue.next(at(1)), Next::Run("a"));
    queue.finished(&"a", Finish::Settled, at(2));
    assert_eq!(queue.next(at(2)), Next::WaitUntil(at(50)));

    queue.wake("a", at(3));
    assert_eq!(queue.next(at(3)), Next::Run("a"));
    queue.after("a", milliseconds(20), at(4));
    queue.finished(&"a", Finish::Again(milliseconds(90)), at(5));
    assert_eq!(queue.next(at(5)), Next::WaitUntil(at(24)));
}

#[test]
fn failures_back_off_twice_as_long_each_time_up_to_the_longest() {
    let mut queue = queue(1);
    let mut now = at(0);
    queue.wake("a", now);
    for failure in 1..12_u32 {
        assert_eq!(queue.next(now), Next::Run("a"));
        queue.finished(&"a", Finish::Failed, now);
        assert_eq!(queue.failures(&"a"), failure);
        let Next::WaitUntil(retry) = queue.next(now) else {
            panic!("failure {failure} is followed by a wait");
        };
        let whole = FIRST.saturating_mul(1 << (failure - 1)).min(LONGEST);
        let wait = retry.since(now);
        assert!(wait >= whole / 2 && wait <= whole, "{failure}: {wait:?} of {whole:?}");
        now = retry;
    }
    assert_eq!(queue.next(now), Next::Run("a"));
    queue.finished(&"a", Finish::Settled, now);
    assert_eq!(queue.failures(&"a"), 0);
    assert_eq!(queue.next(now.plus(LONGEST)), Next::Idle);
}

#[test]
fn a_failing_key_delays_no_other() {
    let mut queue = queue(1);
    queue.wake("bad", at(0));
    assert_eq!(queue.next(at(0)), Next::Run("bad"));
    queue.finished(&"bad", Finish::Failed, at(0));
    for moment in 1..20 {
        queue.wake("good", at(moment));
        assert_eq!(queue.next(at(moment)), Next::Run("good"));
        queue.finished(&"good", Finish::Settled, at(moment));
    }
}

#[test]
fn a_wake_cuts_a_long_back_off_short_but_never_to_a_spin() {
    let mut queue = queue(1);
    queue.wake("a", at(0));
    let mut now = at(0);
    for _ in 0..8 {
        assert_eq!(queue.next(now), Next::Run("a"));
        queue.finished(&"a", Finish::Failed, now);
        if let Next::WaitUntil(retry) = queue.next(now) {
            now = retry;
        }
    }
    assert_eq!(queue.next(now), Next::Run("a"));
    queue.wake("a", now);
    queue.finished(&"a", Finish::Failed, now);
    assert_eq!(queue.next(now), Next::WaitUntil(now.plus(FIRST)));
    assert_eq!(queue.next(now.plus(FIRST)), Next::Run("a"));
}

#[test]
fn equal_seeds_give_equal_waits_and_other_seeds_other_ones() {
    let waits = |seed| {
        let mut queue = Queue::new(limits(1), seed);
        let mut now = at(0);
        queue.wake("a", now);
        let mut waits = Vec::new();
        for _ in 0..6 {
            assert_eq!(queue.next(now), Next::Run("a"));
            queue.finished(&"a", Finish::Failed, now);
            if let Next::WaitUntil(retry) = queue.next(now) {
                waits.push(retry.since(now));
                now = retry;
            }
        }
        waits
    };
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
}

#[test]
fn a_forgotten_key_leaves_nothing_behind() {
    let mut queue = queue(1);
    queue.after("timed", milliseconds(10), at(0));
    queue.wake("ready", at(0));
    queue.forget(&"timed");
    queue.forget(&"ready");
    queue.forget(&"unknown");
    assert_eq!(queue.next(at(100)), Next::Idle);

    queue.wake("running", at(100));
    assert_eq!(queue.next(at(100)), Next::Run("running"));
    queue.wake("running", at(101));
    queue.forget(&"running");
    queue.finished(&"running", Finish::Failed, at(102));
    assert_eq!(queue.next(at(10_000)), Next::Idle);
    assert_eq!((queue.running(), queue.waiting(), queue.ready()), (0, 0, 0));
}

#[test]
fn a_key_that_comes_back_while_its_last_run_ends_runs_again() {
    let mut queue = queue(1);
    queue.wake("a", at(0));
    assert_eq!(queue.next(at(0)), Next::Run("a"));
    queue.forget(&"a");
    queue.wake("a", at(1));
    queue.finished(&"a", Finish::Settled, at(2));
    assert_eq!(queue.next(at(2)), Next::Run("a"));
}

#[test]
fn a_closed_queue_hands_out_nothing_and_counts_down() {
    let mut queue = queue(2);
    queue.wake("a", at(0));
    queue.wake("b", at(0));
    assert_eq!(queue.next(at(0)), Next::Run("a"));
    queue.close();
    assert_eq!(queue.next(at(0)), Next::Idle);
    assert_eq!(queue.running(), 1);
    queue.finished(&"a", Finish::Settled, at(1));
    assert_eq!((queue.next(at(1)), queue.running()), (Next::Idle, 0));
}

#[test]
fn finishing_what_does_not_run_changes_nothing() {
    let mut queue = queue(1);
    queue.finished(&"a", Finish::Failed, at(0));
    queue.wake("a", at(0));
    queue.finished(&"a", Finish::Failed, at(0));
    assert_eq!(queue.failures(&"a"), 0);
    assert_eq!(queue.next(at(0)), Next::Run("a"));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Timer,
    Wake,
}

/// A plain model beside the queue, driven by the same random steps: no wake is lost, nothing runs twice at once, the
/// limit holds, and everything comes to rest.
#[test]
fn whatever_happens_no_wake_is_lost_and_nothing_runs_twice_at_once() {
    for seed in 0..2_000_u64 {
        let mut dice = Jitter(seed);
        let mut roll = |sides: u32| -> u32 {
            // A fraction below one times a small number always fits.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let face = (dice.fraction() * f64::from(sides)) as u32;
            face
        };
        let concurrency = 1 + roll(3) as usize;
        let mut queue: Queue<u32> = Queue::new(limits(concurrency), seed);
        let mut running: BTreeSet<u32> = BTreeSet::new();
        // For each key the moments from which a run is owed to it: its earliest timer, and a wake.
        let mut owed: BTreeMap<(u32, Cause), Moment> = BTreeMap::new();
        let owe = |owed: &mut BTreeMap<(u32, Cause), Moment>, key, cause, due: Moment| {
            owed.entry((key, cause)).and_modify(|owed| *owed = due.min(*owed)).or_insert(due);
        };
        let mut now = at(0);
        for _ in 0..120 {
            let key = roll(5);
            match roll(6) {
                0 | 1 => {
                    queue.wake(key, now);
                    owe(&mut owed, key, Cause::Wake, now);
                }
                2 => {
                    let due = now.plus(milliseconds(u64::from(roll(300))));
                    queue.after(key, due.since(now), now);
                    owe(&mut owed, key, Cause::Timer, due);
                }
                3 => now = now.plus(milliseconds(u64::from(roll(80)))),
                4 => {
                    if let Some(key) = running.pop_first() {
                        let finish = [Finish::Settled, Finish::Failed, Finish::Again(FIRST)][roll(3) as usize];
                        if let Finish::Again(delay) = finish {
                            owe(&mut owed, key, Cause::Timer, now.plus(delay));
                        }
                        queue.finished(&key, finish, now);
                    }
                }
                _ => {
                    if let Next::Run(key) = queue.next(now) {
                        assert!(running.insert(key), "seed {seed}: {key} runs twice");
                        assert!(running.len() <= concurrency, "seed {seed}: too many run");
                        owed.retain(|(other, _), due| *other != key || *due > now);
                    }
                }
            }
            assert_eq!(queue.running(), running.len(), "seed {seed}");
        }
        // From here on everything goes well: what is owed must run, and then there is rest.
        let mut steps = 0;
        loop {
            while let Some(key) = running.pop_first() {
                queue.finished(&key, Finish::Settled, now);
            }
            match queue.next(now) {
                Next::Run(key) => {
                    running.insert(key);
                    owed.retain(|(other, _), due| *other != key || *due > now);
                }
                Next::WaitUntil(moment) => {
                    assert!(moment > now, "seed {seed}: a wait into the past");
                    now = moment;
                }
                Next::Idle => break,
            }
            steps += 1;
            assert!(steps < 100, "seed {seed}: it never comes to rest");
        }
        assert!(owed.is_empty(), "seed {seed}: lost {owed:?}");
    }
}
