//! `meseta task exec` and `meseta task attach`: programs in containers, with this terminal as theirs.
//!
//! What the program prints comes on the answer of one request, and what it reads goes into the body of
//! another, as any client of the agent's API does it. Four threads share the work: this one prints, one sends
//! the request with the input, one reads standard input, and one waits for signals.

mod input;
mod terminal;

use std::io::Write as _;
use std::process::ExitCode;

use meseta_proto::v1::agent::call::{self, Type};
use meseta_proto::v1::agent::process_io::{self, data};
use meseta_proto::v1::agent::{Call, ProcessIo};
use meseta_proto::v1::environment::{Variable, variable};
use meseta_proto::v1::{
    CommandInfo, ContainerId, ContainerInfo, Environment, TtyInfo, container_info,
};

use self::input::{Input, Stdin};
use self::terminal::{Loan, Terminal};
use super::arguments::{Attach, Exec};
use super::client::{Client, Messages, to_agent};
use super::error::Error;
use super::logs::Whereabouts;
use super::output;

/// What is added to a signal's number in the status of a shell whose command it has ended.
const SIGNAL_BASE: i32 = 128;

/// What runs where nothing is named: every image has one.
const SHELL: &str = "/bin/sh";

/// Runs a command in a task's container, and ends as it does.
pub(super) fn exec(exec: &Exec, client: &Client) -> Result<ExitCode, Error> {
    // Without a command it is to be talked to.
    let is_shell = exec.command.is_empty();
    let (interactive, tty) = (exec.interactive || is_shell, exec.tty || is_shell);
    let instead = if is_shell {
        "name a command instead of a shell"
    } else {
        "leave --tty out; --interactive alone passes input on"
    };
    let terminal = tty
        .then(|| Terminal::open(interactive, instead))
        .transpose()?;
    let attempt = format!("run a command in task {}", exec.task.task);
    let place = Place::of(&Whereabouts::of(&exec.task, client)?, client, &attempt)?;
    let session = ContainerId {
        parent: Some(Box::new(place.container.clone())),
        value: uuid::Uuid::new_v4().to_string(),
    };
    let launch = Call {
        launch_nested_container_session: Some(call::LaunchNestedContainerSession {
            container_id: session.clone(),
            command: Some(command(exec, terminal.as_ref())),
            container: terminal.as_ref().map(container),
        }),
        ..to_agent(Type::LaunchNestedContainerSession)
    };
    let place = Place {
        container: session,
        ..place
    };
    let output = client.output_of(&place.agent, &launch, &attempt)?;
    let stdin = match (interactive, &terminal) {
        (true, _) => Some(Stdin::Plain),
        (false, None) => Some(Stdin::Ended),
        (false, Some(_)) => None,
    };
    let status = place.follow(client, output, terminal, stdin)?;
    place.remove(client);
    Ok(status)
}

/// Shows what a task does that has a terminal, and passes on what is typed.
pub(super) fn attach(attach: &Attach, client: &Client) -> Result<ExitCode, Error> {
    let interactive = !attach.no_stdin;
    let attempt = format!("attach to task {}", attach.task.task);
    let terminal = interactive
        .then(|| Terminal::open(interactive, "--no-stdin looks without it"))
        .transpose()?;
    let place = Place::of(&Whereabouts::of(&attach.task, client)?, client, &attempt)?;
    let watch = Call {
        attach_container_output: Some(call::AttachContainerOutput {
            container_id: place.container.clone(),
        }),
        ..to_agent(Type::AttachContainerOutput)
    };
    let output = client.output_of(&place.agent, &watch, &attempt);
    let output = output.map_err(|error| match error {
        Error::Refused {
            attempt,
            status: 500,
            sentence,
            ..
        } if sentence.contains("I/O switchboard server was disabled") => Error::Unfit {
            attempt,
            reason: "it was launched without a terminal; `meseta task exec` runs a shell beside it"
                .to_owned(),
        },
        error => error,
    })?;
    let stdin = interactive.then_some(Stdin::Detachable);
    place.follow(client, output, terminal, stdin)
}

