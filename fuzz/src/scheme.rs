//! One configured scheme, asked as a route asks it.

use std::sync::{Arc, OnceLock};

use doorward::auth::{Access, AuthError, Identity, Scheme, SchemeSettings, Witness, authenticate};
use doorward::inbound::Inbound;
use doorward::store::{CacheSettings, Stores};
use doorward::types::Report;

use crate::serve;

/// Builds `[auth.fuzz]` of a configuration; a mistake in it is a mistake of the target.
pub(crate) fn build(settings: &str) -> Access {
    let settings: SchemeSettings = toml::from_str(settings).unwrap();
    let mut report = Report::default();
    let scheme = Scheme::build("fuzz", settings, stores(), &mut report);
    Access::Accept(vec![Arc::new(scheme.unwrap_or_else(|| panic!("{:?}", report.problems())))])
}

fn stores() -> &'static Arc<Stores> {
    static STORES: OnceLock<(tokio::runtime::Runtime, Arc<Stores>)> = OnceLock::new();
    let (_aux, stores) = STORES.get_or_init(|| {
        let aux = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        // Few facts are kept: a fuzzer makes new ones all the time.
        let cache = CacheSettings { capacity: 1000, ..CacheSettings::default() };
        let stores = aux.block_on(Stores::open(None, &cache, aux.handle().clone(), &mut Report::default())).unwrap();
        (aux, stores)
    });
    stores
}

struct Nobody;

impl Witness for Nobody {
    fn attempted(&mut self, _scheme: Option<&Scheme>, _outcome: &Result<(), &AuthError>) {}
}

/// Who is asking; `None` for whoever is not let in.
pub(crate) async fn who(access: &Access, inbound: &mut Inbound) -> Option<Identity> {
    match authenticate(access, &serve::conn(), inbound, &mut Nobody).await {
        Ok(identity) => Some(identity.expect("a route that is not public let somebody in as nobody")),
        Err(_) => None,
    }
}
