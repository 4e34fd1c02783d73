//! The body of a watch, with weather.

use std::io;

use bytes::Bytes;
use futures::stream;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use tokio::{sync::watch, time::sleep};

use super::{Reply, Watching, Way, Weather};
use crate::tape::{Life, Site};

struct Watch {
    inner: UnsyncBoxBody<Bytes, io::Error>,
    weather: Weather,
    site: Site,
    /// Whose it is; none for those who always have good weather.
    life: Option<Life>,
    watching: watch::Receiver<Watching>,
    breaks: watch::Receiver<u64>,
}

/// A watch of the controller.
pub(super) fn weathered(reply: Reply, weather: &Weather, site: &Site, life: Life) -> Reply {
    wrapped(reply, weather, site, Some(life))
}

/// A watch of anybody else: it only breaks when the API server goes.
pub(super) fn whole(reply: Reply, weather: &Weather, site: &Site) -> Reply {
    wrapped(reply, weather, site, None)
}

fn wrapped(reply: Reply, weather: &Weather, site: &Site, life: Option<Life>) -> Reply {
    let (parts, inner) = reply.into_parts();
    let (watching, mut breaks) = weather.follow(site);
    breaks.mark_unchanged();
    let watch = Watch { inner, weather: weather.clone(), site: site.clone(), life, watching, breaks };
    let frames = stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        let frame = watch.next().await?;
        // A connection that broke ends with its error.
        let rest = frame.is_ok().then_some(watch);
        Some((frame, rest))
    });
    Response::from_parts(parts, StreamBody::new(frames).boxed_unsync())
}

impl Watch {
    async fn next(&mut self) -> Option<io::Result<Frame<Bytes>>> {
        let frame = tokio::select! {
            biased;
            _ = self.breaks.changed() => return Some(Err(broken())),
            frame = self.inner.frame() => frame,
        };
        let Some(life) = self.life else { return frame };
        loop {
            self.watching.mark_unchanged();
            let how = *self.watching.borrow();
            let cut = matches!(self.weather.way(life, &self.site), Way::BlackHole | Way::OneWay | Way::Asleep);
            let lag = match how {
                Watching::Flow if !cut => return frame,
                Watching::Lag(by) if !cut => Some(by),
                Watching::Flow | Watching::Stall | Watching::Lag(_) => None,
            };
            tokio::select! {
                biased;
                _ = self.breaks.changed() => return Some(Err(broken())),
                _ = self.watching.changed() => {}
                () = async { match lag { Some(by) => sleep(by).await, None => std::future::pending().await } } => return frame,
            }
        }
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer")
}
