//! Line formats of one's own.

use super::HitField;

/// A line format of one's own: text with `{field}`; `{{` and `}}` stand for braces.
///
/// Between double quotes the spaces of a value stay; elsewhere they are escaped, so that fields
/// separated by spaces can be told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(Vec<u8>),
    Field { field: HitField, quoted: bool },
}

/// A template that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no field of this name.
    #[error("unknown field `{{{0}}}`")]
    UnknownField(String),
    /// A brace is not closed, or not opened.
    #[error("a single brace: write {{{{ or }}}} for a brace itself")]
    Brace,
    /// A line break would make two lines of one.
    #[error("a template is one line")]
    LineBreak,
}

impl std::str::FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Template, TemplateError> {
        if text.contains(['\n', '\r']) {
            return Err(TemplateError::LineBreak);
        }
        let mut parts = Vec::new();
        let (mut literal, mut quoted) = (Vec::new(), false);
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            literal.extend_from_slice(before.as_bytes());
            if let Some(behind) = after.strip_prefix("{{").or_else(|| after.strip_prefix("}}")) {
                literal.push(after.as_bytes()[0]);
                rest = behind;
                continue;
            }
            let inner = after.strip_prefix('{').ok_or(TemplateError::Brace)?;
            let (name, behind) = inner.split_once('}').ok_or(TemplateError::Brace)?;
            let field = HitField::named(name)
                .ok_or_else(|| TemplateError::UnknownField(name.to_owned()))?;
            quoted ^= literal.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
            parts.push(Part::Text(std::mem::take(&mut literal)));
            parts.push(Part::Field { field, quoted });
            rest = behind;
        }
        literal.extend_from_slice(rest.as_bytes());
        parts.push(Part::Text(literal));
        Ok(Template { parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_checked() {
        let parse = |text: &str| text.parse::<Template>().err();
        assert_eq!(parse("{ststus}"), Some(TemplateError::UnknownField("ststus".to_owned())));
        assert_eq!(parse("{status"), Some(TemplateError::Brace));
        assert_eq!(parse("status}"), Some(TemplateError::Brace));
        assert_eq!(parse("a\nb"), Some(TemplateError::LineBreak));
        for field in HitField::ALL {
            assert_eq!(HitField::named(field.as_str()), Some(*field));
        }
    }
}
