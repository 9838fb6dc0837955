//! Two masters side by side: the same scenarios on both in turns, A B A B, so that what changes on the
//! machine meanwhile meets both alike.

mod plot;
mod ratio;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::arguments::Common;
use crate::error::Error;
use crate::report::{Machine, Report, date, table};
use crate::stage::say;
use ratio::{Compared, compare};

/// What is compared.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sizes {
    /// One master, such as a genuine Mesos: host:port or a URL
    #[arg(long)]
    a: String,
    /// The other one
    #[arg(long)]
    b: String,
    /// The process of the first [default: the one that listens at its port]
    #[arg(long)]
    pid_a: Option<i32>,
    /// The process of the second
    #[arg(long)]
    pid_b: Option<i32>,
    /// How often each is run on each
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A folder for a plot of each scenario
    #[arg(long)]
    svg: Option<PathBuf>,
    /// What is run on both: scenarios, with their flags if in quotes: register "launch --tasks 5000"
    #[arg(required = true)]
    scenarios: Vec<String>,
}

pub(crate) fn run(sizes: &Sizes, common: &Common) -> Result<String, Error> {
    let machine = Machine::this();
    let mut text = format!(
        "A is {}, B is {}; {} rounds in turns on {}; {}, {} cores, {}\n",
        sizes.a,
        sizes.b,
        sizes.rounds,
        date(),
        machine.processor,
        machine.cores,
        machine.kernel
    );
    for scenario in &sizes.scenarios {
        let mut reports = [Vec::new(), Vec::new()];
        for round in 1..=sizes.rounds.max(1) {
            let both = [(&sizes.a, sizes.pid_a), (&sizes.b, sizes.pid_b)];
            for ((master, pid), reports) in both.into_iter().zip(&mut reports) {
                say(&format!(
                    "round {round} of {}: {scenario} on {master}",
                    sizes.rounds
                ));
                reports.push(run_apart(scenario, master, pid, common)?);
            }
        }
        let [a, b] = reports;
        let compared = compare(&a, &b);
        text.extend(["\n", scenario, "\n\n", &rows(&compared)]);
        if let Some(folder) = &sizes.svg {
            draw(folder, scenario, &compared)?;
        }
    }
    Ok(text)
}

/// Runs a scenario in a process of its own, so that no run inherits anything from the one before.
fn run_apart(
    scenario: &str,
    master: &str,
    pid: Option<i32>,
    common: &Common,
) -> Result<Report, Error> {
    let program = format!("meseta bench {scenario}");
    let failed = |source| Error::Start {
        program: program.clone(),
        source,
    };
    let own = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(own);
    command
        .arg("bench")
        .args(scenario.split_whitespace())
        .args(["--json=-", &format!("--master={master}")])
        .args(common.passed_on())
        .args(pid.map(|pid| format!("--pid={pid}")))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command.output().map_err(failed)?;
    let wrong = |what: String| Error::Program {
        program: program.clone(),
        what,
    };
    if !output.status.success() {
        return Err(wrong(format!("on {master} failed: {}", output.status)));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| wrong(format!("gave a report that cannot be read: {error}")))
}

fn rows(compared: &[Compared]) -> String {
    let shown = |number: f64| match number.abs() {
        n if n >= 1000.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.3}"),
    };
    let row = |figure: &Compared| {
        let ratio = figure.ratio.map_or_else(
            || "-".to_owned(),
            |ratio| {
                format!(
                    "{:.3} ({:.3} to {:.3})",
                    ratio.median, ratio.least, ratio.most
                )
            },
        );
        vec![figure.name.clone(), shown(figure.a), shown(figure.b), ratio]
    };
    let rows: Vec<_> = compared.iter().map(row).collect();
    table(&["figure", "A", "B", "B to A (spread)"], &rows)
}

fn draw(folder: &std::path::Path, scenario: &str, compared: &[Compared]) -> Result<(), Error> {
    let name: String = scenario
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let path = folder.join(format!("{name}.svg"));
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, plot::ratios(scenario, compared)));
    written.map_err(|source| Error::Write { path, source })
}
