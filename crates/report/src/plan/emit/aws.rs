//! AWS Application Auto Scaling, as a script of `aws` commands around the requests of the API.
//!
//! <https://docs.aws.amazon.com/autoscaling/application/APIReference/Welcome.html>

use plan::choose::Policy;
use plan::controller::aws_scheduled::ScheduledAction;
use plan::controller::schedule::EVERY_DAY;
use serde_json::{Value, json};

use super::{Draft, comments};

/// What Lambda takes as a target of its utilisation.
const UTILISATION_MIN: f64 = 0.1;
const UTILISATION_MAX: f64 = 0.9;

/// What is scaled, as every request names it.
struct Target {
    namespace: &'static str,
    resource: String,
    dimension: &'static str,
}

/// An ECS service behind a load balancer.
pub(super) fn ecs(draft: &Draft<'_>) -> String {
    let Draft { policy, names, .. } = draft;
    let target = Target {
        namespace: "ecs",
        resource: format!("service/{}/{}", names.cluster, names.name),
        dimension: "ecs:service:DesiredCount",
    };
    let metric = json!({
        "PredefinedMetricType": "ALBRequestCountPerTarget",
        "ResourceLabel": names.resource_label,
    });
    // Requests per target and minute.
    let value = thousandths(policy.target_rate_per_instance * 60.0);
    let mut about = draft.about.clone();
    about.push(format!(
        "TargetValue counts requests per target and minute: {} per second × 60.",
        thousandths(policy.target_rate_per_instance)
    ));
    script(&about, &target, policy, value, &metric)
}

/// Provisioned concurrency of a Lambda function.
pub(super) fn lambda(draft: &Draft<'_>) -> String {
    let names = draft.names;
    let target = Target {
        namespace: "lambda",
        resource: format!("function:{}:{}", names.name, names.alias),
        dimension: "lambda:function:ProvisionedConcurrency",
    };
    let mut policy = draft.policy.clone();
    let mut about = draft.about.clone();
    about.push(
        "It was emulated on requests per instance; Lambda tracks the share of provisioned concurrency in use."
            .to_owned(),
    );
    // An execution environment serves one request at a time.
    let each = draft.in_flight.max(1.0);
    if each > 1.0 {
        let scaled = |instances: u32| (f64::from(instances) * each).ceil() as u32;
        (policy.min, policy.max) = (scaled(policy.min), scaled(policy.max));
        for window in &mut policy.windows {
            window.replicas = scaled(window.replicas);
        }
        about.push(format!(
            "An instance of the plan works on {each:.2} requests at a time, an execution environment on \
             one: capacities are multiplied by that."
        ));
    }
    let metric = json!({ "PredefinedMetricType": "LambdaProvisionedConcurrencyUtilization" });
    let value = thousandths(policy.target_utilisation.clamp(UTILISATION_MIN, UTILISATION_MAX));
    script(&about, &target, &policy, value, &metric)
}

/// The script: register, track, schedule.
fn script(
    about: &[String],
    target: &Target,
    policy: &Policy,
    value: f64,
    metric: &Value,
) -> String {
    let tracking = json!({
        "PolicyName": "tidegate-target",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": value,
            "PredefinedMetricSpecification": metric,
            "ScaleOutCooldown": policy.scale_out_s,
            "ScaleInCooldown": policy.scale_down_s,
            "DisableScaleIn": false,
        },
    });
    let bounds = json!({ "MinCapacity": policy.min, "MaxCapacity": policy.max });
    let mut requests = vec![("register-scalable-target", bounds), ("put-scaling-policy", tracking)];
    let actions = ScheduledAction::from_windows(&policy.windows, policy.min);
    for (index, action) in actions.iter().enumerate() {
        let schedule = json!({
            "ScheduledActionName": format!("tidegate-floor-{}", index + 1),
            "Schedule": cron(action),
            "Timezone": policy.zone,
            "ScalableTargetAction": {
                "MinCapacity": action.min_capacity.unwrap_or(policy.min),
                "MaxCapacity": action.max_capacity.unwrap_or(policy.max),
            },
        });
        requests.push(("put-scheduled-action", schedule));
    }
    let mut text = format!("#!/bin/sh\n{}set -eu\n", comments(about));
    for (command, request) in requests {
        let mut whole = json!({
            "ServiceNamespace": target.namespace,
            "ResourceId": target.resource,
            "ScalableDimension": target.dimension,
        });
        if let (Value::Object(whole), Value::Object(request)) = (&mut whole, request) {
            whole.extend(request);
        }
        // Nothing in a quoted here-document is expanded, and JSON escapes line ends.
        text.push_str(&format!(
            "aws application-autoscaling {command} --cli-input-json \"$(cat <<'JSON'\n{whole:#}\nJSON\n)\"\n"
        ));
    }
    text
}

/// `cron(30 6 ? * MON-FRI *)`: minutes, hours, day of month, month, day of week, year.
fn cron(action: &ScheduledAction) -> String {
    const NAMES: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
    let (hour, minute) = (action.minute / 60, action.minute % 60);
    if action.days & EVERY_DAY == EVERY_DAY {
        return format!("cron({minute} {hour} * * ? *)");
    }
    let days = NAMES.iter().enumerate().filter(|(day, _)| action.days >> day & 1 == 1);
    let days: Vec<&str> = days.map(|(_, name)| *name).collect();
    format!("cron({minute} {hour} ? * {} *)", days.join(","))
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
