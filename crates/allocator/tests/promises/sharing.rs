//! Who is offered what, one promise a test.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use meseta_allocator::{AgentView, Allocator, Constraints, FrameworkView, Options, Refusal};
use meseta_proto::v1::{AgentInfo, Attribute, agent_info, framework_info};
use meseta_proto::{json, v1};
use meseta_resources::{Quantities, Resources, Scalar};

use crate::builders::*;

#[test]
fn all_that_is_free_on_an_agent_goes_to_one_framework() {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64;ports:[1-9]")], &[("f", &["r"])]);
    assert!(allocator.is_pending());
    let proposals = allocator.allocate(at(0));
    assert_eq!(shown(&proposals), ["f r a cpus:4; mem:64; ports:[1-9]"]);
    assert!(
        proposals[0]
            .resources
            .iter()
            .all(|resource| resource.allocation_role() == Some("r"))
    );
    assert!(!allocator.is_pending());
    assert_eq!(allocator.allocate(at(1)), []);
    assert!(allocator.free(&"a".into()).unwrap().is_empty());
}

#[test]
fn agents_are_spread_over_frameworks_with_nothing() {
    let mut allocator = cluster(
        &[("a", "cpus:1;mem:64"), ("b", "cpus:1;mem:64")],
        &[("f", &["r"]), ("g", &["r"])],
    );
    assert_eq!(
        shown(&allocator.allocate(at(0))),
        ["f r a cpus:1; mem:64", "g r b cpus:1; mem:64"]
    );
}

#[test]
fn the_smallest_dominant_share_comes_first() {
    let mut allocator = cluster(&[("a", "cpus:10;mem:100")], &[("f", &["x"]), ("g", &["y"])]);
    // f: 3 of 10 cpus; g: 20 of 100 mem.
    allocator.take(
        &"f".into(),
        &"a".into(),
        &resources("cpus:3;mem:1").allocate("x"),
    );
    allocator.take(
        &"g".into(),
        &"a".into(),
        &resources("cpus:1;mem:20").allocate("y"),
    );
    assert_eq!(shown(&allocator.allocate(at(0))), ["g y a cpus:6; mem:79"]);
}

#[test]
fn weights_divide_shares() {
    let options = Options {
        weights: [("x".to_owned(), 4.0)].into(),
        ..Options::default()
    };
    let mut allocator = Allocator::new(options);
    allocator.add_agent("a".into(), agent("cpus:10;mem:100"));
    allocator.add_framework("f".into(), framework(&["x"]));
    allocator.add_framework("g".into(), framework(&["y"]));
    allocator.take(&"f".into(), &"a".into(), &resources("cpus:3").allocate("x"));
    allocator.take(&"g".into(), &"a".into(), &resources("cpus:1").allocate("y"));
    let proposals = allocator.allocate(at(0));
    assert_eq!(shown(&proposals), ["f x a cpus:6; mem:100"]);
    decline(&mut allocator, &proposals[0], Duration::ZERO, at(1));
    allocator.set_weight("x", 1.0);
    assert_eq!(shown(&allocator.allocate(at(1))), ["g y a cpus:6; mem:100"]);
}

#[test]
fn a_role_shares_with_what_is_below_it() {
    let mut allocator = cluster(
        &[("a", "cpus:10;mem:100")],
        &[("f", &["eng"]), ("g", &["eng/dev"]), ("h", &["web"])],
    );
    let take = |allocator: &mut Allocator, id: &str, role: &str, cpus: &str| {
        allocator.take(&id.into(), &"a".into(), &resources(cpus).allocate(role));
    };
    take(&mut allocator, "f", "eng", "cpus:2");
    take(&mut allocator, "g", "eng/dev", "cpus:1");
    take(&mut allocator, "h", "web", "cpus:2");
    // eng has 3 with what is below it, so web comes first.
    let proposals = allocator.allocate(at(0));
    assert_eq!(shown(&proposals), ["h web a cpus:5; mem:100"]);
    decline(&mut allocator, &proposals[0], SECOND, at(0));
    // Within eng, eng/dev has less than eng's own frameworks.
    assert_eq!(
        shown(&allocator.allocate(at(0))),
        ["g eng/dev a cpus:5; mem:100"]
    );
}

#[test]
fn reservations_are_for_the_role_and_those_below_it() {
    let mut allocator = cluster(
        &[("a", "cpus(eng):2;mem(eng):64;cpus:1;mem:32")],
        &[("f", &["app"]), ("g", &["eng/dev"])],
    );
    let proposals = allocator.allocate(at(0));
    assert_eq!(
        shown(&proposals),
        [
            "f app a cpus:1; mem:32",
            "g eng/dev a cpus(reservations: [(STATIC,eng)]):2; mem(reservations: [(STATIC,eng)]):64",
        ]
    );
    allocator.remove_framework(&"g".into());
    for proposal in &proposals {
        allocator.recover(&proposal.framework, &proposal.agent, &proposal.resources);
    }
    allocator.allocate(at(1));
    assert_eq!(
        allocator.why(&"f".into())[0].refusal,
        Refusal::ReservedToOthers
    );
}

