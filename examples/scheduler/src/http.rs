//! The interface of those who want commands run.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request as HttpRequest, State};
use axum::http::StatusCode;
use axum::http::header::ORIGIN;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::book::Refusal;
use crate::service::Request;
use crate::task::Task;

type Requests = mpsc::Sender<Request>;

/// What is served at `/`; what is asked for goes to the service.
pub(crate) fn routes(requests: Requests) -> Router {
    Router::new()
        .route("/", get(list).post(schedule).delete(kill))
        .layer(from_fn(refuse_web_pages))
        .with_state(requests)
}

#[derive(Deserialize)]
struct Schedule {
    cmd: String,
}

#[derive(Deserialize)]
struct Kill {
    id: u64,
}

/// A task as it is listed.
#[derive(Serialize)]
struct Listed {
    id: u64,
    command: String,
    state: &'static str,
    message: String,
    /// Whether it has ended, well or not.
    completed: bool,
    /// Whether the cluster has confirmed the state since the scheduler subscribed last, or it is final.
    confirmed: bool,
    /// What the master and its page call it, and where it is; nothing while it waits for an offer.
    task_id: Option<String>,
    agent_id: Option<String>,
}

async fn schedule(
    State(requests): State<Requests>,
    query: Result<Query<Schedule>, QueryRejection>,
) -> Result<Response, Response> {
    let Query(Schedule { cmd: command }) = query.map_err(|e| bad(&e, "POST /?cmd=COMMAND"))?;
    let id = ask(&requests, |answer| Request::Schedule { command, answer }).await?;
    let id = id.map_err(|e| refuse(&e))?;
    Ok((StatusCode::CREATED, format!("{id}\n")).into_response())
}

async fn list(State(requests): State<Requests>) -> Result<Response, Response> {
    let tasks = ask(&requests, |answer| Request::List { answer }).await?;
    let tasks: Vec<Listed> = tasks.into_iter().map(Listed::from).collect();
    Ok(Json(tasks).into_response())
}

async fn kill(
    State(requests): State<Requests>,
    query: Result<Query<Kill>, QueryRejection>,
) -> Result<Response, Response> {
    let Query(Kill { id }) = query.map_err(|e| bad(&e, "DELETE /?id=NUMBER"))?;
    let killed = ask(&requests, |answer| Request::Kill { id, answer }).await?;
    killed.map_err(|e| refuse(&e))?;
    // The list tells when it has ended.
    Ok((StatusCode::ACCEPTED, format!("kills {id}\n")).into_response())
}

async fn ask<T>(
    requests: &Requests,
    request: impl FnOnce(oneshot::Sender<T>) -> Request,
) -> Result<T, Response> {
    let ending = || (StatusCode::SERVICE_UNAVAILABLE, "the scheduler ends\n").into_response();
    let (answer, answered) = oneshot::channel();
    requests.send(request(answer)).await.map_err(|_| ending())?;
    answered.await.map_err(|_| ending())
}

fn bad(rejection: &QueryRejection, usage: &str) -> Response {
    let sentence = format!("{}; try {usage}\n", rejection.body_text());
    (rejection.status(), sentence).into_response()
}

fn refuse(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Empty | Refusal::Nul => StatusCode::BAD_REQUEST,
        Refusal::TooLong(_) => StatusCode::URI_TOO_LONG,
        Refusal::Full => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Unknown(_) => StatusCode::NOT_FOUND,
        Refusal::Ended(..) => StatusCode::CONFLICT,
    };
    (status, format!("{refusal}\n")).into_response()
}

/// Any page that a browser on this machine shows could send requests here, and so run commands. Such
/// requests name the page's origin; those of curl and programs do not.
async fn refuse_web_pages(request: HttpRequest, next: Next) -> Response {
    if request.headers().contains_key(ORIGIN) {
        return (
            StatusCode::FORBIDDEN,
            "web pages may not run commands here\n",
        )
            .into_response();
    }
    next.run(request).await
}

impl From<Task> for Listed {
    fn from(task: Task) -> Self {
        Self {
            id: task.id,
            state: task.state.as_str_name(),
            completed: task.has_ended(),
            confirmed: task.is_confirmed || task.has_ended(),
            task_id: task.agent_id.is_some().then(|| task.task_id().to_string()),
            agent_id: task.agent_id,
            command: task.command,
            message: task.message,
        }
    }
}
