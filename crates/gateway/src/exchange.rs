//! The life of a request, top to bottom: who may, how often, what answers, and how it is sent.
//!
//! ```text
//! head ► route ► access ► CORS ► limits ► password ► redirect | page | files | cache ► forward ► send ► record
//!   │       │       │                │          │                                │          │        │
//!  4xx     404     403            429, 503     401                           hit, stale  502–504  connection cut
//! ```

use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Instant;
use traffic::{Fields, Name};
use wire::BodyLength;

use crate::answer::{Answer, Body};
use crate::client::Client;
use crate::core::{Core, LocalBackend, View};
use crate::failure::FailureKind;
use crate::forward::{Forwarding, Started, announced, forward};
use crate::limit::{self, Passed};
use crate::params::{Action, Rewrite};
use crate::record::Record;
use crate::request::{Origin, Request};
use crate::router::Matched;
use crate::snapshot::RouteState;
use crate::upstream::local::LocalUpstream;
use crate::{acl, auth, cors, edit, files, mirror, outgoing, redirect};

/// One request, its client, and what is known so far.
pub(crate) struct Exchange<'a> {
    pub(crate) core: &'a Rc<Core>,
    pub(crate) view: &'a Rc<View>,
    pub(crate) origin: &'a Origin,
    pub(crate) client: &'a mut Client,
    pub(crate) request: &'a mut Request,
    pub(crate) record: &'a mut Record,
    /// Fields that are added to whatever is answered.
    pub(crate) told: Fields,
    /// When all must be over.
    pub(crate) total: Option<Instant>,
}

/// What experiments decided.
enum Treated {
    /// A redirect is the answer.
    Redirect(u16, String),
    /// This upstream answers, or the route's; whether the path was rewritten.
    Upstream(Option<usize>, bool),
}

/// How an exchange ended.
pub(crate) enum Done {
    /// It was answered.
    Sent,
    /// The server changes the protocol: its connection and the client's become a tunnel.
    Upgraded(Box<Started>),
}

/// Answers one request whose head has come, and writes it down. Gives back the server's side of a
/// tunnel, if it became one.
pub(crate) async fn exchange(
    core: &Rc<Core>,
    client: &mut Client,
    origin: &Origin,
    request: &mut Request,
) -> Option<Box<Started>> {
    let view = core.view();
    let mut record = Record::default();
    let mut exchange = Exchange {
        core,
        view: &view,
        origin,
        client,
        request,
        record: &mut record,
        told: Fields::new(),
        total: None,
    };
    let upgraded = match exchange.answer().await {
        Ok(Done::Sent) => None,
        Ok(Done::Upgraded(started)) => Some(started),
        Err(kind) => {
            exchange.fail(kind).await;
            None
        }
    };
    record.close(core, origin, request, client);
    upgraded
}

/// Answers what is no request, and writes it down.
pub(crate) async fn refuse(
    core: &Rc<Core>,
    client: &mut Client,
    origin: &Origin,
    request: &mut Request,
    kind: FailureKind,
) {
    let view = core.view();
    let mut record = Record::default();
    let (told, total) = (Fields::new(), None);
    let mut exchange =
        Exchange { core, view: &view, origin, client, request, record: &mut record, told, total };
    exchange.fail(kind).await;
    record.close(core, origin, request, client);
}

