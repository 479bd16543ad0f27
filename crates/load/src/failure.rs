//! Why a request failed. A failed request is a result, not an error of the program.

use std::fmt;

/// The kind of a failure. Kinds are few and stable; what differs between requests of one kind
/// (the status, the check) is the detail of its [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// The host name has no address, or the resolver failed.
    Dns,
    /// The target refused the connection.
    ConnectRefused,
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// Another error while connecting (unreachable, no such socket file, …).
    Connect,
    /// The TLS handshake or a TLS record failed.
    Tls,
    /// The generator ran out of file descriptors.
    Descriptors,
    /// The generator ran out of local ports.
    Ports,
    /// The target reset the connection.
    Reset,
    /// The target closed the connection before or within the response.
    Closed,
    /// No first byte of the response within the response timeout.
    ResponseTimeout,
    /// The response was not complete within the total timeout.
    TotalTimeout,
    /// The run ended while the request was under way.
    Unfinished,
    /// The response is not valid HTTP.
    Malformed,
    /// The response head is larger than the limit.
    HeadTooLarge,
    /// The response body is larger than the limit.
    BodyTooLarge,
    /// The body does not decode as its `Content-Encoding` says.
    Decode,
    /// An HTTP/2 protocol error or a reset stream.
    Http2,
    /// Too many redirects, or one that leads nowhere.
    Redirect,
    /// A status of 400 or above, when no check asked for it.
    Status,
    /// Status 429, when no check asked for it: the target limits the rate.
    RateLimited,
    /// A check of the scenario did not hold.
    Check,
    /// A value to be saved was not in the response, or a value to be sent was never saved.
    Value,
    /// Any other error of reading or writing.
    Io,
}

impl FailureKind {
    /// Every kind, for tables.
    pub const ALL: [FailureKind; 23] = [
        FailureKind::Dns,
        FailureKind::ConnectRefused,
        FailureKind::ConnectTimeout,
        FailureKind::Connect,
        FailureKind::Tls,
        FailureKind::Descriptors,
        FailureKind::Ports,
        FailureKind::Reset,
        FailureKind::Closed,
        FailureKind::ResponseTimeout,
        FailureKind::TotalTimeout,
        FailureKind::Unfinished,
        FailureKind::Malformed,
        FailureKind::HeadTooLarge,
        FailureKind::BodyTooLarge,
        FailureKind::Decode,
        FailureKind::Http2,
        FailureKind::Redirect,
        FailureKind::Status,
        FailureKind::RateLimited,
        FailureKind::Check,
        FailureKind::Value,
        FailureKind::Io,
    ];

    /// The stable name used in JSON, CSV and metrics.
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::Dns => "dns",
            FailureKind::ConnectRefused => "connect-refused",
            FailureKind::ConnectTimeout => "connect-timeout",
            FailureKind::Connect => "connect",
            FailureKind::Tls => "tls",
            FailureKind::Descriptors => "descriptors",
            FailureKind::Ports => "ports",
            FailureKind::Reset => "reset",
            FailureKind::Closed => "closed",
            FailureKind::ResponseTimeout => "response-timeout",
            FailureKind::TotalTimeout => "total-timeout",
            FailureKind::Unfinished => "unfinished",
            FailureKind::Malformed => "malformed",
            FailureKind::HeadTooLarge => "head-too-large",
            FailureKind::BodyTooLarge => "body-too-large",
            FailureKind::Decode => "decode",
            FailureKind::Http2 => "http2",
            FailureKind::Redirect => "redirect",
            FailureKind::Status => "status",
            FailureKind::RateLimited => "rate-limited",
            FailureKind::Check => "check",
            FailureKind::Value => "value",
            FailureKind::Io => "io",
        }
    }

    /// Whether time ran out, wherever it did.
    pub fn is_timeout(self) -> bool {
        matches!(
            self,
            FailureKind::ConnectTimeout | FailureKind::ResponseTimeout | FailureKind::TotalTimeout
        )
    }

    /// Whether no connection came about.
    pub fn is_unconnected(self) -> bool {
        matches!(
            self,
            FailureKind::Dns
                | FailureKind::ConnectRefused
                | FailureKind::ConnectTimeout
                | FailureKind::Connect
                | FailureKind::Tls
                | FailureKind::Descriptors
                | FailureKind::Ports
        )
    }

    /// Whether the generator, not the target, is to blame.
    pub fn is_generators(self) -> bool {
        matches!(self, FailureKind::Descriptors | FailureKind::Ports)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A failure with what a person needs to find its cause.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// What differs between failures of this kind; short, and drawn from few distinct values.
    pub detail: String,
}

impl Failure {
    /// A failure of `kind` with its detail.
    pub fn new(kind: FailureKind, detail: impl Into<String>) -> Failure {
        Failure { kind, detail: detail.into() }
    }

    /// Classifies an error of connecting.
    pub fn from_connect(error: &std::io::Error) -> Failure {
        use std::io::ErrorKind as Io;
        let kind =
            match (error.kind(), error.raw_os_error().map(rustix::io::Errno::from_raw_os_error)) {
                (_, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE)) => {
                    FailureKind::Descriptors
                }
                (Io::AddrNotAvailable, _) => FailureKind::Ports,
                (Io::ConnectionRefused, _) => FailureKind::ConnectRefused,
                (Io::TimedOut, _) => FailureKind::ConnectTimeout,
                (Io::ConnectionReset, _) => FailureKind::Reset,
                _ => FailureKind::Connect,
            };
        Failure::new(kind, error.to_string())
    }

    /// Classifies an error of reading or writing on an open connection.
    pub fn from_io(error: &std::io::Error) -> Failure {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::ConnectionReset | Io::BrokenPipe | Io::ConnectionAborted => FailureKind::Reset,
            Io::UnexpectedEof => FailureKind::Closed,
            // rustls reports broken records as invalid data.
            Io::InvalidData => FailureKind::Tls,
            Io::TimedOut => FailureKind::TotalTimeout,
            _ => FailureKind::Io,
        };
        Failure::new(kind, error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() {
            f.write_str(self.kind.name())
        } else {
            write!(f, "{}: {}", self.kind.name(), self.detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = FailureKind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FailureKind::ALL.len());
    }

    #[test]
    fn descriptor_and_port_limits_are_the_generators() {
        for (errno, kind) in [
            (rustix::io::Errno::MFILE, FailureKind::Descriptors),
            (rustix::io::Errno::ADDRNOTAVAIL, FailureKind::Ports),
            (rustix::io::Errno::CONNREFUSED, FailureKind::ConnectRefused),
        ] {
            let error = std::io::Error::from_raw_os_error(errno.raw_os_error());
            assert_eq!(Failure::from_connect(&error).kind, kind);
        }
    }
}
