//! Who gives way when what all connections have together is used up.
//!
//! What is shared (open connections, bytes of half arrived requests, calls under way) is reckoned by where connections
//! come from. When it is used up, the source that holds most of it loses, not whoever comes next: a crowd of
//! connections from one place cannot keep out or cut off those of other places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::network::{Connection, Network, Service};

/// Where a connection comes from: an address of IPv4, or the first half of one of IPv6, which one host has all of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Source(u64);

/// Without calls for that long, a connection gives way to another of the same source.
const QUIET_MIN: Duration = Duration::from_secs(10);

impl Source {
    pub fn of(socket: &TcpStream) -> Self {
        socket
            .peer_addr()
            .map_or_else(|_| Self::default(), |address| address.ip().into())
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => u32::from(address).into(),
            IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
        })
    }
}

/// How many connections of one service each source has.
#[derive(Default)]
pub struct Counts(HashMap<Source, usize>);

impl Counts {
    pub fn add(&mut self, source: Source) {
        *self.0.entry(source).or_default() += 1;
    }

    pub fn remove(&mut self, source: Source) {
        if let Some(count) = self.0.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&source);
            }
        }
    }

    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    fn of(&self, source: Source) -> usize {
        self.0.get(&source).copied().unwrap_or_default()
    }

    fn largest(&self) -> Option<(Source, usize)> {
        self.0
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(source, count)| (*source, *count))
    }
}

/// Makes room for one more connection to a service that has all it may have; returns whether there is.
///
/// From a source with fewer connections than the one that has most, it takes the place of one of those; else that of
/// one of the same source that has been without calls for a while.
pub fn make_room(network: &Network, service: &Service, newcomer: Source) -> bool {
    let (losing, is_fair) = {
        let counts = service.connections.borrow();
        let Some((largest, count)) = counts.largest() else {
            return false;
        };
        match counts.of(newcomer) + 1 < count {
            true => (largest, true),
            false => (newcomer, false),
        }
    };
    let served = network.served(service.id);
    let candidates = served.iter().filter(|one| one.source == losing);
    let quiet = |one: &Connection| one.quiet_for();
    let victim = match is_fair {
        // Those that do nothing first; then those that do least.
        true => candidates.max_by_key(|one| (quiet(one), std::cmp::Reverse(one.calls.get()))),
        false => candidates
            .filter(|one| quiet(one) >= Some(QUIET_MIN))
            .max_by_key(|one| quiet(one)),
    };
    let Some(victim) = victim else { return false };
    victim.give_way(network, "it gave way to other connections");
    true
}

/// Ends the connection that holds most of something, of the source that holds most, for the sake of the others.
///
/// Returns false where that would be the connection that asks: it is to be refused.
pub fn relieve(
    network: &Network,
    asking: &Connection,
    held: impl Fn(&Connection) -> usize,
) -> bool {
    let connections: Vec<Rc<Connection>> = network
        .connections
        .borrow()
        .values()
        .filter(|one| !one.is_giving_way.get())
        .cloned()
        .collect();
    let mut sums: HashMap<Source, usize> = HashMap::new();
    for one in &connections {
        *sums.entry(one.source).or_default() += held(one);
    }
    let own = sums.get(&asking.source).copied().unwrap_or_default();
    let largest = sums.iter().max_by_key(|(_, sum)| **sum);
    // Among equals the one that asks loses.
    let losing = match largest {
        Some((source, sum)) if *sum > own => *source,
        _ => asking.source,
    };
    let victim = connections
        .iter()
        .filter(|one| one.source == losing)
        .max_by_key(|one| held(one));
    match victim {
        Some(victim) if held(victim) > held(asking) || losing != asking.source => {
            victim.give_way(network, "it held more than its share");
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_address_or_a_network_of_one_host() {
        let of = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("127.0.0.1"), of("::ffff:127.0.0.1"));
        assert_ne!(of("127.0.0.1"), of("127.0.0.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }

    #[test]
    fn counts_forget_sources_that_have_gone() {
        let mut counts = Counts::default();
        let (one, other) = (Source(1), Source(2));
        counts.add(one);
        counts.add(one);
        counts.add(other);
        assert_eq!(counts.largest(), Some((one, 2)));
        counts.remove(one);
        counts.remove(one);
        assert_eq!((counts.total(), counts.largest()), (1, Some((other, 1))));
        counts.remove(other);
        assert!(counts.0.is_empty());
    }
}