#[test]
fn a_filter_holds_while_no_more_is_free_and_its_time_lasts() {
    let (f, a) = ids();
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    allocator.take(&"other".into(), &a, &resources("cpus:1").allocate("s"));
    let proposals = allocator.allocate(at(0));
    decline(&mut allocator, &proposals[0], 10 * SECOND, at(0));
    assert_eq!(allocator.allocate(at(9)), []);
    let until = 10 * SECOND;
    assert_eq!(allocator.why(&f)[0].refusal, Refusal::Filtered { until });
    assert_eq!(allocator.next_expiry(), Some(until));
    // More than was declined.
    allocator.recover(&"other".into(), &a, &resources("cpus:1").allocate("s"));
    let proposals = allocator.allocate(at(9));
    assert_eq!(shown(&proposals), ["f r a cpus:4; mem:64"]);
    decline(&mut allocator, &proposals[0], 10 * SECOND, at(9));
    assert_eq!(allocator.allocate(at(18)), []);
    assert_eq!(allocator.allocate(at(19)).len(), 1);
    assert_eq!(allocator.next_expiry(), None);
}

#[test]
fn a_filter_of_one_framework_leaves_the_agent_to_others() {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"]), ("g", &["r"])]);
    let proposals = allocator.allocate(at(0));
    assert_eq!(shown(&proposals), ["f r a cpus:4; mem:64"]);
    decline(&mut allocator, &proposals[0], SECOND, at(0));
    assert_eq!(shown(&allocator.allocate(at(0))), ["g r a cpus:4; mem:64"]);
}

#[test]
fn reviving_forgets_filters_and_suppression() {
    let (f, _) = ids();
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    let proposals = allocator.allocate(at(0));
    decline(&mut allocator, &proposals[0], 1000 * SECOND, at(0));
    allocator.suppress(&f, &BTreeSet::new());
    assert_eq!(allocator.allocate(at(1)), []);
    assert_eq!(allocator.why(&f)[0].refusal, Refusal::Suppressed);
    allocator.revive(&f, &names(&["not a role of it"]));
    assert_eq!(allocator.allocate(at(1)), []);
    allocator.revive(&f, &BTreeSet::new());
    assert_eq!(allocator.next_expiry(), None);
    assert_eq!(allocator.allocate(at(1)).len(), 1);
}

#[test]
fn a_framework_that_is_away_gets_nothing_and_comes_back_without_filters() {
    let (f, a) = ids();
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    let proposals = allocator.allocate(at(0));
    decline(&mut allocator, &proposals[0], 1000 * SECOND, at(0));
    allocator.deactivate_framework(&f);
    allocator.decline(&f, &a, &proposals[0].resources, 1000 * SECOND, at(0));
    assert_eq!(allocator.allocate(at(0)), []);
    assert_eq!(allocator.why(&f)[0].refusal, Refusal::FrameworkDeactivated);
    allocator.activate_framework(&f);
    assert_eq!(allocator.allocate(at(0)).len(), 1);
}

#[test]
fn a_deactivated_agent_is_not_offered() {
    let (f, a) = ids();
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    allocator.deactivate_agent(&a);
    assert_eq!(allocator.allocate(at(0)), []);
    assert_eq!(allocator.why(&f)[0].refusal, Refusal::AgentDeactivated);
    allocator.activate_agent(&a);
    assert_eq!(allocator.allocate(at(0)).len(), 1);
}

#[test]
fn too_little_is_offered_only_to_those_who_say_so() {
    let (f, a) = ids();
    let mut allocator = cluster(&[("a", "cpus:0.005;mem:31;disk:900")], &[("f", &["r"])]);
    assert_eq!(allocator.allocate(at(0)), []);
    let free = allocator.free(&a).unwrap().clone();
    assert_eq!(
        allocator.why(&f)[0].refusal,
        Refusal::NotAllocatable {
            free,
            missing: Box::new(
                [("mem", Scalar::from_thousandths(1000))]
                    .into_iter()
                    .collect()
            ),
        }
    );
    let disk = Quantities::from_iter([("disk", Scalar::from_thousandths(1000))]);
    let modest = FrameworkView {
        min_allocatable_resources: [("r".to_owned(), vec![disk])].into(),
        ..framework(&["r"])
    };
    allocator.update_framework(&f, modest);
    assert_eq!(allocator.allocate(at(0)).len(), 1);
}

