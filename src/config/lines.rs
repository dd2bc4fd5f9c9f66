//! Where each key of a TOML file stands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Located;
use crate::types::Report;

/// The line of every key, by its full path, such as `route[2].path`.
#[derive(Debug)]
pub struct Lines {
    file: PathBuf,
    by_key: BTreeMap<String, usize>,
}

impl Lines {
    pub(super) fn of(file: &Path, text: &str) -> Self {
        let mut by_key = BTreeMap::new();
        let (table, _errors) = DeTable::parse_recoverable(text);
        let starts: Vec<usize> = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        walk_table(table.get_ref(), "", &starts, &mut by_key);
        Self { file: file.to_owned(), by_key }
    }

    /// Gives each problem its file and line: that of its key, or of the nearest part above it that stands in the file.
    #[must_use]
    pub fn locate(&self, report: &Report) -> Vec<Located> {
        let mut located: Vec<Located> = report
            .problems()
            .iter()
            .map(|problem| Located { file: self.file.clone(), line: self.line(&problem.key), problem: problem.clone() })
            .collect();
        located.sort_by_key(|located| located.line);
        located
    }

    /// A syntax error has no key: its report bears the line itself, as `line N`.
    fn line(&self, key: &str) -> usize {
        if let Some(line) = key.strip_prefix("line ").and_then(|line| line.parse().ok()) {
            return line;
        }
        let mut key = key;
        loop {
            if let Some(line) = self.by_key.get(key) {
                return *line;
            }
            match key.rfind(['.', '[']) {
                Some(cut) => key = key.get(..cut).unwrap_or_default(),
                None => return 1,
            }
        }
    }
}

fn walk_table(table: &DeTable<'_>, prefix: &str, starts: &[usize], lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        lines.entry(path.clone()).or_insert_with(|| line_of(key.span().start, starts));
        walk_value(value, &path, starts, lines);
    }
}

fn walk_value(value: &Spanned<DeValue<'_>>, path: &str, starts: &[usize], lines: &mut BTreeMap<String, usize>) {
    match value.get_ref() {
        DeValue::Table(table) => walk_table(table, path, starts, lines),
        DeValue::Array(array) => {
            for (at, element) in array.iter().enumerate() {
                let path = format!("{path}[{at}]");
                lines.entry(path.clone()).or_insert_with(|| line_of(element.span().start, starts));
                walk_value(element, &path, starts, lines);
            }
        }
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

pub(super) fn line_of(offset: usize, starts: &[usize]) -> usize {
    starts.partition_point(|start| *start <= offset)
}
