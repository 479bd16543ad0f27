//! What experiments would do with a request, from the configuration alone: nothing is known of
//! assignments that were kept, nor of what was changed since by commands or by automation.

use experiment::evaluate::{Context, Uncounted, Unit};
use experiment::live::params::ServiceParams;
use experiment::live::{Concern, Current};
use experiment::model::{ExperimentSet, Source};
use experiment::targeting::is_bot;
use gateway::{Asked, Explanation, Treatment};

use super::bearer::Verifier;
use super::now_us;
use super::request::Request;
use super::treat::{Hindrance, apply, hindrance};

/// A line for each experiment that the gateway serves, and what is done with the request.
pub(crate) fn explain(
    (params, set): (ServiceParams, ExperimentSet),
    asked: &Asked<'_>,
) -> (Explanation, Treatment) {
    let now_s = now_us() / 1_000_000;
    let now = u64::try_from(now_s).unwrap_or(0) * 1_000;
    // Both were checked when the file was read.
    let (Ok(current), Ok(bearer)) = (Current::new(set, now), Verifier::new(&params.bearer_keys))
    else {
        return Default::default();
    };
    let request = Request::new(asked, params.country_header.as_deref());
    let prefetch = request.is_no_visit();
    let bot = is_bot(request.text("user-agent"));
    let context = Context { facts: &request, bot, prefetch, overrides: &[] };
    let (mut lines, mut treatment) = (Vec::new(), Treatment::default());
    if asked.method == "OPTIONS" {
        return (lines, treatment);
    }
    for each in current.gateway() {
        let Some(experiment) = current.experiment(each.index) else { continue };
        let key = &experiment.key;
        match each.concern(experiment, &request, now) {
            Concern::Request => {}
            Concern::Url => {
                let text = "is not for this request, but for others of this URL: not for caches";
                lines.push(("experiment", format!("`{key}` {text} of others")));
                continue;
            }
            Concern::None => {
                lines.push(("experiment", format!("`{key}` is not for this request, or not now")));
                continue;
            }
        }
        let find = |source: &Source| match source {
            // What we created carries a signature, which only the running gateway can verify.
            Source::Cookie(name) if experiment.unit.create => {
                let mut signed = request.cookie_texts(name).filter_map(|it| it.rsplit_once('.'));
                signed.next().map(|(id, _)| id.to_owned())
            }
            Source::Cookie(name) => request.cookie_text(name).map(str::to_owned),
            Source::Header(name) => request.text(name).map(str::to_owned),
            Source::Query(name) => request.parameter(name),
            Source::Claim(name) => bearer.claim(request.text("authorization")?, name, now_s),
        };
        let device = experiment.unit.device.as_ref().and_then(find);
        let user = experiment.unit.user.as_ref().and_then(find);
        let unit = Unit { device: device.as_deref(), user: user.as_deref(), linked: None };
        let Some(decided) = current.set().decide_at(each.index, &unit, &context, None, now) else {
            continue;
        };
        let variant = decided.variant.and_then(|at| experiment.variants.get(usize::from(at)));
        let hindrance = hindrance(&treatment, experiment, asked);
        if let Some(index) = decided.variant {
            apply(&mut treatment, experiment, index, asked);
        }
        lines.push((
            "experiment",
            match (decided.unit, variant) {
                (None, _) if experiment.unit.create && !bot => {
                    format!("`{key}`: a new visitor, who gets an id and a variant by it")
                }
                (None, _) => format!("`{key}`: the request has no unit, so it is as without"),
                (Some(_), None) => {
                    format!("`{key}`: the unit does not take part ({})", decided.reason.name())
                }
                (Some(_), Some(variant)) => {
                    let counted = match (decided.uncounted, hindrance) {
                        (None, None) => "",
                        (Some(Uncounted::Override), _) => ", not counted",
                        (Some(Uncounted::Bot), _) => ", not counted: a program, by its user agent",
                        (Some(Uncounted::Prefetch), _) => ", not counted: fetched ahead",
                        (None, Some(Hindrance::Taken)) => {
                            ", not counted: another experiment has its way"
                        }
                        (None, Some(Hindrance::NoUpstream(_))) => {
                            ", not counted: a variant has an upstream that is not there"
                        }
                        (None, Some(Hindrance::Path)) => {
                            ", not counted: a variant rewrites other paths"
                        }
                        (None, Some(Hindrance::Method)) => {
                            ", not counted: only GET and HEAD are redirected"
                        }
                    };
                    let (variant, why) = (&variant.key, decided.reason.name());
                    format!("`{key}`: variant `{variant}` ({why}{counted}), part of the cache key")
                }
            },
        ));
    }
    (lines, treatment)
}