#[test]
fn agents_with_gpus_are_kept_for_those_who_ask_for_gpus() {
    let mut allocator = cluster(&[("a", "cpus:4;mem:64;gpus:1")], &[("f", &["r"])]);
    assert_eq!(allocator.allocate(at(0)), []);
    assert_eq!(allocator.why(&"f".into())[0].refusal, Refusal::Gpu);
    let mut capable = framework(&["r"]);
    capable
        .capabilities
        .push(framework_info::capability::Type::GpuResources);
    allocator.update_framework(&"f".into(), capable);
    assert_eq!(allocator.allocate(at(0)).len(), 1);
}

#[test]
fn agents_that_are_too_old_are_not_offered() {
    let mut allocator = cluster(&[], &[("f", &["eng/dev"])]);
    let mut old = agent("cpus:4;mem:64");
    old.capabilities.clear();
    allocator.add_agent("a".into(), old.clone());
    assert_eq!(allocator.allocate(at(0)), []);
    assert_eq!(
        allocator.why(&"f".into())[0].refusal,
        Refusal::AgentNotMultiRole
    );
    old.capabilities = vec![agent_info::capability::Type::MultiRole];
    allocator.add_agent("a".into(), old);
    assert_eq!(allocator.allocate(at(0)), []);
    assert_eq!(
        allocator.why(&"f".into())[0].refusal,
        Refusal::AgentNotHierarchicalRole
    );
}

#[test]
fn remote_regions_are_for_those_who_are_aware_of_regions() {
    let region = |name: &str| v1::domain_info::fault_domain::RegionInfo { name: name.into() };
    let mut allocator = Allocator::new(Options {
        region: Some(region("here")),
        ..Options::default()
    });
    allocator.add_framework("f".into(), framework(&["r"]));
    let info = json::from_slice::<AgentInfo>(
        br#"{"hostname":"h","domain":{"fault_domain":{"region":{"name":"there"},"zone":{"name":"z"}}}}"#,
    );
    let remote = AgentView {
        info: Arc::new(info.unwrap()),
        ..agent("cpus:4;mem:64")
    };
    allocator.add_agent("a".into(), remote);
    assert_eq!(allocator.allocate(at(0)), []);
    assert_eq!(allocator.why(&"f".into())[0].refusal, Refusal::RemoteRegion);
}

#[test]
fn offer_constraints_choose_agents() {
    let constraints = json::from_slice(
        br#"{"role_constraints":{"r":{"groups":[
            {"attribute_constraints":[
                {"selector":{"attribute_name":"rack"},"predicate":{"text_matches":{"regex":"r[0-9]"}}},
                {"selector":{"pseudoattribute_type":"HOSTNAME"},"predicate":{"text_not_equals":{"value":"bad"}}}]},
            {"attribute_constraints":[
                {"selector":{"attribute_name":"rack"},"predicate":{"not_exists":{}}}]}]}}}"#,
    )
    .unwrap();
    let mut allocator = cluster(&[], &[]);
    let view = FrameworkView {
        constraints: Some(Arc::new(Constraints::new(&constraints).unwrap())),
        ..framework(&["r"])
    };
    allocator.add_framework("f".into(), view);
    let rack = |rack: &str| {
        format!(r#""attributes":[{{"name":"rack","type":"TEXT","text":{{"value":"{rack}"}}}}]"#)
    };
    for (id, hostname, attributes, wanted) in [
        ("a", "good", rack("r1"), true),
        ("b", "good", rack("r10"), false),
        ("c", "bad", rack("r1"), false),
        ("d", "bad", r#""attributes":[]"#.to_owned(), true),
    ] {
        let info = format!(r#"{{"hostname":"{hostname}",{attributes}}}"#);
        let view = AgentView {
            info: Arc::new(json::from_slice(info.as_bytes()).unwrap()),
            ..agent("cpus:4;mem:64")
        };
        allocator.add_agent(id.into(), view);
        let offered = !allocator.allocate(at(0)).is_empty();
        assert_eq!(offered, wanted, "{id}");
        if !wanted {
            let reasons = allocator.why(&"f".into());
            assert_eq!(reasons.last().unwrap().refusal, Refusal::Constraint);
        }
    }
}

#[test]
fn patterns_that_grow_too_large_are_refused() {
    let constraints = json::from_slice(
        br#"{"role_constraints":{"r":{"groups":[{"attribute_constraints":[
            {"selector":{"attribute_name":"a"},"predicate":{"text_matches":{"regex":"((a{100}){100}){100}"}}}]}]}}}"#,
    )
    .unwrap();
    let refusal = Constraints::new(&constraints).unwrap_err().to_string();
    assert!(
        refusal.starts_with("Failed to construct regex from pattern"),
        "{refusal}"
    );
}

