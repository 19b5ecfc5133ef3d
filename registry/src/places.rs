//! How many connections one address may hold before it has shown a certificate, so that no single one fills the door.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Bits of an IPv6 address that one customer has for himself.
const HOST_BITS: u32 = 64;

/// What counts as one address: an IPv4 address, or the /64 of an IPv6 address, whose owner has all of it.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> HOST_BITS << HOST_BITS)),
        address => address,
    }
}

/// Places by address.
#[derive(Debug)]
pub(crate) struct Places {
    each: usize,
    held: Mutex<BTreeMap<IpAddr, usize>>,
}

/// A place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    network: IpAddr,
}

impl Places {
    /// So many for each address.
    pub(crate) fn new(each: usize) -> Arc<Places> {
        Arc::new(Places {
            each,
            held: Mutex::default(),
        })
    }

    /// A place for a connection from there; none where it has all that one address may have.
    pub(crate) fn take(self: &Arc<Places>, address: IpAddr) -> Option<Place> {
        let network = network(address);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.get(&network).copied().unwrap_or(0);
        if count >= self.each {
            return None;
        }
        held.insert(network, count + 1);
        drop(held);
        Some(Place {
            places: Arc::clone(self),
            network,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&self.network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                held.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_fills_its_own_places_only() {
        let places = Places::new(2);
        let take = |address: &str| places.take(address.parse().unwrap());
        let first = take("192.0.2.1").unwrap();
        let _second = take("::ffff:192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_none());
        drop(first);
        assert!(take("192.0.2.1").is_some());
        // All of a /64 is one.
        let _held = [take("2001:db8::1").unwrap(), take("2001:db8::2").unwrap()];
        assert!(take("2001:db8::ffff:3").is_none());
        assert!(take("2001:db8:0:1::1").is_some());
        drop((_second, _held));
        assert!(
            places.held.lock().unwrap().is_empty(),
            "a place is forgotten with its last holder"
        );
    }
}
