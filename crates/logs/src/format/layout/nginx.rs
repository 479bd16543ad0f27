//! nginx's `log_format`: text with `$variables`.
//!
//! Source: nginx documentation, ngx_http_log_module and the modules that define the variables.

use super::{Layout, LayoutError, Program, pattern::Pattern};
use crate::format::{escape::Escape, field::Field};

/// Compiles a format string that nginx has read, whose values are written with `escape`.
pub(super) fn compile(format: &str, name: &str, escape: Escape) -> Result<Layout, LayoutError> {
    let mut program = Program::default();
    let mut rest = format;
    while let Some(dollar) = rest.find('$') {
        program.literal_text(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        let is_braced = rest.starts_with('{');
        rest = rest.strip_prefix('{').unwrap_or(rest);
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let end = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
        let (variable, after) = rest.split_at(end);
        if variable.is_empty() {
            return Err(LayoutError::new("a `$` has no variable after it"));
        }
        rest = if is_braced { after.strip_prefix('}').unwrap_or(after) } else { after };
        if variable == "is_args" && program.is_after_target() {
            continue; // the `?` between them
        }
        if variable == "time_local" {
            program.time(Pattern::new("%d/%b/%Y:%H:%M:%S %z")?);
        } else {
            program.take(meaning(variable));
        }
    }
    program.literal_text(rest);
    // nginx writes the line when the request is over.
    program.finish(name, escape).map(|layout| Layout { time_is_end: true, ..layout })
}

fn meaning(variable: &str) -> Option<Field> {
    use Field as F;
    Some(match variable {
        "time_iso8601" | "msec" => F::TimeAtEnd,
        "remote_addr" | "binary_remote_addr" | "realip_remote_addr" => F::Client,
        "remote_user" => F::User,
        "host" | "http_host" | "server_name" => F::Host,
        "request" => F::Request,
        "request_method" => F::Method,
        "request_uri" | "uri" | "document_uri" => F::Target,
        "args" | "query_string" => F::Query,
        "server_protocol" => F::Protocol,
        "status" => F::Status,
        "body_bytes_sent" | "bytes_sent" => F::Bytes,
        "request_length" => F::RequestBytes,
        "http_referer" => F::Referrer,
        "http_user_agent" => F::Agent,
        "http_x_forwarded_for" | "proxy_add_x_forwarded_for" => F::ForwardedFor,
        "request_time" => F::DurationS,
        "upstream_response_time" => F::UpstreamS,
        "upstream_addr" => F::Upstream,
        "upstream_cache_status" => F::Cache,
        "ssl_protocol" => F::Tls,
        "ssl_cipher" => F::Cipher,
        "sent_http_content_type" => F::Mime,
        "geoip_country_code" | "geoip2_data_country_code" => F::Country,
        _ => return None,
    })
}
