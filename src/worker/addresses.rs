//! Which addresses may be dialled as a worker's API server. Pure.
//!
//! Whoever may write a registration chooses an address that Atoll then dials from inside the master. Without a rule,
//! that is a way to the master's own loopback, to the metadata service that hands out the node's credentials, and to
//! whatever else trusts its neighbours.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A range of addresses, such as `10.96.0.0/12`. A single address is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    base: IpAddr,
    prefix: u8,
}

/// Why a text is no [`Range`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRange {
    /// No address before the slash.
    #[error("expected an address or a range of addresses, such as 10.96.0.0/12 or fd00::/8")]
    Address,
    /// Nothing sensible after it.
    #[error("the number after the slash is at most 32 for IPv4, and 128 for IPv6")]
    Prefix,
    /// The address has bits that the range does not keep: one of both is a slip.
    #[error("the address has bits set beyond the number after the slash: which of the two is meant?")]
    HostBits,
}

impl Range {
    const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Self {
        Self { base: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
    }

    const fn v6(head: u16, next: u16, tail: u16, prefix: u8) -> Self {
        Self { base: IpAddr::V6(Ipv6Addr::new(head, next, 0, 0, 0, 0, 0, tail)), prefix }
    }

    /// Whether the address is in it. The two families never mix; see [`Addresses::check`] for those that hide another.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32_u32.saturating_sub(u32::from(self.prefix));
                (base.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let shift = 128_u32.saturating_sub(u32::from(self.prefix));
                (base.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// Whether the base has no bit beyond the prefix.
    fn is_tidy(self) -> bool {
        match self.base {
            IpAddr::V4(base) => base.to_bits().checked_shl(u32::from(self.prefix)).unwrap_or(0) == 0,
            IpAddr::V6(base) => base.to_bits().checked_shl(u32::from(self.prefix)).unwrap_or(0) == 0,
        }
    }
}

impl FromStr for Range {
    type Err = NoRange;

    fn from_str(text: &str) -> Result<Self, NoRange> {
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let base: IpAddr = address.parse().map_err(|_| NoRange::Address)?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), |prefix| prefix.parse::<u8>().map_err(|_| NoRange::Prefix))?;
        let range = Self { base, prefix };
        match (prefix <= most, range.is_tidy()) {
            (false, _) => Err(NoRange::Prefix),
            (true, false) => Err(NoRange::HostBits),
            (true, true) => Ok(range),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

/// What an address is, that makes it none of a worker's API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The machine or pod that Atoll itself runs on.
    Loopback,
    /// Only known on one wire; also where clouds keep their metadata.
    LinkLocal,
    /// A cloud's metadata service: it hands out credentials to whoever asks from the right place.
    Metadata,
    /// Many at once.
    Multicast,
    /// All at once.
    Broadcast,
    /// No address at all; kernels take it for loopback.
    Unspecified,
    /// Whoever runs Atoll has ruled it out (`--deny-addresses`).
    Denied,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "the address of a cloud's metadata service",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "a broadcast address",
            Self::Unspecified => "an unspecified address",
            Self::Denied => "in a range that --deny-addresses rules out",
        })
    }
}

/// An address that is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {kind}, which Atoll does not dial: {}", remedy(*.kind))]
pub struct Refused {
    /// The address.
    pub address: IpAddr,
    /// What it is.
    pub kind: Kind,
}

fn remedy(kind: Kind) -> &'static str {
    match kind {
        Kind::Denied => "give the API server's address as the master sees it",
        Kind::Multicast | Kind::Broadcast | Kind::Unspecified => "give the API server's own address in the kubeconfig",
        Kind::Loopback | Kind::LinkLocal | Kind::Metadata => {
            "give the API server's address as the master sees it, or let Atoll dial this one with --allow-addresses"
        }
    }
}

/// The rule of one installation. By default nothing is allowed or denied beyond what [`Kind`] says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    allowed: Vec<Range>,
    denied: Vec<Range>,
}

