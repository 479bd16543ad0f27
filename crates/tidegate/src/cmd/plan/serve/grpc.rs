//! KEDA's external scaler, <https://keda.sh/docs/latest/concepts/external-scalers/>.
//!
//! Messages are those of `externalscaler.proto`; `StreamMetricSpec` is optional and not offered, as
//! the target never changes.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::WatchStream;
use tonic::Status;
use tonic::body::Body;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic_prost::ProstCodec;

use super::Shared;

/// Name of the metric: instances that are asked for, of which each stands for one.
pub(super) const METRIC: &str = "tidegate-instances";

/// Largest request, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Who asks.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ScaledObjectRef {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) namespace: String,
    #[prost(map = "string, string", tag = "3")]
    pub(super) scaler_metadata: HashMap<String, String>,
}

/// Whether there should be any instance.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct IsActiveResponse {
    #[prost(bool, tag = "1")]
    pub(super) result: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetMetricSpecResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) metric_specs: Vec<MetricSpec>,
}

/// A metric and its target for each instance.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MetricSpec {
    #[prost(string, tag = "1")]
    pub(super) metric_name: String,
    #[prost(int64, tag = "2")]
    pub(super) target_size: i64,
    #[prost(double, tag = "3")]
    pub(super) target_size_float: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetMetricsRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) scaled_object_ref: Option<ScaledObjectRef>,
    #[prost(string, tag = "2")]
    pub(super) metric_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetMetricsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) metric_values: Vec<MetricValue>,
}

/// A metric and its value, of all instances together.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MetricValue {
    #[prost(string, tag = "1")]
    pub(super) metric_name: String,
    #[prost(int64, tag = "2")]
    pub(super) metric_value: i64,
    #[prost(double, tag = "3")]
    pub(super) metric_value_float: f64,
}

/// Answers one call.
pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        "/externalscaler.ExternalScaler/IsActive" => {
            let call = move |_: ScaledObjectRef| IsActiveResponse { result: shared.told() > 0 };
            grpc().unary(Unary(call), request).await
        }
        "/externalscaler.ExternalScaler/StreamIsActive" => {
            grpc().server_streaming(Activity(shared), request).await
        }
        "/externalscaler.ExternalScaler/GetMetricSpec" => {
            let call = |_: ScaledObjectRef| {
                let metric_name = METRIC.to_owned();
                let spec = MetricSpec { metric_name, target_size: 1, target_size_float: 1.0 };
                GetMetricSpecResponse { metric_specs: vec![spec] }
            };
            grpc().unary(Unary(call), request).await
        }
        "/externalscaler.ExternalScaler/GetMetrics" => {
            let call = move |asked: GetMetricsRequest| {
                let told = shared.told();
                let value = MetricValue {
                    metric_name: asked.metric_name,
                    metric_value: i64::from(told),
                    metric_value_float: f64::from(told),
                };
                GetMetricsResponse { metric_values: vec![value] }
            };
            grpc().unary(Unary(call), request).await
        }
        path => Status::unimplemented(format!("there is no {path}")).into_http(),
    }
}

fn grpc<M, R>() -> Grpc<ProstCodec<M, R>>
where
    M: prost::Message + Send + 'static,
    R: prost::Message + Default + Send + 'static,
{
    Grpc::new(ProstCodec::default()).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// A call that is answered at once.
struct Unary<F>(F);

impl<R, M, F: FnMut(R) -> M> UnaryService<R> for Unary<F> {
    type Response = M;
    type Future = Ready<Result<tonic::Response<M>, Status>>;

    fn call(&mut self, request: tonic::Request<R>) -> Self::Future {
        ready(Ok(tonic::Response::new((self.0)(request.into_inner()))))
    }
}

type Activities =
    std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<IsActiveResponse, Status>> + Send>>;

/// Whether there should be any instance, at once and whenever it changes, until the end.
struct Activity(Arc<Shared>);

impl ServerStreamingService<ScaledObjectRef> for Activity {
    type Response = IsActiveResponse;
    type ResponseStream = Activities;
    type Future = Ready<Result<tonic::Response<Activities>, Status>>;

    fn call(&mut self, _: tonic::Request<ScaledObjectRef>) -> Self::Future {
        let mut last = None;
        let told = WatchStream::new(self.0.watch()).map_while(|told| told);
        let changes = told.filter_map(move |told: u32| {
            let result = told > 0;
            (last.replace(result) != Some(result)).then_some(Ok(IsActiveResponse { result }))
        });
        ready(Ok(tonic::Response::new(Box::pin(changes))))
    }
}
