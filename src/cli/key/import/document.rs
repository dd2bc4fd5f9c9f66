//! YAML and JSON, read under limits. Errors say where, and nothing of what stands there: it may be a secret.

use anyhow::anyhow;
use serde::de::DeserializeOwned;
use serde_saphyr::{Budget, DuplicateKeyPolicy, Options};

/// Reads one document. A key that stands twice is an error.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| mistake(u64::try_from(error.line()).ok(), u64::try_from(error.column()).ok()));
    }
    let mut budget = Budget::default();
    budget.max_depth = 32;
    budget.max_documents = 1;
    budget.max_aliases = 1000;
    budget.max_anchors = 1000;
    budget.alias_anchor_min_aliases = 1000;
    budget.max_recorded_anchor_events = 100_000;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.duplicate_keys = DuplicateKeyPolicy::Error;
    options.with_snippet = false;
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let location = error.location();
        mistake(location.as_ref().map(serde_saphyr::Location::line), location.as_ref().map(serde_saphyr::Location::column))
    })
}

fn mistake(line: Option<u64>, column: Option<u64>) -> anyhow::Error {
    match line.zip(column) {
        Some((line, column)) => anyhow!("it cannot be read: line {line}, column {column} is not what such a file holds there"),
        None => anyhow!("it cannot be read: it is not YAML or JSON, or nested too deeply, or too long"),
    }
}
