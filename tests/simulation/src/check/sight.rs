//! What the processes of databases look like, asked once a moment for all checks.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::Truth;
use crate::{etcd::View, lock::lock};

/// What processes looked like last.
#[derive(Clone, Default)]
pub struct Sight(Arc<Mutex<Option<Look>>>);

/// At one moment.
struct Look {
    at: Duration,
    views: Arc<Vec<View>>,
}

impl Sight {
    /// What they look like at this glance.
    pub fn at(&self, now: Duration, truth: &Truth) -> Arc<Vec<View>> {
        let mut last = lock(&self.0);
        match &*last {
            Some(look) if look.at == now => look.views.clone(),
            _ => {
                let views = Arc::new(truth.etcds.inspect());
                *last = Some(Look { at: now, views: views.clone() });
                views
            }
        }
    }
}

/// The majority of so many voters.
pub fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// A process, for people.
pub fn process(view: &View) -> String {
    format!("{} in {}", view.pod, view.place)
}
