//! Volumes that several frameworks may use at once.

use meseta_allocator::{AgentView, Allocator, FrameworkView, Options};
use meseta_proto::v1::framework_info::capability::Type::{MultiRole, SharedResources};
use meseta_proto::{json, v1};
use meseta_resources::{Quantities, Resources, Scalar};

use crate::builders::*;

fn shared_volume() -> Resources {
    let message = json::from_slice::<v1::Resource>(
        br#"{"name":"disk","type":"SCALAR","scalar":{"value":8},"shared":{},
             "reservations":[{"type":"DYNAMIC","role":"r","principal":"p"}],
             "disk":{"persistence":{"id":"v"},
                     "volume":{"mode":"RW","container_path":"data"}}}"#,
    );
    Resources::from_v1(&[message.unwrap()]).unwrap()
}

/// Two frameworks of one role that can share; those of `modest` take whatever disk there is.
fn sharing(modest: &[&str]) -> Allocator {
    let mut allocator = Allocator::new(Options::default());
    for id in ["f", "g"] {
        let disk = Quantities::from_iter([("disk", Scalar::from_thousandths(1))]);
        let minimum = modest.contains(&id).then(|| ("r".to_owned(), vec![disk]));
        let view = FrameworkView {
            capabilities: vec![MultiRole, SharedResources],
            min_allocatable_resources: minimum.into_iter().collect(),
            ..framework(&["r"])
        };
        allocator.add_framework(id.into(), view);
    }
    let view = agent("cpus:2;mem:64");
    let total = &view.total + &shared_volume();
    allocator.add_agent("a".into(), AgentView { total, ..view });
    allocator
}

#[test]
fn a_shared_volume_goes_with_what_is_free_to_one_after_the_other() {
    let mut allocator = sharing(&[]);
    let volume = shared_volume().allocate("r");
    let proposals = allocator.allocate(at(0));
    assert_eq!(proposals.len(), 1);
    assert!(proposals[0].resources.contains(&volume));
    // The first uses the volume in a task with a part of what it was offered.
    allocator.recover(
        &"f".into(),
        &"a".into(),
        &resources("cpus:1;mem:32").allocate("r"),
    );
    let proposals = allocator.allocate(at(1));
    assert_eq!(proposals[0].framework, "g".into());
    assert!(proposals[0].resources.contains(&volume));
    assert_eq!(proposals[0].resources.cpus(), Some(1.0));
    allocator.check_invariants().unwrap();
}

#[test]
fn those_who_want_the_volume_alone_get_it_at_once_and_once() {
    let mut allocator = sharing(&["f", "g"]);
    let proposals = allocator.allocate(at(0));
    assert_eq!(proposals.len(), 2, "{proposals:?}");
    let volume = shared_volume().allocate("r");
    assert!(proposals.iter().all(|p| p.resources.contains(&volume)));
    allocator.revive(&"f".into(), &names(&[]));
    assert_eq!(allocator.allocate(at(1)), []);
    assert_eq!(refusal(&allocator, "f"), "ALREADY_SHARED");
    recover(&mut allocator, &proposals[0]);
    recover(&mut allocator, &proposals[1]);
    assert_eq!(allocator.allocate(at(2)).len(), 2);
    allocator.check_invariants().unwrap();
}

#[test]
fn a_shared_volume_counts_in_nobodys_share() {
    let mut allocator = sharing(&[]);
    allocator.add_agent("b".into(), agent("cpus:2;mem:64"));
    allocator.take(&"f".into(), &"a".into(), &shared_volume().allocate("r"));
    let proposals = allocator.allocate(at(0));
    let agents: Vec<_> = proposals.iter().map(|p| p.agent.as_str()).collect();
    assert_eq!(agents, ["a", "b"]);
}

#[test]
fn a_volume_that_is_shared_when_it_is_made_is_there_for_others_at_once() {
    let mut allocator = sharing(&["g"]);
    let volume = shared_volume().allocate("r");
    let reserved = Resources::parse("disk(r):8", "*").unwrap();
    let view = agent("cpus:2;mem:64");
    let total = &view.total + &reserved;
    allocator.add_agent("a".into(), AgentView { total, ..view });
    allocator.allocate(at(0));
    allocator.convert(&"f".into(), &"a".into(), &reserved.allocate("r"), &volume);
    allocator.check_invariants().unwrap();
    assert!(
        allocator
            .free(&"a".into())
            .unwrap()
            .contains(&shared_volume())
    );
    assert!(allocator.is_pending());
    let [proposal] = &allocator.allocate(at(1))[..] else {
        panic!("the volume is for g");
    };
    assert_eq!(proposal.framework, "g".into());
    recover(&mut allocator, proposal);
    allocator.convert(&"f".into(), &"a".into(), &volume, &reserved.allocate("r"));
    allocator.check_invariants().unwrap();
    assert!(allocator.free(&"a".into()).unwrap().is_empty());
}
