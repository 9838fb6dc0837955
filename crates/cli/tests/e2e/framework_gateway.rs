//! The SDK through a gateway that speaks TLS and asks for a password, as operators put them before masters.

use meseta_framework::keep::{Keeper, MemoryStore, Restart, Task};
use meseta_framework::v1::{FrameworkInfo, TaskState};
use meseta_framework::{Credential, Error, Incoming, Settings, Tls, subscribe};
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::daemon::{Cluster, Place};
use crate::support::examples::this_user;
use crate::support::gateway::{Demands, Gateway};
use crate::support::servers::{are_set_up, certificate};

fn settings(gateway: &Gateway) -> Settings {
    let framework = FrameworkInfo {
        user: this_user(),
        name: "outside".into(),
        ..FrameworkInfo::default()
    };
    Settings::new(format!("https://{}", gateway.address), framework)
}

#[tokio::test]
async fn a_task_runs_through_tls_for_who_trusts_and_is_trusted_and_for_nobody_else() {
    if !are_set_up() {
        return;
    }
    let (cluster, place) = (Cluster::start(), Place::new());
    let (own, authority) = certificate(&place);
    let demands = Demands::default().tls(&own).password("me", "hush");
    let gateway = Gateway::start(cluster.master(), demands);
    let trust = Tls::trusting(&authority).expect("an authority");

    // Who trusts only what the machine trusts does not talk with it.
    let (_, mut events) = subscribe(settings(&gateway));
    let next = timeout(PATIENCE, events.next()).await.expect("an attempt");
    match next {
        Ok(Some(Incoming::Disconnected { reason })) => {
            assert!(reason.contains("certificate"), "{reason}");
        }
        // The machine trusts nobody at all.
        Err(Error::Tls { .. }) => {}
        next => panic!("{next:?}"),
    }

    // Nor does it listen to who does not say who calls, or says it wrongly.
    for (credential, advice) in [
        (None, "give Settings::credential"),
        (Some(Credential::basic("me", "loud")), "does not accept"),
        (Some(Credential::bearer("hush")), "does not accept"),
    ] {
        let mut settings = settings(&gateway);
        settings.tls = Some(trust.clone());
        settings.credential = credential;
        let (_, mut events) = subscribe(settings);
        let refused = timeout(PATIENCE, events.next()).await.expect("an answer");
        let refused = refused.expect_err("a refusal").to_string();
        assert!(
            refused.contains("401") && refused.contains(advice),
            "{refused}"
        );
    }
    assert_eq!(gateway.passed(), [""; 0]);

    let mut settings = settings(&gateway);
    settings.tls = Some(trust);
    settings.credential = Some(Credential::basic("me", "hush"));
    let keeper = Keeper::start(settings, MemoryStore::default()).await;
    let mut keeper = keeper.expect("a keeper");
    let once = Task::command("once", "true").restart(Restart::Never);
    keeper.declare(once).await.expect("declared");
    loop {
        let next = timeout(PATIENCE, keeper.next()).await.expect("an update");
        let status = next.expect("no refusal").expect("no end");
        if status.state() == TaskState::TaskFinished {
            break;
        }
    }
    keeper.teardown().await.expect("the end");
    assert!(gateway.passed().len() > 3, "{:?}", gateway.passed());
}
