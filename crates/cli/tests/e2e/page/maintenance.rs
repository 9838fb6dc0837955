//! Maintenance from its plan to its end, by clicks.

use serde_json::json;

use super::{browser, is_content, ticking, title};
use crate::support::daemon::{
    Place, RESOURCES, agent_address, registered_agents, start_agent, start_master,
};
use crate::support::scheduler::{Scheduler, Voice, framework};
use crate::support::{daemon, eventually, http};

const MACHINES: &str = "Scheduled machines";
const ANSWERS: &str = "Answers of frameworks";

#[test]
fn machines_are_scheduled_left_taken_down_and_brought_up_by_clicks() {
    let place = Place::new();
    let Some(mut browser) = browser(place.path()) else {
        return;
    };
    let daemon = start_master(&place, &[]);
    let master = daemon.address;
    let mut node = start_agent(&place, master, 0, &["--hostname=node7", RESOURCES]);
    registered_agents(master, 1);
    let endpoint = daemon::scheduler_api(master);
    let mut scheduler = Scheduler::subscribe(endpoint, Voice::JSON, framework("page"));
    scheduler.start_and_see_running(&ticking("ticker"));
    let machine = "node7 / 127.0.0.1";

    browser.open(master, "/#/maintenance");
    title(&mut browser, "Maintenance");
    browser.shows("No maintenance is scheduled.");
    // Nothing is planned for nothing.
    browser.click("Schedule");
    browser.click("Schedule");
    browser.shows("Choose a machine");
    browser.click(machine);
    browser.fill("hours", "1.5");
    browser.click("Schedule");
    browser.until("no question", "!document.querySelector('dialog')");
    browser.shows_row(
        MACHINES,
        &[machine, "draining", "1 h 30 min", "1 task on 1 agent"],
    );

    // Who has tasks there is asked, and what it says is shown.
    let asked = scheduler.event("INVERSE_OFFERS")["inverse_offers"][0].clone();
    browser.shows_row(ANSWERS, &["page", "not answered", machine]);
    browser.open(master, "/#/offers");
    browser.shows_row("Inverse offers", &["page", "node7"]);
    scheduler.tell(json!({
        "type": "DECLINE_INVERSE_OFFERS",
        "decline_inverse_offers": {
            "inverse_offer_ids": [asked["id"]],
            "filters": {"refuse_seconds": 0.0},
        },
    }));
    browser.open(master, "/#/maintenance");
    browser.shows_row(ANSWERS, &["page", "declines", "ago"]);
    let asked = scheduler.event("INVERSE_OFFERS")["inverse_offers"][0].clone();
    scheduler.tell(json!({
        "type": "ACCEPT_INVERSE_OFFERS",
        "accept_inverse_offers": {"inverse_offer_ids": [asked["id"]]},
    }));
    browser.shows_row(ANSWERS, &["page", "accepts"]);
    browser.shows_row(MACHINES, &[machine, "1 accepts"]);
    browser.open(master, "/#/agents");
    browser.click(&super::address_of(&registered_agents(master, 1)[0]));
    browser.shows("Maintenance");

    // It is cancelled, and planned again.
    browser.open(master, "/#/maintenance");
    browser.click("Cancel");
    browser.shows(&format!("Cancel the maintenance of {machine}?"));
    browser.click("Take it off the schedule");
    browser.shows("No maintenance is scheduled.");
    browser.click("Schedule");
    browser.click(machine);
    browser.click("Schedule");
    browser.shows_row(MACHINES, &[machine, "draining", "no end"]);

    browser.click("Take down");
    browser.shows("told to end, with 1 task,");
    browser.click("Take down");
    browser.shows_row(MACHINES, &[machine, "down", "no agent"]);
    eventually("the agent's end", || node.end_if_any());

    browser.click("Bring up");
    browser.shows(&format!("Bring {machine} up?"));
    browser.click("Bring up");
    browser.shows("No maintenance is scheduled.");
    let _again = start_agent(&place, master, 0, &["--hostname=node7", RESOURCES]);
    let agent = agent_address(&registered_agents(master, 1)[0]);
    browser.open(master, "/#/agents");
    browser.shows_row("Agents", &[&format!("node7:{}", agent.port()), "active"]);
    assert_eq!(http::get(master, "/maintenance/status").json(), json!({}));
    is_content(&mut browser, &[master]);
}
