//! What is written is there after opening it again; rules hold.

use super::*;
use experiment::ledger::KIND_EXPERIMENT;

const CHANGE: Change<'static> = Change { who: "ada", reason: "because", time_ms: 5 };
const KEY: &str = "k-0123456789abcdefghijkl";

fn open() -> (tempfile::TempDir, SqliteControl) {
    let folder = tempfile::tempdir().unwrap();
    let control = SqliteControl::open(&folder.path().join("control.sqlite")).unwrap();
    (folder, control)
}

#[test]
fn a_transaction_is_on_the_disk_when_it_is_answered() {
    let (_folder, control) = open();
    let pragma = |name: &str| -> String {
        let value = control.read(|from| {
            Ok(from.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))?)
        });
        format!("{:?}", value.unwrap())
    };
    assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
    assert_eq!(pragma("synchronous"), "Integer(2)");
}

#[test]
fn documents_have_versions_and_a_change_from_an_old_one_is_refused() {
    let (folder, control) = open();
    let put = |body, expected| control.put(KIND_EXPERIMENT, "checkout", body, expected, &CHANGE);
    assert_eq!(put(Some("{}"), Some(0)), Ok(1));
    assert_eq!(put(Some("{\"a\":1}"), Some(1)), Ok(2));
    assert_eq!(
        put(Some("{}"), Some(1)),
        Err(ControlError::Conflict { what: "experiment/checkout".into(), expected: 1, current: 2 })
    );
    assert!(matches!(put(Some("{}"), Some(0)), Err(ControlError::Conflict { .. })));
    assert_eq!(control.list(KIND_EXPERIMENT).unwrap().len(), 1);
    assert_eq!(put(None, Some(2)), Ok(3));
    assert_eq!(control.get(KIND_EXPERIMENT, "checkout"), Ok(None));
    assert!(control.list(KIND_EXPERIMENT).unwrap().is_empty());
    assert!(put(None, None).is_err());
    assert_eq!(put(Some("{}"), Some(0)), Ok(4));
    drop(control);

    let control = SqliteControl::open(&folder.path().join("control.sqlite")).unwrap();
    let document = control.get(KIND_EXPERIMENT, "checkout").unwrap().unwrap();
    assert_eq!((document.version, document.time_ms), (4, 5));
    let history = control.history(KIND_EXPERIMENT, "checkout", 3).unwrap();
    assert_eq!(history.iter().map(|it| it.version).collect::<Vec<_>>(), [4, 3, 2]);
    let audit = control.audit(Some("experiment/checkout"), 10).unwrap();
    let told: Vec<_> = audit.iter().map(|it| (it.action.as_str(), it.version)).collect();
    assert_eq!(told, [("put", Some(4)), ("delete", Some(3)), ("put", Some(2)), ("put", Some(1))]);
    assert_eq!((audit[0].who.as_str(), audit[0].reason.as_str()), ("ada", "because"));
}

#[test]
fn the_audit_log_is_never_changed_and_a_change_without_a_reason_is_refused() {
    let (_folder, control) = open();
    control.note("ship", "experiment/checkout", &CHANGE).unwrap();
    for sql in ["DELETE FROM audit", "UPDATE audit SET who = 'eve'"] {
        assert!(control.write(|to| Ok(to.execute(sql, [])?)).is_err());
    }
    assert_eq!(control.audit(None, 10).unwrap().len(), 1);
    let change = Change { reason: "", ..CHANGE };
    assert!(control.put("experiment", "a", Some("{}"), None, &change).is_err());
    // All or nothing: the document was not written, either.
    assert_eq!(control.get("experiment", "a"), Ok(None));
}

#[test]
fn the_first_assignment_wins_within_a_version() {
    let (_folder, control) = open();
    let record =
        |version, variant: &str| StickyRecord { version, variant: variant.into(), phase: 2 };
    assert_eq!(control.stick("ada", "checkout", &record(1, "a")), Ok(record(1, "a")));
    assert_eq!(control.stick("ada", "checkout", &record(1, "b")), Ok(record(1, "a")));
    assert_eq!(control.stick("ada", "checkout", &record(0, "b")), Ok(record(1, "a")));
    assert_eq!(control.stick("ada", "checkout", &record(2, "b")), Ok(record(2, "b")));
    control.stick("ada", "other", &record(0, "a")).unwrap();
    let kept = control.sticky("ada").unwrap();
    assert_eq!((kept.len(), &kept["checkout"]), (2, &record(2, "b")));
    assert!(control.sticky("bob").unwrap().is_empty());
}

#[test]
fn a_user_stays_with_the_first_device() {
    let (_folder, control) = open();
    assert_eq!(control.linked("ada"), Ok(None));
    assert_eq!(control.link("ada", "phone", 1), Ok("phone".into()));
    assert_eq!(control.link("ada", "laptop", 2), Ok("phone".into()));
    assert_eq!(control.linked("ada"), Ok(Some("phone".into())));
    assert!(control.link("", "phone", 1).is_err());
}

#[test]
fn keys_are_found_by_themselves_and_not_kept() {
    let (folder, control) = open();
    control.add_key("shop", KEY, Scope::Write, &CHANGE).unwrap();
    assert!(control.add_key("shop", &KEY.replace('k', "x"), Scope::Admin, &CHANGE).is_err());
    assert!(control.add_key("twin", KEY, Scope::Admin, &CHANGE).is_err());
    assert!(control.add_key("short", "secret", Scope::Admin, &CHANGE).is_err());
    let found = control.key(KEY).unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.scope), ("shop", Scope::Write));
    assert_eq!(control.key(&KEY.to_uppercase()), Ok(None));
    for name in ["control.sqlite", "control.sqlite-wal"] {
        let bytes = std::fs::read(folder.path().join(name)).unwrap_or_default();
        assert!(memchr::memmem::find(&bytes, KEY.as_bytes()).is_none());
    }
    assert_eq!(control.revoke_key("shop", &CHANGE), Ok(true));
    assert_eq!(control.revoke_key("shop", &CHANGE), Ok(false));
    assert_eq!(control.key(KEY), Ok(None));
    assert!(control.keys().unwrap().is_empty());
    assert_eq!(control.audit(Some("key/shop"), 9).unwrap().len(), 2);
}

#[test]
fn results_are_kept_newest_first_up_to_a_limit() {
    let (_folder, control) = open();
    let fill = "WITH RECURSIVE time (at) AS (SELECT 0 UNION ALL SELECT at + 1 FROM time \
                WHERE at + 1 < ?) \
                INSERT INTO result (experiment, time_ms, body) SELECT 'checkout', at, '{}' FROM time";
    control.write(|to| Ok(to.execute(fill, [integer(limits::RESULTS_MAX + 4)])?)).unwrap();
    control.save_result("checkout", limits::RESULTS_MAX + 4, "{}").unwrap();
    control.save_result("other", 1, "{}").unwrap();
    let results = control.results("checkout", usize::MAX).unwrap();
    assert_eq!(results.len() as u64, limits::RESULTS_MAX);
    assert_eq!(results[0].time_ms, limits::RESULTS_MAX + 4);
    assert_eq!(control.results("other", 10).unwrap().len(), 1);
    let long = "x".repeat(limits::BODY_BYTES_MAX + 1);
    assert!(control.save_result("checkout", 1, &long).is_err());
}