impl Exchange<'_> {
    /// The life of a request.
    async fn answer(&mut self) -> Result<Done, FailureKind> {
        outgoing::believe_proxies(self.view, self.origin, self.request);
        outgoing::identify(self.core, self.view, self.origin, self.request);
        if let Some(port) = self.origin.redirect_https {
            let location = outgoing::https_location(self.request, port);
            return self.send(Answer::redirect(308, &location)).await;
        }

        let route = self.route().ok_or(FailureKind::NoRoute)?;
        let rules = &route.params;
        self.record.route = Some(Arc::clone(&route));
        self.total = rules.timeouts.total.map(|total| self.request.start + total);
        self.client.total = self.total;

        if !acl::allowed(&rules.access, self.request.client) {
            return Err(FailureKind::Forbidden);
        }
        if let Some(cors) = &rules.cors {
            let head = &self.request.head;
            if cors::is_preflight(&head.method, &head.fields) {
                let mut answer = Answer::empty(204);
                cors::preflight(cors, &head.fields, &mut answer.fields);
                return self.send(answer).await;
            }
        }
        if matches!(self.request.head.body, BodyLength::Length(length) if length > rules.body_max) {
            return Err(FailureKind::BodyTooLarge);
        }

        let _place = route.enter().ok_or(FailureKind::Concurrency)?;
        let mut passed = Vec::new();
        for limiter in &route.limits {
            match limiter.check(self.request, self.core.now()) {
                Ok(Passed::Free { remaining, reset_after }) => {
                    limit::tell(&mut self.told, limiter.params(), remaining, reset_after);
                }
                Ok(pass) => passed.push(pass),
                Err(refused) => {
                    let mut answer = Answer::failed(FailureKind::RateLimited, Some(rules));
                    limit::tell_retry(&mut answer.fields, refused.retry_after);
                    limit::tell(&mut self.told, limiter.params(), 0, refused.retry_after);
                    return self.send(answer).await;
                }
            }
        }

        // After the limits, so that passwords cannot be tried without end.
        if let Some(basic) = &rules.access.basic {
            let Some(user) = auth::check(basic, &self.request.head.fields) else {
                let mut answer = Answer::failed(FailureKind::Unauthorized, Some(rules));
                answer.fields.push_known(Name::WwwAuthenticate, auth::challenge(basic).as_bytes());
                return self.send(answer).await;
            };
            self.request.user = Some(user.to_owned());
        }

        let done = match &rules.action {
            Action::Redirect { status, to } => {
                let location = redirect::location(to, self.request.parts());
                self.send(Answer::redirect(*status, &location)).await
            }
            Action::Respond(page) => self.send(Answer::page(page)).await,
            Action::Forward(split) => {
                let (treated, rewritten) = match self.treat() {
                    Treated::Redirect(status, location) => {
                        return self.send(Answer::redirect(status, &location)).await;
                    }
                    Treated::Upstream(index, rewritten) => (index, rewritten),
                };
                let upstream = treated
                    .unwrap_or_else(|| outgoing::choose_upstream(split, &mut *self.core.rng()));
                let backend = self.view.upstreams.get(upstream).ok_or(FailureKind::Internal)?;
                if let Some(rewrite) = rules.rewrite.as_ref().filter(|_| !rewritten) {
                    self.request.rewrite(rewrite);
                }
                match backend {
                    LocalBackend::Files(files) => self.serve_file(files).await,
                    LocalBackend::Servers(local) => self.serve(&route, local).await,
                }
            }
        };
        for pass in &passed {
            pass.charge(self.client.body_bytes, self.core.now());
        }
        done
    }

    /// Asks experiments what the request is served, and does it.
    fn treat(&mut self) -> Treated {
        let Some(experiments) = &self.core.shared.experiments else {
            return Treated::Upstream(None, false);
        };
        let request = &mut *self.request;
        let mut treatment = experiments.treat(&request.asked(&self.view.params.upstreams));
        request.variants.push_str(&treatment.variants);
        for (name, value) in &treatment.request_fields {
            edit::set(&mut request.head.fields, name, value);
        }
        for (name, value) in &treatment.response_fields {
            edit::add(&mut self.told, name, value);
        }
        if let Some((from, to)) = &treatment.rewrite {
            request.rewrite(&Rewrite { prefix: from.clone(), with: to.clone() });
        }
        let rewritten = treatment.rewrite.is_some();
        let named = treatment.upstream.as_ref();
        let index = named.and_then(|name| self.view.upstream_named(name));
        let redirect = treatment.redirect.take();
        self.record.treatment = Some(treatment);
        match redirect {
            Some((status, location)) => Treated::Redirect(status, location),
            None => Treated::Upstream(index, rewritten),
        }
    }

    fn route(&self) -> Option<Arc<RouteState>> {
        let request = &self.request;
        let matched = Matched {
            host: &request.host,
            path: &request.path,
            query: request.query(),
            method: &request.head.method,
            fields: &request.head.fields,
            listener: &self.origin.listener,
        };
        self.view.route(&matched).cloned()
    }

    /// Tells the client about a failure, or cuts the connection when an answer is under way.
    pub(crate) async fn fail(&mut self, kind: FailureKind) {
        self.record.failure = Some(kind);
        let gone = matches!(kind, FailureKind::Gone | FailureKind::SlowReader);
        if self.client.sent.is_some() || gone {
            self.client.close = true;
            return;
        }
        // It may be the time that was over.
        self.client.total = None;
        let route = self.record.route.clone();
        let answer = Answer::failed(kind, route.as_ref().map(|route| &route.params));
        if self.send(answer).await.is_err() {
            // The client went away meanwhile: nobody is left to tell.
            self.client.close = true;
        }
    }

    async fn serve_file(&mut self, files: &files::Files) -> Result<Done, FailureKind> {
        let asked = files::FileRequest {
            method: &self.request.head.method,
            path: self.request.target.split('?').next().unwrap_or("/"),
            query: self.request.query(),
            fields: &self.request.head.fields,
        };
        let file = files.answer(asked).await;
        let body = Body::File(file.body);
        let (status, fields) = (file.status, file.fields);
        self.send(Answer { status, fields, body, own: true, failure: None }).await
    }

    /// Answers from the servers of an upstream, or from the cache before them.
    async fn serve(
        &mut self,
        route: &Arc<RouteState>,
        upstream: &Rc<LocalUpstream>,
    ) -> Result<Done, FailureKind> {
        if let Some(mirror) = &route.params.mirror {
            mirror::copy(self.core, self.view, mirror, route, self.request, self.origin);
        }
        match &route.cache {
            Some(cache) => self.serve_cached(route, cache, upstream).await,
            None => self.pass(route, upstream).await,
        }
    }

    /// Passes a request on, and its answer back.
    pub(crate) async fn pass(
        &mut self,
        route: &Arc<RouteState>,
        upstream: &Rc<LocalUpstream>,
    ) -> Result<Done, FailureKind> {
        outgoing::prepare(self.view, self.origin, &route.params, self.request)?;
        let started = self.forward(route, upstream).await?;
        if started.head.status == 101 {
            return self.upgrade(started).await;
        }
        let answer = self.answer_of(started);
        self.send(answer).await
    }

    /// Sends the request to a server.
    pub(crate) async fn forward(
        &mut self,
        route: &Arc<RouteState>,
        upstream: &Rc<LocalUpstream>,
    ) -> Result<Started, FailureKind> {
        let sticky = upstream.sticky.as_ref();
        let stuck_to = sticky.and_then(|sticky| sticky.read(&self.request.head.fields));
        let with = Forwarding {
            core: self.core,
            upstream,
            route: &route.params,
            request: self.request,
            total: self.total,
            stuck_to,
            announced: announced(self.request, self.origin.peer, self.origin.local),
        };
        let started = forward(&with, self.client, self.record).await?;
        if let Some(sticky) = sticky
            && let Some(server) = upstream.servers.get(started.server)
            && stuck_to != Some(server.shared.tag)
        {
            let cookie = sticky.issue(server.shared.tag, self.request.scheme == "https");
            self.told.push_known(Name::SetCookie, cookie.as_bytes());
        }
        Ok(started)
    }

    /// The answer of a server, ready for the client.
    pub(crate) fn answer_of(&self, mut started: Started) -> Answer {
        let head = &mut started.head;
        outgoing::clean_response(self.view, &mut head.fields, self.request.http2);
        let (status, fields) = (head.status, std::mem::take(&mut head.fields));
        let body = Body::Server(Box::new(started));
        Answer { status, fields, body, own: false, failure: None }
    }

    /// Passes on that the server changes the protocol.
    pub(crate) async fn upgrade(&mut self, mut started: Started) -> Result<Done, FailureKind> {
        let fields = &mut started.head.fields;
        let protocol = fields.get(Name::Upgrade).unwrap_or(b"").to_vec();
        outgoing::clean_response(self.view, fields, false);
        self.client.send_head(101, fields, BodyLength::None, Some(&protocol))?;
        self.client.finish(None).await?;
        Ok(Done::Upgraded(Box::new(started)))
    }
}
