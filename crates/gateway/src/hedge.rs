//! A second attempt while the first is still under way (Dean and Barroso, The Tail at Scale, 2013).

use crate::client::Client;
use crate::failure::FailureKind;
use crate::forward::{Forwarding, is_interim, response_timeout};
use crate::metrics::UpstreamEvent;
use crate::open::{Opened, open_in_time, open_kept};
use crate::params::Hedge;
use crate::upstream::local::{Pick, Tried};

/// Asks a server, and after a while a second one too. The first answer counts; the other
/// connection is given up.
pub(crate) async fn race(
    with: &Forwarding<'_>,
    client: &mut Client,
    (first, hedge): (usize, &Hedge),
    key: Option<u64>,
    tried: &mut Tried,
) -> Result<(usize, Result<Opened, FailureKind>), FailureKind> {
    let (upstream, core) = (with.upstream, with.core);
    let mut one = std::pin::pin!(lone_attempt(with, first));
    let alone = tokio::time::timeout(hedge.after, one.as_mut());
    if let Ok(result) = client.watching(alone).await.ok_or(FailureKind::Gone)? {
        return Ok((first, result));
    }
    let picked = upstream.pick(key, tried, core.now(), &mut *core.rng());
    let second = match picked {
        Pick::Server(second) if upstream.hedges.borrow_mut().try_withdraw(core.now()) => second,
        _ => {
            let result = client.watching(one).await.ok_or(FailureKind::Gone)?;
            return Ok((first, result));
        }
    };
    tried.add(second);
    upstream.shared.counters.count(UpstreamEvent::Hedge);
    let mut two = std::pin::pin!(lone_attempt(with, second));
    let both = async {
        tokio::select! {
            result = one.as_mut() => match result {
                Ok(opened) => (first, Ok(opened)),
                Err(_) => (second, two.as_mut().await),
            },
            result = two.as_mut() => match result {
                Ok(opened) => (second, Ok(opened)),
                Err(_) => (first, one.as_mut().await),
            },
        }
    };
    client.watching(both).await.ok_or(FailureKind::Gone)
}

/// An attempt of a request without a body, whose client is watched by the caller.
async fn lone_attempt(with: &Forwarding<'_>, server: usize) -> Result<Opened, FailureKind> {
    let answered = async {
        let mut opened = match open_kept(with, server) {
            Some(opened) => opened,
            None => open_in_time(with, server).await?,
        };
        loop {
            std::future::poll_fn(|cx| opened.poll_head(cx)).await?;
            if !is_interim(opened.head.status) {
                return Ok(opened);
            }
            opened.head.clear();
        }
    };
    let limit = with.left(response_timeout(with));
    let answered = tokio::time::timeout(limit, answered).await;
    answered.unwrap_or_else(|_| Err(with.missed(FailureKind::ResponseTimeout)))
}
