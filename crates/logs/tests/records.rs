//! What lines of each format say, by the examples of their documentation where there are any.

mod says;

use logs::Format;
use says::{read, says};

const CLF: &str = r#"192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 10"#;
const CLF_SAYS: &str = "971211336000000@-420 client=192.0.2.7 method=GET target=/a protocol=HTTP/1.1 status=200 bytes=10";

#[test]
fn common_log_family() {
    says(CLF, Format::Common, &[CLF_SAYS]);
    let with_host = CLF_SAYS.replace(" method", " host=a.example:80 method");
    says(&format!("a.example:80 {CLF}"), Format::HostCommon, &[&with_host]);
    says(
        &format!("a.example {} \"-\" \"curl/8\"", CLF.replace("- -", "- mary ann")),
        Format::HostCombined,
        &[
            "971211336000000@-420 client=192.0.2.7 user=mary ann host=a.example method=GET target=/a protocol=HTTP/1.1 status=200 bytes=10 agent=curl/8",
        ],
    );
    // What servers answer without having understood a request.
    for (request, target) in [("-", ""), ("", ""), (r"\x16\x03\x01", " target=\u{16}\u{3}\u{1}")] {
        let log = CLF.replace("GET /a HTTP/1.1", request).replace("200 10", "400 0");
        let expected = format!("971211336000000@-420 client=192.0.2.7{target} status=400 bytes=0");
        says(&log, Format::Common, &[&expected]);
    }
}

#[test]
fn fields_behind_the_combined_format() {
    let combined = |extra: &str| format!("{CLF} \"-\" \"curl/8\" {extra}");
    for (extra, expected) in [
        ("\"-\"", ""),
        ("\"198.51.100.1, 192.0.2.9\"", " forwarded=198.51.100.1"),
        ("\"2001:db8::1\"", " forwarded=2001:db8::1"),
        ("0.012 0.010 192.0.2.1:8080", " us=12000 upstream-us=10000 upstream=192.0.2.1:8080"),
        ("\"192.0.2.1:8080\"", " upstream=192.0.2.1:8080"),
        ("rt=0.012 uct=\"0.001\" urt=\"0.010\"", " us=12000 upstream-us=10000"),
        // Traefik: number of the request, router, server, duration.
        ("7 \"web@docker\" \"http://192.0.2.1:80\" 12ms", " us=12000 upstream=192.0.2.1:80"),
        ("\"https://[2001:db8::1]:8443\"", " upstream=[2001:db8::1]:8443"),
        ("\"http://web:80\" unix:/run/x.sock", " upstream=web:80"),
        ("unix:/run/x.sock", " upstream=unix:/run/x.sock"),
        ("\"http://a.example/b:80\"", ""),
        // The ratio of compression, as in the example of nginx's documentation.
        ("\"3.21\"", ""),
        ("TLSv1.3 1.2", ""),
        // Kubernetes' ingress: request length, request time, upstream's names, address …
        (
            "245 0.012 [default-web-80] [] 192.0.2.1:8080 10 0.010 200 f00d",
            " us=12000 upstream-us=10000 upstream=192.0.2.1:8080",
        ),
        ("12345 word", ""),
    ] {
        let (records, formats) = read(&combined(extra));
        let is_end = if expected.contains(" us=") && !extra.ends_with("ms") { " end" } else { "" };
        let begin = CLF_SAYS.replace("@-420", &format!("@-420{is_end}"));
        assert_eq!(records, [format!("{begin} agent=curl/8{expected}")], "{extra}");
        assert_eq!(formats, [Format::Combined]);
    }
}

