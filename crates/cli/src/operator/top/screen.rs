//! What `meseta top` draws, and what keys do.

use std::cmp::Ordering;

use ratatui::Frame;
use ratatui::crossterm::event::KeyCode;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, LineGauge, Paragraph, Row, Table, TableState};

use super::summary::{Amounts, States, Summary};
use crate::operator::{find, text};

/// Which things the table lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Things {
    Frameworks,
    Agents,
}

/// What stands first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Cpus,
    Memory,
    Running,
    Name,
}

impl Order {
    fn next(self) -> Self {
        match self {
            Self::Cpus => Self::Memory,
            Self::Memory => Self::Running,
            Self::Running => Self::Name,
            Self::Name => Self::Cpus,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Cpus => "CPUs",
            Self::Memory => "memory",
            Self::Running => "running tasks",
            Self::Name => "name",
        }
    }
}

/// The whole picture.
#[derive(Debug)]
pub(super) struct Screen {
    summary: Summary,
    /// Why there is no newer summary.
    complaint: Option<String>,
    things: Things,
    order: Order,
    chosen: TableState,
}

/// A row of either table.
struct Entry<'a> {
    id: &'a str,
    name: &'a str,
    is_active: bool,
    states: States,
    used: Amounts,
    /// Of an agent.
    total: Option<Amounts>,
}

impl Screen {
    pub(super) fn new(summary: Summary) -> Self {
        Self {
            summary,
            complaint: None,
            things: Things::Frameworks,
            order: Order::Cpus,
            chosen: TableState::new().with_selected(0),
        }
    }

    pub(super) fn show(&mut self, summary: Summary) {
        self.summary = summary;
        self.complaint = None;
    }

    pub(super) fn complain(&mut self, complaint: String) {
        self.complaint = Some(complaint);
    }

    pub(super) fn on_key(&mut self, key: KeyCode) {
        match key {
            KeyCode::Tab => {
                self.things = match self.things {
                    Things::Frameworks => Things::Agents,
                    Things::Agents => Things::Frameworks,
                };
                self.chosen.select_first();
            }
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Down | KeyCode::Char('j') => self.chosen.select_next(),
            KeyCode::Up | KeyCode::Char('k') => self.chosen.select_previous(),
            KeyCode::PageDown => self.chosen.scroll_down_by(PAGE),
            KeyCode::PageUp => self.chosen.scroll_up_by(PAGE),
            KeyCode::Home => self.chosen.select_first(),
            KeyCode::End => self.chosen.select_last(),
            _ => {}
        }
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let [title, tasks, cpus, mem, disk, space, table, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(2),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        self.draw_title(frame, title);
        let line = format!("Tasks   {}", self.summary.tasks_by_state());
        frame.render_widget(Paragraph::new(line), tasks);
        for (name, resource, area) in [
            ("CPUs  ", "cpus", cpus),
            ("Memory", "mem", mem),
            ("Disk  ", "disk", disk),
        ] {
            self.draw_gauge(name, resource, frame, area);
        }
        if let Some(complaint) = &self.complaint {
            let style = Style::new().fg(Color::Red);
            let line = Line::styled(text::printable(complaint), style);
            frame.render_widget(Paragraph::new(line), space);
        }
        self.draw_table(frame, table);
        let help = "q quit  Tab frameworks/agents  s order  ↑↓ scroll";
        frame.render_widget(Paragraph::new(help).dim(), foot);
    }

    fn draw_title(&self, frame: &mut Frame<'_>, area: Rect) {
        let summary = &self.summary;
        let of = match &summary.cluster {
            Some(cluster) => format!("{cluster} ({})", summary.hostname),
            None => summary.hostname.clone(),
        };
        let line = Line::from(vec![
            Span::styled("meseta top", Style::new().add_modifier(Modifier::BOLD)),
            Span::raw(format!(
                "  {}  {}, {}",
                text::printable(&of),
                text::counted(summary.agents.len(), "agent"),
                text::counted(summary.frameworks.len(), "framework"),
            )),
        ]);
        frame.render_widget(Paragraph::new(line), area);
    }

    fn draw_gauge(&self, name: &str, resource: &str, frame: &mut Frame<'_>, area: Rect) {
        let (used, total) = self.summary.use_of(resource);
        let ratio = if total > 0.0 { used / total } else { 0.0 };
        let color = match ratio {
            ratio if ratio < 0.7 => Color::Green,
            ratio if ratio < 0.9 => Color::Yellow,
            _ => Color::Red,
        };
        let label = format!("{name}  {:<16}", share(resource, used, total));
        let gauge = LineGauge::default()
            .filled_style(Style::new().fg(color))
            .unfilled_symbol("·")
            .label(label)
            .ratio(ratio.clamp(0.0, 1.0));
        frame.render_widget(gauge, area);
    }

    fn draw_table(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let mut entries = self.entries();
        entries.sort_by(|a, b| compare(a, b, self.order));
        let rows: Vec<Row<'_>> = entries.iter().map(row).collect();
        let what = match self.things {
            Things::Frameworks => "FRAMEWORK",
            Things::Agents => "AGENT",
        };
        let name = match self.things {
            Things::Frameworks => "NAME",
            Things::Agents => "HOST",
        };
        let heading = Row::new([what, name, "RUNNING", "FAILED", "CPUS", "MEM", "DISK"])
            .style(Style::new().add_modifier(Modifier::BOLD));
        let widths = [
            Constraint::Length(14),
            Constraint::Min(14),
            Constraint::Length(7),
            Constraint::Length(6),
            Constraint::Length(9),
            Constraint::Length(11),
            Constraint::Length(11),
        ];
        let [order, table] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(1)]).areas(area);
        let order_line = format!("{}s by {}", title_case(what), self.order.word());
        frame.render_widget(Paragraph::new(order_line).dim(), order);
        let drawn = Table::new(rows, widths)
            .header(heading)
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        let mut chosen = self.chosen;
        // A terminal that has grown shows the rows before those that it showed.
        let room = usize::from(table.height.saturating_sub(1));
        let last = entries.len().saturating_sub(room);
        *chosen.offset_mut() = chosen.offset().min(last);
        frame.render_stateful_widget(drawn, table, &mut chosen);
        self.chosen = chosen;
    }

    fn entries(&self) -> Vec<Entry<'_>> {
        match self.things {
            Things::Frameworks => {
                let all = self.summary.frameworks.iter();
                all.map(|it| Entry {
                    id: &it.id,
                    name: &it.name,
                    is_active: it.active,
                    states: it.states,
                    used: it.used,
                    total: None,
                })
                .collect()
            }
            Things::Agents => {
                let all = self.summary.agents.iter();
                all.map(|it| Entry {
                    id: &it.id,
                    name: &it.hostname,
                    is_active: it.active,
                    states: it.states,
                    used: it.used,
                    total: Some(it.resources),
                })
                .collect()
            }
        }
    }
}

