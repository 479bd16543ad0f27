//! A crontab that moves the floor of an autoscaler.

use plan::controller::aws_scheduled::ScheduledAction;

use plan::choose::Kind;

use super::schedule::at;
use super::{Draft, EmitError, comments, hpa};

/// A schedule alone fails whenever demand does what it did not do before, so the entries move
/// `minReplicas` of an autoscaler that goes on answering to the load.
pub(super) fn crontab(draft: &Draft<'_>) -> Result<String, EmitError> {
    let Draft { policy, names, .. } = draft;
    if policy.windows.is_empty() {
        return Err(EmitError::NoSchedule);
    }
    let mut about = draft.about.clone();
    about.extend(
        [
            "The entries move the floor of a HorizontalPodAutoscaler, which goes on answering to the load.",
            "Never schedule a workload that nothing else scales; if you must, it is",
            "`kubectl --namespace NAMESPACE scale deployment NAME --replicas N`.",
            "CRON_TZ is understood by cronie and systemd-cron; elsewhere set the zone of the machine.",
        ]
        .map(str::to_owned),
    );
    if policy.kind == Some(Kind::Keda) {
        about.push("The autoscaler that was tried with this schedule; apply it first:".to_owned());
        about.extend(hpa::spec(draft).lines().map(|line| format!("  {line}")));
    }
    let mut text = format!("{}CRON_TZ={}\n", comments(&about), policy.zone);
    for action in ScheduledAction::from_windows(&policy.windows, policy.min) {
        text.push_str(&format!(
            "{} kubectl --namespace {} patch horizontalpodautoscaler {} --type merge --patch \
             '{{\"spec\":{{\"minReplicas\":{}}}}}'\n",
            at(action.minute, action.days),
            names.namespace,
            names.name,
            action.min_capacity.unwrap_or(policy.min),
        ));
    }
    Ok(text)
}
