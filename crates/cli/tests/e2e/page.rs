//! The page as an operator uses it: in a real browser, on a real cluster.

mod actions;
mod contact;
mod maintenance;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::daemon::{
    Cluster, Place, RESOURCES, agent_address, meseta, registered_agents, start_agent, start_master,
};
use crate::support::scheduler::{Scheduler, framework, shell_task, text};
use crate::support::{PATIENCE, eventually, http, skip, within};

/// Everything that a master shows without anything in particular being asked for, with its title.
const VIEWS: [(&str, &str); 8] = [
    ("/", "page-test"),
    ("/#/tasks", "Tasks"),
    ("/#/frameworks", "Frameworks"),
    ("/#/agents", "Agents"),
    ("/#/roles", "Roles and quota"),
    ("/#/offers", "Offers"),
    ("/#/maintenance", "Maintenance"),
    ("/#/server", "Server"),
];

/// As many tasks as a large cluster runs.
const MANY: u64 = 100_000;

fn browser(place: &Path) -> Option<Browser> {
    let browser = Browser::start(&place.join("browser"));
    if browser.is_none() {
        skip("the page is not looked at: no browser is installed");
    }
    browser
}

fn cluster(flags: &[&str]) -> Cluster {
    Cluster::with(&[&["--cluster=page-test", RESOURCES], flags].concat())
}

fn ticking(id: &str) -> Value {
    let command = "i=0; while :; do i=$((i+1)); echo tick $i; echo tock $i >&2; sleep 0.2; done";
    shell_task(id, command)
}

/// What is not accessible to everybody in what is shown, as axe finds it.
struct Axe(String);

impl Axe {
    fn find() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let script = root.join("target/axe/node_modules/axe-core/axe.min.js");
        let script = std::fs::read_to_string(script).ok();
        if script.is_none() {
            skip("accessibility is not checked: `cargo xtask test` installs what that needs");
        }
        script.map(Self)
    }

    fn check(&self, browser: &mut Browser, shown: &str) {
        browser.evaluate(&format!("{}; 1", self.0));
        let found = browser.evaluate(
            "axe.run().then(({ violations }) => violations.map(one =>
                [one.id, ...one.nodes.map(node => node.html)].join('\\n')))",
        );
        assert_eq!(found, json!([]), "{shown}");
    }
}

fn title(browser: &mut Browser, title: &str) {
    let script = format!(
        "document.querySelector('h1')?.textContent === {} && !document.body.innerText.includes('Reading…')",
        json!(title)
    );
    browser.until(title, &script);
}

#[test]
fn every_view_opens_is_accessible_and_complains_of_nothing() {
    let cluster = cluster(&["--agents=2", "--attributes=rack:r1"]);
    let Some(mut browser) = browser(cluster.place.path()) else {
        return;
    };
    let master = cluster.master();
    let agents = registered_agents(master, 2);
    let mut scheduler = cluster.subscribe(framework("page"));
    scheduler.start_and_see_running(&ticking("ticker"));
    let agent = text(&agents[0]["id"]);
    let task = http::get(master, "/tasks").json()["tasks"][0].clone();
    let id = &scheduler.id;
    let of_one = [
        (format!("/#/agents/{agent}"), address_of(&agents[0])),
        (format!("/#/frameworks/{id}"), "page".to_owned()),
        ("/#/roles/*".to_owned(), "*".to_owned()),
        (
            format!("/#/tasks/{id}/{}/ticker", text(&task["slave_id"])),
            "ticker".to_owned(),
        ),
    ];
    let all = VIEWS.map(|(target, title)| (target.to_owned(), title.to_owned()));
    let mut titles = BTreeSet::new();
    let axe = Axe::find();
    for (scheme, width) in [("light", 1280), ("dark", 1280), ("light", 390)] {
        browser.emulate(scheme, width);
        for (target, heading) in all.iter().chain(&of_one) {
            browser.open(master, target);
            title(&mut browser, heading);
            let shown = format!("{target}, {scheme}, {width}");
            let named = "document.title.endsWith(' – Meseta') && document.title";
            titles.insert(text(&browser.until("a title", named)));
            let wide = browser.evaluate("document.documentElement.scrollWidth > innerWidth");
            assert_eq!(wide, false, "{shown} is wider than the screen");
            if let Some(axe) = &axe {
                axe.check(&mut browser, &shown);
            }
        }
    }
    assert_eq!(titles.len(), all.len() + of_one.len(), "{titles:?}");
    browser.shows("Live");
    is_content(&mut browser, &[master]);
}

