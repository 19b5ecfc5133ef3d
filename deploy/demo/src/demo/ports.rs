//! Ports that nobody listens at.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::DemoError;

/// Below the range from which the system takes ports for outgoing connections, so that none is taken away in between.
const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;

/// So many different addresses on loopback that were free a moment ago. All are held while they are looked for.
pub(super) fn free<const COUNT: usize>() -> Result<[SocketAddr; COUNT], DemoError> {
    // Demos that start at the same time look in different places first.
    let offset = u16::try_from(std::process::id() * 61 % u32::from(LAST - FIRST)).unwrap_or(0);
    let candidates = (FIRST + offset..=LAST).chain(FIRST..FIRST + offset);
    let held: Vec<TcpListener> = candidates
        .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .take(COUNT)
        .collect();
    let addresses: Vec<SocketAddr> = held.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    <[SocketAddr; COUNT]>::try_from(addresses).map_err(|_| DemoError::Ports(COUNT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ports_differ_and_a_taken_one_is_not_given() {
        let first = free::<20>().unwrap();
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), 20);
        let taken = TcpListener::bind(first[0]).unwrap();
        assert!(!free::<20>().unwrap().contains(&taken.local_addr().unwrap()));
    }
}
