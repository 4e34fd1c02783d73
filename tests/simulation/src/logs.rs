//! What the controller logs goes onto the tape.

use std::fmt::{self, Write as _};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::{DefaultGuard, Interest},
};

use crate::tape::{self, Tape};

/// Puts what this thread logs onto the tape, until the guard goes. `most` says how much of it.
#[must_use]
pub fn capture(tape: &Tape, most: Level) -> DefaultGuard {
    tracing::subscriber::set_default(Capture { tape: tape.clone(), most })
}

struct Capture {
    tape: Tape,
    most: Level,
}

impl Subscriber for Capture {
    // Several simulations with different levels share the process: nothing may be settled once and for all.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.most && metadata.is_event() && metadata.target().starts_with("atoll")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.tape.note(tape::Event::Log(line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}