/// Checks that nothing was complained of, and that nobody but these was asked for anything.
fn is_content(browser: &mut Browser, hosts: &[SocketAddr]) {
    assert_eq!(browser.complaints(), [""; 0]);
    assert_eq!(browser.asked_beside(hosts), [""; 0]);
}

fn address_of(agent: &Value) -> String {
    format!("{}:{}", text(&agent["hostname"]), agent["port"])
}

#[test]
fn a_task_is_followed_from_its_launch_to_its_output() {
    let cluster = cluster(&[]);
    let Some(mut browser) = browser(cluster.place.path()) else {
        return;
    };
    let agent = agent_address(&registered_agents(cluster.master(), 1)[0]);
    browser.open(cluster.master(), "/#/tasks");
    browser.shows("No task yet");

    // It is listed without anybody asking again.
    let mut scheduler = cluster.subscribe(framework("page"));
    scheduler.start_and_see_running(&ticking("ticker"));
    browser.shows_row("Tasks", &["ticker", "running", "page"]);

    browser.click("ticker");
    title(&mut browser, "ticker");
    browser.until(
        "the states that it went through",
        "[...document.querySelectorAll('.timeline .state')].map(one => one.textContent).join()
            === 'starting,running'",
    );
    browser.click("Output and files");
    browser.until("the agent's page", &format!("location.host === '{agent}'"));
    for (name, word) in [("stdout", "tick"), ("stderr", "tock")] {
        // It goes on by itself.
        for count in [3, 10] {
            let script = format!(
                "document.querySelector('[role=log][aria-label={name}]')?.textContent.includes('{word} {count}\\n')"
            );
            browser.until(&format!("{word} {count}"), &script);
        }
    }
    browser.shows_row("Files", &["stdout", "Download"]);
    browser.until(
        "what the task uses",
        "document.querySelector('[aria-label=Usage] .big')?.textContent.endsWith('of 0.2')",
    );
    if let Some(axe) = Axe::find() {
        axe.check(&mut browser, "the sandbox");
    }
    browser.open(agent, "/#/");
    browser.shows_row("Running executors", &["ticker", "running"]);

    browser.open(cluster.master(), "/#/tasks");
    browser.shows_row("Tasks", &["ticker", "running"]);
    scheduler.kill("ticker");
    scheduler.expect("TASK_KILLING");
    scheduler.expect("TASK_KILLED");
    browser.shows_row("Tasks", &["ticker", "killed"]);
    is_content(&mut browser, &[cluster.master(), agent]);
}

#[test]
fn an_agent_is_drained_and_taken_back_by_clicks() {
    let cluster = cluster(&[]);
    let Some(mut browser) = browser(cluster.place.path()) else {
        return;
    };
    let agent = registered_agents(cluster.master(), 1).remove(0);
    let name = address_of(&agent);
    let mut scheduler = cluster.subscribe(framework("page"));
    scheduler.start_and_see_running(&ticking("ticker"));
    browser.open(cluster.master(), "/#/agents");
    browser.click(&name);
    title(&mut browser, &name);

    // Whoever cancels has changed nothing.
    browser.click("Drain");
    browser.shows(&format!("Drain {name}?"));
    browser.click("Cancel");
    browser.until("no question", "!document.querySelector('dialog')");
    assert!(now(cluster.master())["drain_info"].is_null());

    browser.click("Drain");
    browser.shows(&format!("Drain {name}?"));
    browser.click("Drain");
    scheduler.expect("TASK_KILLING");
    scheduler.expect("TASK_KILLED");
    browser.shows("drained");
    browser.shows_row("Tasks here", &["ticker", "killed"]);
    assert_eq!(now(cluster.master())["drain_info"]["state"], "DRAINED");

    browser.click("Reactivate");
    browser.shows(&format!("Reactivate {name}?"));
    browser.click("Reactivate");
    browser.until(
        "an active agent",
        "document.querySelector('.title .state')?.textContent === 'active'",
    );
    assert!(now(cluster.master())["drain_info"].is_null());
    scheduler.forget_ended_offers();
    scheduler.start_and_see_running(&ticking("again"));
    is_content(&mut browser, &[cluster.master()]);
}

/// The only agent, as the master has it.
fn now(master: SocketAddr) -> Value {
    http::get(master, "/slaves").json()["slaves"][0].clone()
}

