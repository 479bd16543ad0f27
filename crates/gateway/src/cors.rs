//! Cross-origin resource sharing: the Fetch standard, "CORS protocol".

use traffic::{Fields, Name};

use crate::edit::add_vary;
use crate::params::Cors;

/// Longest list of request fields of a preflight that is repeated to the client, in bytes.
const ASKED_MAX: usize = 1_024;

/// Fields of the protocol that only the gateway sets where it has rules of its own.
const RESPONSE_PREFIX: &[u8] = b"access-control-";

/// Whether a request asks if another one may be sent. It is answered 204 with the fields of
/// [`preflight`], without asking a server.
pub(crate) fn is_preflight(method: &str, request: &Fields) -> bool {
    method == "OPTIONS"
        && request.has(Name::Origin)
        && request.has(Name::AccessControlRequestMethod)
}

/// The fields of the answer to a preflight. A browser takes the lack of permission for a no.
pub(crate) fn preflight(cors: &Cors, request: &Fields, response: &mut Fields) {
    add_vary(response, "Access-Control-Request-Method");
    add_vary(response, "Access-Control-Request-Headers");
    if !permit(cors, request, response) {
        return;
    }
    push_list(response, "Access-Control-Allow-Methods", &cors.methods);
    if cors.headers.is_empty() {
        let asked = request.get(Name::AccessControlRequestHeaders).unwrap_or(b"");
        if !asked.is_empty() && asked.len() <= ASKED_MAX && asked.iter().all(|b| in_list(*b)) {
            response.push(b"Access-Control-Allow-Headers", asked);
        }
    } else {
        push_list(response, "Access-Control-Allow-Headers", &cors.headers);
    }
    response.push(b"Access-Control-Max-Age", cors.max_age.as_secs().to_string().as_bytes());
}

/// Puts the route's permissions in the place of those that a server's response has.
pub(crate) fn decorate(cors: &Cors, request: &Fields, response: &mut Fields) {
    response.retain(|field| {
        !field
            .name
            .get(..RESPONSE_PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(RESPONSE_PREFIX))
    });
    if permit(cors, request, response) {
        push_list(response, "Access-Control-Expose-Headers", &cors.expose);
    }
}

/// Allows the origin, if it may. `*` is told as it is and never with credentials.
fn permit(cors: &Cors, request: &Fields, response: &mut Fields) -> bool {
    if cors.origins.iter().any(|origin| origin == "*") {
        response.push(b"Access-Control-Allow-Origin", b"*");
        return true;
    }
    // The answer differs by origin even where there is none.
    add_vary(response, "Origin");
    let Some(origin) = request.get(Name::Origin) else { return false };
    let Some(allowed) = cors.origins.iter().find(|allowed| allowed.as_bytes() == origin) else {
        return false;
    };
    response.push(b"Access-Control-Allow-Origin", allowed.as_bytes());
    if cors.credentials {
        response.push(b"Access-Control-Allow-Credentials", b"true");
    }
    true
}

fn push_list(response: &mut Fields, name: &str, members: &[String]) {
    if !members.is_empty() {
        response.push(name.as_bytes(), members.join(", ").as_bytes());
    }
}

