//! Randomness and clocks of a simulated thread: the one file with `unsafe` (DECISIONS 18).
//!
//! Libraries draw random numbers (hash maps, `select!`) and read clocks (`Timestamp::now`, `Instant::now`) where nobody
//! can hand them in. All of that ends in two functions of libc, which this file takes the place of. A thread of
//! [`simulate`] gets constant bytes, and the time of tokio's paused clock; every other thread gets the real ones.
//!
//! The bytes are the same at every call: what draws once in a process (ahash) and what draws once in a thread (std) then
//! disturb nobody's count. Variety comes from the seed, which draws latencies, faults and people.
#![allow(unsafe_code)]

use std::{
    cell::Cell,
    ffi::{c_int, c_uint, c_void},
    sync::OnceLock,
    time::Duration,
};

use tokio::{runtime::Runtime, time::Instant};

use crate::process;

/// The controller's futures are large in a debug build.
const STACK: usize = 16 << 20;

/// What the wall clock shows when a simulation begins, in seconds since 1970: 2026-01-01.
pub const BEGINNING: u64 = 1_767_225_600;

#[derive(Clone, Copy)]
struct Simulated {
    /// When this clock began, by the runtime that it is the clock of. While that runtime is made, it stands still.
    began: Option<Instant>,
    /// What it showed then.
    since: Duration,
    /// The real monotonic clock at the beginning: earlier readings must not be later than simulated ones.
    base: Duration,
}

impl Simulated {
    fn elapsed(&self) -> Duration {
        self.since + self.began.map(|began| began.elapsed()).unwrap_or_default()
    }
}

thread_local! {
    static CONSTANT: Cell<bool> = const { Cell::new(false) };
    static SIMULATED: Cell<Option<Simulated>> = const { Cell::new(None) };
    /// How far the wall clock of the controller's machine is ahead of the API servers', in nanoseconds.
    static JUMP: Cell<i64> = const { Cell::new(0) };
}

/// Runs a future in a thread of its own, with a clock that only moves when everybody waits, and no randomness but what
/// it draws itself. A panic in it is a panic here.
pub fn simulate<T: Send>(seed: u64, work: impl AsyncFnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || {
            CONSTANT.set(true);
            fastrand::seed(seed);
            // It stands still from here: a runtime begins at what the clock shows, and a process beside the world must
            // not begin some real microseconds apart from it.
            let still = Simulated { began: None, since: Duration::ZERO, base: real_clock(libc::CLOCK_MONOTONIC) };
            SIMULATED.set(Some(still));
            let runtime = runtime(seed);
            let ended = process::drive(&runtime, async {
                SIMULATED.set(Some(Simulated { began: Some(Instant::now()), ..still }));
                work().await
            });
            // Tasks that are left are dropped outside of virtual time, where clocks must still run.
            SIMULATED.set(None);
            process::end();
            ended
        });
        thread.expect("a thread").join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Whether a run leaves the same trace whatever its process has played before: see `.cargo/config.toml`.
pub const IS_EXACT: bool = cfg!(tokio_unstable);

/// The turns that `select!` and `watch` take.
#[cfg(tokio_unstable)]
fn seed_luck(builder: &mut tokio::runtime::Builder, seed: u64) {
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()));
}

/// Without tokio's unstable interface they follow from how many runtimes the process has had.
#[cfg(not(tokio_unstable))]
fn seed_luck(_builder: &mut tokio::runtime::Builder, _seed: u64) {}

/// A runtime with a clock that only moves when everybody waits.
pub(crate) fn runtime(seed: u64) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    seed_luck(&mut builder, seed);
    builder.enable_time().start_paused(true).build().expect("a runtime without I/O needs nothing")
}

/// The clock of a runtime beside the world's, while that runtime has no turn.
pub(crate) struct Clock(Resting);

enum Resting {
    /// It shows this when it gets its first turn.
    New {
        since: Duration,
        base: Duration,
    },
    Known(Option<Simulated>),
}

impl Clock {
    /// For a runtime that is made now.
    pub(crate) fn from_now() -> Self {
        let base = SIMULATED.get().map(|simulated| simulated.base).unwrap_or_default();
        Self(Resting::New { since: elapsed(), base })
    }

    /// Takes away the clock of this thread, between two turns.
    pub(crate) fn take() -> Self {
        Self(Resting::Known(SIMULATED.take()))
    }

    /// From now on it is the clock of this thread. To be called in its runtime if that is new.
    pub(crate) fn give(&mut self) {
        if let Resting::New { since, base } = self.0 {
            self.0 = Resting::Known(Some(Simulated { began: Some(Instant::now()), since, base }));
        }
        if let Resting::Known(simulated) = self.0 {
            SIMULATED.set(simulated);
        }
    }
}

/// How long this thread has been simulated, in its own time. Outside: how long ago this was asked first.
pub fn elapsed() -> Duration {
    static FIRST: OnceLock<std::time::Instant> = OnceLock::new();
    match SIMULATED.get() {
        Some(simulated) => simulated.elapsed(),
        None => FIRST.get_or_init(std::time::Instant::now).elapsed(),
    }
}