#[test]
fn why_there_are_no_offers_and_what_was_refused_is_said_where_it_is_looked_for() {
    let cluster = cluster(&[]);
    let Some(mut browser) = browser(cluster.place.path()) else {
        return;
    };
    registered_agents(cluster.master(), 1);
    let scheduler: Scheduler = cluster.subscribe(framework("page"));
    scheduler.tell(json!({"type": "SUPPRESS"}));
    browser.open(cluster.master(), &format!("/#/frameworks/{}", scheduler.id));
    browser.shows("the framework has suppressed offers for this role");

    // A quota that cannot be is refused by the master, in its words.
    browser.open(cluster.master(), "/#/roles");
    browser.click("Set quota");
    browser.fill("role", "somebody");
    browser.fill("guarantee cpus", "2");
    browser.fill("limit cpus", "1");
    browser.click("Set");
    browser.until(
        "the master's words",
        "document.querySelector('dialog .trouble')?.textContent.includes('guarantee')",
    );
    browser.fill("limit cpus", "3");
    browser.click("Set");
    browser.until("no question", "!document.querySelector('dialog')");
    browser.shows_row("Roles", &["somebody", "cpus 2", "cpus 3"]);
    // It is changed from what it is.
    browser.click("somebody");
    title(&mut browser, "somebody");
    browser.click("Set quota");
    browser.until(
        "what was set",
        "document.getElementsByName('guarantee cpus')[0]?.value === '2'",
    );
    browser.fill("limit cpus", "5");
    browser.click("Set");
    browser.shows("cpus 5");
    browser.click("Set weight");
    browser.fill("weight", "2.5");
    browser.click("Set");
    browser.click("Roles");
    browser.shows_row("Roles", &["somebody", "2.5", "cpus 2", "cpus 5"]);
    // A quota is set as a whole: what there is stands in the fields wherever it is changed.
    browser.click("Set quota");
    browser.fill("role", "somebody");
    browser.until(
        "what was set",
        "document.getElementsByName('limit cpus')[0]?.value === '5'",
    );
    browser.press_escape();
    // The refusal is an answer with an error, which the console notes.
    assert_eq!(browser.complaints().len(), 1);
    assert_eq!(browser.asked_beside(&[cluster.master()]), [""; 0]);
}

#[test]
fn why_a_task_has_failed_is_said_where_its_states_are() {
    let cluster = cluster(&[]);
    let Some(mut browser) = browser(cluster.place.path()) else {
        return;
    };
    let mut scheduler = cluster.subscribe(framework("page"));
    scheduler.start(&shell_task("failer", "exit 7"));
    scheduler.expect("TASK_STARTING");
    scheduler.expect("TASK_RUNNING");
    scheduler.expect("TASK_FAILED");
    browser.open(cluster.master(), "/#/tasks?state=TASK_FAILED");
    browser.click("failer");
    title(&mut browser, "failer");
    browser.until(
        "a reason",
        "[...document.querySelectorAll('.timeline li')].at(-1)?.textContent
            .includes('Command exited with status 7')",
    );
    // Nothing runs any more that a terminal could be opened in.
    assert_eq!(
        browser.evaluate("document.querySelector('.title').innerText.includes('Terminal')"),
        false
    );
    is_content(&mut browser, &[cluster.master()]);
}

#[test]
fn the_overview_follows_what_happens() {
    let cluster = cluster(&[]);
    let Some(mut browser) = browser(cluster.place.path()) else {
        return;
    };
    registered_agents(cluster.master(), 1);
    browser.open(cluster.master(), "/");
    browser.shows("Live");
    let number = |state: &str, number: u32| {
        format!(
            "[...document.querySelectorAll('.tiles a')].some(one =>
                one.innerText.split(/\\s+/).join(' ') === '{number} {state}')"
        )
    };
    browser.until("no task", &number("running", 0));
    let mut scheduler = cluster.subscribe(framework("page"));
    scheduler.start_and_see_running(&ticking("ticker"));
    browser.until("a task", &number("running", 1));
    browser.shows("Framework page subscribed");
    browser.shows("Task ticker launched");
    browser.shows("0.1 allocated");
    browser.shows("3.9 offered");
    browser.until(
        "a chart that rises",
        "(() => {
            const points = document.querySelector('.chart .used').getAttribute('points').split(' ');
            const heights = points.slice(1, -1).map(point => Number(point.split(',')[1]));
            return Math.min(...heights) < Math.max(...heights);
        })()",
    );
    scheduler.kill("ticker");
    scheduler.expect("TASK_KILLING");
    scheduler.expect("TASK_KILLED");
    browser.until("no task any more", &number("running", 0));
    browser.until("a killed task", &number("killed", 1));
    is_content(&mut browser, &[cluster.master()]);
}

