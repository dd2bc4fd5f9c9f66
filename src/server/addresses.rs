//! How many connections one client's address has open, and no more than its share.
//!
//! Counted where connections are accepted, before a byte of TLS is read. Never counted: sockets without an address, and the
//! trusted proxies, which bring the connections of many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

use crate::inbound::Peer;
use crate::types::AddressBlock;

/// The connections of all addresses. As long as there are addresses with one.
#[derive(Debug)]
pub(super) struct Addresses {
    most: usize,
    exempt: Vec<IpNet>,
    open: Mutex<HashMap<AddressBlock, usize>>,
    refused: AtomicU64,
}

impl Addresses {
    /// At most `most` connections for each address that is not in one of `exempt`.
    pub(super) fn new(most: usize, exempt: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { most, exempt, open: Mutex::default(), refused: AtomicU64::new(0) })
    }

    /// A place for one more connection; `None` if the address has its share.
    pub(super) fn enter(self: &Arc<Self>, peer: &Peer) -> Option<Place> {
        let Some(ip) = peer.ip().filter(|ip| self.most < usize::MAX && !self.exempt.iter().any(|net| net.contains(ip))) else {
            return Some(Place(None));
        };
        let block = AddressBlock::from(ip);
        {
            let mut open = self.lock();
            let count = open.entry(block).or_default();
            if *count < self.most {
                *count = count.saturating_add(1);
                return Some(Place(Some((Arc::clone(self), block))));
            }
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%ip, "a connection was refused: its address has as many as it may have");
        None
    }

    /// Connections that were refused so far.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// A panic elsewhere cannot leave the counts half changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<AddressBlock, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place(Option<(Arc<Addresses>, AddressBlock)>);

impl Drop for Place {
    fn drop(&mut self) {
        let Some((addresses, block)) = self.0.take() else { return };
        let mut open = addresses.lock();
        if let Some(count) = open.get_mut(&block) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::Ip((address.parse::<std::net::IpAddr>().unwrap(), 4711).into())
    }

    #[test]
    fn an_address_gets_its_share_and_no_more() {
        let all = Addresses::new(2, Vec::new());
        let first = all.enter(&peer("192.0.2.1")).unwrap();
        let _second = all.enter(&peer("::ffff:192.0.2.1")).unwrap();
        assert!(all.enter(&peer("192.0.2.1")).is_none());
        assert!(all.enter(&peer("192.0.2.2")).is_some(), "another address is not held up");
        drop(first);
        assert!(all.enter(&peer("192.0.2.1")).is_some());
        assert_eq!(all.refused(), 1);
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_client() {
        let all = Addresses::new(1, Vec::new());
        let _one = all.enter(&peer("2001:db8::1")).unwrap();
        assert!(all.enter(&peer("2001:db8::2")).is_none());
        assert!(all.enter(&peer("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn trusted_proxies_and_local_sockets_are_not_counted() {
        let all = Addresses::new(1, vec!["10.0.0.0/8".parse().unwrap()]);
        let places: Vec<_> = (0..5).map(|_| (all.enter(&peer("10.1.2.3")), all.enter(&Peer::Unix))).collect();
        assert!(places.iter().all(|(proxy, local)| proxy.is_some() && local.is_some()));
        let unlimited = Addresses::new(usize::MAX, Vec::new());
        assert!((0..5).map(|_| unlimited.enter(&peer("192.0.2.1"))).collect::<Vec<_>>().iter().all(Option::is_some));
    }

    #[test]
    fn addresses_without_a_connection_are_forgotten() {
        let all = Addresses::new(1, Vec::new());
        let place = all.enter(&peer("192.0.2.1")).unwrap();
        assert!(all.enter(&peer("192.0.2.1")).is_none());
        drop(place);
        assert!(all.lock().is_empty());
    }
}
