//! The scenario of `tidegate load URL`: one task, one request.

use std::path::Path;

use http::header;
use load::scenario::{Body, Scenario, Step, Task};
use load::template::{Escape, Symbols, Template};
use policy::Wait;

use crate::compile::Compiler;
use crate::errors::{Code, Errors, Kind, Problem, Sink};
use crate::file::ScenarioFile;
use crate::host::{Host, split_url};
use crate::read::Text;
use crate::settings::LoadSettings;
use crate::step::{BODY_FILE_BYTES_MAX, basic_credentials, parse_method, read_limited};

/// A request as flags describe it. Texts may hold placeholders such as `{{uuid}}`.
#[derive(Debug, Clone, Default)]
pub struct UrlRequest<'a> {
    /// An http or https URL; without a scheme it is http.
    pub url: &'a str,
    /// Request method; GET when not given, POST when there is a body.
    pub method: Option<&'a str>,
    /// Header fields.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The body.
    pub body: Option<&'a str>,
    /// A file to send as the body instead.
    pub body_file: Option<&'a Path>,
    /// User and password of basic authentication.
    pub basic: Option<(&'a str, &'a str)>,
}

/// The scenario that sends one request again and again.
///
/// # Errors
/// Everything that is wrong with the request.
pub fn scenario_of_url(request: &UrlRequest<'_>) -> Result<ScenarioFile, Errors> {
    let sink = Sink::new(Kind::Scenario, None);
    let scenario = read(request, &sink);
    sink.finish(scenario)
}

fn read(request: &UrlRequest<'_>, sink: &Sink) -> Option<ScenarioFile> {
    let symbols = Symbols::default();
    let mut compiler = Compiler { sink, symbols, broken: Vec::new(), endpoints: Vec::new() };
    let report = |code, message: String| sink.add(Problem::new(code, message));

    let method = request.method.unwrap_or(match (request.body, request.body_file) {
        (None, None) => "GET",
        _ => "POST",
    });
    let parsed_method = parse_method(method);
    if parsed_method.is_none() {
        report(
            Code::BadMethod,
            format!("`{}` is not a method that can be sent", method.escape_debug()),
        );
    }
    let split = split_url(request.url).map_err(|error| report(Code::BadHost, error.0)).ok();
    let target = split.and_then(|(origin, path)| {
        let path = match path.split_once('#') {
            Some((path, _)) => path,
            None => path,
        };
        let rooted = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some((origin, compiler.target(Text::of_flag(&rooted))?))
    });
    let mut headers: Vec<_> = request
        .headers
        .iter()
        .filter_map(|(name, value)| compiler.header(Text::of_flag(name), Text::of_flag(value)))
        .collect();
    if let Some((user, password)) = request.basic {
        if user.contains(':') {
            report(
                Code::BadHeader,
                "a user name of basic authentication cannot hold a colon".to_owned(),
            );
        }
        headers.push((header::AUTHORIZATION, Template::literal(basic_credentials(user, password))));
    }
    let body = match (request.body, request.body_file) {
        (Some(_), Some(_)) => {
            report(Code::Conflict, "a body and a body file exclude each other".to_owned());
            None
        }
        (Some(text), None) => {
            compiler.template(Text::of_flag(text), Escape::None).map(Body::Template)
        }
        (None, Some(path)) => read_limited(path, BODY_FILE_BYTES_MAX)
            .map(|bytes| Body::Bytes(bytes.into()))
            .map_err(|message| report(Code::UnreadableFile, message))
            .ok(),
        (None, None) => Some(Body::None),
    };

    let ((origin, target), method) = (target?, parsed_method?);
    let step = Step {
        endpoint: compiler.endpoint(&target.shown, &method),
        method: method.clone(),
        origin: None,
        target: target.template,
        headers,
        body: body?,
        checks: Vec::new(),
        saves: Vec::new(),
        timeout: None,
    };
    let task = Task { name: format!("{method} {}", target.shown), weight: 1, steps: vec![step] };
    let scenario = Scenario {
        tasks: vec![task],
        on_start: Vec::new(),
        on_stop: Vec::new(),
        wait: Wait::None,
        data: [].into(),
        saved_names: Vec::new(),
        endpoints: compiler.endpoints,
    };
    let host = Some(Host { origin, base_path: String::new() });
    let settings = LoadSettings { host, ..LoadSettings::default() };
    Some(ScenarioFile { name: None, scenario, settings })
}

#[cfg(test)]
mod tests {
    use load::params::Model;

    use super::*;
    use crate::resolve;

    #[test]
    fn a_url_is_a_scenario_of_ten_users_for_ten_seconds() {
        let request =
            UrlRequest { url: "http://127.0.0.1:8080/a?b={{uuid}}#c", ..UrlRequest::default() };
        let file = scenario_of_url(&request).unwrap();
        assert_eq!(file.scenario.endpoints[0].name, "/a");
        assert_eq!(file.scenario.tasks[0].name, "GET /a");
        let params = resolve(file.scenario, file.settings).unwrap();
        assert_eq!(params.http.origin.authority(), "127.0.0.1:8080");
        assert!(matches!(&params.model, Model::Closed { users } if users.max() == 10.0));
        assert_eq!(params.stop.run_time, Some(std::time::Duration::from_secs(10)));
    }

    #[test]
    fn all_that_is_wrong_is_named_at_once() {
        let request = UrlRequest {
            url: "ftp://a/",
            method: Some("A B"),
            headers: vec![("content-length", "3"), ("x", "{{nope}}")],
            ..UrlRequest::default()
        };
        let errors = scenario_of_url(&request).unwrap_err();
        let codes: Vec<Code> = errors.iter().map(Problem::code).collect();
        let expected = [Code::BadMethod, Code::BadHost, Code::ReservedHeader, Code::BadTemplate];
        assert_eq!(codes, expected, "{errors}");
    }
}
