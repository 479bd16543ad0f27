//! Every way in which a target can misbehave is a counted failure of a clear kind.

use std::time::Duration;

use load::failure::FailureKind;
use load::params::Stop;
use load::results::RunResult;
use testkit::origin::{Behaviour, Fault, Origin, OriginConfig, Refused, Response};

use crate::build::{closed, one, run};

/// Eight requests to an origin with `behaviour`, with short timeouts.
fn probe(behaviour: Behaviour) -> RunResult {
    let origin = Origin::start(OriginConfig::new(behaviour)).unwrap();
    let mut params = closed(&origin.url(), one("/"), 2, 8);
    params.http.timeouts.response = Duration::from_millis(150);
    params.http.timeouts.total = Duration::from_millis(300);
    params.http.limits.head_bytes = 64 << 10;
    run(params)
}

#[test]
fn faults_have_kinds() {
    let slow = Fault::SlowBody { chunk_bytes: 1, chunks: 100, interval: Duration::from_millis(50) };
    for (fault, kind) in [
        (Fault::Silent, FailureKind::ResponseTimeout),
        (slow, FailureKind::TotalTimeout),
        (Fault::ResetBeforeResponse, FailureKind::Reset),
        (Fault::CloseBeforeResponse, FailureKind::Closed),
        (Fault::CloseMidHeader, FailureKind::Closed),
        (Fault::CloseMidBody, FailureKind::Closed),
        (Fault::ResetMidBody, FailureKind::Reset),
        (Fault::EndlessHeaders, FailureKind::HeadTooLarge),
        (Fault::EndlessBody, FailureKind::TotalTimeout),
        (Fault::HugeHeaders { bytes: 1 << 20 }, FailureKind::HeadTooLarge),
        (Fault::MalformedStatusLine, FailureKind::Malformed),
        (Fault::GarbageBytes { bytes: 500, seed: 1 }, FailureKind::Malformed),
        (Fault::BadChunk, FailureKind::Malformed),
        (Fault::WrongContentLength { declared: "-1".to_owned() }, FailureKind::Malformed),
        (Fault::WrongContentLength { declared: "5, 6".to_owned() }, FailureKind::Malformed),
        (Fault::WrongContentLength { declared: "50".to_owned() }, FailureKind::TotalTimeout),
    ] {
        let result = probe(Behaviour::Fault(fault.clone()));
        assert_eq!((result.totals.requests, result.totals.failures), (8, 8), "{fault:?}");
        let kinds: Vec<FailureKind> = result.errors.iter().map(|group| group.kind).collect();
        assert_eq!(kinds, [kind], "{fault:?}: {:?}", result.errors);
        assert_eq!(result.totals.response.count(), 8);
    }
}

#[test]
fn oddities_that_harm_nobody_are_no_failures() {
    for fault in [
        Fault::CloseAfterResponse,
        Fault::ExtraBytesAfterResponse,
        Fault::Interim { status: 100 },
        Fault::Interim { status: 103 },
        Fault::HugeHeaders { bytes: 32 << 10 },
    ] {
        let result = probe(Behaviour::Fault(fault.clone()));
        assert_eq!(
            (result.totals.requests, result.totals.failures),
            (8, 0),
            "{fault:?}: {:?}",
            result.errors
        );
    }
}

#[test]
fn statuses_and_rate_limits_are_told_apart() {
    let result = probe(Behaviour::status(503));
    assert_eq!(result.errors[0].kind, FailureKind::Status);
    assert_eq!(result.errors[0].detail, "503");
    let limited =
        Behaviour::RateLimited { requests: 3, window: Duration::from_secs(60), status: 429 };
    let result = probe(limited);
    assert_eq!((result.totals.rate_limited, result.totals.failures), (5, 5));
    assert_eq!(result.errors[0].kind, FailureKind::RateLimited);
}

#[test]
fn an_unreachable_target_is_a_failure_too() {
    let refused = Refused::start().unwrap();
    let result = run(closed(&format!("http://{}", refused.addr()), one("/"), 2, 6));
    assert_eq!((result.totals.requests, result.totals.failures), (6, 6));
    assert_eq!(result.errors[0].kind, FailureKind::ConnectRefused);
    // RFC 6761: never resolves.
    let result = run(closed("http://shop.invalid", one("/"), 1, 2));
    assert_eq!(result.totals.failures, 2);
    assert_eq!(result.errors[0].kind, FailureKind::Dns);
}

#[test]
fn what_is_under_way_at_the_end_counts_as_unfinished() {
    let response = Response { delay: Duration::from_secs(30), ..Response::default() };
    let origin = Origin::start(OriginConfig::new(Behaviour::Respond(response))).unwrap();
    let mut params = closed(&origin.url(), one("/"), 4, 0);
    params.stop = Stop { run_time: Some(Duration::from_millis(300)), requests: None };
    params.drain = Duration::from_millis(100);
    let result = run(params);
    assert_eq!((result.totals.requests, result.totals.failures), (4, 4));
    assert_eq!(result.errors[0].kind, FailureKind::Unfinished);
    assert!(result.totals.response.min_us().unwrap() >= 300_000);
}
