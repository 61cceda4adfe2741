//! Liveness, readiness, metrics.

use std::time::Duration;

use axum::{Json, Router, extract::State, response::IntoResponse, routing::get};
use http::StatusCode;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use sqlx::PgPool;

use crate::{
    queue,
    telemetry::{self, PoolState},
};

/// Longest that the database may take to answer before the service counts as not ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// What health is told from.
#[derive(Debug, Clone)]
pub struct Health {
    /// The database.
    pub pool: PgPool,
}

impl Health {
    /// Returns the routes for everybody: they tell no more than "up" and "ready".
    pub fn router(self) -> Router {
        Router::new()
            .route("/-/liveness", get(async || Json(json!({ "status": "ok" }))))
            .route("/-/readiness", get(readiness))
            .with_state(self)
    }

    /// Returns the routes for administrators.
    pub fn admin_router(self, metrics: PrometheusHandle) -> Router {
        let pool = self.pool.clone();
        let metrics = async move || {
            if let Ok(backlog) = queue::backlog(&pool).await {
                telemetry::observe_backlog("inbox", backlog.deliveries, backlog.delivery_age);
                telemetry::observe_backlog("outbox", backlog.effects, backlog.effect_age);
            }
            telemetry::observe_pool(PoolState {
                open: pool.size(),
                idle: u32::try_from(pool.num_idle()).unwrap_or(u32::MAX),
            });
            metrics.run_upkeep();
            metrics.render()
        };
        Router::new()
            .route("/-/metrics", get(metrics))
            .merge(self.router())
    }
}

async fn readiness(State(health): State<Health>) -> impl IntoResponse {
    let asked = sqlx::query!(r#"SELECT 1 AS "one!""#).fetch_one(&health.pool);
    match tokio::time::timeout(READY_WITHIN, asked).await {
        Ok(Ok(_)) => (StatusCode::OK, Json(json!({ "status": "ok" }))),
        Ok(Err(_)) | Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "failed", "database": "does not answer" })),
        ),
    }
}
