//! What is written is there after opening it again; rules hold.

use super::*;
use experiment::ledger::KIND_EXPERIMENT;

const CHANGE: Change<'static> = Change { who: "ada", reason: "because", time_ms: 5 };

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