/// What the API servers' clocks show.
pub fn wall() -> jiff::Timestamp {
    let now = Duration::from_secs(BEGINNING) + elapsed();
    let nanos = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
    jiff::Timestamp::from_nanosecond(nanos).unwrap_or(jiff::Timestamp::MAX)
}

/// Sets the wall clock of the controller's machine ahead of (or behind) the API servers'.
pub fn set_clock_ahead(seconds: i64) {
    if SIMULATED.get().is_some() {
        JUMP.set(seconds.saturating_mul(1_000_000_000));
    }
}

/// The clock as the simulation has it, if this thread is simulated.
fn simulated_clock(clock: c_int) -> Option<Duration> {
    let simulated = SIMULATED.get()?;
    let elapsed = simulated.elapsed();
    match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => {
            let jump = JUMP.get();
            let ahead = Duration::from_nanos(jump.unsigned_abs());
            let now = Duration::from_secs(BEGINNING) + elapsed;
            Some(if jump < 0 { now.saturating_sub(ahead) } else { now + ahead })
        }
        libc::CLOCK_MONOTONIC | libc::CLOCK_MONOTONIC_COARSE | libc::CLOCK_MONOTONIC_RAW | libc::CLOCK_BOOTTIME => {
            Some(simulated.base + elapsed)
        }
        // CPU time is real in a simulation too.
        _ => None,
    }
}

fn real_clock(clock: c_int) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for the kernel to write one timespec to.
    unsafe { libc::syscall(libc::SYS_clock_gettime, clock, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Takes the place of libc's function.
///
/// # Safety
/// As libc's: `time` is valid for one write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut libc::timespec) -> c_int {
    let Some(now) = simulated_clock(clock) else {
        // SAFETY: the caller's promise about `time` is handed on as it is.
        return c_int::try_from(unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) }).unwrap_or(-1);
    };
    let written = libc::timespec {
        tv_sec: libc::time_t::try_from(now.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(now.subsec_nanos().cast_signed()),
    };
    // SAFETY: the caller promises that `time` is valid for one write.
    unsafe { time.write(written) };
    0
}

/// Takes the place of libc's function.
///
/// # Safety
/// As libc's: `buffer` is valid for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    if !CONSTANT.get() {
        // SAFETY: the caller's promise about `buffer` is handed on as it is.
        return isize::try_from(unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) }).unwrap_or(-1);
    }
    for at in 0..length {
        let byte = u8::try_from(at.wrapping_mul(167).wrapping_add(13) % 251).unwrap_or(0);
        // SAFETY: the caller promises `length` bytes at `buffer`.
        unsafe { buffer.cast::<u8>().add(at).write(byte) };
    }
    length.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clock_shows_the_virtual_time() {
        let (wall, monotonic, virtual_) = simulate(1, async || {
            let (wall, monotonic) = (jiff::Timestamp::now(), std::time::Instant::now());
            tokio::time::sleep(Duration::from_hours(1)).await;
            (jiff::Timestamp::now().duration_since(wall).as_secs(), monotonic.elapsed().as_secs(), elapsed().as_secs())
        });
        assert_eq!((wall, monotonic, virtual_), (3_600, 3_600, 3_600));
    }

    #[test]
    fn a_clock_that_jumps_takes_no_measured_time_with_it() {
        let (wall, monotonic) = simulate(1, async || {
            let (wall, monotonic) = (jiff::Timestamp::now(), std::time::Instant::now());
            set_clock_ahead(-7_200);
            (jiff::Timestamp::now().duration_since(wall).as_secs(), monotonic.elapsed().as_secs())
        });
        assert_eq!((wall, monotonic), (-7_200, 0));
    }

    #[test]
    fn two_simulated_threads_draw_the_same_keys_and_a_real_one_draws_others() {
        use std::hash::{BuildHasher, RandomState};
        let key = async || RandomState::new().hash_one(7);
        assert_eq!(simulate(1, key), simulate(1, key));
        let real = std::thread::spawn(|| RandomState::new().hash_one(7));
        assert_ne!(simulate(1, key), real.join().expect("a key"));
    }

    #[test]
    fn tokios_instants_and_the_clock_agree_to_the_nanosecond_in_every_runtime() {
        let apart = simulate(1, async || {
            let ours = std::time::Instant::now().duration_since(Instant::now().into_std());
            tokio::time::sleep(Duration::from_millis(7)).await;
            let other = process::Process::begin(2);
            let theirs = other.spawn(async { std::time::Instant::now().duration_since(Instant::now().into_std()) });
            (ours, theirs.await.expect("it runs"))
        });
        assert_eq!(apart, (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn a_real_thread_has_the_real_clock() {
        assert!(jiff::Timestamp::now().as_second() > i64::try_from(BEGINNING).unwrap_or_default());
    }
}
