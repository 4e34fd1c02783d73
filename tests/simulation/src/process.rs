//! A process of its own beside the world: it can be paused, as by SIGSTOP, and goes on where it was when it is resumed,
//! with a clock that has jumped.
//!
//! It is a second runtime in the thread of the simulation. The world runs for a slice of time, then every process that
//! is not paused runs up to the same moment. Nobody notices anything of it but that messages take a slice longer. As
//! long as there is no such process, the world runs in one go.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use tokio::{
    runtime::{Handle, Runtime},
    task::JoinHandle,
    time::{Sleep, advance, sleep},
};

use crate::entropy::{self, Clock};

/// How long the world runs until it is a process's turn.
const SLICE: Duration = Duration::from_millis(10);

thread_local! {
    static BESIDE: RefCell<Beside> = const { RefCell::new(Beside { all: Vec::new(), world: None }) };
}

/// What runs beside the world in this thread.
#[derive(Default)]
struct Beside {
    all: Vec<Running>,
    /// Wakes the world's main task when the first process begins.
    world: Option<Waker>,
}

struct Running {
    runtime: Runtime,
    clock: Clock,
    paused: Arc<AtomicBool>,
}

/// A process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Process {
    runtime: Handle,
    paused: Arc<AtomicBool>,
}

impl Process {
    /// Begins one. Nothing runs in it.
    ///
    /// # Panics
    /// Outside of [`entropy::simulate`].
    pub fn begin(seed: u64) -> Self {
        let runtime = entropy::runtime(seed);
        let process = Self { runtime: runtime.handle().clone(), paused: Arc::default() };
        BESIDE.with_borrow_mut(|beside| {
            beside.all.push(Running { runtime, clock: Clock::from_now(), paused: process.paused.clone() });
            if let Some(world) = &beside.world {
                world.wake_by_ref();
            }
        });
        process
    }

    /// Runs this in it.
    pub fn spawn<F: Future<Output: Send> + Send + 'static>(&self, work: F) -> JoinHandle<F::Output> {
        self.runtime.spawn(work)
    }

    /// Whether it gets no turn.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// From now on it gets no turn.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Relaxed);
    }

    /// It goes on. By its clock, all that time has passed in a moment.
    pub fn resume(&self) {
        self.paused.store(false, Ordering::Relaxed);
    }
}

/// Runs the world to its end, and processes beside it from when they begin.
pub(crate) fn drive<T>(world: &Runtime, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        let mut slice: Option<std::pin::Pin<Box<Sleep>>> = None;
        let turn = world.block_on(poll_fn(|context| {
            if let Poll::Ready(ended) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(ended));
            }
            let alone = BESIDE.with_borrow_mut(|beside| {
                beside.world = Some(context.waker().clone());
                beside.all.is_empty()
            });
            if alone {
                return Poll::Pending;
            }
            let slice = slice.get_or_insert_with(|| Box::pin(sleep(SLICE)));
            slice.as_mut().poll(context).map(|()| Err(entropy::elapsed()))
        }));
        match turn {
            Ok(ended) => return ended,
            Err(now) => catch_up(now),
        }
    }
}

/// Lets every process that is not paused come to this moment.
fn catch_up(now: Duration) {
    // Whoever runs may begin another one.
    let mut all = BESIDE.with_borrow_mut(|beside| std::mem::take(&mut beside.all));
    for running in all.iter_mut().filter(|running| !running.paused.load(Ordering::Relaxed)) {
        let mut world = Clock::take();
        running.runtime.block_on(async {
            running.clock.give();
            let behind = now.saturating_sub(entropy::elapsed());
            if behind > 3 * SLICE {
                // It was paused: all its timers are due at once.
                advance(behind).await;
                sleep(Duration::from_millis(1)).await;
            } else {
                sleep(behind).await;
            }
            Clock::take();
        });
        world.give();
    }
    BESIDE.with_borrow_mut(|beside| {
        all.append(&mut beside.all);
        beside.all = all;
    });
}

/// Ends every process. To be called when the world has ended.
pub(crate) fn end() {
    drop(BESIDE.take());
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_process_that_is_paused_stands_still_and_wakes_up_late() {
        let ticks = entropy::simulate(1, async || {
            let ticks: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
            let (process, noted) = (Process::begin(1), ticks.clone());
            process.spawn(async move {
                loop {
                    let before = tokio::time::Instant::now();
                    sleep(Duration::from_secs(1)).await;
                    let lasted = before.elapsed().as_secs();
                    noted.lock().expect("no panic").push((entropy::elapsed().as_secs(), lasted));
                }
            });
            sleep(Duration::from_millis(2_500)).await;
            process.pause();
            sleep(Duration::from_mins(1)).await;
            let while_paused = ticks.lock().expect("no panic").len();
            process.resume();
            sleep(Duration::from_millis(2_200)).await;
            assert_eq!(while_paused, 2);
            ticks.lock().expect("no panic").clone()
        });
        assert_eq!(ticks, [(1, 1), (2, 1), (62, 60), (63, 1), (64, 1)]);
    }

    #[test]
    fn what_a_process_and_the_world_say_to_each_other_takes_a_slice() {
        let took = entropy::simulate(1, async || {
            sleep(Duration::from_secs(5)).await;
            let process = Process::begin(1);
            let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel::<tokio::sync::oneshot::Sender<Duration>>();
            process.spawn(async move {
                while let Some(answer) = asked.recv().await {
                    let _ = answer.send(entropy::elapsed());
                }
            });
            sleep(Duration::from_secs(1)).await;
            let before = entropy::elapsed();
            let (answer, answered) = tokio::sync::oneshot::channel();
            ask.send(answer).expect("it listens");
            let there = answered.await.expect("an answer");
            (there.abs_diff(before), entropy::elapsed().saturating_sub(before))
        });
        assert!(took.0 <= 2 * SLICE && took.1 <= 2 * SLICE, "{took:?}");
    }
}
