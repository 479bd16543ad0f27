//! `HorizontalPodAutoscaler`, <https://kubernetes.io/docs/reference/kubernetes-api/autoscaling/horizontal-pod-autoscaler-v2/>.

use plan::choose::Policy;
use plan::controller::hpa::{
    PolicyType, STABILIZATION_WINDOW_SECONDS_MAX, ScalingRules, SelectPolicy,
};

use super::{Draft, comments, quoted};

pub(super) fn manifest(draft: &Draft<'_>) -> String {
    let Draft { names, .. } = draft;
    let mut about = draft.about.clone();
    about.push("The metric has to be offered by an adapter; with prometheus-adapter:".to_owned());
    let query = names.query.replace(char::is_control, " ");
    for line in [
        "externalRules:".to_owned(),
        "- seriesQuery: '{__name__=~\"^http_requests_total$\"}'".to_owned(),
        "  resources: {namespaced: false}".to_owned(),
        format!("  name: {{as: {}}}", quoted(&names.metric)),
        format!("  metricsQuery: {}", quoted(&query)),
    ] {
        about.push(format!("  {line}"));
    }
    format!("{}{}", comments(&about), spec(draft))
}

/// The manifest without comments.
pub(super) fn spec(draft: &Draft<'_>) -> String {
    let Draft { policy, names, .. } = draft;
    format!(
        "apiVersion: autoscaling/v2\n\
         kind: HorizontalPodAutoscaler\n\
         metadata:\n  name: {name}\n  namespace: {namespace}\n\
         spec:\n  \
           scaleTargetRef:\n    apiVersion: apps/v1\n    kind: Deployment\n    name: {name}\n  \
           minReplicas: {}\n  \
           maxReplicas: {}\n  \
           metrics:\n  \
           - type: External\n    \
             external:\n      \
               metric:\n        name: {}\n      \
               target:\n        type: AverageValue\n        averageValue: {}\n{}",
        policy.min,
        policy.max,
        quoted(&names.metric),
        quoted(&quantity(policy.target_rate_per_instance)),
        behavior(policy, "  "),
        name = quoted(&names.name),
        namespace = quoted(&names.namespace),
    )
}

/// The behaviour that was emulated, from `indent` on.
pub(super) fn behavior(policy: &Policy, indent: &str) -> String {
    let mut down = ScalingRules::default_scale_down();
    down.stabilization_window_seconds = policy.scale_down_s.min(STABILIZATION_WINDOW_SECONDS_MAX);
    let up = ScalingRules::default_scale_up();
    let (up, down) = (rules("scaleUp", &up, indent), rules("scaleDown", &down, indent));
    format!("{indent}behavior:\n{up}{down}")
}

/// Tolerance is left out: clusters before 1.33 do not know the field, and the default is what was
/// emulated.
fn rules(name: &str, rules: &ScalingRules, indent: &str) -> String {
    let select = match rules.select_policy {
        SelectPolicy::Max => "Max",
        SelectPolicy::Min => "Min",
        SelectPolicy::Disabled => "Disabled",
    };
    let mut text = format!(
        "{indent}  {name}:\n\
         {indent}    stabilizationWindowSeconds: {}\n\
         {indent}    selectPolicy: {select}\n\
         {indent}    policies:\n",
        rules.stabilization_window_seconds
    );
    for policy in &rules.policies {
        let kind = match policy.kind {
            PolicyType::Pods => "Pods",
            PolicyType::Percent => "Percent",
        };
        text.push_str(&format!(
            "{indent}    - type: {kind}\n\
             {indent}      value: {}\n\
             {indent}      periodSeconds: {}\n",
            policy.value, policy.period_seconds
        ));
    }
    text
}

/// A quantity of Kubernetes, in thousandths where it is no whole number; never zero.
pub(super) fn quantity(value: f64) -> String {
    let milli = (value * 1000.0).round().max(1.0);
    if milli % 1000.0 == 0.0 { format!("{:.0}", milli / 1000.0) } else { format!("{milli:.0}m") }
}
