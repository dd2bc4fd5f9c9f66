//! Everything that is wrong with a configuration, gathered before any of it is said.

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Doorward does not start with it.
    Error,
    /// Doorward starts, but the choice is weak.
    Warning,
}

/// One mistake or weak choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The key's full path, such as `auth.partners.fost.max_skew` or `route[2].path`.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
}

/// Collects problems. Whoever builds a thing out of settings reports here and returns `None` when it could not.
#[derive(Debug, Default)]
pub struct Report {
    problems: Vec<Problem>,
    prefix: String,
}

impl Report {
    /// Notes a mistake at `key`, relative to where the caller stands.
    pub fn error(&mut self, key: &str, problem: &str, remedy: &str) {
        self.push(Severity::Error, key, problem, remedy);
    }

    /// Notes a weak choice at `key`.
    pub fn warn(&mut self, key: &str, problem: &str, remedy: &str) {
        self.push(Severity::Warning, key, problem, remedy);
    }

    /// Runs `build` with `key` put before every key that it reports.
    pub fn within<T>(&mut self, key: &str, build: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.prefix.len();
        self.prefix = self.join(key);
        let built = build(self);
        self.prefix.truncate(before);
        built
    }

    /// Whether anything stops the start.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|p| p.severity == Severity::Error)
    }

    /// All that was reported, in order.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn push(&mut self, severity: Severity, key: &str, problem: &str, remedy: &str) {
        self.problems.push(Problem { severity, key: self.join(key), problem: problem.to_owned(), remedy: remedy.to_owned() });
    }

    fn join(&self, key: &str) -> String {
        match (self.prefix.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.prefix.clone(),
            (false, false) if key.starts_with('[') => format!("{}{key}", self.prefix),
            (false, false) => format!("{}.{key}", self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_reported_with_their_full_path() {
        let mut report = Report::default();
        report.within("route", |r| r.within("[2]", |r| r.error("path", "bad", "good")));
        report.warn("store.url", "weak", "strong");
        let keys: Vec<_> = report.problems().iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["route[2].path", "store.url"]);
        assert!(report.has_errors());
    }
}