#[test]
fn json_lines() {
    // Caddy, with the prefix of a container and an exponent.
    says(
        r#"caddy  | {"level":"info","ts":971211336.25,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"192.0.2.1","client_ip":"192.0.2.7","proto":"HTTP/2.0","method":"GET","host":"a.example","uri":"/a\u00e9","headers":{"User-Agent":["curl\/8","other"],"Accept":["*/*"],"Content-Type":["a/b"]},"tls":{"version":772,"cipher_suite":4865}},"bytes_read":3,"user_id":"","duration":7.5e-05,"size":10,"status":200,"resp_headers":{"Content-Type":["text/html"],"Etag":["\"x\""]}}"#,
        Format::Json,
        &[
            "971211336250000@+0 end client=192.0.2.7 host=a.example method=GET target=/aé protocol=HTTP/2.0 status=200 bytes=10 request-bytes=3 agent=curl/8 us=75 tls=TLSv1.3 cipher=4865 mime=text/html",
        ],
    );
    // Traefik.
    says(
        r#"{"ClientAddr":"192.0.2.7:1234","ClientHost":"192.0.2.7","DownstreamContentSize":10,"DownstreamStatus":200,"Duration":12000000,"OriginDuration":10000000,"OriginStatus":500,"RequestHost":"a.example","RequestMethod":"GET","RequestPath":"/a","RequestProtocol":"HTTP/1.1","RouterName":"web","ServiceAddr":"192.0.2.1:80","StartUTC":"2000-10-10T20:55:36.5Z","request_User-Agent":"curl/8","time":"2000-10-10T20:55:37Z"}"#,
        Format::Json,
        &[
            "971211336500000@+0 client=192.0.2.7 host=a.example method=GET target=/a protocol=HTTP/1.1 status=200 bytes=10 agent=curl/8 us=12000 upstream-us=10000 upstream=192.0.2.1:80 route=web",
        ],
    );
    // nginx.
    says(
        r#"{"time_iso8601":"2000-10-10T13:55:36-07:00","remote_addr":"192.0.2.7","remote_user":"","request":"GET /a?b=1 HTTP/1.1","status":"200","body_bytes_sent":"10","bytes_sent":"210","request_time":"0.012","upstream_response_time":"0.004, 0.010","upstream_addr":"192.0.2.1:80, 192.0.2.2:80","http_referer":"-","http_user_agent":"curl/8","http_x_forwarded_for":"198.51.100.1, 192.0.2.9","upstream_cache_status":"MISS","ssl_protocol":"TLSv1.3"}"#,
        Format::Json,
        &[
            "971211336000000@-420 end client=192.0.2.7 method=GET target=/a?b=1 protocol=HTTP/1.1 status=200 bytes=10 agent=curl/8 forwarded=198.51.100.1 us=12000 upstream-us=10000 upstream=192.0.2.2:80 cache=MISS tls=TLSv1.3",
        ],
    );
    // Envoy, as Istio writes.
    says(
        r#"{"start_time":"2000-10-10T20:55:36.000Z","method":"GET","path":"/a","protocol":"HTTP/1.1","response_code":200,"bytes_sent":10,"bytes_received":0,"duration":12,"upstream_service_time":"10","authority":"a.example","user_agent":"curl/8","upstream_host":"192.0.2.1:80","downstream_remote_address":"192.0.2.7:1234","x_forwarded_for":"198.51.100.1","route_name":"default","upstream_cluster":"web"}"#,
        Format::Json,
        &[
            "971211336000000@+0 client=192.0.2.7 host=a.example method=GET target=/a protocol=HTTP/1.1 status=200 bytes=10 request-bytes=0 agent=curl/8 forwarded=198.51.100.1 us=12000 upstream-us=10000 upstream=192.0.2.1:80 route=default",
        ],
    );
    // Cloudflare: start and end, no duration.
    says(
        r#"{"ClientIP":"192.0.2.7","ClientRequestHost":"a.example","ClientRequestMethod":"GET","ClientRequestURI":"/a","EdgeEndTimestamp":971211336512000000,"EdgeResponseBytes":10,"EdgeResponseStatus":200,"EdgeStartTimestamp":971211336500000000,"CacheCacheStatus":"hit","ClientCountry":"US"}"#,
        Format::Json,
        &[
            "971211336500000@+0 client=192.0.2.7 host=a.example method=GET target=/a status=200 bytes=10 us=12000 cache=hit country=US",
        ],
    );
    // Google Cloud's load balancer.
    says(
        r#"{"httpRequest":{"requestMethod":"GET","requestUrl":"https://a.example/a","status":200,"responseSize":"10","userAgent":"curl/8","remoteIp":"192.0.2.7","latency":"0.012s","serverIp":"192.0.2.1","protocol":"HTTP/1.1"},"insertId":"x","timestamp":"2000-10-10T20:55:36.500Z","severity":"INFO"}"#,
        Format::Json,
        &[
            "971211336500000@+0 client=192.0.2.7 host=a.example method=GET target=https://a.example/a protocol=HTTP/1.1 status=200 bytes=10 agent=curl/8 us=12000 upstream=192.0.2.1",
        ],
    );
    // tidegate, whose escapes stand for bytes.
    says(
        r#"{"start":"2000-10-10T20:55:36.000250Z","client":"192.0.2.7","method":"GET","target":"/a","status":200,"duration":1.500003,"route":"site","server":"192.0.2.1:80","variants":"x=b","agent":"\u0041"}"#,
        Format::TidegateJson,
        &[
            "971211336000250@+0 client=192.0.2.7 method=GET target=/a status=200 agent=A us=1500003 upstream=192.0.2.1:80 route=site variants=x=b",
        ],
    );
    for (log, reason) in [
        (r#"{"level":"info","ts":971211336.5,"msg":"started"}"#, "no request field"),
        (r#"{"status":200,"method":"GET"}"#, "no timestamp"),
        (r#"{"ts":971211336,"status":200"#, "bad JSON"),
        (r#"{"ts":971211336,"status":200}}"#, "bad JSON"),
        (r#"{"ts":971211336,"status":"ok"}"#, "bad status"),
        (r#"{"time_local":"yesterday","status":200}"#, "bad timestamp"),
        ("{}", "not an access-log line"),
    ] {
        assert_eq!(read(log).0, [format!("rejected: {reason}")], "{log}");
    }
}

#[test]
fn tables_with_a_header() {
    says(
        "timestamp\n2000-10-10T13:55:36-07:00\n2000-10-10 20:55:37\n",
        Format::Csv,
        &["971211336000000@-420", "971211337000000@+0"],
    );
    says(
        "timestamp,requests\r\n971211336,42\r\n971211337,1.6\r\n",
        Format::Csv,
        &["971211336000000@+0 weight=42", "971211337000000@+0 weight=2"],
    );
    says(
        "\u{feff}time\tmethod\tpath\tstatus\tuser_agent\n971211336\tGET\t\"/a\"\"b\"\t200\t\"x\ty\"\n",
        Format::Csv,
        &["971211336000000@+0 method=GET target=/a\"b status=200 agent=x\ty"],
    );
    let (records, _) = read("timestamp,requests\n971211336,x\n971211336\nnever,1\n");
    assert_eq!(records, ["rejected: bad field", "rejected: bad field", "rejected: bad timestamp"]);
}

#[test]
fn w3c_logs() {
    // The example of the W3C draft has times of day only.
    let draft = "#Version: 1.0\n#Date: 1996-01-12 00:00:00\n#Fields: time cs-method cs-uri\n00:34:23 GET /foo/bar.html\n";
    says(draft, Format::W3c, &["821406863000000@+0 method=GET target=/foo/bar.html"]);
    // IIS; the fields change in the middle.
    let iis = "#Fields: date time c-ip cs-username cs-method cs-uri-stem cs-uri-query sc-status sc-bytes cs(User-Agent) cs(Referer) time-taken\n\
        2000-10-10 20:55:36 192.0.2.7 - GET /a b=1 200 10 Mozilla/5.0+(X;+Y) - 12\n\
        #Fields: date time c-ip cs-uri-stem\n\
        2000-10-10 20:55:37 192.0.2.8 /b\n";
    says(
        iis,
        Format::W3c,
        &[
            "971211336000000@+0 client=192.0.2.7 method=GET target=/a?b=1 status=200 bytes=10 agent=Mozilla/5.0 (X; Y) us=12000",
            "971211337000000@+0 client=192.0.2.8 target=/b",
        ],
    );
    // CloudFront.
    let cloudfront = "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher\n\
        2000-10-10\t20:55:36\tLAX1\t10\t192.0.2.7\tGET\td111.cloudfront.net\t/a\t200\t-\tcurl/8%20(x)\t-\t-\tHit\tabc\ta.example\thttps\t23\t0.012\t-\tTLSv1.3\tAES\n";
    says(
        cloudfront,
        Format::W3c,
        &[
            "971211336000000@+0 client=192.0.2.7 host=a.example method=GET target=/a status=200 bytes=10 request-bytes=23 agent=curl/8 (x) us=12000 cache=Hit tls=TLSv1.3 cipher=AES",
        ],
    );
    let (records, _) =
        read("#Fields: date time c-ip\n2000-10-10 20:55:36\n2000-10-10 x 192.0.2.7\n");
    assert_eq!(records, ["rejected: bad field", "rejected: bad timestamp"]);
    // Lines that only look like comments are no records, and no headers either.
    assert_eq!(read(&format!("{CLF}\n# a comment\n{CLF}\n")).0, [CLF_SAYS, CLF_SAYS]);
}

#[test]
fn load_balancers() {
    // The example of the documentation of classic load balancers.
    says(
        r#"2015-05-13T23:39:43.945958Z my-loadbalancer 192.168.131.39:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.38.0" - -"#,
        Format::Elb,
        &[
            "1431560383945958@+0 end client=192.168.131.39 host=www.example.com method=GET target=http://www.example.com:80/ protocol=HTTP/1.1 status=200 bytes=29 request-bytes=0 agent=curl/7.38.0 us=1178 upstream-us=1048 upstream=10.0.0.1:80",
        ],
    );
    // The example of the documentation of application load balancers.
    says(
        r#"https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067 "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com" "arn:aws:acm:us-east-2:123456789012:certificate/12345678-1234-1234-1234-123456789012" 1 2018-07-02T22:22:48.364000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "200" "-" "-""#,
        Format::Elb,
        &[
            "1530570180186641@+0 end client=192.168.131.39 host=www.example.com method=GET target=https://www.example.com:443/ protocol=HTTP/1.1 status=200 bytes=57 request-bytes=0 agent=curl/7.46.0 us=171000 upstream-us=48000 upstream=10.0.0.1:80 tls=TLSv1.2 cipher=ECDHE-RSA-AES128-GCM-SHA256",
        ],
    );
    // The example of HAProxy's manual.
    says(
        r#"Feb  6 12:14:14 localhost haproxy[14389]: 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu} {} "GET /index.html HTTP/1.1""#,
        Format::Haproxy,
        &[
            "1233922454655000@+0 client=10.0.1.2 method=GET target=/index.html protocol=HTTP/1.1 status=200 bytes=2750 us=109000 upstream-us=69000 upstream=static/srv1",
        ],
    );
    // A client that went away, and one with an agent captured.
    says(
        r#"2001:db8::7:33317 [06/Feb/2009:12:14:14.655] http-in http-in/<NOSRV> -1/-1/-1/-1/+5 400 +187 - - CR-- 1/1/1/1/0 0/0 {a|Mozilla/5.0 (X)} "<BADREQ>""#,
        Format::Haproxy,
        &[
            "1233922454655000@+0 client=2001:db8::7 status=400 bytes=187 agent=Mozilla/5.0 (X) us=5000",
        ],
    );
}

#[test]
fn other_servers() {
    says(
        "[pid: 88185|app: 0|req: 3/3] 192.0.2.7 (ann) {34 vars in 617 bytes} [Sun Mar 13 22:49:15 2016] POST /b => generated 215 bytes in 68 micros (HTTP/1.1 200) 9 headers in 373 bytes (1 switches on core 8)",
        Format::Uwsgi,
        &[
            "1457909355000000@+0 client=192.0.2.7 user=ann method=POST target=/b protocol=HTTP/1.1 status=200 bytes=215 request-bytes=617 us=68",
        ],
    );
    says(
        r#"time="2000-10-10T20:55:36Z" level=info method=GET path="/a \"b\"" status=200 duration=12ms remote_addr=192.0.2.7"#,
        Format::Logfmt,
        &["971211336000000@+0 client=192.0.2.7 method=GET target=/a \"b\" status=200 us=12000"],
    );
    // Kubernetes and syslog carry lines of any format.
    for prefix in [
        "2024-05-01T00:00:00.000000000Z stdout F ",
        "<190>Oct 10 13:55:36 web nginx: ",
        "2024-05-01T00:00:00+00:00 web nginx[7]: ",
        "web-1  | ",
    ] {
        says(&format!("{prefix}{CLF}"), Format::Common, &[CLF_SAYS]);
    }
}
