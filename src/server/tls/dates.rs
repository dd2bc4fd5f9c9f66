//! Dates of everything in service: what metrics show, and what is said once a date has passed.

use std::collections::BTreeMap;

use super::Certificates;
use super::revocation::List;
use crate::telemetry::{Kind, Sample};

/// Revocation lists that are too old, and that was said.
#[derive(Debug, Default)]
pub(super) struct Overdue(Vec<(String, i64)>);

impl Overdue {
    /// The issuers of those that are too old at `now` (Unix seconds), each list once.
    pub(super) fn news(&mut self, lists: &[(String, i64)], now: i64) -> Vec<String> {
        let late: Vec<(String, i64)> = lists.iter().filter(|(_, next_update)| *next_update <= now).cloned().collect();
        let news = late.iter().filter(|list| !self.0.contains(list)).map(|(issuer, _)| issuer.clone()).collect();
        self.0 = late;
        news
    }
}

impl Certificates {
    /// The issuer of each revocation list in service, and its `nextUpdate` in Unix time.
    pub(super) fn lists(&self) -> Vec<(String, i64)> {
        let current = self.current.load();
        current.clients.iter().flat_map(|clients| &clients.lists).map(|list| (list.issuer.clone(), list.next_update)).collect()
    }

    /// All dates, for the metrics.
    pub(crate) fn dates(&self) -> Vec<Sample> {
        let current = self.current.load();
        let (name, help) = ("doorward_certificate_not_after_seconds", "When a certificate in service expires, in Unix time");
        let own = current.not_after.iter().map(|(of, at)| sample(name, help, "name", of, *at));
        let Some(clients) = &current.clients else { return own.collect() };
        let (name, help) = ("doorward_client_ca_not_after_seconds", "When an authority for client certificates expires, in Unix time");
        let authorities = soonest(clients.authorities.iter().cloned());
        let authorities = authorities.iter().map(|(of, at)| sample(name, help, "name", of, *at));
        let of_lists = |date: fn(&List) -> i64| soonest(clients.lists.iter().map(|list| (list.issuer.clone(), date(list))));
        let (name, help) = ("doorward_client_crl_this_update_seconds", "When a revocation list in service was issued, in Unix time");
        let issued = of_lists(|list| list.this_update);
        let issued = issued.iter().map(|(of, at)| sample(name, help, "issuer", of, *at));
        let (name, help) = ("doorward_client_crl_next_update_seconds", "Until when a revocation list in service is good, in Unix time");
        let good = of_lists(|list| list.next_update);
        let good = good.iter().map(|(of, at)| sample(name, help, "issuer", of, *at));
        own.chain(authorities).chain(issued).chain(good).collect()
    }
}

/// One date for each name: no two lines of a metric may have the same labels.
fn soonest(dates: impl Iterator<Item = (String, i64)>) -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    for (name, at) in dates {
        let soonest = all.entry(name).or_insert(at);
        *soonest = at.min(*soonest);
    }
    all
}

#[allow(clippy::cast_precision_loss, reason = "dates are far below the 53 bits that a float keeps")]
fn sample(name: &'static str, help: &'static str, label: &'static str, of: &str, at: i64) -> Sample {
    Sample { name, help, kind: Kind::Gauge, labels: vec![(label, of.to_owned())], value: at as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_too_old_is_spoken_of_once() {
        let mut told = Overdue::default();
        let lists = |next: i64| vec![("CN=a".to_owned(), next), ("CN=b".to_owned(), 900)];
        assert!(told.news(&lists(100), 99).is_empty());
        assert_eq!(told.news(&lists(100), 100), ["CN=a"]);
        assert!(told.news(&lists(100), 101).is_empty());
        assert!(told.news(&lists(200), 102).is_empty(), "a new list");
        assert_eq!(told.news(&lists(200), 201), ["CN=a"], "which becomes too old in its turn");
        assert_eq!(told.news(&lists(200), 901), ["CN=b"]);
    }

    #[test]
    fn names_that_occur_twice_have_the_sooner_date() {
        let dates = [("a", 3), ("b", 9), ("a", 2), ("a", 4)].map(|(name, at)| (name.to_owned(), at));
        assert_eq!(soonest(dates.into_iter()).into_iter().collect::<Vec<_>>(), [("a".to_owned(), 2), ("b".to_owned(), 9)]);
    }
}
