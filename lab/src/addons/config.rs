//! What one add-ons process is told.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The configuration of the add-ons of one cluster, as JSON in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The cluster's name in the lab.
    pub cluster: String,
    /// A kubeconfig of an administrator of this cluster.
    pub kubeconfig: PathBuf,
    /// Addresses for Services of type `LoadBalancer`, routed to the cluster.
    pub lb_range: AddressRange,
    /// Who gives them.
    #[serde(default)]
    pub balancer: Balancer,
    /// A directory under which each volume is a directory.
    pub storage_root: PathBuf,
    /// The clusters whose global Services are shared with this one.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Whether the stand-in for Cilium's global Services runs here.
    #[serde(default)]
    pub global_services: bool,
}

/// Who gives addresses to Services of type `LoadBalancer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Balancer {
    /// The lab's allocator, which withholds an address when a test asks for that.
    #[default]
    Lab,
    /// MetalLB's controller, which runs beside the add-ons; the allocator rests.
    MetalLb,
}

/// Another cluster of the lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its name in the lab.
    pub cluster: String,
    /// A kubeconfig of an administrator of it.
    pub kubeconfig: PathBuf,
}

/// A range of IPv4 addresses, written as a CIDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange {
    network: u32,
    prefix: u8,
}

/// Text that is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no range of IPv4 addresses; write it like 10.93.1.0/24")]
pub struct InvalidRange(String);

impl AddressRange {
    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }

    /// Whether the address lies in the range, be it usable or not.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask() == self.network
    }

    /// The addresses that can be given away, lowest first; the first and the last of a real network cannot.
    pub fn usable(self) -> impl Iterator<Item = Ipv4Addr> {
        let last = self.network | !self.mask();
        let edge = u32::from(self.prefix < 31);
        (self.network + edge..=last - edge).map(Ipv4Addr::from)
    }

    /// Whether this address can be given away.
    #[must_use]
    pub fn is_usable(self, address: Ipv4Addr) -> bool {
        let (last, address_bits) = (self.network | !self.mask(), u32::from(address));
        self.contains(address) && (self.prefix >= 31 || (address_bits != self.network && address_bits != last))
    }
}

impl FromStr for AddressRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let invalid = || InvalidRange(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let address: Ipv4Addr = address.parse().map_err(|_| invalid())?;
        let prefix: u8 = prefix.parse().map_err(|_| invalid())?;
        // Wider than /8 is a mistake, and would make looking for a free address slow.
        if !(8..=32).contains(&prefix) {
            return Err(invalid());
        }
        let range = Self { network: 0, prefix };
        Ok(Self { network: u32::from(address) & range.mask(), prefix })
    }
}

impl TryFrom<String> for AddressRange {
    type Error = InvalidRange;

    fn try_from(text: String) -> Result<Self, InvalidRange> {
        text.parse()
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.network), self.prefix)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_of_a_network_are_not_usable() {
        let range: AddressRange = "10.93.1.0/29".parse().unwrap();
        let usable: Vec<_> = range.usable().collect();
        assert_eq!(usable.first(), Some(&Ipv4Addr::new(10, 93, 1, 1)));
        assert_eq!(usable.last(), Some(&Ipv4Addr::new(10, 93, 1, 6)));
        assert!(!range.is_usable(Ipv4Addr::new(10, 93, 1, 0)));
        assert!(!range.is_usable(Ipv4Addr::new(10, 93, 1, 7)));
        assert!(range.contains(Ipv4Addr::new(10, 93, 1, 7)));
        assert!(!range.contains(Ipv4Addr::new(10, 93, 1, 8)));
    }

    #[test]
    fn a_single_address_is_a_range() {
        let range: AddressRange = "10.0.0.7/32".parse().unwrap();
        assert_eq!(range.usable().collect::<Vec<_>>(), [Ipv4Addr::new(10, 0, 0, 7)]);
        assert!(range.is_usable(Ipv4Addr::new(10, 0, 0, 7)));
    }

    #[test]
    fn what_is_no_range_is_refused_with_an_example() {
        for text in ["", "10.93.1.0", "10.93.1/24", "10.93.1.0/33", "0.0.0.0/0", "fd00::/64"] {
            let error = text.parse::<AddressRange>().unwrap_err();
            assert!(error.to_string().contains("10.93.1.0/24"), "{error}");
        }
    }

    #[test]
    fn the_file_of_the_lab_is_read_and_a_misspelt_field_is_refused() {
        let json = r#"{"cluster": "k8s-1", "kubeconfig": "/run/k8s-1.kubeconfig", "lb_range": "10.93.1.0/24",
            "storage_root": "/var/lib/volumes", "peers": [{"cluster": "k8s-2", "kubeconfig": "/run/k8s-2.kubeconfig"}],
            "global_services": true}"#;
        let config: Config = serde_json::from_str(json).unwrap();
        assert_eq!(config.lb_range.to_string(), "10.93.1.0/24");
        assert_eq!(config.balancer, Balancer::Lab, "the allocator rests only where MetalLB is named");
        assert_eq!(serde_json::from_str::<Config>(&serde_json::to_string(&config).unwrap()).unwrap(), config);
        assert!(serde_json::from_str::<Config>(&json.replace("peers", "pears")).is_err());
    }
}
