use super::*;
use crate::types::Report;

fn cell(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

#[test]
fn a_row_is_a_user_with_what_may_be_told() {
    let row = Row::of(&[
        ("user_name", cell("alice")),
        ("password", cell("!x")),
        ("standing", Cell::Int(1)),
        ("email", cell("a@x.example")),
        ("group_names", cell(r#"["staff", "a\nb", ""]"#)),
    ]);
    let user = user(&row, "alice").unwrap();
    assert_eq!((user.name.as_str(), user.email.as_deref(), user.disabled), ("alice", Some("a@x.example"), false));
    assert_eq!((user.groups, user.password_hash.expose()), (vec!["staff".to_owned()], &b"!x"[..]));
}

#[test]
fn whatever_is_not_a_plain_yes_keeps_the_user_out() {
    for standing in [Cell::Int(0), Cell::Int(2), Cell::Int(-1), Cell::Null, Cell::Bool(true), cell("1")] {
        let row = Row::of(&[("user_name", cell("alice")), ("password", cell("x")), ("standing", standing.clone())]);
        assert!(user(&row, "alice").unwrap().disabled, "{standing:?}");
    }
    assert!(user(&Row::of(&[]), "alice").unwrap().disabled);
}

#[test]
fn columns_of_other_types_are_no_answer() {
    for (column, value) in [
        ("password", Cell::Bool(true)),
        ("password", Cell::Moment(1)),
        ("email", Cell::Bool(true)),
        ("group_names", cell("staff")),
        ("group_names", Cell::Int(1)),
    ] {
        let row = Row::of(&[("standing", Cell::Int(1)), (column, value)]);
        assert!(user(&row, "alice").unwrap_err().contains(column), "{column}");
    }
}

fn table(url: &str, settings: &str) -> Table {
    let mut report = Report::default();
    toml::from_str::<Settings>(settings).unwrap().table(url, &mut report).unwrap_or_else(|| panic!("{report:?}"))
}

#[test]
fn the_statement_names_what_the_settings_say_and_binds_the_name() {
    let sql = |url: &str, settings: &str| table(url, settings).sql.to_string();
    assert_eq!(
        sql("postgres://u@127.0.0.1/d", ""),
        "SELECT u.\"username\" AS user_name, u.\"password\" AS password, CASE WHEN u.is_active THEN 1 ELSE 0 END AS standing \
         FROM \"auth_user\" u WHERE u.\"username\" = $1"
    );
    let own = sql("mysql://u@127.0.0.1/d", "user_table = 'shop.accounts_member'\nuser_column = 'login'\nemail_column = 'email'\ngroups = true");
    for part in ["u.`login` AS user_name", "u.`email` AS email", "FROM `shop`.`accounts_member` u WHERE u.`login` = ?", "ug.`member_id` = u.id"] {
        assert!(own.contains(part), "{part}: {own}");
    }
}

#[test]
fn tables_are_told_apart_by_everything_that_they_are_made_of() {
    let made = |url: &str, settings: &str| table(url, settings).made_of().to_vec();
    let one = made("postgres://u@127.0.0.1/d", "password = 'a'");
    assert_eq!(one, made("postgres://u@127.0.0.1/d", "password = 'a'"));
    assert_ne!(one, made("postgres://u@127.0.0.1/d", "password = 'b'"));
    assert_ne!(one, made("postgres://u@127.0.0.1/e", "password = 'a'"));
}

#[tokio::test]
async fn the_kind_of_hash_that_was_seen_last_is_the_usual_one() {
    let dir = tempfile::tempdir().unwrap();
    let users = DjangoUsers::new([1; 32], &table(&format!("sqlite:{}/x.db", dir.path().display()), ""), &Handle::current());
    assert_eq!(users.usual(), Kind::OF_DJANGO);
    users.saw(Kind::Bcrypt { cost: 4, of_sha256: true });
    assert_eq!(users.usual(), Kind::Bcrypt { cost: 4, of_sha256: true });
    // A file that is not there is no "unknown user".
    assert!(users.find("alice").await.is_err());
    assert_eq!(users.status().ok, Some(false));
}