/// What is never a worker's API server unless somebody says so. The first that fits gives the name.
const REFUSED: [(Range, Kind); 16] = [
    (Range::v4(169, 254, 169, 254, 32), Kind::Metadata),
    // Alibaba, Azure and Oracle have theirs outside of the link-local range.
    (Range::v4(100, 100, 100, 200, 32), Kind::Metadata),
    (Range::v4(168, 63, 129, 16, 32), Kind::Metadata),
    (Range::v4(192, 0, 0, 192, 32), Kind::Metadata),
    (Range::v6(0xfd00, 0x0ec2, 0x0254, 128), Kind::Metadata),
    (Range::v6(0xfd20, 0x00ce, 0x0254, 128), Kind::Metadata),
    (Range::v4(127, 0, 0, 0, 8), Kind::Loopback),
    (Range::v6(0, 0, 1, 128), Kind::Loopback),
    (Range::v4(169, 254, 0, 0, 16), Kind::LinkLocal),
    (Range::v6(0xfe80, 0, 0, 10), Kind::LinkLocal),
    (Range::v4(224, 0, 0, 0, 4), Kind::Multicast),
    (Range::v6(0xff00, 0, 0, 8), Kind::Multicast),
    (Range::v4(0, 0, 0, 0, 8), Kind::Unspecified),
    (Range::v6(0, 0, 0, 128), Kind::Unspecified),
    (Range::v4(255, 255, 255, 255, 32), Kind::Broadcast),
    // Reserved, and no host has ever had one: whoever names one is probing.
    (Range::v4(240, 0, 0, 0, 4), Kind::Broadcast),
];

impl Addresses {
    /// Allows what would be refused, and denies what would not. A denial stands against everything.
    #[must_use]
    pub fn new(allowed: impl IntoIterator<Item = Range>, denied: impl IntoIterator<Item = Range>) -> Self {
        Self { allowed: allowed.into_iter().collect(), denied: denied.into_iter().collect() }
    }

