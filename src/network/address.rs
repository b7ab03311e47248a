//! Which addresses are of the public internet. A name that someone else's server resolves must lead nowhere else: not to
//! this host, its neighbours, or the metadata service of a cloud.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Of IPv4 everything that the registries of special purposes don't name; of IPv6 global unicast without what wraps other
/// addresses. So an IPv4 address in IPv6 form (mapped, 6to4, NAT64, Teredo) is never public.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|(net, length)| is_in_v4(address, *net, *length)),
        IpAddr::V6(address) => {
            is_in_v6(address, GLOBAL_UNICAST.0, GLOBAL_UNICAST.1)
                && !SPECIAL_V6.iter().any(|(net, length)| is_in_v6(address, *net, *length))
        }
    }
}

/// IANA's registry of special-purpose IPv4 addresses, multicast, and what is reserved.
const SPECIAL_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10), // carriers' networks
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16), // link local: the metadata services of clouds
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),   // documentation
    ([192, 88, 99, 0], 24), // relays of 6to4
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),   // measurements
    ([198, 51, 100, 0], 24), // documentation
    ([203, 0, 113, 0], 24),  // documentation
    ([224, 0, 0, 0], 4),     // multicast
    ([240, 0, 0, 0], 4),     // reserved, broadcast
];

const GLOBAL_UNICAST: ([u16; 2], u32) = ([0x2000, 0], 3);

/// Within [`GLOBAL_UNICAST`].
const SPECIAL_V6: [([u16; 2], u32); 4] = [
    ([0x2001, 0], 23),     // protocols' own, Teredo among them
    ([0x2001, 0xdb8], 32), // documentation
    ([0x2002, 0], 16),     // 6to4
    ([0x3fff, 0], 20),     // documentation
];

fn is_in_v4(address: Ipv4Addr, net: [u8; 4], length: u32) -> bool {
    (u32::from(address) ^ u32::from_be_bytes(net)) >> (32 - length) == 0
}

fn is_in_v6(address: Ipv6Addr, [first, second]: [u16; 2], length: u32) -> bool {
    let net = u128::from(first) << 112 | u128::from(second) << 96;
    (u128::from(address) ^ net) >> (128 - length) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "151.101.66.137",
            "172.15.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a04:4e42::649",
            "2001:4860:4860::8888",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:1.1.1.1",
            "::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }
}