/// What a list of field names consists of.
fn in_list(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~, ".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        Cors {
            origins: origins.iter().map(|origin| (*origin).into()).collect(),
            methods: vec!["GET".into(), "PUT".into()],
            headers: Vec::new(),
            expose: vec!["X-Total".into(), "ETag".into()],
            credentials,
            max_age: Duration::from_secs(600),
        }
    }

    fn request(origin: &str) -> Fields {
        [
            ("Origin", origin),
            ("Access-Control-Request-Method", "PUT"),
            ("Access-Control-Request-Headers", "x-a, x-b"),
        ]
        .into_iter()
        .collect()
    }

    fn get<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
        fields.get_named(name).map(|value| std::str::from_utf8(value).unwrap())
    }

    #[test]
    fn a_preflight_is_known_by_method_and_fields() {
        assert!(is_preflight("OPTIONS", &request("https://a.example")));
        assert!(!is_preflight("GET", &request("https://a.example")));
        let plain: Fields = [("Origin", "https://a.example")].into_iter().collect();
        assert!(!is_preflight("OPTIONS", &plain));
    }

    #[test]
    fn origins_are_compared_exactly() {
        let cors = cors(&["https://a.example", "http://b.example:8080"], true);
        for (origin, allowed) in [
            ("https://a.example", true),
            ("http://b.example:8080", true),
            ("http://a.example", false),
            ("https://a.example:443", false),
            ("https://a.example.evil", false),
            ("https://evil-a.example", false),
            ("https://A.example", false),
            ("null", false),
            ("*", false),
        ] {
            let mut response = Fields::new();
            decorate(&cors, &request(origin), &mut response);
            let expected = allowed.then_some(origin);
            assert_eq!(get(&response, "Access-Control-Allow-Origin"), expected, "{origin}");
            let credentials = get(&response, "Access-Control-Allow-Credentials");
            assert_eq!(credentials, allowed.then_some("true"), "{origin}");
            assert_eq!(get(&response, "Vary"), Some("Origin"));
        }
        let mut without = Fields::new();
        decorate(&cors, &Fields::new(), &mut without);
        assert_eq!((without.len(), get(&without, "Vary")), (1, Some("Origin")));
    }

    #[test]
    fn a_star_is_never_an_echo_and_never_has_credentials() {
        let mut response = Fields::new();
        decorate(
            &cors(&["https://a.example", "*"], true),
            &request("https://a.example"),
            &mut response,
        );
        assert_eq!(get(&response, "Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(get(&response, "Access-Control-Allow-Credentials"), None);
        assert_eq!(get(&response, "Vary"), None);
    }

    #[test]
    fn what_the_server_says_is_replaced() {
        let mut response: Fields = [
            ("access-control-allow-origin", "*"),
            ("Access-Control-Allow-Private-Network", "true"),
            ("X-Total", "3"),
        ]
        .into_iter()
        .collect();
        decorate(
            &cors(&["https://a.example"], false),
            &request("https://a.example"),
            &mut response,
        );
        let origins: Vec<&[u8]> = response.all_named("Access-Control-Allow-Origin").collect();
        assert_eq!(origins, [b"https://a.example"]);
        assert_eq!(get(&response, "Access-Control-Allow-Private-Network"), None);
        assert_eq!(get(&response, "Access-Control-Expose-Headers"), Some("X-Total, ETag"));
        assert_eq!(get(&response, "X-Total"), Some("3"));
    }

    #[test]
    fn a_preflight_is_told_methods_and_fields() {
        let mut cors = cors(&["https://a.example"], false);
        let mut response = Fields::new();
        preflight(&cors, &request("https://a.example"), &mut response);
        assert_eq!(get(&response, "Access-Control-Allow-Methods"), Some("GET, PUT"));
        assert_eq!(get(&response, "Access-Control-Allow-Headers"), Some("x-a, x-b"));
        assert_eq!(get(&response, "Access-Control-Max-Age"), Some("600"));
        assert_eq!(response.members(Name::Vary).count(), 3);

        cors.headers = vec!["X-A".into()];
        let mut response = Fields::new();
        preflight(&cors, &request("https://a.example"), &mut response);
        assert_eq!(get(&response, "Access-Control-Allow-Headers"), Some("X-A"));

        let mut refused = Fields::new();
        preflight(&cors, &request("https://evil.example"), &mut refused);
        assert!(refused.iter().all(|field| field.known == Name::Vary));
    }

    #[test]
    fn odd_field_names_are_not_repeated() {
        let cors = cors(&["*"], false);
        for asked in ["x-a; b", "x<script>", &"x".repeat(ASKED_MAX + 1)] {
            let request: Fields = [
                ("Origin", "https://a.example"),
                ("Access-Control-Request-Method", "PUT"),
                ("Access-Control-Request-Headers", asked),
            ]
            .into_iter()
            .collect();
            let mut response = Fields::new();
            preflight(&cors, &request, &mut response);
            assert_eq!(get(&response, "Access-Control-Allow-Headers"), None, "{asked}");
        }
    }
}
