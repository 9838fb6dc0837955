//! What browsers do for pages that are not the daemons' own.

use std::net::SocketAddr;

use crate::support::browser::Browser;
use crate::support::daemon::{Cluster, agent_address, registered_agents};
use crate::support::http;
use crate::support::scheduler::framework;
use crate::support::skip;
use crate::support::web::{self, Reply};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");

/// What a browser says of pages that have no business here.
const FOREIGN: [&[(&str, &str)]; 4] = [
    &[("origin", "http://evil.example")],
    &[("origin", "null")],
    &[("sec-fetch-site", "cross-site")],
    &[
        ("origin", "https://evil.example:5050"),
        ("sec-fetch-site", "cross-site"),
    ],
];

fn status(
    address: SocketAddr,
    (method, target): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String) {
    let answer = http::request(address, method, target, headers, Some(body.as_bytes()));
    let answer = answer.expect("an answer");
    (answer.status(), answer.text())
}

#[test]
fn no_page_of_another_site_changes_anything_by_an_operators_browser() {
    let cluster = Cluster::start();
    let master = cluster.master();
    let agent = agent_address(&registered_agents(master, 1)[0]);
    let scheduler = cluster.subscribe(framework("mine"));
    let teardown = format!("frameworkId={}", scheduler.id);
    let call = r#"{"type": "GET_HEALTH"}"#;
    let asked = [
        (master, ("POST", "/teardown"), FORM, &*teardown),
        (master, ("POST", "/master/teardown"), FORM, &*teardown),
        (master, ("POST", "/reserve"), FORM, "slaveId=x&resources=[]"),
        (
            master,
            ("POST", "/create-volumes"),
            FORM,
            "slaveId=x&volumes=[]",
        ),
        (master, ("POST", "/machine/down"), FORM, "[]"),
        (master, ("PUT", "/weights"), JSON, "[]"),
        (master, ("DELETE", "/quota/web"), FORM, ""),
        (master, ("POST", "/api/v1"), JSON, call),
        (master, ("POST", "/api/v1/scheduler"), JSON, "{}"),
        (agent, ("POST", "/api/v1"), JSON, call),
        (agent, ("POST", "/slave(1)/api/v1/executor"), JSON, "{}"),
    ];
    for (address, what, form, body) in asked {
        for foreign in FOREIGN {
            let headers: Vec<_> = [form].into_iter().chain(foreign.iter().copied()).collect();
            let (status, text) = status(address, what, &headers, body);
            assert_eq!(status, 403, "{what:?} {headers:?}: {text}");
            assert!(text.contains("a page of another site"), "{text}");
        }
    }
    for address in [master, agent] {
        let foreign = ("sec-fetch-site", "cross-site");
        let read = http::request(address, "GET", "/state", &[foreign], None);
        assert_eq!(read.expect("an answer").status(), 200);
        // The page of one daemon and that of another on the same machine.
        let same_site = ("sec-fetch-site", "same-site");
        let neighbour = format!("http://{}:1", address.ip());
        for own in [same_site, ("origin", &*neighbour)] {
            let answer = status(address, ("POST", "/api/v1"), &[JSON, own], call);
            assert_eq!(answer.0, 200, "{own:?}: {}", answer.1);
        }
    }
    let own = format!("http://{master}");
    let answer = status(
        master,
        ("POST", "/teardown"),
        &[FORM, ("origin", &own)],
        &teardown,
    );
    assert_eq!(answer.0, 200, "{}", answer.1);
}

#[test]
fn a_browser_says_which_page_has_it_post_a_form() {
    let cluster = Cluster::start();
    let Some(mut browser) = Browser::start(&cluster.place.join("browser")) else {
        skip("no form is posted by a browser: none is installed");
        return;
    };
    let scheduler = cluster.subscribe(framework("mine"));
    let form = format!(
        "<form method=post action='http://{}/teardown'><input name=frameworkId value='{}'></form>\
         <script>document.forms[0].submit()</script>",
        cluster.master(),
        scheduler.id
    );
    let page = web::serve(move |_| Reply::ok(form.clone()).header("Content-Type", "text/html"));
    // Another name of this machine is another site.
    let foreign = format!("location.href = 'http://localhost:{}/'; 0", page.port());
    browser.evaluate(&foreign);
    browser.shows("A browser made this request for a page of another site");
    let frameworks = http::get(cluster.master(), "/frameworks").json();
    assert_eq!(frameworks["frameworks"][0]["active"], true);

    // The same form of a page on this machine's own address, which is of the same site.
    browser.open(page, "/");
    browser.until(
        "the framework's end",
        &format!("location.href === 'http://{}/teardown'", cluster.master()),
    );
    let frameworks = http::get(cluster.master(), "/frameworks").json();
    assert_eq!(frameworks["completed_frameworks"][0]["name"], "mine");
}
