use std::io::Write;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::*;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn entry() -> AccessEntry {
    AccessEntry {
        started: Instant::now(),
        request_id: "0123".to_owned(),
        peer: Some("192.0.2.1:4711".parse().unwrap()),
        protocol: "HTTP/1.1",
        method: http::Method::GET,
        host: Some("app.example.com".into()),
        path: "/a".to_owned(),
        route: None,
        scheme: None,
        user: None,
        code: "ok",
        cause: None,
        status: 200,
        bytes_in: 0,
        bytes_out: 5,
        auth: Duration::from_micros(120),
        upstream: Duration::from_millis(3),
        broken: false,
    }
}

const EVIL: &str = "a\r\n{\"forged\":1}\u{1b}[2J\u{9b}2J\u{7f}\u{2028}\u{2029}\u{85}\u{202e}\u{0}\"\\é";

#[test]
fn a_line_holds_every_field_of_its_request() {
    let captured = Captured::default();
    let telemetry = Telemetry::with_output(false, Box::new(captured.clone())).unwrap();
    telemetry.record(AccessEntry {
        route: Some(telemetry.route("/api/**")),
        scheme: Some("corp".into()),
        user: Some("alice".to_owned()),
        code: "forbidden",
        cause: Some("no scope".to_owned()),
        status: 403,
        ..entry()
    });
    telemetry.flush();
    let line: serde_json::Value = serde_json::from_str(captured.text().trim_end()).unwrap();
    let wanted = serde_json::json!({
        "request_id": "0123", "peer": "192.0.2.1:4711", "method": "GET", "host": "app.example.com", "path": "/a", "protocol": "HTTP/1.1",
        "route": "/api/**", "scheme": "corp", "user": "alice", "code": "forbidden", "cause": "no scope", "status": 403, "bytes_in": 0,
        "bytes_out": 5, "auth_ms": 0.12, "upstream_ms": 3.0, "broken": false,
    });
    for (key, value) in wanted.as_object().unwrap() {
        assert_eq!(&line[key], value, "{key}");
    }
    assert!(line["total_ms"].as_f64().unwrap() >= 0.0);
    let time = line["time"].as_str().unwrap();
    assert!(time::OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339).is_ok(), "{time}");
    assert_eq!(line.as_object().unwrap().len(), wanted.as_object().unwrap().len() + 2);
}

#[test]
fn nothing_that_a_client_sends_forges_a_line_or_reaches_a_terminal() {
    for text in [false, true] {
        let captured = Captured::default();
        let telemetry = Telemetry::with_output(text, Box::new(captured.clone())).unwrap();
        telemetry.record(AccessEntry {
            host: Some(EVIL.into()),
            path: EVIL.to_owned(),
            user: Some(EVIL.to_owned()),
            cause: Some(EVIL.to_owned()),
            request_id: EVIL.to_owned(),
            ..entry()
        });
        telemetry.flush();
        let written = captured.text();
        let line = written.strip_suffix('\n').unwrap();
        assert!(!line.chars().any(|c| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c)), "{line:?}");
        assert!(line.contains('é'), "harmless letters stay: {line}");
        if !text {
            let parsed: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(parsed["user"], EVIL);
            assert_eq!(parsed["path"], EVIL);
        }
    }
}

#[test]
fn on_a_terminal_a_cause_reads_as_a_sentence() {
    let captured = Captured::default();
    let telemetry = Telemetry::with_output(true, Box::new(captured.clone())).unwrap();
    telemetry.record(AccessEntry { user: Some("a b".to_owned()), cause: Some("the key is unknown\t".to_owned()), ..entry() });
    telemetry.flush();
    let text = captured.text();
    assert!(text.ends_with("cause=\"the key is unknown\\u{9}\"\n"), "{text}");
    assert!(text.contains(" a\\u{20}b "), "other fields hold no blank: {text}");
}