    /// Whether this address may be dialled.
    ///
    /// An IPv6 address can carry an IPv4 one that the kernel or a gateway dials in its place; then both must be right.
    pub fn check(&self, address: IpAddr) -> Result<(), Refused> {
        let refuse = |kind| Err(Refused { address, kind });
        let [outer, inner] = [Some(address), carried(address)];
        for address in [outer, inner].into_iter().flatten() {
            if self.denied.iter().any(|range| range.contains(address)) {
                return refuse(Kind::Denied);
            }
            let refused = REFUSED.iter().find(|(range, _)| range.contains(address));
            match refused {
                Some((_, kind)) if !self.allowed.iter().any(|range| range.contains(address)) => return refuse(*kind),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible (RFC 4291), behind NAT64 (RFC 6052) or 6to4
/// (RFC 3056).
fn carried(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else { return None };
    let of = |high: u16, low: u16| Some(IpAddr::V4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low))));
    match address.segments() {
        // Neither "::" nor "::1", which are their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            of(high, low)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn ranges(texts: &[&str]) -> Vec<Range> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn what_can_be_an_api_server_is_dialled() {
        for address in [
            "10.0.0.1",
            "10.96.0.1",
            "172.16.5.4",
            "192.168.1.10",
            "100.64.0.1",
            "100.100.100.199",
            "34.1.2.3",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "223.255.255.255",
            "1.0.0.0",
            "2001:db8::1",
            "fd00::1",
            "fd00:ec2::253",
            "fec0::1",
            "::2:0:0:1",
            "64:ff9b::a00:1",
            "2002:a00:1::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(Addresses::default().check(ip(address)), Ok(()), "{address}");
        }
    }

    #[test]
    fn what_leads_back_into_the_master_or_to_nobody_is_refused_by_its_kind() {
        for (address, kind) in [
            ("127.0.0.1", Kind::Loopback),
            ("127.255.255.255", Kind::Loopback),
            ("::1", Kind::Loopback),
            ("169.254.169.254", Kind::Metadata),
            ("169.254.0.1", Kind::LinkLocal),
            ("169.254.255.255", Kind::LinkLocal),
            ("fe80::1", Kind::LinkLocal),
            ("febf:ffff::1", Kind::LinkLocal),
            ("fd00:ec2::254", Kind::Metadata),
            ("fd20:ce::254", Kind::Metadata),
            ("100.100.100.200", Kind::Metadata),
            ("168.63.129.16", Kind::Metadata),
            ("192.0.0.192", Kind::Metadata),
            ("224.0.0.1", Kind::Multicast),
            ("239.255.255.255", Kind::Multicast),
            ("ff02::1", Kind::Multicast),
            ("0.0.0.0", Kind::Unspecified),
            ("0.1.2.3", Kind::Unspecified),
            ("::", Kind::Unspecified),
            ("255.255.255.255", Kind::Broadcast),
            ("240.0.0.1", Kind::Broadcast),
            // Each of these is another way to write one of the above.
            ("::ffff:127.0.0.1", Kind::Loopback),
            ("::127.0.0.1", Kind::Loopback),
            ("::ffff:169.254.169.254", Kind::Metadata),
            ("64:ff9b::a9fe:a9fe", Kind::Metadata),
            ("2002:a9fe:a9fe::1", Kind::Metadata),
            ("2002:7f00:1::", Kind::Loopback),
            ("::ffff:0.0.0.0", Kind::Unspecified),
        ] {
            let refused = Addresses::default().check(ip(address)).expect_err(address);
            assert_eq!(refused, Refused { address: ip(address), kind }, "{address}");
            assert!(refused.to_string().starts_with(&ip(address).to_string()), "{refused}");
        }
    }

    #[test]
    fn a_range_that_is_allowed_is_dialled_and_no_other() {
        let addresses = Addresses::new(ranges(&["127.0.0.0/8", "169.254.7.0/24"]), []);
        for (address, dialled) in [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("::1", false),
            ("169.254.7.9", true),
            ("169.254.8.9", false),
            ("169.254.169.254", false),
        ] {
            assert_eq!(addresses.check(ip(address)).is_ok(), dialled, "{address}");
        }
    }

    #[test]
    fn a_range_that_is_denied_is_not_dialled_whatever_is_allowed() {
        let addresses = Addresses::new(ranges(&["10.0.0.0/8"]), ranges(&["10.96.0.0/12", "fd00:10:96::/112"]));
        for (address, dialled) in [
            ("10.95.255.255", true),
            ("10.96.0.1", false),
            ("10.111.255.255", false),
            ("10.112.0.0", true),
            ("::ffff:10.96.0.1", false),
            ("fd00:10:96::1", false),
            ("fd00:10:97::1", true),
        ] {
            assert_eq!(addresses.check(ip(address)).is_ok(), dialled, "{address}");
        }
    }

    #[test]
    fn a_range_is_an_address_with_or_without_a_prefix() {
        for (text, read) in [
            ("10.96.0.0/12", "10.96.0.0/12"),
            (" 127.0.0.1 ", "127.0.0.1/32"),
            ("::1", "::1/128"),
            ("fd00::/8", "fd00::/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text.parse::<Range>().map(|range| range.to_string()).as_deref(), Ok(read));
        }
        for (text, why) in [
            ("", NoRange::Address),
            ("localhost", NoRange::Address),
            ("127.1/8", NoRange::Address),
            ("10.0.0.0/33", NoRange::Prefix),
            ("10.0.0.0/", NoRange::Prefix),
            ("10.0.0.0/-1", NoRange::Prefix),
            ("fd00::/129", NoRange::Prefix),
            ("10.96.0.1/12", NoRange::HostBits),
            ("fd00::1/64", NoRange::HostBits),
        ] {
            assert_eq!(text.parse::<Range>(), Err(why), "{text}");
        }
    }

    #[test]
    fn everything_and_nothing_are_ranges_too() {
        let all: Range = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains(ip("255.255.255.255")) && all.contains(ip("0.0.0.0")) && !all.contains(ip("::1")));
        let one: Range = "10.0.0.1".parse().unwrap();
        assert!(one.contains(ip("10.0.0.1")) && !one.contains(ip("10.0.0.2")));
    }
}