#[test]
fn the_keyboard_leads_from_view_to_view_and_from_row_to_row() {
    let cluster = cluster(&[]);
    let Some(mut browser) = browser(cluster.place.path()) else {
        return;
    };
    registered_agents(cluster.master(), 1);
    let mut scheduler = cluster.subscribe(framework("page"));
    for task in ["first", "second"] {
        scheduler.start_and_see_running(&ticking(task));
    }
    browser.open(cluster.master(), "/");
    title(&mut browser, "page-test");
    for (key, heading) in [
        ("f", "Frameworks"),
        ("a", "Agents"),
        ("r", "Roles and quota"),
        ("e", "Offers"),
        ("m", "Maintenance"),
        ("s", "Server"),
        ("t", "Tasks"),
    ] {
        browser.press("g");
        browser.press(key);
        title(&mut browser, heading);
    }
    browser.shows_row("Tasks", &["first"]);
    browser.shows_row("Tasks", &["second"]);
    let row = "document.activeElement.closest('[role=row]')?.ariaRowIndex";
    browser.press("j");
    browser.until("the first row", &format!("{row} === '2'"));
    browser.press("j");
    browser.until("the second row", &format!("{row} === '3'"));
    browser.press("k");
    browser.until("the first row", &format!("{row} === '2'"));
    let chosen = browser.evaluate("document.activeElement.textContent");
    browser.press("Enter");
    title(&mut browser, &text(&chosen));
    browser.press("?");
    browser.shows("Down and up in a list");
    is_content(&mut browser, &[cluster.master()]);
}

#[test]
fn the_logs_of_a_master_and_an_agent_are_on_their_pages() {
    let place = Place::new();
    let Some(mut browser) = browser(place.path()) else {
        return;
    };
    let kept = |name: &str| format!("--log_dir={}", place.join(name).display());
    let master = start_master(&place, &[&kept("of_master")]);
    let agent = start_agent(&place, master.address, 0, &[&kept("of_agent")]);
    let log = |words: &str| {
        let script = "document.querySelector('[role=log][aria-label=Log]')?.textContent";
        format!("{script}.includes('{words}')")
    };
    browser.open(master.address, "/#/server");
    browser.until("the master's log", &log("the master listens"));
    // More of it, by clicks.
    browser.click("Log more");
    browser.click("Set");
    browser.until(
        "what was just logged",
        &log("the level of logging is raised"),
    );
    browser.open(agent.address, "/");
    browser.until("the agent's log", &log("the agent listens"));
    is_content(&mut browser, &[master.address, agent.address]);
}

/// The screen of a terminal, a line after the other.
const SCREEN: &str = "[...document.querySelectorAll('.terminal .line')]
    .map(line => line.textContent).join('\\n')";

#[test]
fn a_terminal_is_used_in_the_container_of_a_task() {
    let cluster = cluster(&[]);
    let Some(mut browser) = browser(cluster.place.path()) else {
        return;
    };
    let agent = agent_address(&registered_agents(cluster.master(), 1)[0]);
    let mut scheduler = cluster.subscribe(framework("page"));
    scheduler.start_and_see_running(&ticking("ticker"));
    browser.open(cluster.master(), "/#/tasks");
    browser.click("ticker");
    browser.click("Terminal");
    browser.until("the agent's page", &format!("location.host === '{agent}'"));
    browser.until("a terminal", "document.querySelector('.terminal.focused')");
    let shows = |line: &str| format!("{SCREEN}.includes({})", json!(line));

    // What is typed before the shell is there waits for it.
    browser.types("PS1='> '; cd /; tty; echo $((6 * 7)) in $TERM");
    browser.press("Enter");
    browser.until("a result", &shows("\n42 in xterm-256color\n"));
    browser.until("a terminal of its own", &shows("\n/dev/pts/"));
    if let Some(axe) = Axe::find() {
        axe.check(&mut browser, "a terminal");
    }

    // The programs in it learn how large it is.
    let columns = |browser: &mut Browser| {
        browser.types("clear; stty size | tr ' ' x");
        browser.press("Enter");
        let size = format!("{SCREEN}.match(/^\\d+x(\\d+)$/m)?.[1]");
        let columns = text(&browser.until("a size", &size));
        columns.parse::<u32>().expect("a number of columns")
    };
    let wide = columns(&mut browser);
    browser.emulate("dark", 700);
    browser.types("clear; stty -echo; while [ $(stty size | cut -d' ' -f2) -ge ");
    browser.types(&format!(
        "{wide} ]; do sleep 0.1; done; stty echo; echo it is s''mall"
    ));
    browser.press("Enter");
    browser.until("a smaller terminal", &shows("it is small"));

    // A program is interrupted by a key, and its output is scrolled through.
    browser.types("clear; echo wait''ing; sleep 10000");
    browser.press("Enter");
    browser.until("a program", &shows("waiting"));
    browser.press_with_ctrl("c");
    browser.types("seq 1000 2999; echo d''one");
    browser.press("Enter");
    browser.until("all of it", &shows("\n2999\ndone"));
    let few = "document.querySelectorAll('.terminal .line').length < 100";
    assert_eq!(browser.evaluate(few), true);
    let scrolled = format!(
        "document.querySelector('.terminal').scrollTop = 0, {}",
        shows("\n1000\n")
    );
    browser.until("its beginning", &scrolled);

    // The shell ends by itself, and another comes when it is asked for.
    browser.types("exit");
    browser.press("Enter");
    browser.shows("The shell has ended.");
    browser.click("Open another");
    browser.until("a terminal", "document.querySelector('.terminal.focused')");
    browser.types("echo once a''gain");
    browser.press("Enter");
    browser.until("another shell", &shows("\nonce again"));

    // Nothing of it is left when the page is.
    let containers = || {
        let call = json!({"type": "GET_CONTAINERS", "get_containers": {"show_nested": true}});
        let answer = http::operator_call(agent, &call).json();
        answer["get_containers"]["containers"]
            .as_array()
            .map(Vec::len)
    };
    assert_eq!(containers(), Some(2));
    browser.click("Output and files");
    title(&mut browser, "ticker");
    eventually("the end of the shell", || {
        (containers() == Some(1)).then_some(())
    });
    is_content(&mut browser, &[cluster.master(), agent]);
}