/// Takes one write, then blocks until it is let go.
struct Stuck {
    entered: mpsc::Sender<()>,
    release: mpsc::Receiver<()>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.entered.send(());
        let _ = self.release.recv();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_log_drops_lines_and_counts_them_but_stops_nobody() {
    let (entered, is_in) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let telemetry = Telemetry::with_output(false, Box::new(Stuck { entered, release: released })).unwrap();
    telemetry.record(entry());
    is_in.recv().unwrap();
    for _ in 0..9000 {
        telemetry.record(entry());
    }
    let dropped = telemetry
        .render()
        .lines()
        .find_map(|line| line.strip_prefix("doorward_log_lines_dropped_total ").map(|n| n.parse::<u64>().unwrap()))
        .unwrap();
    assert_eq!(dropped, 9000 - 8192);
    drop(release);
}

#[test]
fn each_scheme_of_a_route_has_its_own_count_of_those_it_let_in() {
    let telemetry = Telemetry::without_output();
    let (route, other) = (telemetry.route("/api/**"), telemetry.route("/**"));
    for (route, scheme) in [(&route, "corp"), (&route, "keys"), (&route, "corp"), (&other, "keys"), (&other, "corp")] {
        telemetry.admitted(route, scheme);
    }
    telemetry.auth("corp", "ok", "none");
    let text = telemetry.render();
    for (scheme, count) in [("corp", 4), ("keys", 2)] {
        let line = format!("doorward_auth_total{{scheme=\"{scheme}\",outcome=\"ok\",reason=\"none\"}} {count}\n");
        assert!(text.contains(&line), "{text}");
    }
}

#[test]
fn metrics_come_out_under_their_promised_names() {
    let telemetry = Telemetry::without_output();
    let route = telemetry.route("/api/**");
    assert!(Arc::ptr_eq(&route, &telemetry.route("/api/**")));
    telemetry.record(AccessEntry { route: Some(route), ..entry() });
    telemetry.record(AccessEntry { status: 404, code: "not_found", upstream: Duration::ZERO, ..entry() });
    telemetry.auth("corp", "refused", "expired");
    telemetry.panicked();
    telemetry.certificate_reload_failed();
    for cache in ["tokens", "keys"] {
        telemetry.register_source(Box::new(move || {
            vec![
                Sample {
                    name: "doorward_cache_hits_total",
                    help: "Hits.",
                    kind: Kind::Counter,
                    labels: vec![("cache", cache.to_owned())],
                    value: 3.0,
                },
                Sample { name: "doorward_jwks_age_seconds", help: "Age.", kind: Kind::Gauge, labels: vec![("scheme", cache.to_owned())], value: 1.5 },
            ]
        }));
    }
    let text = telemetry.render();
    for line in [
        "doorward_requests_total{route=\"/api/**\",status_class=\"2xx\"} 1",
        "doorward_requests_total{route=\"none\",status_class=\"4xx\"} 1",
        "doorward_request_duration_seconds_count{route=\"/api/**\"} 1",
        "doorward_upstream_duration_seconds_count{route=\"/api/**\"} 1",
        "doorward_upstream_duration_seconds_count{route=\"none\"} 0",
        "doorward_rejections_total{code=\"not_found\"} 1",
        "doorward_auth_total{scheme=\"corp\",outcome=\"refused\",reason=\"expired\"} 1",
        "doorward_panics_total 1",
        "doorward_certificate_reload_failures_total 1",
        "doorward_log_lines_dropped_total 0",
        "doorward_cache_hits_total{cache=\"keys\"} 3.0",
        "doorward_jwks_age_seconds{scheme=\"tokens\"} 1.5",
        concat!("doorward_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(text.lines().any(|have| have == line), "{line} is missing in\n{text}");
    }
    assert!(text.contains("\ndoorward_start_time_seconds "));
    assert_eq!(text.matches("# TYPE doorward_cache_hits counter").count(), 1);
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_level_that_does_not_exist_is_reported() {
    for (text, valid) in [("info", true), ("trace", true), ("INFO", false), ("verbose", false), ("", false), ("doorward=debug", false)] {
        let mut report = Report::default();
        let level = report.within("log", |report| diagnostics::level(text, report));
        assert_eq!(level.is_some(), valid, "{text}");
        assert_eq!(report.problems().iter().any(|p| p.key == "log.level"), !valid, "{text}");
    }
}
