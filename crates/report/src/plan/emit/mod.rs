//! A policy as manifests that can be pasted: KEDA, HPA, Knative, AWS, Lambda, crontab.
//!
//! What is written is what was emulated: targets, bounds, behaviour and windows are those of the
//! policy, and nothing is left to a vendor's defaults that may change.

mod aws;
mod cron;
mod gateway;
mod hpa;
mod keda;
mod knative;
mod schedule;

#[cfg(test)]
mod tests;

use plan::choose::answer::Recommended;
use plan::choose::{Answer, Kind, Policy};

pub(super) use gateway::limits;

/// Longest name or label that Kubernetes takes for a workload (RFC 1123 label).
const LABEL_BYTES_MAX: usize = 63;

/// A format that manifests are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `ScaledObject` of KEDA, `keda.sh/v1alpha1`.
    Keda,
    /// `HorizontalPodAutoscaler`, `autoscaling/v2`.
    Hpa,
    /// `Service` of Knative Serving with autoscaling annotations.
    Knative,
    /// AWS Application Auto Scaling for an ECS service behind a load balancer.
    Aws,
    /// The same for provisioned concurrency of Lambda.
    Lambda,
    /// A crontab that moves the floor of an autoscaler.
    Cron,
    /// The concurrency limit of an instance as a configuration of tidegate's own gateway.
    Gateway,
}

impl Format {
    /// All formats.
    pub const ALL: [Format; 7] = [
        Format::Keda,
        Format::Hpa,
        Format::Knative,
        Format::Aws,
        Format::Lambda,
        Format::Cron,
        Format::Gateway,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Keda => "keda",
            Format::Hpa => "hpa",
            Format::Knative => "knative",
            Format::Aws => "aws",
            Format::Lambda => "lambda",
            Format::Cron => "cron",
            Format::Gateway => "gateway",
        }
    }

    /// Kinds of controllers that it can express; none where it does not scale.
    #[must_use]
    pub fn kinds(self) -> &'static [Kind] {
        match self {
            // Without cron triggers, KEDA is the autoscaler that it makes.
            Format::Keda => &[Kind::Keda, Kind::Hpa],
            Format::Hpa => &[Kind::Hpa],
            Format::Knative => &[Kind::Knative],
            Format::Aws | Format::Lambda => &[Kind::AwsTargetTracking, Kind::AwsScheduled],
            Format::Cron => &[Kind::Keda, Kind::AwsScheduled],
            Format::Gateway => &[],
        }
    }
}

/// How things are called where the manifest is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The workload: deployment, Knative service, ECS service, Lambda function.
    pub name: String,
    /// Its Kubernetes namespace.
    pub namespace: String,
    /// A Prometheus query for its requests per second, all instances together.
    pub query: String,
    /// Where Prometheus is, as KEDA sees it.
    pub server_address: String,
    /// Name of the metric of requests per second, as an adapter offers it to HPA.
    pub metric: String,
    /// Container image of the Knative service.
    pub image: String,
    /// ECS cluster.
    pub cluster: String,
    /// Load balancer and target group, as `ALBRequestCountPerTarget` wants them.
    pub resource_label: String,
    /// Alias or version of the Lambda function.
    pub alias: String,
}

impl Default for Names {
    fn default() -> Self {
        let own = |text: &str| text.to_owned();
        Self {
            name: own("web"),
            namespace: own("default"),
            query: own(r#"sum(rate(http_requests_total{service="web"}[1m]))"#),
            server_address: own("http://prometheus.monitoring.svc:9090"),
            metric: own("http_requests_per_second"),
            image: own("registry.example/web:latest"),
            cluster: own("default"),
            resource_label: own("app/ALB-NAME/ALB-ID/targetgroup/GROUP-NAME/GROUP-ID"),
            alias: own("live"),
        }
    }
}

/// Why a manifest cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// No policy that was tried can be expressed.
    #[error("no policy that {format} can express was tried: plan with --controllers {controllers}")]
    NotTried {
        /// Name of the format.
        format: &'static str,
        /// Controllers that would do.
        controllers: String,
    },
    /// A crontab without entries.
    #[error(
        "the plan has no schedule, so there is nothing to write into a crontab: use --emit hpa"
    )]
    NoSchedule,
    /// Windows of a schedule need a zone that others know.
    #[error("the schedule has no named time zone: plan with --timezone, such as Europe/Paris")]
    NoZone,
    /// A name that the platform does not take.
    #[error(
        "`{0}` cannot be a name there: lower-case letters, digits and dashes, at most {max}",
        max = LABEL_BYTES_MAX
    )]
    Name(String),
}

