//! Whose address a request comes from: the peer's, or, behind proxies that are trusted, the one that they say. For limits
//! by address only: nobody gets in by an address.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};

/// Headers of proxies with more hops than that are not read any further.
const HOPS_MAX: usize = 32;

/// The proxies that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Addresses, or networks as `10.0.0.0/8`.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let net = |text: &String| {
            let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            net.map_err(|_| format!("{text:?} is no address and no network such as 10.0.0.0/8"))
        };
        texts.iter().map(net).collect::<Result<_, _>>().map(Self)
    }

    /// Whether that is one of them.
    pub fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// From where a request comes that this peer brings. Each proxy adds whom it has it from at the end, so what counts is
    /// the last one that is no proxy; what stands before that may be anybody's words.
    pub fn origin<'a>(&self, peer: IpAddr, hops: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut at = peer.to_canonical();
        for hop in hops.rev().take(HOPS_MAX) {
            if !self.trust(at) {
                break;
            }
            let Some(before) = address(hop) else { break };
            at = before;
        }
        at
    }
}

/// The hops of all `X-Forwarded-For` headers, in their order.
pub fn forwarded_for(header: &str) -> impl DoubleEndedIterator<Item = &str> {
    header.split(',').map(str::trim)
}

/// The hops of a `Forwarded` header (RFC 7239): each element's `for`. One that has none is a hop that is not known.
pub fn forwarded(header: &str) -> impl DoubleEndedIterator<Item = &str> {
    header.split(',').map(|element| {
        let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
        let named = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"));
        named.map_or("", |(_, value)| value.trim_matches('"'))
    })
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(hop: &str) -> Option<IpAddr> {
    let plain = hop.strip_prefix('[').and_then(|rest| rest.split_once(']')).map_or(hop, |(address, _)| address);
    let parsed = plain.parse().ok().or_else(|| plain.rsplit_once(':')?.0.parse().ok());
    parsed.map(|address: IpAddr| address.to_canonical())
}

/// What limits count by. Whoever has one IPv6 address has its whole /64.
pub fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn origin(peer: &str, header: &str) -> String {
        let proxies = Proxies::parse(&["10.0.0.0/8".into(), "::1".into()]).unwrap();
        proxies.origin(peer.parse().unwrap(), forwarded_for(header)).to_string()
    }

    #[test]
    fn only_proxies_that_are_trusted_are_believed() {
        assert_eq!(origin("192.0.2.7", "203.0.113.1"), "192.0.2.7");
        assert_eq!(origin("10.0.0.1", "203.0.113.1"), "203.0.113.1");
        assert_eq!(origin("::ffff:10.0.0.1", "203.0.113.1:4711"), "203.0.113.1");
        assert_eq!(origin("::1", "[2001:db8::1]:80"), "2001:db8::1");
        assert_eq!(origin("10.0.0.1", ""), "10.0.0.1");
    }

    #[test]
    fn what_a_client_puts_before_is_its_own_words() {
        assert_eq!(origin("10.0.0.1", "127.0.0.1, 203.0.113.1"), "203.0.113.1");
        assert_eq!(origin("10.0.0.1", "8.8.8.8, 203.0.113.1, 10.0.0.2"), "203.0.113.1");
        assert_eq!(origin("10.0.0.1", "203.0.113.1, unknown"), "10.0.0.1");
    }

    #[test]
    fn the_standard_header_is_read() {
        let hops: Vec<&str> =
            forwarded(r#"for=192.0.2.1;proto=http, For="[2001:db8::1]:80";by=x, proto=http"#).collect();
        assert_eq!(hops, ["192.0.2.1", "[2001:db8::1]:80", ""]);
    }

    #[test]
    fn one_network_of_ipv6_is_one_client() {
        let counted = |text: &str| counted(text.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("::ffff:192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn networks_are_addresses_or_prefixes() {
        assert!(Proxies::parse(&["10.0.0.0/33".into()]).unwrap_err().contains("10.0.0.0/33"));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_fall(header in "[0-9a-f.:,; =\"\\[\\]fFor]{0,80}") {
            let proxies = Proxies::parse(&["0.0.0.0/0".into()]).unwrap();
            proxies.origin(IpAddr::from([10, 0, 0, 1]), forwarded_for(&header));
            proxies.origin(IpAddr::from([10, 0, 0, 1]), forwarded(&header));
        }
    }
}
