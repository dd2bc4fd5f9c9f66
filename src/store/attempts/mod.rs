//! Failed attempts to log in: each further one of a user, or from an address, has to wait longer.
//!
//! ```text
//! failures  1 … free      no waiting
//!           free, +1, +2  1 s, 2 s, 4 s … up to a bound; forgotten when nothing failed for a while
//! shared    PREFIX:attempts:{WHO}:count   INCR, PEXPIRE        WHO: a hash of the user's name or of the address
//!           PREFIX:attempts:{WHO}:lock    SET PX
//! ```
//!
//! An IPv6 address stands for its /64, which is what one customer has. A success clears a user, but not an address: one
//! account of one's own would clear the way to all others.
//!
//! Bounded: when full, whoever failed least is forgotten first, so that a flood of made-up names unlocks nobody.

mod local;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use self::local::Local;
use super::Unavailable;
use super::settings::OnStoreError;
use super::shared::Shared;

/// How many users and addresses are remembered in one process.
const CAPACITY: usize = 100_000;

/// Who tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'a> {
    /// By the name that was given, whether there is such a user or not.
    User(&'a str),
    /// By where the attempt came from.
    Address(IpAddr),
}

/// A hash of who tried.
type Key = [u8; 32];

/// How long who has failed often must wait.
#[derive(Debug, Clone, Copy)]
struct Rules {
    /// So many failures cost nothing.
    free: u32,
    /// What the next one costs; each further one twice as much.
    first: Duration,
    /// But never more than this.
    most: Duration,
    /// Failures are forgotten when none was added for so long.
    forget: Duration,
}

const HOUR: Duration = Duration::from_secs(3600);
/// A user who mistypes is not to notice it; who guesses has some 300 tries a day.
const OF_USERS: Rules = Rules { free: 5, first: Duration::from_secs(1), most: Duration::from_secs(300), forget: HOUR };
/// Many users may share an address.
const OF_ADDRESSES: Rules = Rules { free: 50, first: Duration::from_secs(1), most: Duration::from_secs(900), forget: HOUR };

impl Rules {
    /// How long to wait after the `failures`th failure.
    fn wait(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(beyond) => self.first.saturating_mul(2_u32.saturating_pow(beyond)).min(self.most),
        }
    }
}

impl Who<'_> {
    fn rules(self) -> Rules {
        match self {
            Self::User(_) => OF_USERS,
            Self::Address(_) => OF_ADDRESSES,
        }
    }

    fn key(self) -> Key {
        let hash = match self {
            Self::User(name) => Sha256::new_with_prefix("user\0").chain_update(name),
            Self::Address(address) => {
                let hash = Sha256::new_with_prefix("address\0");
                match address.to_canonical() {
                    IpAddr::V4(address) => hash.chain_update(address.octets()),
                    IpAddr::V6(address) => hash.chain_update((address.to_bits() >> 64).to_be_bytes()),
                }
            }
        };
        hash.finalize().into()
    }
}

/// Counts failed attempts, here and in all replicas that share the counters. Where counters are shared, what this process
/// counts alone is asked for only while they cannot be, and may be.
#[derive(Debug)]
pub struct Attempts {
    here: Local,
    shared: Option<(Shared, OnStoreError)>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self::new()
    }
}

impl Attempts {
    /// Nobody has failed yet.
    #[must_use]
    pub fn new() -> Self {
        Self { here: Local::new(CAPACITY), shared: None }
    }

    /// Shares the counters with other replicas.
    #[must_use]
    pub fn shared_by(self, shared: Shared, on_store_error: OnStoreError) -> Self {
        Self { shared: Some((shared, on_store_error)), ..self }
    }

    /// How much longer `who` has to wait; `None`: not at all. To be asked before a password is looked at. `Err` when the
    /// shared counters cannot say.
    pub async fn locked(&self, who: Who<'_>) -> Result<Option<Duration>, Unavailable> {
        let key = who.key();
        let here = self.here.locked(&key, Instant::now())?;
        match &self.shared {
            Some((shared, on_error)) => or_alone(wait_there(shared, &key).await, *on_error, here),
            None => Ok(here),
        }
    }

    /// Notes a failure, and says how long `who` has to wait now.
    pub async fn failed(&self, who: Who<'_>) -> Result<Option<Duration>, Unavailable> {
        let (key, rules) = (who.key(), who.rules());
        let here = self.here.failed(key, rules, Instant::now())?;
        let wait = match &self.shared {
            Some((shared, on_error)) => or_alone(fail_there(shared, &key, rules).await, *on_error, here)?,
            None => here,
        };
        Ok(Some(wait).filter(|wait| !wait.is_zero()))
    }

