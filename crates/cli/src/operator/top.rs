//! `meseta top`: the cluster, live.

mod screen;
mod summary;

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::arguments::Top as Command;
use super::client::Client;
use super::error::Error;
use super::output::{Output, Table};
use super::text;
use screen::Screen;
use summary::Summary;

const ATTEMPT: &str = "watch the cluster";

/// Between two looks at the keyboard and at what the master said.
const GLANCE: Duration = Duration::from_millis(50);

pub(super) fn run(command: &Command, client: &Client, output: &Output) -> Result<(), Error> {
    // The first look tells whether there is anything to watch, before the screen is taken.
    let first = Summary::of(client, ATTEMPT)?;
    if !output.is_for_people() {
        return output.value(&first);
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return print(&first, output);
    }
    let every = command.every;
    let drawing = |source| Error::Local {
        attempt: "draw on the terminal".to_owned(),
        source,
    };
    // Before other threads are there, which would be ended by them.
    let ends = Ends::taken().map_err(drawing)?;
    thread::scope(|scope| {
        let (news, summaries) = mpsc::sync_channel(1);
        // Dropped when the watching is over, which ends the other thread's wait.
        let (over, end) = mpsc::channel::<()>();
        let client = client.fellow();
        scope.spawn(move || look(&client, every, &news, &end));
        let watched = watch(Screen::new(first), &summaries, &ends);
        drop((over, summaries));
        watched
    })
    .map_err(drawing)
}

/// Signals that end a program. They must not leave the terminal as it is while it is drawn on.
struct Ends(SignalFd);

impl Ends {
    fn taken() -> io::Result<Self> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
            signals.add(signal);
        }
        signals.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self(SignalFd::with_flags(&signals, flags)?))
    }

    fn have_come(&self) -> io::Result<bool> {
        Ok(self.0.read_signal()?.is_some())
    }
}

/// Looks at the cluster again and again, until nobody wants to know.
fn look(
    client: &Client,
    every: Duration,
    news: &SyncSender<Result<Summary, Error>>,
    end: &Receiver<()>,
) {
    while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(every) {
        if news.send(Summary::of(client, ATTEMPT)).is_err() {
            return;
        }
    }
}

fn watch(
    mut screen: Screen,
    summaries: &Receiver<Result<Summary, Error>>,
    ends: &Ends,
) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let mut session = || -> io::Result<()> {
        loop {
            terminal.draw(|frame| screen.draw(frame))?;
            loop {
                if event::poll(GLANCE)? {
                    match event::read()? {
                        Event::Key(key) if key.kind == KeyEventKind::Press => {
                            if is_end(key) {
                                return Ok(());
                            }
                            screen.on_key(key.code);
                        }
                        _ => {}
                    }
                    break;
                }
                if ends.have_come()? {
                    return Ok(());
                }
                match summaries.try_recv() {
                    Ok(Ok(summary)) => screen.show(summary),
                    Ok(Err(error)) => screen.complain(error.to_string()),
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => continue,
                }
                break;
            }
        }
    };
    let outcome = session();
    ratatui::restore();
    outcome
}

/// Raw terminals make no signals of keys.
fn is_end(key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}

/// The same once, where there is no terminal.
fn print(summary: &Summary, output: &Output) -> Result<(), Error> {
    let mut facts = Table::of_facts();
    facts.fact("Leader", &*summary.hostname);
    facts.fact("Tasks", summary.tasks_by_state());
    for (name, resource) in [("CPUs", "cpus"), ("Memory", "mem"), ("Disk", "disk")] {
        let (used, total) = summary.use_of(resource);
        if total > 0.0 {
            facts.fact(name, screen::share(resource, used, total));
        }
    }
    output.table(&facts)?;
    output.blank()?;
    let mut table = Table::new(["FRAMEWORK", "NAME", "RUNNING", "CPUS", "MEM"]);
    for framework in &summary.frameworks {
        table.row([
            output.id(&framework.id),
            framework.name.clone(),
            framework.states.running.to_string(),
            text::number(framework.used.cpus),
            text::megabytes(framework.used.mem),
        ]);
    }
    output.table(&table)?;
    output.blank()?;
    let mut table = Table::new(["AGENT", "HOST", "RUNNING", "CPUS", "MEM", "DISK"]);
    for agent in &summary.agents {
        let (used, total) = (&agent.used, &agent.resources);
        table.row([
            output.id(&agent.id),
            agent.hostname.clone(),
            agent.states.running.to_string(),
            screen::share("cpus", used.cpus, total.cpus),
            screen::share("mem", used.mem, total.mem),
            screen::share("disk", used.disk, total.disk),
        ]);
    }
    output.table(&table)
}
