//! `users = "store"`, `"htpasswd:FILE"` or `"django:DATABASE-URL"`.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::Settings;
use crate::store::Stores;
use crate::store::django::DjangoUsers;
use crate::store::htpasswd::Htpasswd;
use crate::store::users::Users;
use crate::types::Report;

const REMEDY: &str = "write users = \"store\", \"htpasswd:FILE\" or \"django:DATABASE-URL\"";

/// The place where users are looked up. Reads a file; connects to nothing.
pub(super) fn users(name: &str, settings: &Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Users> {
    // The value may be a database's URL with a password in it: it is not repeated.
    let source = std::str::from_utf8(settings.users.expose()).unwrap_or_default();
    if settings.django.is_some() && !source.starts_with("django:") {
        report.error("django", "it means nothing with these users", "remove it, or write users = \"django:DATABASE-URL\"");
    }
    match source.split_once(':') {
        None if source == "store" => {
            if stores.users.is_none() {
                report.error("users", "there is no store", "add a section [store] with url = \"sqlite:FILE\"");
            }
            stores.users.clone()
        }
        Some(("htpasswd", "")) => {
            report.error("users", "it is not said which file", "write users = \"htpasswd:FILE\"");
            None
        }
        Some(("htpasswd", file)) => Htpasswd::open(&stores.htpasswd, Path::new(file), &stores.aux, report).map(Users::of_htpasswd),
        Some(("django", url)) => django(name, url, settings, stores, report),
        None | Some(_) => {
            report.error("users", "users cannot be looked up there", REMEDY);
            None
        }
    }
}

fn django(name: &str, url: &str, settings: &Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Users> {
    let table = match &settings.django {
        Some(django) => django.table(url, report)?,
        None => crate::store::django::Settings::default().table(url, report)?,
    };
    // Secrets print as ***; what they hold is in `made_of`.
    let text = format!("{name}\0{:?}\0", settings.django);
    let mark = Sha256::new_with_prefix("django\0").chain_update((text.len() as u64).to_be_bytes()).chain_update(text).chain_update(table.made_of());
    let mark = mark.finalize().into();
    Some(Users::of_django(stores.django_users.get(mark, || DjangoUsers::new(mark, &table, &stores.aux))))
}
