//! A load generator that drives Mesos and Meseta alike, over their own wire.
//!
//! It emulates agents by the thousand (`agents`: registration, pings, tasks, operations, as messages of
//! libprocess) and frameworks (`frameworks`: the v1 scheduler API) in one process, against any
//! master. Both are state machines without sockets; `stage` moves what they say. A scenario
//! (`scenarios`) has them do something, measures it from outside, and checks that the counts agree;
//! `report` tells what came out. `null` is a target that does nothing, which shows what the
//! generator itself can do.
//!
//! It knows a master's wire and nothing of its insides, so that what it says of Meseta can be
//! compared with what it says of Mesos.

mod agents;
mod arguments;
mod compare;
mod error;
mod frameworks;
mod limits;
mod measure;
mod null;
mod observers;
mod real;
mod report;
mod scenarios;
mod stage;
mod target;
mod timetable;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::arguments::{Arguments, Common, Work};
use crate::error::Error;
use crate::null::NullTarget;
use crate::report::Report;
use crate::scenarios::{Context, Scenario};
use crate::stage::{Settings, Which, say};
use crate::target::Target;

/// Where a master listens when it is not said otherwise.
const DEFAULT_MASTER: &str = "127.0.0.1:5050";

/// Runs `meseta bench` with its arguments, without the program's name.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let arguments = arguments.into_iter().map(arguments::dashed);
    let program = std::iter::once(OsString::from("meseta bench"));
    let arguments = match Arguments::try_parse_from(program.chain(arguments)) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help is not an error. Nobody need be there to read it.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match perform(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn perform(arguments: &Arguments) -> Result<(), Error> {
    raise_descriptors();
    let common = &arguments.common;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    match &arguments.work {
        Work::Null { port, until_eof } => {
            if *until_eof {
                null::end_with_input()?;
            }
            runtime.block_on(null::serve(*port, |address| {
                print(&format!("http://{address}"));
            }))
        }
        Work::Scenario(scenario) => {
            let report = runtime.block_on(measure(common, scenario))?;
            show(common, &report)
        }
        Work::Compare(sizes) => {
            print(&compare::run(sizes, common)?);
            Ok(())
        }
        Work::Tasks(sizes) => {
            let find = |master: &String| Target::find(master, common.pid, common.allow_remote);
            let running = common.master.as_ref().map(find).transpose()?;
            let report = runtime.block_on(real::run(sizes, |to| settings(common, to), running))?;
            show(common, &report)
        }
    }
}

async fn measure(common: &Common, scenario: &Scenario) -> Result<Report, Error> {
    let master = common.master.as_deref().unwrap_or(DEFAULT_MASTER);
    // Ends with the run.
    let null = (master == "null").then(NullTarget::start).transpose()?;
    let target = match &null {
        Some(null) => Target::find(&null.address, Some(null.pid()), false)?,
        None => Target::find(master, common.pid, common.allow_remote)?,
    };
    let settings = settings(common, &target);
    scenario.run(&Context { target, settings }).await
}

fn settings(common: &Common, target: &Target) -> Settings {
    Settings {
        target: target.address,
        ip: common.ip,
        ports: common.ports,
        seed: common.seed,
        encoding: common.encoding,
        agents: Which::Emulated,
        patience: common.patience,
    }
}

fn show(common: &Common, report: &Report) -> Result<(), Error> {
    let Some(path) = &common.json else {
        print(&report.to_string());
        return Ok(());
    };
    let json = serde_json::to_string_pretty(report).map_err(|error| Error::Write {
        path: path.clone(),
        source: error.into(),
    })?;
    if path.as_os_str() == "-" {
        print(&json);
        return Ok(());
    }
    print(&report.to_string());
    std::fs::write(path, json + "\n").map_err(|source| Error::Write {
        path: path.clone(),
        source,
    })
}

/// Lets this process have as many descriptors as it may: a framework has one for its stream.
fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Smaller runs do without.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Prints for the user. Nobody need be there to read it.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

#[cfg(test)]
mod tests;
