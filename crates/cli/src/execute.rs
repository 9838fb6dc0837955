//! `meseta execute`: runs one command on a cluster and follows it to its end, as `mesos-execute`.

mod job;
mod report;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Command;
use meseta_framework::v1::offer::{Operation, operation};
use meseta_framework::v1::scheduler::{Event, event};
use meseta_framework::v1::{AgentId, Offer, TaskState, TaskStatus};
use meseta_framework::{Events, Incoming, Scheduler, subscribe};
use tokio::time::{Instant, sleep_until};

use crate::flags::{Flags, execute};
use crate::{Failure, complain};
use job::Job;

/// The whole program: status 0 if the task has finished, 1 if it has ended otherwise or could not
/// be followed, 2 if the command line is wrong.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    match execute(args) {
        Ok(TaskState::TaskFinished) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(failure) => crate::finish(Err(failure)),
    }
}

fn execute(args: Vec<OsString>) -> Result<TaskState, Failure> {
    let command = Command::new("meseta execute")
        .about("Run one command on a cluster and follow it to its end")
        .disable_version_flag(true);
    // As with mesos-execute, nothing is taken from the environment: in a task it is the agent's.
    let flags = Flags::parse(command, execute::FLAGS, args, |_| None)?;
    let job = Job::from_flags(&flags)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Start(format!("failed to start: {e}")))?;
    runtime.block_on(async {
        let (scheduler, events) = subscribe(job.settings.clone());
        Run {
            job,
            scheduler,
            launched: None,
            kill_at: None,
            told_too_little: false,
        }
        .follow(events, &mut io::stdout())
        .await
        .map_err(Failure::Start)
    })
}

/// One task on its way.
struct Run {
    job: Job,
    scheduler: Scheduler,
    /// The agent that has been given the task.
    launched: Option<AgentId>,
    kill_at: Option<Instant>,
    told_too_little: bool,
}

impl Run {
    /// Follows the task to its last state. An error is a sentence.
    async fn follow(
        mut self,
        mut events: Events,
        out: &mut impl Write,
    ) -> Result<TaskState, String> {
        loop {
            let kill_at = self.kill_at;
            let incoming = tokio::select! {
                incoming = events.next() => incoming,
                () = async { sleep_until(kill_at.unwrap_or_else(Instant::now)).await },
                    if kill_at.is_some() =>
                {
                    self.kill(out).await?;
                    continue;
                }
            };
            let incoming = incoming.map_err(|e| e.to_string())?;
            match incoming.ok_or("the master has ended the framework")? {
                // A first attempt that fails is a wrong address rather than a passing trouble.
                Incoming::Disconnected { reason } if self.job.settings.framework.id.is_none() => {
                    return Err(format!("failed to subscribe: {reason}"));
                }
                Incoming::Disconnected { reason } => {
                    complain(&format!(
                        "Disconnected from the master: {reason}; trying again"
                    ));
                }
                Incoming::Event(event) => {
                    if let Some(state) = self.on_event(event, out).await? {
                        return Ok(state);
                    }
                }
            }
        }
    }

    async fn on_event(
        &mut self,
        event: Box<Event>,
        out: &mut impl Write,
    ) -> Result<Option<TaskState>, String> {
        match event.r#type() {
            event::Type::Subscribed => {
                if let Some(subscribed) = event.subscribed {
                    print(
                        out,
                        format_args!("Subscribed with ID {}\n", subscribed.framework_id),
                    )?;
                    self.job.settings.framework.id = Some(subscribed.framework_id);
                }
            }
            event::Type::Offers => {
                for offer in event.offers.into_iter().flat_map(|o| o.offers) {
                    self.on_offer(offer, out).await?;
                }
            }
            event::Type::Update => {
                if let Some(update) = event.update {
                    return self.on_update(&update.status, out).await;
                }
            }
            event::Type::Error => {
                let message = event.error.map(|e| e.message).unwrap_or_default();
                return Err(format!("Received an ERROR event: {message}"));
            }
            _ => {}
        }
        Ok(None)
    }

    async fn on_offer(&mut self, offer: Offer, out: &mut impl Write) -> Result<(), String> {
        let chosen = if self.launched.is_none() {
            self.job.task_for(&offer)
        } else {
            None
        };
        let Some(task) = chosen else {
            if self.launched.is_none() && !std::mem::replace(&mut self.told_too_little, true) {
                complain(&self.job.why_not(&offer));
            }
            // An offer that is lost meanwhile needs no refusal.
            let _ = self.scheduler.decline([offer.id], None).await;
            return Ok(());
        };
        let launch = Operation {
            r#type: Some(operation::Type::Launch.into()),
            launch: Some(operation::Launch {
                task_infos: vec![task],
            }),
            ..Operation::default()
        };
        self.scheduler
            .accept([offer.id], [launch], None)
            .await
            .map_err(|e| format!("failed to launch the task: {e}"))?;
        let name = &self.job.name;
        print(
            out,
            format_args!("Submitted task '{name}' to agent '{}'\n", offer.agent_id),
        )?;
        self.launched = Some(offer.agent_id);
        // More offers would only be declined one by one.
        let _ = self.scheduler.suppress().await;
        Ok(())
    }

    async fn on_update(
        &mut self,
        status: &TaskStatus,
        out: &mut impl Write,
    ) -> Result<Option<TaskState>, String> {
        print(out, format_args!("{}", report::Report(status)))?;
        // An update that is not acknowledged comes again, unless it was the last.
        let _ = self.scheduler.acknowledge(status).await;
        if status.state() == TaskState::TaskRunning && self.kill_at.is_none() {
            self.kill_at = self.job.kill_after.map(|delay| Instant::now() + delay);
        }
        Ok(status.state().is_terminal().then_some(status.state()))
    }

    async fn kill(&mut self, out: &mut impl Write) -> Result<(), String> {
        let agent = self.launched.clone();
        let id = &self.job.name;
        let on = agent.as_ref().map(AgentId::as_str).unwrap_or_default();
        match self.scheduler.kill(id.as_str().into(), agent.clone()).await {
            Ok(()) => {
                print(
                    out,
                    format_args!("Asked to kill task '{id}' on agent '{on}'\n"),
                )?;
                self.kill_at = None;
                self.job.kill_after = None;
            }
            // Without a master the kill waits for the next one.
            Err(_) => self.kill_at = Some(Instant::now() + KILL_RETRY),
        }
        Ok(())
    }
}

/// Between attempts to kill while no master is there.
const KILL_RETRY: Duration = Duration::from_secs(1);

fn print(out: &mut impl Write, text: std::fmt::Arguments<'_>) -> Result<(), String> {
    out.write_fmt(text)
        .and_then(|()| out.flush())
        .map_err(|e| format!("failed to write to standard output: {e}"))
}
