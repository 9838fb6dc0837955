//! What the page changes at agents and frameworks, by clicks.

use serde_json::json;

use super::{address_of, browser, cluster, is_content, now, ticking, title};
use crate::support::daemon::registered_agents;
use crate::support::http;
use crate::support::scheduler::{framework, text, volume};

#[test]
fn an_agent_is_deactivated_and_taken_back_by_clicks() {
    let cluster = cluster(&[]);
    let Some(mut browser) = browser(cluster.place.path()) else {
        return;
    };
    let name = address_of(&registered_agents(cluster.master(), 1)[0]);
    let state =
        |word: &str| format!("document.querySelector('.title .state')?.textContent === '{word}'");
    browser.open(cluster.master(), "/#/agents");
    browser.click(&name);
    title(&mut browser, &name);
    browser.click("Deactivate");
    browser.shows("Its tasks go on");
    browser.click("Deactivate");
    browser.until("a deactivated agent", &state("deactivated"));
    assert_eq!(now(cluster.master())["deactivated"], true);

    // Whoever closes the question has the keyboard where it was.
    browser.click("Reactivate");
    browser.shows(&format!("Reactivate {name}?"));
    browser.press_escape();
    browser.until("no question", "!document.querySelector('dialog')");
    let focused = browser.evaluate("document.activeElement.textContent");
    assert_eq!(focused, "Reactivate");
    browser.press("Enter");
    browser.shows(&format!("Reactivate {name}?"));
    browser.click("Reactivate");
    browser.until("an active agent", &state("active"));
    assert_eq!(now(cluster.master())["deactivated"], false);
    is_content(&mut browser, &[cluster.master()]);
}

#[test]
fn a_framework_is_torn_down_by_clicks() {
    let cluster = cluster(&[]);
    let Some(mut browser) = browser(cluster.place.path()) else {
        return;
    };
    registered_agents(cluster.master(), 1);
    let mut scheduler = cluster.subscribe(framework("page"));
    scheduler.start_and_see_running(&ticking("ticker"));
    browser.open(cluster.master(), "/#/frameworks");
    browser.shows_row("Frameworks", &["page", "active", "1 running"]);
    browser.click("page");
    title(&mut browser, "page");
    browser.click("Tear down");
    browser.shows("All of its tasks are killed");
    browser.click("Tear down");
    browser.until(
        "a framework that has ended",
        "document.querySelector('.title .state')?.textContent === 'completed'",
    );
    browser.shows_row("Tasks", &["ticker", "killed"]);
    browser.click("Frameworks");
    browser.shows_row("Completed frameworks", &["page"]);
    // Why it gets no offers may have been asked at the very moment of its end.
    let others = browser
        .complaints()
        .iter()
        .filter(|it| !it.contains("/why?"));
    assert_eq!(others.collect::<Vec<_>>(), [""; 0]);
    assert_eq!(browser.asked_beside(&[cluster.master()]), [""; 0]);
}

#[test]
fn an_agent_is_reserved_for_a_role_and_freed_again_by_clicks() {
    let cluster = cluster(&[]);
    let Some(mut browser) = browser(cluster.place.path()) else {
        return;
    };
    let master = cluster.master();
    let agent = text(&registered_agents(master, 1)[0]["id"]);
    browser.open(master, &format!("/#/agents/{agent}"));
    browser.shows("Nothing of this agent is reserved for a role.");
    browser.click("Reserve");
    browser.fill("role", "golden");
    browser.fill("disk", "1000000");
    browser.click("Reserve");
    browser.until(
        "the master's words",
        "document.querySelector('dialog .trouble')?.textContent !== ''",
    );
    browser.fill("disk", "64");
    browser.click("Reserve");
    browser.shows_row(
        "Reservations",
        &["golden", "disk 64 MB", "somebody unnamed"],
    );

    // A volume is destroyed before what it lies on is free.
    let volumes = [volume("data", 64.0)];
    let call = json!({
        "type": "CREATE_VOLUMES",
        "create_volumes": {"agent_id": {"value": agent}, "volumes": volumes},
    });
    assert_eq!(http::operator_call(master, &call).status(), 202);
    browser.shows_row("Reservations", &["golden", "disk 64 MB", "data"]);
    browser.click("Destroy");
    browser.shows("Destroy volume data?");
    browser.click("Destroy");
    browser.click("Unreserve");
    browser.shows("Unreserve disk 64 MB of golden?");
    browser.click("Unreserve");
    browser.shows("Nothing of this agent is reserved for a role.");
    assert!(
        now(master)["reserved_resources_full"]
            .get("golden")
            .is_none()
    );
    // The refusal is an answer with an error, which the console notes.
    assert_eq!(browser.complaints().len(), 1);
    assert_eq!(browser.asked_beside(&[master]), [""; 0]);
}
