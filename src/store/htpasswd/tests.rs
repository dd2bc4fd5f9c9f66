use proptest::prelude::*;

use super::follow::Found;
use super::*;
use crate::store::passwords::hash::Kind;
use crate::types::Severity;

/// `htpasswd -nb` with -B, -s and -m, of the password "pässwörd 1".
const BCRYPT: &str = "$2y$05$yLFmcvLrWxiZPkQY9BZyreFgFdP2a4xA0HFXiVgB9aosFNAqZQBW.";
const SHA: &str = "{SHA}/Hrn08gEogcgvDjo5YNQSGibZVE=";
const APR1: &str = "$apr1$fL0/jjOs$TgZenEfpPIR1pbKZB92j4.";

fn table(text: &str) -> Table {
    Table::read(text.as_bytes()).unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
}

#[test]
fn lines_are_users_and_everything_else_that_may_stand_there_is_passed_over() {
    let table = table(&format!("# staff\r\n\r\n   \nalice:{BCRYPT}\r\njörg müller:{SHA}:a remark: two\n# bob:{SHA}\nbob:{APR1}  "));
    assert_eq!(table.len(), 3);
    for (name, hash) in [("alice", BCRYPT), ("jörg müller", SHA), ("bob", APR1)] {
        let user = table.find(name).unwrap();
        assert_eq!((user.name.as_str(), user.password_hash.expose()), (name, hash.as_bytes()));
        assert!(!user.disabled && user.groups.is_empty() && user.email.is_none());
        assert_eq!(table.hash_of(name), hash.as_bytes());
    }
    for name in ["", "Alice", "alice ", "# bob", "jörg", "jo\u{308}rg müller"] {
        assert!(table.find(name).is_none() && table.hash_of(name).is_empty(), "{name}");
    }
    assert_eq!(table.weak(), [5, 7]);
}

#[test]
fn an_empty_file_has_no_users_and_costs_what_htpasswd_makes() {
    for text in ["", "\n", "# nobody\n"] {
        assert_eq!((table(text).len(), table(text).usual()), (0, Kind::OF_HTPASSWD));
    }
}

#[test]
fn who_is_unknown_costs_what_most_users_do() {
    let usual = |text: &str| table(text).usual();
    assert_eq!(usual(&format!("a:{SHA}\nb:{BCRYPT}\nc:{BCRYPT}\nd:{APR1}")), Kind::Bcrypt { cost: 5, of_sha256: false });
    assert_eq!(usual(&format!("a:{APR1}\nb:{BCRYPT}\n")), Kind::Md5Crypt { apache: true });
    assert_eq!(usual(&format!("a:{BCRYPT}\nb:{}\nc:{SHA}", BCRYPT.replace("$05$", "$10$"))), Kind::Bcrypt { cost: 5, of_sha256: false });
}

#[test]
fn each_line_that_is_wrong_is_named_and_nothing_of_it_is_shown() {
    let long = "x".repeat(1025);
    for (line, expected) in [
        ("alice", "no colon"),
        (":hunter2", "the name"),
        (" alice:hunter2", "the name"),
        ("alice :hunter2", "the name"),
        ("al\u{200b}ice:hunter2", "the name"),
        ("al\tice:hunter2", "the name"),
        ("\u{feff}alice:hunter2", "the name"),
        ("alice:", "plain text"),
        ("alice:hunter2", "plain text"),
        ("alice: hunter2", "plain text"),
        ("alice:U31BbSLML31R", "plain text"),
        (&format!("x\rbob:{SHA}"), "the name"),
        (&format!("bob:{SHA}"), "in line 2 already"),
        (&format!("{}:{SHA}", "n".repeat(256)), "the name"),
        (&format!("carol:{SHA}:{long}"), "longer than 1024"),
    ] {
        let faults = Table::read(format!("\nbob:{SHA}\n{line}\n").as_bytes()).unwrap_err();
        assert_eq!((faults.len(), faults[0].line), (1, 3), "{line:?}: {faults:?}");
        assert!(faults[0].problem.contains(expected), "{line:?}: {faults:?}");
        assert!(!format!("{faults:?}").contains("hunter2"));
    }
    let faults = Table::read(b"a\nb:x\nc\n").unwrap_err();
    assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(Table::read("x\n".repeat(1000).as_bytes()).unwrap_err().len(), 21);
}

#[test]
fn a_file_is_text_and_has_an_end() {
    assert!(Table::read(b"\xff:x").unwrap_err()[0].problem.contains("UTF-8"));
    let line = format!("# {}\n", "x".repeat(1000));
    assert!(Table::read(line.repeat(4181).as_bytes()).is_ok());
    assert!(Table::read(line.repeat(4182).as_bytes()).unwrap_err()[0].problem.contains("4 MiB"));
    let users = |count: usize| (0..count).map(|at| format!("u{at}:{SHA}\n")).collect::<String>();
    assert_eq!(table(&users(50_000)).len(), 50_000);
    let faults = Table::read(users(50_001).as_bytes()).unwrap_err();
    assert_eq!((faults.len(), faults[0].line), (1, 50_001));
}

struct Fixture {
    files: Sources<Htpasswd>,
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { files: Sources::default(), dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("users")
    }

    /// As `mv` and most programs do.
    fn rename_in(&self, text: &str) {
        let new = self.dir.path().join("users.new");
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }

    fn open(&self) -> (Option<Arc<Htpasswd>>, Vec<(Severity, String)>) {
        let mut report = Report::default();
        // A runtime that never runs: the file is looked at by hand.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let file = Htpasswd::open(&self.files, &self.path(), runtime.handle(), &mut report);
        assert!(report.problems().iter().all(|problem| problem.key == "users"));
        (file, report.problems().iter().map(|problem| (problem.severity, problem.problem.clone())).collect())
    }

    fn opened(&self) -> Arc<Htpasswd> {
        self.open().0.unwrap()
    }
}

#[test]
fn a_new_file_is_taken_once_it_has_settled() {
    let f = Fixture::new();
    f.rename_in(&format!("alice:{BCRYPT}\n"));
    let file = f.opened();
    assert_eq!(file.look(), Found::Same);
    f.rename_in(&format!("bob:{SHA}\n"));
    assert_eq!((file.look(), file.look(), file.look()), (Found::Unsettled, Found::Taken, Found::Same));
    assert!(file.table().find("bob").is_some() && file.table().find("alice").is_none());
    // Written in place, and not at once.
    std::fs::write(f.path(), "").unwrap();
    assert_eq!(file.look(), Found::Unsettled);
    std::fs::write(f.path(), format!("bob:{SHA}\ncarol:{SHA}\n")).unwrap();
    assert_eq!((file.look(), file.look()), (Found::Unsettled, Found::Taken));
    assert_eq!(file.table().len(), 2);
}

#[test]
fn a_file_that_cannot_be_used_is_counted_once_and_the_old_one_stays() {
    let f = Fixture::new();
    let good = format!("alice:{BCRYPT}\n");
    f.rename_in(&good);
    let file = f.opened();
    assert_eq!(file.status().ok, Some(true));
    let mut failures = 0;
    for break_it in [
        |f: &Fixture| f.rename_in("alice:plain\n"),
        |f: &Fixture| std::fs::remove_file(f.path()).unwrap(),
        |f: &Fixture| {
            std::fs::create_dir(f.path()).unwrap();
        },
    ] {
        break_it(&f);
        assert_eq!((file.look(), file.look(), file.look(), file.look()), (Found::Unsettled, Found::Bad, Found::Same, Found::Same));
        failures += 1;
        assert_eq!(file.status().failures_total, failures);
        assert!(file.table().find("alice").is_some());
    }
    assert!(!file.status().last_error.unwrap().contains("plain"));
    std::fs::remove_dir(f.path()).unwrap();
    f.rename_in(&good);
    assert_eq!((file.look(), file.status().ok), (Found::Same, Some(true)));
    f.rename_in(&format!("bob:{SHA}\n"));
    assert_eq!((file.look(), file.look()), (Found::Unsettled, Found::Taken));
}

#[test]
fn a_reload_reads_the_file_at_once_and_refuses_one_that_is_broken() {
    let f = Fixture::new();
    f.rename_in(&format!("alice:{BCRYPT}\n"));
    let file = f.opened();
    f.rename_in(&format!("bob:{BCRYPT}\n"));
    assert!(Arc::ptr_eq(&file, &f.opened()));
    assert!(file.table().find("bob").is_some());
    f.rename_in("bob:plain\nx\n");
    let (none, problems) = f.open();
    assert!(none.is_none() && file.table().find("bob").is_some());
    let place = f.path().display().to_string();
    assert!(problems.len() == 2 && problems[1].1.starts_with(&format!("{place}:2: ")), "{problems:?}");
    std::fs::remove_file(f.path()).unwrap();
    assert!(f.open().0.is_none());
}

#[test]
fn weak_hashes_and_open_files_are_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let f = Fixture::new();
    f.rename_in(&format!("alice:{BCRYPT}\n"));
    let warnings = |mode: u32| {
        std::fs::set_permissions(f.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        f.open().1
    };
    assert!(warnings(0o640).is_empty() && warnings(0o600).is_empty());
    for (mode, expected) in [(0o660, "may write"), (0o642, "may write"), (0o644, "may read")] {
        let found = warnings(mode);
        assert!(found.len() == 1 && found[0].0 == Severity::Warning && found[0].1.contains(expected), "{mode:o} {found:?}");
    }
    f.rename_in(&format!("alice:{BCRYPT}\nbob:{SHA}\ncarol:{APR1}\n"));
    let found = warnings(0o640);
    assert!(found.len() == 1 && found[0].1.contains("2 of 3 passwords") && found[0].1.ends_with("lines 2, 3"), "{found:?}");
    f.rename_in("");
    assert!(warnings(0o640)[0].1.contains("no user"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_looked_after_for_as_long_as_it_is_used() {
    let f = Fixture::new();
    f.rename_in(&format!("alice:{BCRYPT}\n"));
    let file = Htpasswd::open(&f.files, &f.path(), &Handle::current(), &mut Report::default()).unwrap();
    f.rename_in(&format!("bob:{BCRYPT}\n"));
    while file.table().find("bob").is_none() {
        tokio::task::yield_now().await;
    }
    let weak = Arc::downgrade(&file);
    drop(file);
    while weak.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_only_names_that_can_be_told_come_out(bytes in prop::collection::vec(any::<u8>(), 0..60), text in r"([a-zé #:\r\n\x00]{0,6}:?(\{SHA\}/Hrn08gEogcgvDjo5YNQSGibZVE=)?[\n\r]?){0,4}") {
        for bytes in [&bytes[..], text.as_bytes()] {
            if let Ok(table) = Table::read(bytes) {
                for name in std::str::from_utf8(bytes).unwrap().split([':', '\n']) {
                    prop_assert!(table.find(name).is_none() || crate::types::valid_user_name(name));
                }
            }
        }
    }
}