    /// Clears a user who has shown the right password. An address is left as it is.
    pub async fn succeeded(&self, who: Who<'_>) -> Result<(), Unavailable> {
        if matches!(who, Who::Address(_)) {
            return Ok(());
        }
        let key = who.key();
        self.here.clear(&key)?;
        match &self.shared {
            Some((shared, on_error)) => or_alone(clear_there(shared, &key).await, *on_error, ()),
            None => Ok(()),
        }
    }
}

/// What this process knows alone, where it may decide by that.
fn or_alone<T>(there: Result<T, Unavailable>, on_error: OnStoreError, alone: T) -> Result<T, Unavailable> {
    match (there, on_error) {
        (Ok(there), _) => Ok(there),
        (Err(_), OnStoreError::Local) => Ok(alone),
        (Err(error), OnStoreError::Deny) => Err(error),
    }
}

/// The counter and the lock. The braces keep both in one slot of a Cluster.
fn names(shared: &Shared, key: &Key) -> (String, String) {
    let who = URL_SAFE_NO_PAD.encode(key);
    (shared.key(&format!("attempts:{{{who}}}:count")), shared.key(&format!("attempts:{{{who}}}:lock")))
}

async fn wait_there(shared: &Shared, key: &Key) -> Result<Option<Duration>, Unavailable> {
    let (_, lock) = names(shared, key);
    let left: i64 = shared.ask(move |mut line| async move { redis::cmd("PTTL").arg(lock).query_async(&mut line).await }).await?;
    Ok(u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_millis))
}

async fn fail_there(shared: &Shared, key: &Key, rules: Rules) -> Result<Duration, Unavailable> {
    let (count, lock) = names(shared, key);
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    shared
        .ask(move |mut line| async move {
            let mut counted = redis::pipe();
            counted.atomic().cmd("INCR").arg(&count).cmd("PEXPIRE").arg(&count).arg(millis(rules.forget)).ignore();
            let (failures,): (u32,) = counted.query_async(&mut line).await?;
            let wait = rules.wait(failures);
            if !wait.is_zero() {
                redis::cmd("SET").arg(&lock).arg(failures).arg("PX").arg(millis(wait)).query_async::<()>(&mut line).await?;
            }
            Ok(wait)
        })
        .await
}

async fn clear_there(shared: &Shared, key: &Key) -> Result<(), Unavailable> {
    let (count, lock) = names(shared, key);
    shared.ask(move |mut line| async move { redis::cmd("DEL").arg(count).arg(lock).query_async(&mut line).await }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Key {
        Who::Address(text.parse().unwrap()).key()
    }

    #[test]
    fn each_further_failure_costs_twice_as_much_up_to_a_bound() {
        let seconds = |failures| OF_USERS.wait(failures).as_secs();
        assert_eq!([0, 1, 4, 5, 6, 7, 8, 13, 14, 100, u32::MAX].map(seconds), [0, 0, 0, 1, 2, 4, 8, 256, 300, 300, 300]);
        assert_eq!(OF_ADDRESSES.wait(49), Duration::ZERO);
        assert_eq!(OF_ADDRESSES.wait(u32::MAX), Duration::from_secs(900));
    }

    #[test]
    fn an_address_is_a_customer_and_never_a_user() {
        assert_eq!(address("10.0.0.1"), address("::ffff:10.0.0.1"));
        assert_ne!(address("10.0.0.1"), address("10.0.0.2"));
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:2"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_ne!(address("10.0.0.1"), Who::User("10.0.0.1").key());
    }

    #[tokio::test]
    async fn who_fails_often_waits_and_a_success_clears_a_user_alone() {
        let attempts = Attempts::new();
        let (alice, here) = (Who::User("alice"), Who::Address("10.0.0.1".parse().unwrap()));
        for _ in 0..4 {
            assert_eq!(attempts.failed(alice).await.unwrap(), None);
        }
        assert_eq!(attempts.locked(alice).await.unwrap(), None);
        assert_eq!(attempts.failed(alice).await.unwrap(), Some(Duration::from_secs(1)));
        assert!(attempts.failed(alice).await.unwrap().is_some_and(|wait| wait == Duration::from_secs(2)));
        assert!(attempts.locked(alice).await.unwrap().is_some());
        assert_eq!(attempts.locked(Who::User("bob")).await.unwrap(), None);
        attempts.succeeded(alice).await.unwrap();
        assert_eq!(attempts.locked(alice).await.unwrap(), None);
        assert_eq!(attempts.failed(alice).await.unwrap(), None, "counted from the beginning");
        for _ in 0..60 {
            attempts.failed(here).await.unwrap();
        }
        attempts.succeeded(here).await.unwrap();
        assert!(attempts.locked(here).await.unwrap().is_some());
    }
}
