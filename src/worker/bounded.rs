//! Answers of bounded size: a worker that sends without end must not take the memory of all others.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;

const MIB: usize = 1024 * 1024;

/// How large an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// So many bytes in all.
    Whole(usize),
    /// So many bytes a line, and any number of lines: a watch.
    Line(usize),
    /// Anything: what is not HTTP any more.
    Unbounded,
}

impl Bound {
    /// One object, or one page of a list: etcd stores at most 1.5 MiB an object, and a page has
    /// [`PAGE`](super::timing::PAGE) of them, most of which have a few KiB.
    pub const ANSWER: Self = Self::Whole(16 * MIB);
    /// One event of a watch, which is one object.
    pub const EVENT: Self = Self::Line(4 * MIB);
}

/// An answer grew beyond its bound. What came of it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// A whole answer.
    #[error("the answer is larger than {} MiB, and was not read to its end", .0 / MIB)]
    Answer(usize),
    /// One event of a watch.
    #[error("one event of a watch is larger than {} MiB, and was not read to its end", .0 / MIB)]
    Event(usize),
}

/// A body that ends with [`TooLarge`] when it grows beyond its bound. `K` is kept for as long as the body lasts.
#[derive(Debug)]
pub struct Bounded<B, K> {
    inner: B,
    meter: Meter,
    _kept: K,
}

impl<B, K> Bounded<B, K> {
    /// Bounds a body.
    pub fn new(inner: B, bound: Bound, kept: K) -> Self {
        Self { inner, meter: Meter { bound, used: 0 }, _kept: kept }
    }
}

/// Counts. Pure.
#[derive(Clone, Copy, Debug)]
struct Meter {
    bound: Bound,
    used: usize,
}

impl Meter {
    fn take(&mut self, data: &[u8]) -> Result<(), TooLarge> {
        match self.bound {
            Bound::Unbounded => Ok(()),
            Bound::Whole(most) => {
                self.used = self.used.saturating_add(data.len());
                if self.used > most { Err(TooLarge::Answer(most)) } else { Ok(()) }
            }
            Bound::Line(most) => {
                for (number, part) in data.split(|byte| *byte == b'\n').enumerate() {
                    let before = if number == 0 { self.used } else { 0 };
                    self.used = before.saturating_add(part.len());
                    if self.used > most {
                        return Err(TooLarge::Event(most));
                    }
                }
                Ok(())
            }
        }
    }
}

impl<B, K> Body for Bounded<B, K>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    K: Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        let counted = frame.data_ref().map_or(Ok(()), |data| self.meter.take(data));
        Poll::Ready(Some(counted.map(|()| frame).map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(bound: Bound, parts: &[&str]) -> Result<(), TooLarge> {
        let mut meter = Meter { bound, used: 0 };
        parts.iter().try_for_each(|part| meter.take(part.as_bytes()))
    }

    #[test]
    fn a_whole_answer_is_counted_over_all_its_parts() {
        assert_eq!(fed(Bound::Whole(6), &["abc", "def"]), Ok(()));
        assert_eq!(fed(Bound::Whole(6), &["abc", "def", "g"]), Err(TooLarge::Answer(6)));
    }

    #[test]
    fn a_watch_is_counted_line_by_line() {
        assert_eq!(fed(Bound::Line(3), &["abc\nabc\n", "abc", "\nabc"]), Ok(()));
        for too_long in [&["abcd"][..], &["ab", "cd"], &["a\nabcd\na"], &["a\nab", "cd\n"], &["abc\n", "abcd"]] {
            assert_eq!(fed(Bound::Line(3), too_long), Err(TooLarge::Event(3)), "{too_long:?}");
        }
    }

    #[test]
    fn what_is_no_http_any_more_is_not_counted() {
        assert_eq!(fed(Bound::Unbounded, &["abc"; 1000]), Ok(()));
    }
}