#[test]
fn a_hundred_thousand_tasks_are_listed_and_searched_with_few_of_them_in_the_page() {
    let place = Place::new();
    let Some(mut browser) = browser(place.path()) else {
        return;
    };
    let daemon = start_master(&place, &[]);
    let master = daemon.address;
    let mut load = meseta();
    // Agents come with all of their tasks, and stay for as long as they are polled. Few of them: a
    // busy machine has to look through all tasks for each message.
    load.args([
        "bench",
        "state",
        "--agents=2",
        "--pollers=0",
        "--launches=1",
    ])
    .args(["--time=1h", "--rest=1h", "--patience=10m"])
    .arg(format!("--tasks={}", MANY / 2))
    .arg(format!("--master={master}"));
    let mut load = place.run("bench", &mut load);
    let found = |query: &str| {
        let found = http::get(master, &format!("/tasks?total=true&{query}")).json();
        (found["total"].as_u64(), found["tasks"][0].clone())
    };
    within(PATIENCE * 10, "all tasks on the master", || {
        (found("limit=0&state=TASK_RUNNING").0 >= Some(MANY)).then_some(())
    });
    let (_, some) = found("offset=54321&limit=1&state=TASK_RUNNING");

    browser.open(master, "/#/tasks?state=TASK_RUNNING");
    browser.until(
        "all tasks",
        &format!("document.querySelector('[role=table]')?.ariaRowCount > {MANY}"),
    );
    let few = "document.querySelectorAll('.rows > [role=row]').length < 60";
    assert_eq!(browser.evaluate(few), true);
    let (total, _) = found("limit=0&state=TASK_RUNNING");
    let last =
        total.map(|total| found(&format!("offset={}&limit=1&state=TASK_RUNNING", total - 1)));
    let (_, last) = last.expect("a last task");
    browser.evaluate("document.querySelector('.list').scrollTop = 1e9; 1");
    browser.shows_row("Tasks", &[&text(&last["id"]), "running"]);
    assert_eq!(browser.evaluate(few), true);
    // Who looks at one of them and goes back is where they were.
    browser.until("a kept place", "history.state?.Tasks > 0");
    browser.click(&text(&last["id"]));
    title(&mut browser, &text(&last["id"]));
    browser.evaluate("history.back(); 1");
    browser.shows_row("Tasks", &[&text(&last["id"]), "running"]);

    browser.press("/");
    browser.types(&text(&some["id"]));
    browser.shows_row("Tasks", &[&text(&some["id"])]);
    browser.until(
        "an address to pass on",
        &format!("decodeURIComponent(location.hash).includes({})", some["id"]),
    );
    // However many there are, an answer has a page of them.
    let largest = browser.evaluate(
        "Math.max(...performance.getEntriesByType('resource')
            .filter(one => one.name.includes('/tasks?')).map(one => one.decodedBodySize))",
    );
    assert!(largest.as_u64() < Some(256 * 1024), "{largest} bytes");
    browser.open(master, "/#/tasks?state=TASK_FAILED");
    browser.shows("No task matches");
    is_content(&mut browser, &[master]);
    load.kill().expect("the load ends");
    load.wait().expect("the load's end");
}