fn command(exec: &Exec, terminal: Option<&Terminal>) -> CommandInfo {
    let words = exec.command.clone();
    let words = if words.is_empty() {
        vec![SHELL.to_owned()]
    } else {
        words
    };
    // Programs draw as this terminal understands it.
    let kind = terminal.and_then(|_| std::env::var("TERM").ok());
    let environment = kind.map(|kind| Environment {
        variables: vec![Variable {
            name: "TERM".to_owned(),
            r#type: Some(variable::Type::Value.into()),
            value: Some(kind),
            ..Variable::default()
        }],
    });
    CommandInfo {
        value: words.first().cloned(),
        arguments: words,
        shell: Some(false),
        environment,
        ..CommandInfo::default()
    }
}

fn container(terminal: &Terminal) -> ContainerInfo {
    ContainerInfo {
        r#type: container_info::Type::Mesos.into(),
        tty_info: Some(TtyInfo {
            window_size: terminal.size(),
        }),
        ..ContainerInfo::default()
    }
}

/// A container, and its agent.
#[derive(Debug, Clone)]
struct Place {
    agent: String,
    container: ContainerId,
    attempt: String,
}

impl Place {
    fn of(task: &Whereabouts, client: &Client, attempt: &str) -> Result<Self, Error> {
        let Some(container) = task.running_in() else {
            return Err(Error::Unfit {
                attempt: attempt.to_owned(),
                reason: "it does not run".to_owned(),
            });
        };
        Ok(Self {
            agent: task.agent_address(client, attempt)?,
            container: container.clone(),
            attempt: attempt.to_owned(),
        })
    }

    /// Passes input and output on until the container has ended, or whoever types wants no more of it.
    fn follow(
        &self,
        client: &Client,
        mut output: Messages<ProcessIo>,
        terminal: Option<Terminal>,
        stdin: Option<Stdin>,
    ) -> Result<ExitCode, Error> {
        // Whatever happens, the terminal is as it was before anything is said.
        let loan = Loan(terminal.clone());
        let input = Input::start(self, client.fellow(), terminal, stdin)?;
        let printed = print_all(&mut output);
        drop(loan);
        printed?;
        if let Some(refusal) = input.refusal() {
            crate::complain(&format!("warning: {refusal}"));
        }
        self.status(client)
    }

    /// How it has ended, as a shell says it.
    fn status(&self, client: &Client) -> Result<ExitCode, Error> {
        if self.container.parent.is_none() {
            // The executor tells of its task, and of its own end nobody wants to hear.
            return Ok(ExitCode::SUCCESS);
        }
        let wait = Call {
            wait_container: Some(call::WaitContainer {
                container_id: self.container.clone(),
            }),
            ..to_agent(Type::WaitContainer)
        };
        let answer = client.ask_agent(&self.agent, &wait, &self.attempt)?;
        let status = answer.wait_container.and_then(|it| it.exit_status);
        let Some(status) = status else {
            return Err(Error::Unfit {
                attempt: self.attempt.clone(),
                reason: "nobody knows how it has ended".to_owned(),
            });
        };
        let code = match status & 0x7f {
            0 => status >> 8 & 0xff,
            signal => SIGNAL_BASE + signal,
        };
        Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
    }

    /// Nobody will ask for it again. An agent that does not do it forgets it in time.
    fn remove(&self, client: &Client) {
        let remove = Call {
            remove_container: Some(call::RemoveContainer {
                container_id: self.container.clone(),
            }),
            ..to_agent(Type::RemoveContainer)
        };
        let _ = client.tell_agent(&self.agent, &remove, &self.attempt);
    }
}

/// Prints what comes until all has come.
fn print_all(output: &mut Messages<ProcessIo>) -> Result<(), Error> {
    while let Some(message) = output.next()? {
        print(message).map_err(output::printing)?;
    }
    Ok(())
}

fn print(message: ProcessIo) -> std::io::Result<()> {
    let is_data = message.r#type() == process_io::Type::Data;
    let Some(printed) = message.data.filter(|_| is_data) else {
        return Ok(());
    };
    let bytes = printed.data();
    if printed.r#type() == data::Type::Stderr {
        return std::io::stderr().write_all(bytes);
    }
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}
