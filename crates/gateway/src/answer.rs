//! What tidegate answers, from wherever it comes.

use std::sync::Arc;

use bytes::Bytes;
use traffic::{Fields, Name};
use wire::BodyLength;

use crate::failure::FailureKind;
use crate::files::FileBody;
use crate::forward::Started;
use crate::params::{Page, Route};

/// An answer that is ready to be sent.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Body,
    /// Whether it is tidegate's own, not a server's.
    pub(crate) own: bool,
    /// What went wrong, if it is an answer to that.
    pub(crate) failure: Option<FailureKind>,
}

/// Where the body of an answer comes from.
pub(crate) enum Body {
    Empty,
    Bytes(Bytes),
    Shared(Arc<[u8]>),
    File(FileBody),
    Server(Box<Started>),
}

impl Body {
    /// How long it is.
    pub(crate) fn length(&self) -> BodyLength {
        match self {
            Body::Empty => BodyLength::Length(0),
            Body::Bytes(bytes) => BodyLength::Length(bytes.len() as u64),
            Body::Shared(bytes) => BodyLength::Length(bytes.len() as u64),
            Body::File(body) => BodyLength::Length(body.len()),
            Body::Server(started) => started.body,
        }
    }
}

impl Answer {
    /// An answer without a body.
    pub(crate) fn empty(status: u16) -> Answer {
        Answer { status, fields: Fields::new(), body: Body::Empty, own: true, failure: None }
    }

    /// A page.
    pub(crate) fn page(page: &Page) -> Answer {
        let mut answer = Answer::empty(page.status);
        if !page.body.is_empty() {
            answer.fields.push_known(Name::ContentType, page.content_type.as_bytes());
            answer.body = Body::Shared(Arc::clone(&page.body));
        }
        answer
    }

    /// A redirect.
    pub(crate) fn redirect(status: u16, location: &str) -> Answer {
        let mut answer = Answer::empty(status);
        answer.fields.push_known(Name::Location, location.as_bytes());
        answer
    }

    /// tidegate's own answer to a failure: the route's page for it, or a line of text that says
    /// what happened and not where.
    pub(crate) fn failed(kind: FailureKind, route: Option<&Route>) -> Answer {
        let status = kind.status();
        let page = route.and_then(|route| {
            route.error_pages.iter().find(|(of, _)| *of == status).map(|(_, page)| page)
        });
        let mut answer = match page {
            Some(page) => Answer { status, ..Answer::page(page) },
            None => {
                let mut answer = Answer::empty(status);
                answer.fields.push_known(Name::ContentType, b"text/plain; charset=utf-8");
                let reason = wire::write::reason(status);
                let body = format!("{status} {reason}: {}\n", kind.label());
                answer.body = Body::Bytes(Bytes::from(body));
                answer
            }
        };
        answer.fields.push_known(Name::CacheControl, b"no-store");
        answer.failure = Some(kind);
        answer
    }
}