#[test]
fn revocable_resources_are_for_those_who_can_take_them() {
    let mut revocable: v1::Resource =
        json::from_slice(br#"{"name":"cpus","type":"SCALAR","scalar":{"value":2}}"#).unwrap();
    revocable.revocable = Some(v1::resource::RevocableInfo::default());
    let mut view = agent("mem:64");
    view.total += &Resources::from_v1(&[revocable]).unwrap();
    let mut allocator = cluster(&[], &[("f", &["r"])]);
    allocator.add_agent("a".into(), view);
    assert_eq!(shown(&allocator.allocate(at(0))), ["f r a mem:64"]);
    assert_eq!(allocator.why(&"f".into())[0].refusal, Refusal::Incapable);
}

#[test]
fn what_an_agent_brings_counts_before_its_framework_comes() {
    let (f, a) = ids();
    let mut allocator = cluster(&[], &[("g", &["r"])]);
    let view = AgentView {
        used: [(f.clone(), resources("cpus:3;mem:32").allocate("r"))].into(),
        ..agent("cpus:4;mem:64")
    };
    allocator.add_agent(a.clone(), view);
    allocator.add_framework(f.clone(), framework(&["r"]));
    assert_eq!(
        allocator.taken(&f, &a),
        resources("cpus:3;mem:32").allocate("r")
    );
    assert_eq!(shown(&allocator.allocate(at(0))), ["g r a cpus:1; mem:32"]);
    allocator.check_invariants().unwrap();
}

#[test]
fn what_a_removed_framework_held_is_free_only_when_given_back() {
    let (f, a) = ids();
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    let proposals = allocator.allocate(at(0));
    allocator.remove_framework(&f);
    allocator.add_framework("g".into(), framework(&["r"]));
    assert_eq!(allocator.allocate(at(0)), []);
    allocator.recover(&f, &a, &proposals[0].resources);
    assert_eq!(shown(&allocator.allocate(at(0))), ["g r a cpus:4; mem:64"]);
    allocator.check_invariants().unwrap();
}

#[test]
fn what_is_given_back_twice_is_free_once() {
    let (f, a) = ids();
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[]);
    let one = resources("cpus:1").allocate("r");
    allocator.take(&f, &a, &one);
    allocator.take(&"g".into(), &a, &one);
    allocator.recover(&f, &a, &one);
    allocator.recover(&f, &a, &one);
    assert_eq!(*allocator.free(&a).unwrap(), resources("cpus:3;mem:64"));
    allocator.check_invariants().unwrap();
}

#[test]
fn an_operation_changes_what_is_taken_and_what_there_is() {
    let (f, a) = ids();
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    allocator.allocate(at(0));
    let consumed = resources("cpus:1").allocate("r");
    let reserved = resources("cpus(r):1").allocate("r");
    allocator.convert(&f, &a, &consumed, &reserved);
    allocator.convert(&f, &a, &resources("cpus:100").allocate("r"), &reserved);
    assert_eq!(
        allocator.taken(&f, &a).unallocate(),
        resources("cpus:3;mem:64;cpus(r):1")
    );
    allocator.recover(&f, &a, &allocator.taken(&f, &a));
    assert_eq!(
        *allocator.free(&a).unwrap(),
        resources("cpus:3;mem:64;cpus(r):1")
    );
    allocator.check_invariants().unwrap();
}

#[test]
fn filters_for_an_agent_outlast_its_restart_unless_its_attributes_changed() {
    let (_, a) = ids();
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    let proposals = allocator.allocate(at(0));
    decline(&mut allocator, &proposals[0], 10 * SECOND, at(0));
    let capabilities = agent("").capabilities;
    let mut info = AgentInfo {
        hostname: "h".into(),
        ..AgentInfo::default()
    };
    allocator.describe_agent(&a, info.clone().into(), capabilities.clone());
    assert_eq!(allocator.allocate(at(1)), []);

    info.attributes.push(Attribute {
        name: "rack".into(),
        ..Attribute::default()
    });
    allocator.describe_agent(&a, info.into(), capabilities);
    assert_eq!(allocator.next_expiry(), None);
    assert_eq!(shown(&allocator.allocate(at(2))), ["f r a cpus:4; mem:64"]);
    allocator.check_invariants().unwrap();
}

#[test]
fn roles_that_a_framework_leaves_keep_what_they_hold() {
    let (f, a) = ids();
    let mut allocator = cluster(&[("a", "cpus:4;mem:64")], &[("f", &["r"])]);
    let task = resources("cpus:1;mem:32").allocate("r");
    allocator.take(&f, &a, &task);
    allocator.update_framework(&f, framework(&["s"]));
    assert_eq!(shown(&allocator.allocate(at(0))), ["f s a cpus:3; mem:32"]);
    assert_eq!(allocator.taken(&f, &a).allocations()["r"], task);
    allocator.recover(&f, &a, &task);
    assert_eq!(shown(&allocator.allocate(at(0))), ["f s a cpus:1; mem:32"]);
    allocator.check_invariants().unwrap();
}
