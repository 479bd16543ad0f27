//! Annotations of a Knative `Service`, <https://knative.dev/docs/serving/autoscaling/>.

use plan::controller::knative::{KnativeMetric, KnativeParams, WINDOW_S_MAX};

use super::{Draft, comments, decimal, quoted};

/// Greatest `containerConcurrency` that Knative takes by default.
const CONTAINER_CONCURRENCY_MAX: u32 = 1000;

pub(super) fn manifest(draft: &Draft<'_>) -> String {
    let Draft { policy, names, .. } = draft;
    let capacity = policy.target_rate_per_instance / policy.target_utilisation;
    let (metric, target, limit) = match policy.concurrency {
        Some(limit) => ("concurrency", decimal(f64::from(limit)), limit),
        None => ("rps", decimal(capacity), draft.concurrency),
    };
    let defaults = KnativeParams::new(KnativeMetric::Rps, capacity);
    let mut about = draft.about.clone();
    about.push(
        "Knative has no schedule of its own: a floor by the hour needs something that patches min-scale."
            .to_owned(),
    );
    let annotations = [
        ("class", "kpa.autoscaling.knative.dev".to_owned()),
        ("metric", metric.to_owned()),
        ("target", target),
        ("target-utilization-percentage", decimal(policy.target_utilisation * 100.0)),
        ("min-scale", policy.min.to_string()),
        ("max-scale", policy.max.to_string()),
        ("window", format!("{}s", decimal(defaults.window_s))),
        ("panic-window-percentage", decimal(defaults.panic_window_percentage)),
        ("panic-threshold-percentage", decimal(defaults.panic_threshold_percentage)),
        (
            "scale-down-delay",
            format!("{}s", decimal(f64::from(policy.scale_down_s).min(WINDOW_S_MAX))),
        ),
    ];
    let annotations: String = annotations
        .iter()
        .map(|(name, value)| format!("        autoscaling.knative.dev/{name}: {}\n", quoted(value)))
        .collect();
    format!(
        "{}apiVersion: serving.knative.dev/v1\n\
         kind: Service\n\
         metadata:\n  name: {name}\n  namespace: {}\n\
         spec:\n  template:\n    metadata:\n      annotations:\n{annotations}    \
         spec:\n      \
           containerConcurrency: {}\n      \
           containers:\n      - name: {name}\n        image: {}\n",
        comments(&about),
        quoted(&names.namespace),
        limit.min(CONTAINER_CONCURRENCY_MAX),
        quoted(&names.image),
        name = quoted(&names.name),
    )
}