/// Rows that a page key goes on by.
const PAGE: u16 = 10;

/// The largest first; those of the same amount by name, so that rows do not jump.
fn compare(a: &Entry<'_>, b: &Entry<'_>, order: Order) -> Ordering {
    let by = match order {
        Order::Cpus => b.used.cpus.total_cmp(&a.used.cpus),
        Order::Memory => b.used.mem.total_cmp(&a.used.mem),
        Order::Running => b.states.running.cmp(&a.states.running),
        Order::Name => Ordering::Equal,
    };
    by.then_with(|| a.name.cmp(b.name))
        .then_with(|| a.id.cmp(b.id))
}

fn row<'a>(entry: &Entry<'_>) -> Row<'a> {
    let amount = |resource| {
        let used = entry.used.get(resource);
        match entry.total {
            Some(total) => share(resource, used, total.get(resource)),
            None => one(resource, used),
        }
    };
    let row = Row::new([
        Cell::from(find::short(entry.id)),
        Cell::from(text::printable(entry.name)),
        Cell::from(entry.states.running.to_string()),
        Cell::from(entry.states.failed.to_string()),
        Cell::from(amount("cpus")),
        Cell::from(amount("mem")),
        Cell::from(amount("disk")),
    ]);
    if entry.is_active { row } else { row.dim() }
}

fn one(resource: &str, amount: f64) -> String {
    match resource {
        "cpus" => text::number(amount),
        _ => text::megabytes(amount),
    }
}

/// `used/total` of a resource.
pub(super) fn share(resource: &str, used: f64, total: f64) -> String {
    format!("{}/{}", one(resource, used), one(resource, total))
}

fn title_case(heading: &str) -> String {
    let (first, rest) = heading.split_at(1.min(heading.len()));
    format!("{first}{}", rest.to_lowercase())
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;

    fn summary() -> Summary {
        serde_json::from_value(json!({
            "hostname": "m1", "cluster": "blue",
            "slaves": [
                {"id": "1a2b3c4d-0000-4000-8000-000000000001-S0", "hostname": "a.example",
                 "active": true, "TASK_RUNNING": 3, "TASK_FAILED": 1,
                 "resources": {"cpus": 8.0, "mem": 16384.0, "disk": 100_000.0, "ports": "[1-2]"},
                 "used_resources": {"cpus": 6.0, "mem": 2048.0, "disk": 0.0}},
                {"id": "1a2b3c4d-0000-4000-8000-000000000001-S1", "hostname": "b.example",
                 "active": false, "TASK_RUNNING": 0,
                 "resources": {"cpus": 8.0, "mem": 16384.0, "disk": 100_000.0},
                 "used_resources": {"cpus": 0.0, "mem": 0.0, "disk": 0.0}},
            ],
            "frameworks": [
                {"id": "1a2b3c4d-0000-4000-8000-000000000001-0000", "name": "small", "active": true,
                 "TASK_RUNNING": 1, "used_resources": {"cpus": 1.0, "mem": 1024.0, "disk": 0.0}},
                {"id": "1a2b3c4d-0000-4000-8000-000000000001-0001", "name": "large", "active": true,
                 "TASK_RUNNING": 2, "TASK_FAILED": 1,
                 "used_resources": {"cpus": 5.0, "mem": 1024.0, "disk": 0.0}},
            ],
        }))
        .unwrap()
    }

    fn drawn(screen: &mut Screen) -> String {
        let mut terminal = Terminal::new(TestBackend::new(80, 14)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn frameworks_and_agents_fit_into_eighty_columns() {
        let mut screen = Screen::new(summary());
        insta::assert_snapshot!("frameworks", drawn(&mut screen));
        screen.on_key(KeyCode::Tab);
        screen.on_key(KeyCode::Char('s'));
        screen.complain("failed to watch the cluster: nobody answers".to_owned());
        insta::assert_snapshot!("agents", drawn(&mut screen));
    }

    #[test]
    fn an_empty_cluster_is_drawn_as_well() {
        let mut screen = Screen::new(Summary::default());
        for key in [KeyCode::Down, KeyCode::End, KeyCode::PageUp, KeyCode::Tab] {
            screen.on_key(key);
            assert!(drawn(&mut screen).contains("0 agents"));
        }
    }
}
