//! Changes of header fields that a route asks for.

use std::borrow::Cow;
use std::net::IpAddr;

use traffic::{Fields, Name};

use crate::params::FieldEdits;

/// What `{client-ip}`, `{host}`, `{request-id}` and `{scheme}` in values stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    /// The client's address.
    pub(crate) client_ip: IpAddr,
    /// The host that was asked for.
    pub(crate) host: &'a str,
    /// The id of the request.
    pub(crate) request_id: &'a str,
    /// `http` or `https`.
    pub(crate) scheme: &'a str,
}

/// Removes, sets and adds fields, in this order. Fields that frame messages or belong to one
/// connection (RFC 9110 section 7.6.1) are left alone, as are names that are none; bytes that may
/// not stand in a value are left out, so an edit can never end a line.
pub(crate) fn apply(edits: &FieldEdits, values: Values<'_>, fields: &mut Fields) {
    for name in edits.remove.iter().filter(|name| may_edit(name)) {
        fields.remove_named(name);
    }
    for (name, value) in edits.set.iter().filter(|(name, _)| may_edit(name)) {
        fields.set_named(name, clean(&expand(value, values)).as_bytes());
    }
    for (name, value) in edits.add.iter().filter(|(name, _)| may_edit(name)) {
        fields.push(name.as_bytes(), clean(&expand(value, values)).as_bytes());
    }
}

/// Sets one field, as [`apply`] would.
pub(crate) fn set(fields: &mut Fields, name: &str, value: &str) {
    if may_edit(name) {
        fields.set_named(name, clean(value).as_bytes());
    }
}

/// Adds one field, as [`apply`] would.
pub(crate) fn add(fields: &mut Fields, name: &str, value: &str) {
    if may_edit(name) {
        fields.push(name.as_bytes(), clean(value).as_bytes());
    }
}

/// Adds a member to `Vary` unless it is there already (RFC 9110 section 12.5.5).
pub(crate) fn add_vary(fields: &mut Fields, member: &str) {
    let there = |value: &[u8]| value == b"*" || value.eq_ignore_ascii_case(member.as_bytes());
    if !fields.members(Name::Vary).any(there) {
        fields.push_known(Name::Vary, member.as_bytes());
    }
}

/// Puts `value(NAME)` in the place of every `{NAME}` for which there is one; other braces stay.
pub(crate) fn fill<'a>(template: &'a str, value: impl Fn(&str) -> Option<String>) -> Cow<'a, str> {
    if !template.contains('{') {
        return Cow::Borrowed(template);
    }
    let mut filled = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let known = after
            .split_once('}')
            .and_then(|(name, behind)| value(name).map(|value| (value, behind)));
        match known {
            Some((value, behind)) => {
                filled.push_str(&value);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    Cow::Owned(filled)
}

fn expand<'a>(template: &'a str, values: Values<'_>) -> Cow<'a, str> {
    fill(template, |name| match name {
        "client-ip" => Some(values.client_ip.to_canonical().to_string()),
        "host" => Some(values.host.to_owned()),
        "request-id" => Some(values.request_id.to_owned()),
        "scheme" => Some(values.scheme.to_owned()),
        _ => None,
    })
}

/// A value without what may not stand in one: control characters and surrounding white space
/// (RFC 9110 section 5.5).
fn clean(value: &str) -> Cow<'_, str> {
    let forbidden = |char: char| char != '\t' && char.is_ascii_control();
    if !value.contains(forbidden) {
        return Cow::Borrowed(value.trim_ascii());
    }
    let kept: String = value.chars().filter(|char| !forbidden(*char)).collect();
    Cow::Owned(kept.trim_ascii().to_owned())
}

