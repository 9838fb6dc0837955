//! What the page does when the line to its master breaks, and when the master itself ends.

use super::{Axe, browser, is_content, ticking};
use crate::support::browser::Browser;
use crate::support::daemon::{
    Place, RESOURCES, registered_agents, scheduler_api, start_agent, start_master, start_master_at,
};
use crate::support::line::Line;
use crate::support::scheduler::{Scheduler, Voice, framework};

const GAP: &str = "The master was restarted, or another one leads now";

fn link(browser: &mut Browser, state: &str) {
    let script = format!("document.querySelector('.foot .state')?.textContent === '{state}'");
    browser.until(state, &script);
}

/// Checks that nothing was complained of but the missing line, and events that a master cannot tell.
fn misses_only_the_line(browser: &mut Browser) {
    let others: Vec<&String> = browser
        .complaints()
        .iter()
        .filter(|it| !it.contains("net::ERR_") && !it.contains("410 (Gone)"))
        .collect();
    assert_eq!(others, [""; 0]);
}

#[test]
fn a_page_whose_line_was_cut_says_so_and_then_goes_on_from_its_last_event() {
    let place = Place::new();
    let Some(mut browser) = browser(place.path()) else {
        return;
    };
    let daemon = start_master(&place, &[]);
    let _agent = start_agent(&place, daemon.address, 0, &[RESOURCES]);
    registered_agents(daemon.address, 1);
    let line = Line::to(daemon.address);
    browser.open(line.address, "/");
    link(&mut browser, "Live");
    let endpoint = scheduler_api(daemon.address);
    let mut scheduler = Scheduler::subscribe(endpoint, Voice::JSON, framework("page"));
    scheduler.start_and_see_running(&ticking("before"));
    browser.shows("Task before launched");

    line.cut();
    browser.shows("The master does not answer.");
    browser.shows("What is shown is from");
    link(&mut browser, "No answer");
    // What was read stands meanwhile.
    browser.shows("Task before launched");
    scheduler.start_and_see_running(&ticking("meanwhile"));

    line.mend();
    link(&mut browser, "Live");
    browser.until("no warning", "!document.querySelector('.notice')");
    // Nobody could tell this any more but the stream itself.
    browser.shows("Task meanwhile launched");
    browser.shows("Task before launched");
    let list = browser.evaluate("document.querySelector('.activity').innerText");
    assert!(!list.to_string().contains(GAP), "{list}");
    misses_only_the_line(&mut browser);
    assert_eq!(browser.asked_beside(&[line.address]), [""; 0]);
}

#[test]
fn a_page_outlives_its_master_and_reads_everything_of_the_next() {
    let place = Place::new();
    let Some(mut browser) = browser(place.path()) else {
        return;
    };
    let daemon = start_master(&place, &[]);
    let master = daemon.address;
    let _agent = start_agent(&place, master, 0, &["--hostname=node7", RESOURCES]);
    registered_agents(master, 1);
    browser.open(master, "/");
    link(&mut browser, "Live");
    browser.open(master, "/#/agents");
    browser.shows_row("Agents", &["node7", "active"]);

    daemon.kill9();
    browser.shows("The master does not answer.");
    browser.shows_row("Agents", &["node7", "active"]);
    // What is tried meanwhile is refused in words, where it was tried.
    browser.open(master, "/#/maintenance");
    browser.shows("Scheduled machines");
    browser.click("Schedule");
    browser.click("node7 / 127.0.0.1");
    browser.click("Schedule");
    browser.shows("Look whether it runs and what has changed, and try again.");
    browser.press_escape();
    browser.until("no question", "!document.querySelector('dialog')");

    let _next = start_master_at(&place, master.port(), &[]);
    registered_agents(master, 1);
    link(&mut browser, "Live");
    browser.until("no warning", "!document.querySelector('.notice')");
    browser.open(master, "/#/agents");
    browser.shows_row("Agents", &["node7", "active"]);
    browser.open(master, "/#/");
    browser.shows(GAP);
    misses_only_the_line(&mut browser);
    assert_eq!(browser.asked_beside(&[master]), [""; 0]);
}

#[test]
fn agents_that_do_not_come_back_to_a_new_master_are_named() {
    let place = Place::new();
    let Some(mut browser) = browser(place.path()) else {
        return;
    };
    let daemon = start_master(&place, &[]);
    let master = daemon.address;
    let flags = ["--hostname=node7", RESOURCES];
    let node = start_agent(&place, master, 0, &flags);
    registered_agents(master, 1);
    // An agent that has a task has written down who it is.
    let endpoint = scheduler_api(master);
    let mut scheduler = Scheduler::subscribe(endpoint, Voice::JSON, framework("page"));
    scheduler.start_and_see_running(&ticking("ticker"));
    node.kill9();
    daemon.kill9();
    let _next = start_master_at(&place, master.port(), &[]);
    browser.open(master, "/");
    browser.click("1 agent not back since the last master");
    browser.shows_row("Not back since the last master", &["node7", "not back"]);
    if let Some(axe) = Axe::find() {
        axe.check(&mut browser, "agents that are not back");
    }
    let _again = start_agent(&place, master, 0, &flags);
    browser.shows_row("Agents", &["node7", "active"]);
    browser.until(
        "all of them back",
        "!document.body.innerText.includes('Not back')",
    );
    is_content(&mut browser, &[master]);
}
