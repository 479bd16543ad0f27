//! tidegate's own templates: text with `{field}`, where `{{` and `}}` stand for braces.
//!
//! Source: `docs/reference/access-log.md`.

use super::{Layout, LayoutError, Program};
use crate::format::{escape::Escape, field::Field};
use traffic::HitField;

/// Whether the format is of this kind: it has a `{field}` that is neither Apache's `%{…}` nor nginx's
/// `${…}`.
pub(super) fn is_meant(format: &str) -> bool {
    format.match_indices('{').any(|(at, _)| {
        let name = format[at + 1..].split('}').next().unwrap_or_default();
        !format[..at].ends_with(['%', '$']) && HitField::named(name).is_some()
    })
}

/// Compiles a template.
pub(super) fn compile(format: &str) -> Result<Layout, LayoutError> {
    let mut program = Program::default();
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        let (text, after) = rest.split_at(at);
        program.literal_text(text);
        rest = after.get(2..).unwrap_or_default();
        if after.starts_with("{{") || after.starts_with("}}") {
            program.literal_text(&after[..1]);
            continue;
        }
        let field = after.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let (name, behind) = field.ok_or_else(|| LayoutError::new("a brace stands alone"))?;
        let field = HitField::named(name)
            .ok_or_else(|| LayoutError::new(format!("there is no field `{{{name}}}`")))?;
        program.take(meaning(field));
        rest = behind;
    }
    program.literal_text(rest);
    program.finish("tidegate", Escape::Backslash)
}

fn meaning(field: HitField) -> Option<Field> {
    use Field as F;
    Some(match field {
        HitField::Start => F::Time,
        HitField::Client => F::Client,
        HitField::User => F::User,
        HitField::Method => F::Method,
        HitField::Host => F::Host,
        HitField::Target | HitField::Path => F::Target,
        HitField::Query => F::Query,
        HitField::Protocol => F::Protocol,
        HitField::Status => F::Status,
        HitField::Bytes => F::Bytes,
        HitField::RequestBytes => F::RequestBytes,
        HitField::Duration => F::DurationS,
        HitField::Ttfb => F::UpstreamS,
        HitField::Route => F::Route,
        HitField::Server => F::Upstream,
        HitField::Cache => F::Cache,
        HitField::Referrer => F::Referrer,
        HitField::Agent => F::Agent,
        HitField::Tls => F::Tls,
        HitField::Variants => F::Variants,
        HitField::Upstream
        | HitField::Attempts
        | HitField::Failure
        | HitField::FailureOwner
        | HitField::RequestId
        | HitField::Scheme
        | HitField::ConnectTime => return None,
    })
}
