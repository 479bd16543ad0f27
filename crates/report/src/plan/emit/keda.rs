//! `ScaledObject`, <https://keda.sh/docs/latest/reference/scaledobject-spec/>.

use plan::controller::keda::KedaParams;

use super::schedule::cron_windows;
use super::{Draft, comments, decimal, hpa, quoted};

pub(super) fn manifest(draft: &Draft<'_>) -> String {
    let Draft { policy, names, .. } = draft;
    let (floor, windows) = cron_windows(&policy.windows, policy.min);
    let KedaParams { polling_interval, cooldown_period, .. } =
        KedaParams::new(policy.target_rate_per_instance);
    let threshold = decimal(policy.target_rate_per_instance);
    let mut about = draft.about.clone();
    if !windows.is_empty() {
        let floors: Vec<String> = (1..=windows.len()).map(|n| format!("floor_{n}")).collect();
        let (load, floors) = (format!("requests / {threshold}"), floors.join(" + "));
        about.extend([
            "The largest trigger counts: requests ask for what the load needs, cron triggers hold the"
                .to_owned(),
            "floor of the schedule. Cron can only raise: minReplicaCount is the floor at all other times."
                .to_owned(),
            "As one formula instead, if triggers should not each make a metric (try it first):"
                .to_owned(),
            format!(
                "  advanced.scalingModifiers: {{formula: \"{load} > {floors} ? {load} : {floors}\", \
                 target: \"1\", metricType: AverageValue}}"
            ),
        ]);
    }
    let mut text = format!(
        "{}apiVersion: keda.sh/v1alpha1\n\
         kind: ScaledObject\n\
         metadata:\n  name: {name}\n  namespace: {namespace}\n\
         spec:\n  \
           scaleTargetRef:\n    apiVersion: apps/v1\n    kind: Deployment\n    name: {name}\n  \
           pollingInterval: {polling_interval}\n  \
           cooldownPeriod: {cooldown_period}\n  \
           minReplicaCount: {floor}\n  \
           maxReplicaCount: {}\n  \
           advanced:\n    horizontalPodAutoscalerConfig:\n{}  \
           triggers:\n  \
           - type: prometheus\n    \
             name: requests\n    \
             metricType: AverageValue\n    \
             metadata:\n      \
               serverAddress: {}\n      \
               query: {}\n      \
               threshold: {}\n",
        comments(&about),
        policy.max,
        hpa::behavior(policy, "      "),
        quoted(&names.server_address),
        quoted(&names.query),
        quoted(&threshold),
        name = quoted(&names.name),
        namespace = quoted(&names.namespace),
    );
    for (index, window) in windows.iter().enumerate() {
        text.push_str(&format!(
            "  - type: cron\n    \
               name: floor_{}\n    \
               metadata:\n      \
                 timezone: {}\n      \
                 start: {}\n      \
                 end: {}\n      \
                 desiredReplicas: {}\n",
            index + 1,
            quoted(&policy.zone),
            quoted(&window.start),
            quoted(&window.end),
            quoted(&window.replicas.to_string()),
        ));
    }
    text
}
