//! Lines as servers write them when clients send what nobody expects: each was seen in the log of a real one.

mod says;

use logs::{Format, RejectReason};
use says::{read, says};

/// A line of the common log format.
fn common(client: &str, request: &str, end: &str) -> String {
    format!(r#"{client} [10/Oct/2000:13:55:36 -0700] "{request}" {end}"#)
}

/// What it says beside the time.
#[track_caller]
fn tells(client: &str, request: &str, end: &str, expected: &str) {
    let line = common(client, request, end);
    let (records, _) = read(&line);
    assert_eq!(records, [format!("971211336000000@-420 {expected}")], "{line}");
}

const GET: &str = "GET /a HTTP/1.1";
const GOT: &str = "method=GET target=/a protocol=HTTP/1.1 status=200 bytes=10";

#[test]
fn clients_hide_no_line_by_the_user_that_they_claim() {
    // nginx logs the user of any credentials, also of refused ones.
    for user in
        ["x [y] z", "a - b", "[10/Oct/2000:13:55:36 -0700]", "x [10/Oct/2000:13:55:36 -0700] y"]
    {
        let expected = format!("client=192.0.2.7 user={user} {GOT}");
        tells(&format!("192.0.2.7 - {user}"), GET, "200 10", &expected);
    }
    // Varnish, for an empty user.
    tells("192.0.2.7 - ", GET, "200 10", &format!("client=192.0.2.7 user= {GOT}"));
}

#[test]
fn hosts_in_front_and_behind() {
    // nginx knows no host where the request was none.
    says(
        &common(" 192.0.2.7 - -", "", "400 0"),
        Format::HostCommon,
        &["971211336000000@-420 client=192.0.2.7 status=400 bytes=0"],
    );
    // lighttpd writes the host as identity.
    for (host, user) in [("a.example", "-"), ("[2001:db8::1]", "-"), ("a.example:8080", "-")] {
        let expected = format!("client=192.0.2.7 host={host} {GOT}");
        tells(&format!("192.0.2.7 {host} {user}"), GET, "200 10", &expected);
    }
    tells("192.0.2.7 ann -", GET, "200 10", &format!("client=192.0.2.7 {GOT}"));
}

#[test]
fn requests_that_are_none() {
    for request in [
        "",
        "-",
        " ",
        "  ",
        "  HTTP/1.1",
        "<BADREQ>",
        "- http://localhost HTTP/1.1",
        "- error:x NONE/0.0",
    ] {
        tells("192.0.2.7 - -", request, "400 0", "client=192.0.2.7 status=400 bytes=0");
    }
    // Varnish, which knows no client then.
    tells("- - -", "- http://localhost HTTP/1.1", "400 0", "status=400 bytes=0");
    tells("192.0.2.7 - -", "FOO", "400 0", "client=192.0.2.7 target=FOO status=400 bytes=0");
    // lighttpd, for a request without a target.
    let expected = "client=192.0.2.7 target=CONNECT  HTTP/1.1 status=400 bytes=0";
    tells("192.0.2.7 - -", "CONNECT  HTTP/1.1", "400 0", expected);
}

#[test]
fn statuses_that_are_none() {
    // Varnish (a pipe), Squid and HAProxy (the client went away).
    for status in ["-", "0", "000", "-1"] {
        let expected = "client=192.0.2.7 method=GET target=/a protocol=HTTP/1.1 bytes=10";
        tells("192.0.2.7 - -", GET, &format!("{status} 10"), expected);
    }
}

#[test]
fn quotes_that_nobody_escaped() {
    // Squid.
    let expected =
        r#"client=192.0.2.7 method=GET target=/say"hi" protocol=HTTP/1.1 status=200 bytes=10"#;
    tells("192.0.2.7 - -", r#"GET /say"hi" HTTP/1.1"#, "200 10", expected);
    let expected = r#"client=192.0.2.7 method=GET target=/" 404 1 " protocol=HTTP/1.1 status=404 bytes=1 agent=b"#;
    let (records, _) = read(&common("192.0.2.7 - -", r#"GET /" 404 1 "-" "b" HTTP/1.1"#, "200 10"));
    assert_ne!(records, [format!("971211336000000@-420 {expected}")]);
    // A field between request and status is none.
    let line = common("192.0.2.7 - -", GET, r#"0.003 "x" 404 10"#);
    assert_eq!(read(&line).0, [format!("rejected: {}", RejectReason::BadStatus)]);
}

#[test]
fn servers_that_nginx_tried() {
    let end = |extra: &str| format!(r#"200 10 "-" "curl/8" {extra}"#);
    let expected = |fields: &str| {
        format!("971211336000000@-420 end client=192.0.2.7 {GOT} agent=curl/8 {fields}")
    };
    for (extra, fields) in [
        (
            "0.012 0.001, 0.010 192.0.2.1:80, 192.0.2.2:80",
            "us=12000 upstream-us=10000 upstream=192.0.2.2:80",
        ),
        (
            "0.012 0.001 : 0.010 192.0.2.1:80 : 192.0.2.2:80",
            "us=12000 upstream-us=10000 upstream=192.0.2.2:80",
        ),
        (
            r#"rt=0.012 urt=0.010 ua="192.0.2.1:80, 192.0.2.2:80" cs=-"#,
            "us=12000 upstream-us=10000 upstream=192.0.2.2:80",
        ),
    ] {
        let (records, _) = read(&common("192.0.2.7 - -", GET, &end(extra)));
        assert_eq!(records, [expected(fields)], "{extra}");
    }
}

#[test]
fn haproxy() {
    let line = |request: &str, captured: &str| {
        format!(
            r#"192.0.2.7:33317 [06/Feb/2009:12:14:14.655] web app/s1 0/0/1/2/3 200 9 - - ---- 1/1/0/0/0 0/0 {{{captured}}} "{request}""#
        )
    };
    // It writes bytes as `#hh`, and backslashes as they are.
    says(
        &line(r"GET /say#22hi#22\x41 HTTP/1.1", "Mozilla/5.0 #22X#22 #C3#BC|a.example"),
        Format::Haproxy,
        &[
            r#"1233922454655000@+0 client=192.0.2.7 method=GET target=/say"hi"\x41 protocol=HTTP/1.1 status=200 bytes=9 agent=Mozilla/5.0 "X" ü us=3000 upstream-us=2000 upstream=app/s1"#,
        ],
    );
    // Its TCP log has no requests.
    let (records, _) =
        read("192.0.2.7:33317 [06/Feb/2009:12:14:14.655] tcp app/s1 1/0/9 145 -- 7/2/1/1/0 0/0");
    assert_eq!(records, ["rejected: no request field"]);
}

#[test]
fn squid() {
    says(
        "1795269751.756     12 192.0.2.7 TCP_MISS/200 229 GET http://user@a.example:8080/back\\x41#22 ann HIER_DIRECT/192.0.2.1 text/html\n\
         971211336.500      0 2001:db8::7 TCP_TUNNEL/200 39 CONNECT a.example:443 - HIER_DIRECT/2001:db8::1 -\n\
         971211336.500      0 192.0.2.7 NONE_NONE/400 4076 GET error:invalid-request - HIER_NONE/- text/html\n\
         971211336.500   -100 192.0.2.7 TCP_HIT_ABORTED/000 0 GET http://[2001:db8::1]/ - HIER_NONE/- text/html [Host: a]\n\
         971211336.500      0 192.0.2.7 NONE_NONE/400 9 GET /long",
        Format::Squid,
        &[
            "1795269751756000@+0 end client=192.0.2.7 user=ann host=a.example method=GET target=http://user@a.example:8080/back\\x41#22 status=200 bytes=229 us=12000 upstream=192.0.2.1 cache=TCP_MISS mime=text/html",
            "971211336500000@+0 end client=2001:db8::7 host=a.example method=CONNECT target=a.example:443 status=200 bytes=39 us=0 upstream=2001:db8::1 cache=TCP_TUNNEL",
            "971211336500000@+0 end client=192.0.2.7 method=GET status=400 bytes=4076 us=0 cache=NONE_NONE mime=text/html",
            "971211336500000@+0 end client=192.0.2.7 host=2001:db8::1 method=GET target=http://[2001:db8::1]/ bytes=0 cache=TCP_HIT_ABORTED mime=text/html",
            "971211336500000@+0 end client=192.0.2.7 method=GET target=/long status=400 bytes=9 us=0 cache=NONE_NONE",
        ],
    );
    for (line, reason) in [
        (
            "971211336.500      0 192.0.2.7 NONE_NONE/000 0 - error:transaction-end-before-headers - HIER_NONE/- -",
            "no request field",
        ),
        ("971211336.500 12 192.0.2.7 TCP_MISS 229 GET / - HIER_NONE/- -", "not an access-log line"),
        ("971211336.500 12 192.0.2.7 TCP_MISS/x 229 GET / - HIER_NONE/- -", "bad status"),
        ("971211336.500 12 192.0.2.7 TCP_MISS/200 229 GET", "not an access-log line"),
    ] {
        assert_eq!(read(line).0, [format!("rejected: {reason}")], "{line}");
    }
}

#[test]
fn envoy() {
    // The example of Envoy's documentation, and one that failed.
    says(
        "[2016-04-15T20:17:00.310Z] \"POST /api/v1/locations HTTP/2\" 204 - 154 0 226 100 \"10.0.35.28\" \"nsq2http\" \"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2\" \"locations\" \"tcp://10.0.2.1:80\"\n\
         [2016-04-15T20:17:00.310Z] \"GET /a HTTP/1.1\" 503 UF,URX 0 91 3 - \"198.51.100.1,192.0.2.7\" \"a \"b\" \\\" \"-\" \"a.example\" \"-\"\n\
         [2016-04-15T20:17:00.310Z] \"- - HTTP/1.1\" 400 DPE 0 11 0 - \"-\" \"-\" \"-\" \"-\" \"-\"",
        Format::Envoy,
        &[
            "1460751420310000@+0 client=10.0.35.28 host=locations method=POST target=/api/v1/locations protocol=HTTP/2 status=204 bytes=0 request-bytes=154 agent=nsq2http forwarded=10.0.35.28 us=226000 upstream-us=100000 upstream=10.0.2.1:80",
            "1460751420310000@+0 client=192.0.2.7 host=a.example method=GET target=/a protocol=HTTP/1.1 status=503 bytes=91 request-bytes=0 agent=a \"b\" \\ forwarded=198.51.100.1 us=3000",
            "1460751420310000@+0 status=400 bytes=11 request-bytes=0 us=0",
        ],
    );
    // The example of Istio's documentation.
    says(
        "[2020-11-25T21:26:18.409Z] \"GET /status/418 HTTP/1.1\" 418 - via_upstream - \"-\" 0 135 3 1 \"-\" \"curl/7.73.0-DEV\" \"84961386-6d84-929d-98bd-c5aee93b5c88\" \"httpbin:8000\" \"10.44.1.27:80\" outbound|8000||httpbin.foo.svc.cluster.local 10.44.1.23:37652 10.0.45.184:8000 10.44.1.23:46520 - default",
        Format::Envoy,
        &[
            "1606339578409000@+0 client=10.44.1.23 host=httpbin:8000 method=GET target=/status/418 protocol=HTTP/1.1 status=418 bytes=135 request-bytes=0 agent=curl/7.73.0-DEV us=3000 upstream-us=1000 upstream=10.44.1.27:80 route=default",
        ],
    );
    // Istio's line of a connection that is none of HTTP.
    let (records, _) = read(
        "[2020-11-25T21:26:18.409Z] \"- - -\" 0 UF,URX - - \"delayed connect error: 111\" 0 0 1 - \"-\" \"-\" \"-\" \"-\" \"10.44.1.27:80\" a - 10.0.45.184:8000 10.44.1.23:46520 - -",
    );
    assert_eq!(records, ["rejected: no request field"]);
}

#[test]
fn amazon_s3() {
    // The examples of the documentation, shortened ids.
    says(
        "79a59df900b949e5 DOC-EXAMPLE-BUCKET1 [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a59df900b949e5 3E57427F3EXAMPLE REST.GET.VERSIONING - \"GET /DOC-EXAMPLE-BUCKET1?versioning HTTP/1.1\" 200 - 113 - 7 - \"-\" \"S3Console/0.4\" - s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234= SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader DOC-EXAMPLE-BUCKET1.s3.us-west-1.amazonaws.com TLSV1.2 arn:aws:s3:us-west-1:123456789012:accesspoint/example-AP Yes\n\
         79a59df900b949e5 awsexamplebucket1 [06/Feb/2019:00:01:57 +0000] 192.0.2.3 - DD6CC733AEXAMPLE REST.PUT.OBJECT s3-dg.pdf \"PUT /awsexamplebucket1/s3-dg.pdf HTTP/1.1\" 404 NoSuchBucket - - 41754 28 \"-\" \"S3Console/0.4\" -",
        Format::S3,
        &[
            "1549411238000000@+0 client=192.0.2.3 host=DOC-EXAMPLE-BUCKET1 method=GET target=/DOC-EXAMPLE-BUCKET1?versioning protocol=HTTP/1.1 status=200 bytes=113 agent=S3Console/0.4 us=7000 tls=TLSV1.2 cipher=ECDHE-RSA-AES128-GCM-SHA256",
            "1549411317000000@+0 client=192.0.2.3 host=awsexamplebucket1 method=PUT target=/awsexamplebucket1/s3-dg.pdf protocol=HTTP/1.1 status=404 agent=S3Console/0.4 us=41754000 upstream-us=28000",
        ],
    );
    // What S3 does by itself is no request.
    let (records, _) = read(
        "79a59df900b949e5 awsexamplebucket1 [06/Feb/2019:00:01:57 +0000] - AmazonS3 ADF1A1D7EEXAMPLE S3.EXPIRE.OBJECT a.txt \"-\" - - - 113 - - \"-\" \"-\" -",
    );
    assert_eq!(records, ["rejected: no request field"]);
}

#[test]
fn google_cloud_storage() {
    says(
        "\"time_micros\",\"c_ip\",\"c_ip_type\",\"c_ip_region\",\"cs_method\",\"cs_uri\",\"sc_status\",\"cs_bytes\",\"sc_bytes\",\"time_taken_micros\",\"cs_host\",\"cs_referer\",\"cs_user_agent\",\"s_request_id\",\"cs_operation\",\"cs_bucket\",\"cs_object\"\n\
         \"971211336500000\",\"192.0.2.7\",\"1\",\"\",\"GET\",\"/a.example/b?c=1\",\"200\",\"0\",\"10\",\"12000\",\"storage.googleapis.com\",\"https://r.example/\",\"curl/8 \"\"x\"\"\",\"A\",\"GET_Object\",\"a.example\",\"b\"",
        Format::Csv,
        &[
            "971211336500000@+0 end client=192.0.2.7 host=storage.googleapis.com method=GET target=/a.example/b?c=1 status=200 bytes=10 request-bytes=0 referrer=https://r.example/ agent=curl/8 \"x\" us=12000",
        ],
    );
}

#[test]
fn docker_carries_lines_of_any_format() {
    let carried = |line: &str, rest: &str| {
        let line = line.replace('\\', r"\\").replace('"', r#"\""#);
        format!(r#"{{"log":"{line}\n"{rest}}}"#)
    };
    let rest = r#","stream":"stdout","time":"2024-05-01T00:00:00.000000001Z""#;
    let request = r#"GET /\"\xC3\xBC HTTP/1.1"#;
    let line = common("192.0.2.7 - -", request, r#"200 10 "-" "a \u003cb\u003e""#);
    let expected = "971211336000000@-420 client=192.0.2.7 method=GET target=/\"ü protocol=HTTP/1.1 status=200 bytes=10 agent=a \\u003cb\\u003e";
    says(&carried(&line, rest), Format::Combined, &[expected]);
    let rest_with_labels = format!(r#","attrs":{{"tag":"web"}}{rest}"#);
    says(&carried(&line, &rest_with_labels), Format::Combined, &[expected]);
    let json = r#"{"ts":971211336.5,"status":200,"uri":"/a\"\u00e9"}"#;
    says(&carried(json, rest), Format::Json, &["971211336500000@+0 end target=/a\"é status=200"]);
    for (line, reason) in [
        (carried("", rest), "empty line"),
        (carried("starting", rest), "not an access-log line"),
        (format!(r#"{{"log":"\x"{rest}}}"#), "bad JSON"),
        (r#"{"log":"cut off","#.to_owned(), "bad JSON"),
    ] {
        assert_eq!(read(&line).0, [format!("rejected: {reason}")], "{line}");
    }
}
