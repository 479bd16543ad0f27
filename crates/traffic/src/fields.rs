//! The header fields of a message: RFC 9110 section 5.

use std::fmt;

macro_rules! names {
    ($($variant:ident => $text:literal,)*) => {
        /// A field name that tidegate knows, compared without looking at its letters.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Name {
            $(#[doc = concat!("`", $text, "`.")] $variant,)*
            /// Any other name.
            Other,
        }

        impl Name {
            /// The usual spelling; empty for [`Name::Other`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Name::$variant => $text,)*
                    Name::Other => "",
                }
            }

            const KNOWN: &[Name] = &[$(Name::$variant,)*];
        }
    };
}

names! {
    Accept => "Accept",
    AcceptEncoding => "Accept-Encoding",
    AcceptLanguage => "Accept-Language",
    AcceptRanges => "Accept-Ranges",
    AccessControlRequestHeaders => "Access-Control-Request-Headers",
    AccessControlRequestMethod => "Access-Control-Request-Method",
    Age => "Age",
    AltSvc => "Alt-Svc",
    Authorization => "Authorization",
    CacheControl => "Cache-Control",
    CacheStatus => "Cache-Status",
    CdnCacheControl => "CDN-Cache-Control",
    Connection => "Connection",
    ContentEncoding => "Content-Encoding",
    ContentLanguage => "Content-Language",
    ContentLength => "Content-Length",
    ContentLocation => "Content-Location",
    ContentRange => "Content-Range",
    ContentType => "Content-Type",
    Cookie => "Cookie",
    Date => "Date",
    ETag => "ETag",
    Expect => "Expect",
    Expires => "Expires",
    Forwarded => "Forwarded",
    GrpcStatus => "Grpc-Status",
    Host => "Host",
    Http2Settings => "HTTP2-Settings",
    IfMatch => "If-Match",
    IfModifiedSince => "If-Modified-Since",
    IfNoneMatch => "If-None-Match",
    IfRange => "If-Range",
    IfUnmodifiedSince => "If-Unmodified-Since",
    KeepAlive => "Keep-Alive",
    LastModified => "Last-Modified",
    Location => "Location",
    Origin => "Origin",
    Pragma => "Pragma",
    ProxyAuthenticate => "Proxy-Authenticate",
    ProxyAuthorization => "Proxy-Authorization",
    ProxyConnection => "Proxy-Connection",
    Range => "Range",
    Referer => "Referer",
    RetryAfter => "Retry-After",
    Server => "Server",
    SetCookie => "Set-Cookie",
    SurrogateControl => "Surrogate-Control",
    SurrogateKey => "Surrogate-Key",
    Te => "TE",
    Trailer => "Trailer",
    TransferEncoding => "Transfer-Encoding",
    Upgrade => "Upgrade",
    UserAgent => "User-Agent",
    Vary => "Vary",
    Via => "Via",
    Warning => "Warning",
    WwwAuthenticate => "WWW-Authenticate",
    XForwardedFor => "X-Forwarded-For",
    XForwardedHost => "X-Forwarded-Host",
    XForwardedProto => "X-Forwarded-Proto",
    XRealIp => "X-Real-IP",
    XRequestId => "X-Request-Id",
}

/// Known names by length, so that a name is compared with the few that could be it.
static BY_LENGTH: [&[Name]; 32] = {
    const fn row<const N: usize>(len: usize) -> [Name; N] {
        let mut row = [Name::Other; N];
        let (mut from, mut to) = (0, 0);
        while from < Name::KNOWN.len() {
            if Name::KNOWN[from].as_str().len() == len {
                row[to] = Name::KNOWN[from];
                to += 1;
            }
            from += 1;
        }
        row
    }
    const fn count(len: usize) -> usize {
        let (mut index, mut count) = (0, 0);
        while index < Name::KNOWN.len() {
            if Name::KNOWN[index].as_str().len() == len {
                count += 1;
            }
            index += 1;
        }
        count
    }
    macro_rules! rows {
        ($($len:literal)*) => {
            [$({ const ROW: [Name; count($len)] = row($len); &ROW },)*]
        };
    }
    rows!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
};

impl Name {
    /// The name that these bytes spell, whatever their case.
    pub fn of(bytes: &[u8]) -> Name {
        let candidates = BY_LENGTH.get(bytes.len()).copied().unwrap_or(&[]);
        candidates
            .iter()
            .copied()
            .find(|name| name.as_str().as_bytes().eq_ignore_ascii_case(bytes))
            .unwrap_or(Name::Other)
    }
}

/// Where a field stands in the text.
#[derive(Clone, Copy)]
struct Place {
    name: Name,
    at: u32,
    name_len: u32,
    value_len: u32,
}

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, when it is known.
    pub known: Name,
    /// The name as it was written.
    pub name: &'a [u8],
    /// The value, without surrounding white space.
    pub value: &'a [u8],
}

/// The fields of a message in their order: one text, and where each name and value stands in it.
/// Emptied and filled again, it allocates nothing. Bounded by whoever fills it.
#[derive(Clone, Default)]
pub struct Fields {
    text: Vec<u8>,
    places: Vec<Place>,
}

