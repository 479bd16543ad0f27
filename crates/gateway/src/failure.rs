//! Why a request failed: who is to blame, what the client is told, and the label it is counted by.

/// Who caused a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// What the client sent, or that it went away.
    Client,
    /// What a server did, or did not do.
    Upstream,
    /// A rule or a limit of tidegate itself.
    Tidegate,
}

impl Owner {
    /// The word in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Owner::Client => "client",
            Owner::Upstream => "upstream",
            Owner::Tidegate => "tidegate",
        }
    }
}

macro_rules! kinds {
    ($($variant:ident => $owner:ident, $status:literal, $label:literal, $meaning:literal;)*) => {
        /// A way in which a request can fail. Each has one owner, one status and one label.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum FailureKind {
            $(#[doc = $meaning] $variant,)*
        }

        impl FailureKind {
            /// Every kind.
            pub const ALL: &[FailureKind] = &[$(FailureKind::$variant,)*];

            /// Who is to blame.
            pub fn owner(self) -> Owner {
                match self { $(FailureKind::$variant => Owner::$owner,)* }
            }

            /// The status the client is told, unless a response is under way already.
            pub fn status(self) -> u16 {
                match self { $(FailureKind::$variant => $status,)* }
            }

            /// The stable word in logs and metrics.
            pub fn label(self) -> &'static str {
                match self { $(FailureKind::$variant => $label,)* }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(FailureKind::$variant => $meaning,)* }
            }
        }
    };
}

kinds! {
    BadRequest => Client, 400, "bad-request", "The head of the request is malformed or ambiguous.";
    UriTooLong => Client, 414, "uri-too-long", "The request line is longer than its limit.";
    FieldsTooLarge => Client, 431, "fields-too-large", "The header has too many fields or bytes.";
    Expectation => Client, 417, "expectation", "The request expects something unknown.";
    Version => Client, 505, "version", "The HTTP version is not spoken here.";
    Coding => Client, 501, "transfer-coding", "The request uses an unknown transfer coding.";
    HeaderTimeout => Client, 408, "header-timeout", "The head of the request did not come in time.";
    BodyTimeout => Client, 408, "body-timeout", "The body of the request came too slowly.";
    BodyTooLarge => Client, 413, "body-too-large", "The body of the request is larger than its limit.";
    BadBody => Client, 400, "bad-body", "The body of the request is malformed or cut short.";
    Gone => Client, 499, "client-gone", "The client closed the connection before it had its answer.";
    SlowReader => Client, 499, "slow-reader", "The client did not take its answer in time.";
    NoRoute => Client, 404, "no-route", "No route takes the request.";
    Forbidden => Client, 403, "forbidden", "The client's address may not use the route.";
    Unauthorized => Client, 401, "unauthorized", "The client did not prove who it is.";
    RateLimited => Client, 429, "rate-limited", "The client asks more often than it may.";
    OnlyIfCached => Client, 504, "only-if-cached", "The client wants a stored answer and there is none.";
    UpgradeRefused => Client, 400, "upgrade-refused", "The route passes no upgrades.";
    Connect => Upstream, 502, "connect", "No connection to the server could be made.";
    ConnectTimeout => Upstream, 504, "connect-timeout", "The server did not accept a connection in time.";
    Tls => Upstream, 502, "tls", "The TLS handshake with the server failed.";
    Reset => Upstream, 502, "reset", "The server closed the connection before it answered.";
    BadResponse => Upstream, 502, "bad-response", "The server's answer is malformed or ambiguous.";
    ResponseTimeout => Upstream, 504, "response-timeout", "The server did not answer in time.";
    BodyCut => Upstream, 502, "body-cut", "The server's answer ended before it was complete.";
    IdleTimeout => Upstream, 504, "idle-timeout", "The server stopped in the middle of its answer.";
    TotalTimeout => Upstream, 504, "total-timeout", "The whole request took longer than it may.";
    NoServer => Tidegate, 503, "no-server", "No server of the upstream is up.";
    BreakerOpen => Tidegate, 503, "breaker-open", "The upstream's breaker is open.";
    PendingFull => Tidegate, 503, "pending-full", "Too many requests wait for a server already.";
    PendingTimeout => Tidegate, 503, "pending-timeout", "No server had room in time.";
    Concurrency => Tidegate, 503, "concurrency", "The route has too many requests under way.";
    Adaptive => Tidegate, 503, "adaptive-limit", "The upstream is as busy as it can be.";
    Internal => Tidegate, 500, "internal", "Something went wrong inside tidegate.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn labels_are_unique_and_statuses_are_errors() {
        let labels: BTreeSet<&str> = FailureKind::ALL.iter().map(|kind| kind.label()).collect();
        assert_eq!(labels.len(), FailureKind::ALL.len());
        for (index, kind) in FailureKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index);
            assert!((400..600).contains(&kind.status()));
        }
    }
}
