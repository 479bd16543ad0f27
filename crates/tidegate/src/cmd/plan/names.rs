//! How things are called where manifests are used.

use clap::Args;
use report::plan::Names;

/// Names for `--emit`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Manifests")]
pub(crate) struct NameFlags {
    /// The deployment, Knative service, ECS service or Lambda function
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Its Kubernetes namespace
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Prometheus query for its requests per second, all instances together
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    /// Address of Prometheus, as KEDA sees it
    #[arg(long, value_name = "URL")]
    server_address: Option<String>,
    /// Metric of requests per second that an adapter offers to HPA
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// Container image of the Knative service
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// ECS cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Load balancer and target group: app/NAME/ID/targetgroup/NAME/ID
    #[arg(long, value_name = "LABEL")]
    resource_label: Option<String>,
    /// Alias or version of the Lambda function
    #[arg(long, value_name = "NAME")]
    alias: Option<String>,
}

impl NameFlags {
    /// The names, placeholders where none is given.
    pub(crate) fn names(&self) -> Names {
        let default = Names::default();
        let or = |given: &Option<String>, default: String| given.clone().unwrap_or(default);
        Names {
            name: or(&self.name, default.name),
            namespace: or(&self.namespace, default.namespace),
            query: or(&self.query, default.query),
            server_address: or(&self.server_address, default.server_address),
            metric: or(&self.metric, default.metric),
            image: or(&self.image, default.image),
            cluster: or(&self.cluster, default.cluster),
            resource_label: or(&self.resource_label, default.resource_label),
            alias: or(&self.alias, default.alias),
        }
    }
}