impl Fields {
    /// No fields.
    pub fn new() -> Fields {
        Fields::default()
    }

    /// Forgets all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.places.clear();
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of all names and values, those of removed fields included.
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// Appends a field.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_as(Name::of(name), name, value);
    }

    /// Appends a field of a known name.
    pub fn push_known(&mut self, name: Name, value: &[u8]) {
        self.push_as(name, name.as_str().as_bytes(), value);
    }

    fn push_as(&mut self, known: Name, name: &[u8], value: &[u8]) {
        let at = self.text.len() as u32;
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(value);
        let (name_len, value_len) = (name.len() as u32, value.len() as u32);
        self.places.push(Place { name: known, at, name_len, value_len });
    }

    /// Puts a field in the place of all that have its name.
    pub fn set(&mut self, name: Name, value: &[u8]) {
        self.remove(name);
        self.push_known(name, value);
    }

    /// Puts a field in the place of all that have its name, known or not.
    pub fn set_named(&mut self, name: &str, value: &[u8]) {
        self.remove_named(name);
        self.push(name.as_bytes(), value);
    }

    /// Removes all fields of a known name; tells whether there were any.
    pub fn remove(&mut self, name: Name) -> bool {
        let before = self.places.len();
        self.places.retain(|place| place.name != name);
        self.places.len() < before
    }

    /// Removes all fields of a name, known or not; tells whether there were any.
    pub fn remove_named(&mut self, name: &str) -> bool {
        let before = self.places.len();
        let text = &self.text;
        self.places.retain(|place| !place.name_in(text).eq_ignore_ascii_case(name.as_bytes()));
        self.places.len() < before
    }

    /// Keeps the fields for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        let text = &self.text;
        self.places.retain(|place| keep(place.field_in(text)));
    }

    /// The value of the first field of a known name.
    pub fn get(&self, name: Name) -> Option<&[u8]> {
        let place = self.places.iter().find(|place| place.name == name)?;
        Some(place.field_in(&self.text).value)
    }

    /// The value of the first field of a name, known or not.
    pub fn get_named(&self, name: &str) -> Option<&[u8]> {
        let name = name.as_bytes();
        self.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Whether there is a field of a known name.
    pub fn has(&self, name: Name) -> bool {
        self.places.iter().any(|place| place.name == name)
    }

    /// The values of all fields of a known name, in their order.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        let places = self.places.iter().filter(move |place| place.name == name);
        places.map(|place| place.field_in(&self.text).value)
    }

    /// The values of all fields of a name, known or not, in their order.
    pub fn all_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_bytes();
        self.iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }

    /// The members of a comma-separated list over all fields of a known name, trimmed, empty ones
    /// left out (RFC 9110 section 5.6.1). Quoted commas are not special here.
    pub fn members(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.all(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|member| !member.is_empty())
    }

    /// All fields, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.places.iter().map(|place| place.field_in(&self.text))
    }
}

impl Place {
    fn name_in<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let at = self.at as usize;
        &text[at..at + self.name_len as usize]
    }

    fn field_in<'a>(&self, text: &'a [u8]) -> Field<'a> {
        let name = self.name_in(text);
        let value_at = self.at as usize + name.len();
        Field { known: self.name, name, value: &text[value_at..value_at + self.value_len as usize] }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lossy = String::from_utf8_lossy;
        f.debug_map()
            .entries(self.iter().map(|field| (lossy(field.name), lossy(field.value))))
            .finish()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Fields {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(fields: T) -> Fields {
        let mut collected = Fields::new();
        for (name, value) in fields {
            collected.push(name.as_bytes(), value.as_bytes());
        }
        collected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_are_found_whatever_their_case() {
        for name in Name::KNOWN {
            assert_eq!(Name::of(name.as_str().to_ascii_lowercase().as_bytes()), *name);
            assert_eq!(Name::of(name.as_str().to_ascii_uppercase().as_bytes()), *name);
        }
        assert_eq!(Name::of(b"X-Unheard-Of"), Name::Other);
        assert_eq!(Name::of(b""), Name::Other);
        assert_eq!(Name::of(&[b'a'; 200]), Name::Other);
    }

    #[test]
    fn fields_are_replaced_removed_and_listed() {
        let mut fields: Fields = [("Via", "1.1 a"), ("vary", "a, ,b"), ("X-A", "1"), ("Vary", "c")]
            .into_iter()
            .collect();
        assert_eq!(fields.get(Name::Vary), Some(&b"a, ,b"[..]));
        let members: Vec<&[u8]> = fields.members(Name::Vary).collect();
        assert_eq!(members, [b"a", b"b", b"c"]);
        assert_eq!(fields.get_named("x-a"), Some(&b"1"[..]));
        fields.set(Name::Vary, b"*");
        assert_eq!(fields.all(Name::Vary).collect::<Vec<_>>(), [b"*"]);
        assert!(fields.remove_named("x-A") && !fields.remove_named("x-A"));
        fields.retain(|field| field.known != Name::Via);
        assert_eq!(format!("{fields:?}"), r#"{"Vary": "*"}"#);
        fields.clear();
        assert!(fields.is_empty() && fields.get(Name::Vary).is_none());
    }
}
