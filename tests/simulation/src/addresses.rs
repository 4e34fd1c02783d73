//! Which cluster answers the controller at each address. Usually the one of that name; an address may come to lead
//! elsewhere.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use crate::{lock::lock, tape::Site};

/// Who answers at each address. Cheap to clone, the same behind all clones.
#[derive(Clone, Default)]
pub struct Addresses(Arc<Mutex<BTreeMap<Site, Site>>>);

impl Addresses {
    /// From now on this cluster answers there.
    pub fn lead(&self, address: &Site, to: &Site) {
        lock(&self.0).insert(address.clone(), to.clone());
    }

    /// The cluster that answers there.
    pub fn behind(&self, address: &Site) -> Site {
        lock(&self.0).get(address).unwrap_or(address).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_the_cluster_of_its_name_until_it_is_led_elsewhere() {
        let addresses = Addresses::default();
        let (w1, other) = (Site::from("w1"), Site::from("other-w1"));
        assert_eq!(addresses.behind(&w1), w1);
        addresses.clone().lead(&w1, &other);
        assert_eq!(addresses.behind(&w1), other);
    }
}