/// A policy to write, and what is said about it.
struct Draft<'a> {
    policy: Policy,
    names: &'a Names,
    /// Sentences for comments, each on a line of its own.
    about: Vec<String>,
    /// Requests that an instance should work on at a time.
    concurrency: u32,
    /// Requests in flight of an instance at its capacity.
    in_flight: f64,
}

/// The recommended policy in `format`; where the format cannot express it, the best that was tried
/// of those it can, and a comment that says so.
///
/// # Errors
/// [`EmitError`].
pub fn emit(format: Format, answer: &Answer, names: &Names) -> Result<String, EmitError> {
    check_names(format, names)?;
    let draft = || Draft::new(format, answer, names);
    match format {
        Format::Keda => Ok(keda::manifest(&draft()?)),
        Format::Hpa => Ok(hpa::manifest(&draft()?)),
        Format::Knative => Ok(knative::manifest(&draft()?)),
        Format::Aws => Ok(aws::ecs(&draft()?)),
        Format::Lambda => Ok(aws::lambda(&draft()?)),
        Format::Cron => cron::crontab(&draft()?),
        Format::Gateway => Ok(gateway::configuration(answer, names)),
    }
}

impl<'a> Draft<'a> {
    fn new(format: Format, answer: &Answer, names: &'a Names) -> Result<Self, EmitError> {
        let (chosen, about) = chosen(format, answer)?;
        let mut policy = chosen.policy();
        policy.windows = schedule::joined(&policy.windows);
        if !policy.windows.is_empty() && policy.zone.is_empty() {
            return Err(EmitError::NoZone);
        }
        let advice = &answer.concurrency;
        let (concurrency, in_flight) = (advice.limit, advice.by_littles_law);
        Ok(Self { policy, names, about, concurrency, in_flight })
    }
}

/// The policy that is written, and what there is to say about it.
fn chosen(format: Format, answer: &Answer) -> Result<(Recommended, Vec<String>), EmitError> {
    let fits = |one: &Recommended| {
        format.kinds().contains(&one.controller)
            && (format != Format::Cron || !one.parameters.windows.is_empty())
    };
    let recommended = &answer.recommended;
    let summary = recommended.policy().summary();
    if fits(recommended) {
        let held = &answer.held_out;
        let about = vec![
            format!("Written by tidegate plan: {summary}."),
            format!(
                "On {:.1} held-out days: {:.3} % of the requests late, {:.1} instance-hours.",
                held.days,
                held.late_ratio * 100.0,
                held.instance_hours
            ),
        ];
        return Ok((recommended.clone(), about));
    }
    // The best of each kind, the best first.
    let Some(other) = answer.by_controller.iter().find(|one| fits(one)) else {
        if format == Format::Cron {
            return Err(EmitError::NoSchedule);
        }
        let controllers: Vec<String> = format.kinds().iter().map(|kind| kind_name(*kind)).collect();
        return Err(EmitError::NotTried {
            format: format.name(),
            controllers: controllers.join(","),
        });
    };
    let about = vec![
        format!("Written by tidegate plan, which recommends something else: {summary}."),
        format!(
            "This format cannot express that. Here is the best of those it can, on the past: {}.",
            other.policy().summary()
        ),
    ];
    Ok((other.clone(), about))
}

fn kind_name(kind: Kind) -> String {
    Policy { kind: Some(kind), ..Policy::hpa(0.7, 1.0, (1, 1)) }.name().to_owned()
}

/// Names that become part of what they name must be ones that it takes.
fn check_names(format: Format, names: &Names) -> Result<(), EmitError> {
    let is_label = |text: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        (1..=LABEL_BYTES_MAX).contains(&bytes.len())
            && bytes.iter().all(|&byte| inner(byte) || byte == b'-')
            && bytes.first().is_some_and(|&byte| inner(byte))
            && bytes.last().is_some_and(|&byte| inner(byte))
    };
    if matches!(format, Format::Aws | Format::Lambda) {
        return Ok(());
    }
    match [&names.name, &names.namespace].into_iter().find(|name| !is_label(name)) {
        Some(name) => Err(EmitError::Name(name.clone())),
        None => Ok(()),
    }
}

/// `text` as a string of JSON, which is also one of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Lines of comment, each of them safe on its own.
fn comments(lines: &[String]) -> String {
    let line = |line: &String| {
        let clean: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("# {clean}\n")
    };
    lines.iter().map(line).collect()
}

/// A number in as few digits as tell it to a thousandth.
fn decimal(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
