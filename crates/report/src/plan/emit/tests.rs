//! Manifests against models of the vendors' schemas: every field must be known and in its range.

use std::collections::BTreeMap;

use plan::choose::Kind;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{EmitError, Format, Names, emit};
use crate::plan::fixture::answer;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Object<S> {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: S,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
    namespace: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TargetRef {
    api_version: String,
    kind: String,
    name: String,
}

/// `autoscaling/v2`, `HorizontalPodAutoscalerSpec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HpaSpec {
    scale_target_ref: TargetRef,
    min_replicas: u32,
    max_replicas: u32,
    metrics: Vec<MetricSpec>,
    behavior: Behavior,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricSpec {
    #[serde(rename = "type")]
    kind: String,
    external: External,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct External {
    metric: MetricName,
    target: MetricTarget,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricName {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MetricTarget {
    #[serde(rename = "type")]
    kind: String,
    average_value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Behavior {
    scale_up: Rules,
    scale_down: Rules,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rules {
    stabilization_window_seconds: u32,
    select_policy: Select,
    policies: Vec<Policy>,
}

#[derive(Debug, Deserialize)]
enum Select {
    Max,
    Min,
    Disabled,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Policy {
    #[serde(rename = "type")]
    kind: PolicyKind,
    value: u32,
    period_seconds: u32,
}

#[derive(Debug, Deserialize)]
enum PolicyKind {
    Pods,
    Percent,
}

impl Behavior {
    fn check(&self) {
        for rules in [&self.scale_up, &self.scale_down] {
            assert!(rules.stabilization_window_seconds <= 3600);
            assert!(matches!(rules.select_policy, Select::Max | Select::Min | Select::Disabled));
            assert!(!rules.policies.is_empty());
            for policy in &rules.policies {
                assert!(policy.value > 0 && (1..=1800).contains(&policy.period_seconds));
                assert!(matches!(policy.kind, PolicyKind::Pods | PolicyKind::Percent));
            }
        }
    }
}

/// `keda.sh/v1alpha1`, `ScaledObjectSpec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ScaledObjectSpec {
    scale_target_ref: TargetRef,
    polling_interval: u32,
    cooldown_period: u32,
    min_replica_count: u32,
    max_replica_count: u32,
    advanced: Advanced,
    triggers: Vec<Trigger>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Advanced {
    horizontal_pod_autoscaler_config: AutoscalerConfig,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AutoscalerConfig {
    behavior: Behavior,
}

/// Metadata of a trigger are texts, whatever they mean.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Trigger {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    metric_type: Option<String>,
    metadata: serde_json::Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PrometheusMetadata {
    server_address: String,
    query: String,
    threshold: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CronMetadata {
    timezone: String,
    start: String,
    end: String,
    desired_replicas: String,
}

/// `serving.knative.dev/v1`, `ServiceSpec`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnativeSpec {
    template: Template,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    metadata: TemplateMetadata,
    spec: RevisionSpec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateMetadata {
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RevisionSpec {
    container_concurrency: u32,
    containers: Vec<Container>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Container {
    name: String,
    image: String,
}

/// `RegisterScalableTarget`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RegisterScalableTarget {
    service_namespace: String,
    resource_id: String,
    scalable_dimension: String,
    min_capacity: u32,
    max_capacity: u32,
}

/// `PutScalingPolicy` of type `TargetTrackingScaling`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutScalingPolicy {
    service_namespace: String,
    resource_id: String,
    scalable_dimension: String,
    policy_name: String,
    policy_type: String,
    target_tracking_scaling_policy_configuration: TargetTracking,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TargetTracking {
    target_value: f64,
    predefined_metric_specification: PredefinedMetric,
    scale_out_cooldown: u32,
    scale_in_cooldown: u32,
    disable_scale_in: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PredefinedMetric {
    predefined_metric_type: String,
    resource_label: Option<String>,
}

/// `PutScheduledAction`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutScheduledAction {
    service_namespace: String,
    resource_id: String,
    scalable_dimension: String,
    scheduled_action_name: String,
    schedule: String,
    timezone: String,
    scalable_target_action: ScalableTargetAction,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ScalableTargetAction {
    min_capacity: u32,
    max_capacity: u32,
}

fn text(format: Format, recommended: Kind) -> String {
    emit(format, &answer(recommended), &Names::default()).unwrap()
}

fn yaml<S: DeserializeOwned>(text: &str) -> Object<S> {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn check_object<S>(object: &Object<S>, api_version: &str, kind: &str) {
    assert_eq!((object.api_version.as_str(), object.kind.as_str()), (api_version, kind));
    assert_eq!(
        (object.metadata.name.as_str(), object.metadata.namespace.as_str()),
        ("web", "default")
    );
}

fn check_target(target: &TargetRef) {
    assert_eq!(
        (target.api_version.as_str(), target.kind.as_str(), target.name.as_str()),
        ("apps/v1", "Deployment", "web")
    );
}

#[test]
fn keda_holds_the_floor_by_cron() {
    let text = text(Format::Keda, Kind::Keda);
    let object: Object<ScaledObjectSpec> = yaml(&text);
    check_object(&object, "keda.sh/v1alpha1", "ScaledObject");
    let spec = object.spec;
    check_target(&spec.scale_target_ref);
    assert_eq!((spec.polling_interval, spec.cooldown_period), (30, 300));
    assert_eq!((spec.min_replica_count, spec.max_replica_count), (2, 40));
    let behavior = &spec.advanced.horizontal_pod_autoscaler_config.behavior;
    behavior.check();
    assert_eq!(behavior.scale_down.stabilization_window_seconds, 600);
    let (first, cron) = spec.triggers.split_first().unwrap();
    assert_eq!(
        (first.kind.as_str(), first.metric_type.as_deref()),
        ("prometheus", Some("AverageValue"))
    );
    let metadata: PrometheusMetadata = serde_json::from_value(first.metadata.clone()).unwrap();
    assert_eq!(metadata.threshold.parse(), Ok(59.5));
    assert_eq!(metadata.query, Names::default().query);
    assert!(metadata.server_address.starts_with("http://"));
    let cron: Vec<(String, CronMetadata)> = cron
        .iter()
        .map(|trigger| {
            assert_eq!((trigger.kind.as_str(), &trigger.metric_type), ("cron", &None));
            (trigger.name.clone(), serde_json::from_value(trigger.metadata.clone()).unwrap())
        })
        .collect();
    let entries: Vec<(&str, &str, &str, &str)> = cron
        .iter()
        .map(|(name, it)| {
            (name.as_str(), it.start.as_str(), it.end.as_str(), it.desired_replicas.as_str())
        })
        .collect();
    assert_eq!(
        entries,
        [
            ("floor_1", "30 6 * * 1-5", "0 20 * * 1-5", "8"),
            ("floor_2", "0 20 * * 1-5", "0 0 * * 2-6", "12"),
            ("floor_3", "0 0 * * 6", "0 0 * * 1", "5"),
        ]
    );
    assert!(cron.iter().all(|(_, it)| it.timezone == "Europe/Paris" && it.start != it.end));
}

#[test]
fn hpa_follows_an_external_metric() {
    let text = text(Format::Hpa, Kind::Hpa);
    let object: Object<HpaSpec> = yaml(&text);
    check_object(&object, "autoscaling/v2", "HorizontalPodAutoscaler");
    let spec = object.spec;
    check_target(&spec.scale_target_ref);
    assert_eq!((spec.min_replicas, spec.max_replicas), (2, 40));
    spec.behavior.check();
    let [metric] = spec.metrics.as_slice() else { panic!("{:?}", spec.metrics) };
    assert_eq!(metric.kind, "External");
    assert_eq!(metric.external.metric.name, "http_requests_per_second");
    assert_eq!(metric.external.target.kind, "AverageValue");
    assert_eq!(metric.external.target.average_value, "59500m");
    assert!(text.contains("# Written by tidegate plan: hpa at 70 %"));
}

#[test]
fn knative_has_annotations_in_their_ranges() {
    let object: Object<KnativeSpec> = yaml(&text(Format::Knative, Kind::Knative));
    check_object(&object, "serving.knative.dev/v1", "Service");
    let RevisionSpec { container_concurrency, containers } = object.spec.template.spec;
    assert_eq!(container_concurrency, 9);
    let Names { name, image, .. } = Names::default();
    assert_eq!((&containers[0].name, &containers[0].image), (&name, &image));
    let mut annotations = object.spec.template.metadata.annotations;
    let mut take =
        |name: &str| annotations.remove(&format!("autoscaling.knative.dev/{name}")).unwrap();
    let number = |text: String| text.parse::<f64>().unwrap();
    let seconds = |text: String| text.strip_suffix('s').unwrap().parse::<f64>().unwrap();
    assert_eq!(take("class"), "kpa.autoscaling.knative.dev");
    assert_eq!(take("metric"), "rps");
    assert!((number(take("target")) - 85.0).abs() < 1e-9);
    assert!((1.0..=100.0).contains(&number(take("target-utilization-percentage"))));
    assert_eq!((take("min-scale").as_str(), take("max-scale").as_str()), ("2", "40"));
    assert!((6.0..=3600.0).contains(&seconds(take("window"))));
    assert!((1.0..=100.0).contains(&number(take("panic-window-percentage"))));
    assert!((110.0..=1000.0).contains(&number(take("panic-threshold-percentage"))));
    assert!((0.0..=3600.0).contains(&seconds(take("scale-down-delay"))));
    assert!(annotations.is_empty(), "{annotations:?}");
}

/// The requests of a script, in its order.
fn requests(script: &str) -> Vec<(String, serde_json::Value)> {
    let commands = script.split("aws application-autoscaling ").skip(1);
    commands
        .map(|command| {
            let (name, rest) = command.split_once(' ').unwrap();
            let (_, rest) = rest.split_once("<<'JSON'\n").unwrap();
            let (json, _) = rest.split_once("\nJSON\n").unwrap();
            (name.to_owned(), serde_json::from_str(json).unwrap())
        })
        .collect()
}

fn parsed<T: DeserializeOwned>(request: &(String, serde_json::Value), name: &str) -> T {
    assert_eq!(request.0, name);
    serde_json::from_value(request.1.clone()).unwrap()
}

#[test]
fn aws_tracks_requests_and_schedules_the_floor() {
    let script = text(Format::Aws, Kind::AwsScheduled);
    let requests = requests(&script);
    let target: RegisterScalableTarget = parsed(&requests[0], "register-scalable-target");
    assert_eq!((target.min_capacity, target.max_capacity), (2, 40));
    let whose = (target.service_namespace, target.resource_id, target.scalable_dimension);
    let ecs =
        ("ecs".to_owned(), "service/default/web".to_owned(), "ecs:service:DesiredCount".to_owned());
    assert_eq!(whose, ecs);
    let policy: PutScalingPolicy = parsed(&requests[1], "put-scaling-policy");
    assert_eq!((policy.service_namespace, policy.resource_id, policy.scalable_dimension), ecs);
    assert_eq!(policy.policy_type, "TargetTrackingScaling");
    assert!(!policy.policy_name.is_empty());
    let tracking = policy.target_tracking_scaling_policy_configuration;
    assert_eq!((tracking.scale_out_cooldown, tracking.scale_in_cooldown), (300, 600));
    assert!(!tracking.disable_scale_in && (tracking.target_value - 3570.0).abs() < 1e-9);
    let metric = tracking.predefined_metric_specification;
    assert_eq!(metric.predefined_metric_type, "ALBRequestCountPerTarget");
    assert!(metric.resource_label.unwrap().contains("/targetgroup/"));
    let actions: Vec<PutScheduledAction> = requests[2..]
        .iter()
        .map(|request| parsed::<PutScheduledAction>(request, "put-scheduled-action"))
        .inspect(|action| {
            assert_eq!(
                (&action.service_namespace, &action.resource_id, &action.scalable_dimension),
                (&ecs.0, &ecs.1, &ecs.2)
            );
            assert_eq!(action.timezone, "Europe/Paris");
            assert!(action.scheduled_action_name.starts_with("tidegate-floor-"));
            assert_eq!(action.scalable_target_action.max_capacity, 40);
        })
        .collect();
    let found: Vec<(&str, u32)> = actions
        .iter()
        .map(|action| (action.schedule.as_str(), action.scalable_target_action.min_capacity))
        .collect();
    for expected in [
        ("cron(30 6 ? * MON,TUE,WED,THU,FRI *)", 8),
        ("cron(0 20 ? * MON,TUE,WED,THU,FRI *)", 12),
        ("cron(0 0 ? * TUE,WED,THU,FRI *)", 2),
        ("cron(0 0 ? * SAT,SUN *)", 5),
        ("cron(0 0 ? * MON *)", 2),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    assert_eq!(found.len(), 5);
}

#[test]
fn lambda_counts_execution_environments() {
    let script = text(Format::Lambda, Kind::AwsTargetTracking);
    let requests = requests(&script);
    assert_eq!(requests.len(), 2);
    let target: RegisterScalableTarget = parsed(&requests[0], "register-scalable-target");
    assert_eq!(target.resource_id, "function:web:live");
    assert_eq!(target.scalable_dimension, "lambda:function:ProvisionedConcurrency");
    // 8.5 requests in flight for each instance of the plan.
    assert_eq!((target.min_capacity, target.max_capacity), (17, 340));
    let policy: PutScalingPolicy = parsed(&requests[1], "put-scaling-policy");
    let tracking = policy.target_tracking_scaling_policy_configuration;
    assert!((0.1..=0.9).contains(&tracking.target_value));
    let metric = tracking.predefined_metric_specification;
    assert_eq!(metric.predefined_metric_type, "LambdaProvisionedConcurrencyUtilization");
    assert_eq!(metric.resource_label, None);
}

#[test]
fn a_crontab_moves_the_floor_only() {
    let text = text(Format::Cron, Kind::Keda);
    let entries: Vec<&str> =
        text.lines().filter(|line| line.contains("kubectl") && !line.starts_with('#')).collect();
    assert!(text.contains("\nCRON_TZ=Europe/Paris\n"));
    assert_eq!(entries.len(), 5);
    assert!(entries.contains(
        &r#"30 6 * * 1-5 kubectl --namespace default patch horizontalpodautoscaler web --type merge --patch '{"spec":{"minReplicas":8}}'"#
    ));
    assert!(entries.iter().all(|entry| !entry.contains('%')));
    // The autoscaler is that of the same policy: as a comment, so that the crontab is one.
    let manifest: String = text
        .lines()
        .skip_while(|line| !line.contains("apiVersion"))
        .filter_map(|line| line.strip_prefix("#   "))
        .map(|line| format!("{line}\n"))
        .collect();
    let object: Object<HpaSpec> = yaml(&manifest);
    check_object(&object, "autoscaling/v2", "HorizontalPodAutoscaler");
    let keda = text_of_keda_target(&answer(Kind::Keda));
    assert_eq!(object.spec.metrics[0].external.target.average_value, keda);
}

/// Requests per second for each instance, as a quantity.
fn text_of_keda_target(answer: &plan::choose::Answer) -> String {
    super::hpa::quantity(answer.recommended.policy().target_rate_per_instance)
}

#[test]
fn a_gateway_in_which_nobody_waits_has_no_time_to_wait() {
    let mut answer = answer(Kind::Hpa);
    assert!(emit(Format::Gateway, &answer, &Names::default()).unwrap().contains("pending-timeout"));
    answer.concurrency.gateway_queue = 0;
    let text = emit(Format::Gateway, &answer, &Names::default()).unwrap();
    assert!(text.contains("pending = 0 }"), "{text}");
}

#[test]
fn what_a_format_cannot_express_is_said() {
    let text = text(Format::Hpa, Kind::Keda);
    assert!(text.contains("recommends something else: keda at 70 %"), "{text}");
    let mut bare = answer(Kind::Hpa);
    bare.by_controller.retain(|one| one.controller == Kind::Hpa);
    let names = Names::default();
    assert_eq!(
        emit(Format::Aws, &bare, &names),
        Err(EmitError::NotTried {
            format: "aws",
            controllers: "aws-target-tracking,aws-scheduled".to_owned()
        })
    );
    assert_eq!(emit(Format::Cron, &bare, &names), Err(EmitError::NoSchedule));
    // Without cron triggers KEDA is the autoscaler that it makes.
    let object: Object<ScaledObjectSpec> = yaml(&emit(Format::Keda, &bare, &names).unwrap());
    assert_eq!(object.spec.triggers.len(), 1);
    let mut unzoned = answer(Kind::Keda);
    unzoned.recommended.parameters.zone.clear();
    assert_eq!(emit(Format::Keda, &unzoned, &names), Err(EmitError::NoZone));
}

/// Names and queries come from the command line: none may become structure.
#[test]
fn hostile_names_stay_names() {
    let names = Names {
        query: "sum(x{a=\"b\"})\nkind: Evil # \\".to_owned(),
        image: "a\"b: c".to_owned(),
        ..Names::default()
    };
    let answer = answer(Kind::Keda);
    let object: Object<ScaledObjectSpec> = yaml(&emit(Format::Keda, &answer, &names).unwrap());
    assert_eq!(object.spec.triggers[0].metadata["query"], names.query.as_str());
    let _: Object<HpaSpec> = yaml(&emit(Format::Hpa, &answer, &names).unwrap());
    let object: Object<KnativeSpec> = yaml(&emit(Format::Knative, &answer, &names).unwrap());
    assert_eq!(object.spec.template.spec.containers[0].image, names.image);
    for name in ["", "Web", "-web", "web; rm", "a\nb", &"a".repeat(64)] {
        let names = Names { name: name.to_owned(), ..Names::default() };
        assert!(matches!(emit(Format::Cron, &answer, &names), Err(EmitError::Name(_))), "{name}");
    }
}