/// Whether a name is one (a token, RFC 9110 section 5.6.2), and not one that frames messages.
fn may_edit(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(token)
        && !matches!(
            Name::of(name.as_bytes()),
            Name::Connection
                | Name::ContentLength
                | Name::Http2Settings
                | Name::KeepAlive
                | Name::ProxyConnection
                | Name::Te
                | Name::Trailer
                | Name::TransferEncoding
                | Name::Upgrade
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> Values<'static> {
        Values {
            client_ip: "::ffff:192.0.2.7".parse().unwrap(),
            host: "shop.example",
            request_id: "r-1",
            scheme: "https",
        }
    }

    fn edits(remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]) -> FieldEdits {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
        };
        FieldEdits {
            remove: remove.iter().map(|name| (*name).into()).collect(),
            set: pairs(set),
            add: pairs(add),
        }
    }

    fn shown(fields: &Fields) -> Vec<String> {
        let lossy = String::from_utf8_lossy;
        fields
            .iter()
            .map(|field| format!("{}: {}", lossy(field.name), lossy(field.value)))
            .collect()
    }

    #[test]
    fn fields_are_removed_then_set_then_added() {
        let mut fields: Fields =
            [("X-Old", "1"), ("Server", "secret/1.0"), ("X-Kept", "2")].into_iter().collect();
        let edits = edits(
            &["server", "x-old", "X-Absent"],
            &[("X-Kept", "{scheme}://{host} {client-ip}"), ("x-new", "{request-id}")],
            &[("X-New", "a"), ("X-Old", "back")],
        );
        apply(&edits, values(), &mut fields);
        assert_eq!(
            shown(&fields),
            ["X-Kept: https://shop.example 192.0.2.7", "x-new: r-1", "X-New: a", "X-Old: back"]
        );
    }

    #[test]
    fn unknown_braces_stay() {
        for (template, expected) in [
            ("{", "{"),
            ("}", "}"),
            ("{}", "{}"),
            ("{hos}t}", "{hos}t}"),
            ("{{host}}", "{shop.example}"),
            ("{\"a\":{\"b\":\"{host}\"}}", "{\"a\":{\"b\":\"shop.example\"}}"),
            ("{host", "{host"),
            ("{host}{host}", "shop.exampleshop.example"),
            ("{nobody} {scheme}", "{nobody} https"),
        ] {
            assert_eq!(expand(template, values()), expected, "{template}");
        }
    }

    #[test]
    fn framing_and_odd_names_are_left_alone() {
        let mut fields: Fields =
            [("Content-Length", "3"), ("Transfer-Encoding", "chunked")].into_iter().collect();
        let before = shown(&fields);
        let edits = edits(
            &["content-length", "transfer-encoding", ""],
            &[("Connection", "close"), ("a b", "c"), ("a\r\nb", "c")],
            &[("Content-Length", "5"), ("a:", "c"), ("é", "c")],
        );
        apply(&edits, values(), &mut fields);
        assert_eq!(shown(&fields), before);
    }

    #[test]
    fn vary_has_each_member_once() {
        let mut fields: Fields = [("Vary", "Accept, origin")].into_iter().collect();
        add_vary(&mut fields, "Origin");
        add_vary(&mut fields, "Accept-Encoding");
        add_vary(&mut fields, "Accept-Encoding");
        assert_eq!(shown(&fields), ["Vary: Accept, origin", "Vary: Accept-Encoding"]);
        let mut all: Fields = [("Vary", "*")].into_iter().collect();
        add_vary(&mut all, "Origin");
        assert_eq!(shown(&all), ["Vary: *"]);
    }

    proptest! {
        #[test]
        fn no_value_ends_a_line(
            value in "(\\PC|[\r\n\0\t]|\\{host\\})*",
            host in "(\\PC|[\r\n])*",
        ) {
            let mut fields = Fields::new();
            let edits = edits(&[], &[("X-A", &value)], &[("X-B", &value)]);
            apply(&edits, Values { host: &host, ..values() }, &mut fields);
            prop_assert_eq!(fields.len(), 2);
            for field in fields.iter() {
                prop_assert!(!field.value.iter().any(|byte| *byte < b' ' && *byte != b'\t'));
                prop_assert_eq!(field.value, field.value.trim_ascii());
            }
        }
    }
}
