//! Quotas and weights, from an operator's call to the offers that follow.

use std::time::Duration;

use meseta_machine::{Reply, RequestId};
use meseta_proto::internal::ReregisterSlaveMessage;
use meseta_proto::v1::{AgentId, FrameworkInfo, Offer, TaskInfo, TaskState};
use meseta_proto::{Upid, json};
use meseta_resources::Resources;
use serde_json::Value;

use super::world::{
    Scheduler, World, agent_capabilities, agent_info, command_task, framework_info, registration,
    upid,
};
use crate::http::{self, Answer, Request};
use crate::{Action, Input, Question};

const REQUEST: RequestId = RequestId(1_000_000);

/// What a master answers to a request, and what it does beside.
fn ask(world: &mut World, method: &str, path: &str, body: &str) -> (Reply, Vec<Action>) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let query: Vec<(String, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let request = Request {
        method,
        path,
        query: &query,
        content_type: Some("application/json"),
        accept: None,
        stream_id: None,
        last_event_id: None,
        host: None,
        body: body.as_bytes(),
    };
    let input = match http::answer(&world.master.snapshot(), &request) {
        Answer::Reply(reply) => return (reply, Vec::new()),
        Answer::Operator(change) => Input::Operator {
            request: REQUEST,
            change,
        },
        Answer::Why(question) => Input::Why {
            request: REQUEST,
            question,
        },
        other => panic!("{other:?}"),
    };
    world.actions();
    world.step(input);
    let mut actions = world.actions();
    let place = actions
        .iter()
        .position(|action| matches!(action, Action::Reply { .. }))
        .expect("an answer at once");
    let is_fact = |action: &Action| matches!(action, Action::Persist { .. });
    assert!(
        !actions[place..].iter().any(is_fact),
        "what is acknowledged is on disk"
    );
    let Action::Reply { reply, .. } = actions.remove(place) else {
        unreachable!()
    };
    (reply, actions)
}

pub(super) fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.to_vec()).unwrap()
}

pub(super) fn operator(world: &mut World, call: &str) -> (Reply, Vec<Action>) {
    ask(world, "POST", "/api/v1", call)
}

fn limit(role: &str, cpus: f64) -> String {
    format!(
        r#"{{"type":"UPDATE_QUOTA","update_quota":{{"quota_configs":[
            {{"role":"{role}","limits":{{"cpus":{{"value":{cpus}}}}}}}]}}}}"#
    )
}

fn guarantee(role: &str, cpus: f64) -> String {
    limit(role, cpus).replace("limits", "guarantees")
}

fn in_role(role: &str) -> FrameworkInfo {
    FrameworkInfo {
        roles: vec![role.into()],
        ..framework_info()
    }
}

fn cpus(offers: &[Offer]) -> String {
    let resources = offers.iter().flat_map(|offer| &offer.resources);
    let cpus = resources.filter(|resource| resource.name == "cpus");
    let sum: f64 = cpus.map(|resource| resource.scalar.unwrap().value).sum();
    sum.to_string()
}

/// What was persisted, and whether the answer came after it.
pub(super) fn facts(actions: &[Action]) -> Vec<(String, Option<Vec<u8>>)> {
    let changes = actions.iter().filter_map(|action| match action {
        Action::Persist { changes } => Some(changes.clone()),
        _ => None,
    });
    changes.flatten().collect()
}

#[test]
fn a_quota_is_on_disk_before_it_is_acknowledged_and_known_to_the_next_master() {
    let mut world = World::new();
    let (reply, actions) = operator(&mut world, &limit("web", 1.5));
    assert_eq!(reply, Reply::ok());
    let shown = operator(&mut world, r#"{"type":"GET_QUOTA"}"#);
    let quotas = r#"{"type":"GET_QUOTA","get_quota":{"status":{"infos":[{"role":"web"}],"configs":[{"role":"web","limits":{"cpus":{"value":1.5}}}]}}}"#;
    assert_eq!(text(&shown.0), quotas);

    let mut next = World::before_recovery(|_| {});
    let recovered = facts(&actions).into_iter();
    next.recover(
        recovered
            .map(|(key, value)| (key, value.unwrap()))
            .collect(),
    );
    let shown = operator(&mut next, r#"{"type":"GET_QUOTA"}"#).0;
    assert_eq!(text(&shown), quotas);

    // Nothing is what a role without quota has.
    let nothing = r#"{"type":"UPDATE_QUOTA","update_quota":{"quota_configs":[{"role":"web"}]}}"#;
    let (reply, actions) = operator(&mut next, nothing);
    assert_eq!(reply, Reply::ok());
    assert_eq!(facts(&actions), [("quotas/web".to_owned(), None)]);
}

#[test]
fn a_limit_holds_for_offers_and_takes_back_those_beyond_it() {
    let mut world = World::new();
    world.agent(&upid("slave(1)", 6001));
    let scheduler = world.subscribe(in_role("web"));
    assert_eq!(cpus(&world.offers(&scheduler)), "4");
    let (reply, actions) = operator(&mut world, &limit("web", 1.0));
    assert_eq!(reply, Reply::ok());
    let rescinded =
        |action: &Action| matches!(action, Action::Event { event, .. } if event.rescind.is_some());
    assert_eq!(actions.iter().filter(|action| rescinded(action)).count(), 1);
    assert_eq!(cpus(&world.offers(&scheduler)), "1");
    let (roles, _) = ask(&mut world, "GET", "/roles", "");
    let roles: Value = serde_json::from_slice(&roles.body).unwrap();
    assert_eq!(roles["roles"][0]["quota"]["limit"]["cpus"], 1.0);
}

#[test]
fn quotas_that_cannot_hold_are_refused_unless_forced() {
    let mut world = World::new();
    let pid = upid("slave(1)", 6001);
    world.agent(&pid);
    let (reply, actions) = operator(&mut world, &guarantee("web", 5.0));
    assert_eq!((reply.status, actions.len()), (400, 0));
    assert_eq!(
        text(&reply),
        "Invalid QuotaConfig: total quota guarantees 'cpus:5' exceed cluster capacity \
         'cpus:4; disk:1000; mem:4096' (use 'force' flag to bypass this check)"
    );
    let forced =
        guarantee("web", 5.0).replace("\"quota_configs\"", "\"force\":true,\"quota_configs\"");
    assert_eq!(operator(&mut world, &forced).0, Reply::ok());
    let (metrics, _) = ask(&mut world, "GET", "/metrics/snapshot", "");
    let metrics: Value = serde_json::from_slice(&metrics.body).unwrap();
    let of_quota =
        |name: &str| &metrics[format!("allocator/mesos/quota/roles/web/resources/cpus/{name}")];
    assert_eq!(of_quota("guarantee"), 5.0);
    assert_eq!(of_quota("offered_or_allocated"), 0.0);

    let scheduler = world.subscribe(in_role("app"));
    let (reply, _) = ask(&mut world, "DELETE", "/quota/web", "");
    assert_eq!(reply, Reply::ok());
    let offer = world.offers(&scheduler).remove(0);
    world.accept(
        &scheduler,
        &offer,
        vec![command_task("t", &offer, "cpus:2;mem:64")],
    );
    let (reply, _) = operator(&mut world, &limit("app", 1.0));
    assert_eq!(
        text(&reply),
        "Invalid QuotaConfig: Role 'app' is already consuming 'cpus:2; mem:64'; this is more than \
         the requested limits 'cpus:1' (use 'force' flag to bypass this check)"
    );
    let (reply, _) = operator(&mut world, &limit("a/b", 1.0));
    assert_eq!(
        text(&reply),
        "Updating quota on nested role 'a/b' is not supported yet"
    );
}

#[test]
fn the_older_endpoint_sets_shows_and_removes_quotas() {
    let mut world = World::new();
    let quota = r#"{"role":"web","force":true,"guarantee":[{"name":"cpus","type":"SCALAR","scalar":{"value":2}}]}"#;
    assert_eq!(
        ask(&mut world, "POST", "/master/quota", quota).0,
        Reply::ok()
    );
    let (again, _) = ask(&mut world, "POST", "/quota", quota);
    assert_eq!(
        text(&again),
        "Failed to validate set quota request: Cannot set quota for role 'web' which already has quota"
    );
    let other = quota.replace("web", "db").replace("\"force\":true,", "");
    let (over, _) = ask(&mut world, "POST", "/quota", &other);
    assert_eq!(
        (over.status, text(&over).as_str()),
        (
            409,
            "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total \
             quota guarantees 'cpus:4' exceed cluster capacity '{}'"
        )
    );
    let (empty, _) = ask(&mut world, "POST", "/quota", "");
    assert_eq!(
        text(&empty),
        "Failed to parse set quota request JSON '': syntax error at line 1 near: "
    );
    let (shown, _) = ask(&mut world, "GET", "/quota", "");
    assert_eq!(
        text(&shown),
        r#"{"infos":[{"role":"web","guarantee":[{"name":"cpus","type":"SCALAR","scalar":{"value":2.0}}]}],"configs":[{"role":"web","guarantees":{"cpus":{"value":2.0}},"limits":{"cpus":{"value":2.0}}}]}"#
    );
    assert_eq!(ask(&mut world, "DELETE", "/quota/web", "").0, Reply::ok());
    let (gone, _) = ask(&mut world, "DELETE", "/quota/web", "");
    assert_eq!(
        text(&gone),
        "Failed to remove quota for path '/master/quota/web': Role 'web' has no quota set"
    );
}

#[test]
fn new_weights_share_again_what_is_offered() {
    let mut world = World::new();
    world.agent(&upid("slave(1)", 6001));
    let scheduler = world.subscribe(in_role("web"));
    assert_eq!(world.offers(&scheduler).len(), 1);
    let (reply, actions) = ask(
        &mut world,
        "PUT",
        "/weights",
        r#"[{"role":" web ","weight":2.5}]"#,
    );
    assert_eq!(reply, Reply::ok());
    assert_eq!(facts(&actions)[0].0, "weights/web");
    assert_eq!(world.offers(&scheduler).len(), 1, "offered anew");
    let (shown, _) = ask(&mut world, "GET", "/weights", "");
    assert_eq!(text(&shown), r#"[{"weight":2.5,"role":"web"}]"#);
    let (refused, actions) = operator(
        &mut world,
        r#"{"type":"UPDATE_WEIGHTS","update_weights":{"weight_infos":[{"role":"web","weight":3},{"role":"a","weight":-1}]}}"#,
    );
    assert_eq!(
        text(&refused),
        "Failed to validate update weights request JSON for role 'a': Invalid weight '-1': \
         Weights must be positive"
    );
    assert!(actions.is_empty());
    let (refused, _) = ask(&mut world, "PUT", "/weights", "{}");
    assert_eq!(
        text(&refused),
        "Failed to parse update weights request JSON '{}': Expecting a JSON array"
    );
}

#[test]
fn the_weights_of_the_flag_count_until_the_registry_has_some() {
    let of_flag = |config: &mut crate::Config| {
        config.policy.weights = [("web".to_owned(), 2.0)].into();
    };
    let mut world = World::before_recovery(of_flag);
    world.recover(Vec::new());
    assert_eq!(facts(&world.actions())[0].0, "weights/web");
    assert_eq!(world.master.snapshot().weights.get("web"), Some(&2.0));

    let (key, value) = crate::registry::set_weight("db", 3.0);
    let mut world = World::before_recovery(of_flag);
    world.recover(vec![(key, value.unwrap())]);
    let weights = world.master.snapshot().weights;
    assert_eq!(
        weights.into_iter().collect::<Vec<_>>(),
        [("db".to_owned(), 3.0)]
    );
}

#[test]
fn with_quotas_a_new_master_waits_for_agents_before_it_offers() {
    let mut world = World::new();
    let (pid, other) = (upid("slave(1)", 6001), upid("slave(2)", 6002));
    let id = world.agent(&pid);
    let second = world.agent(&other);
    let third = world.agent(&upid("slave(3)", 6003));
    let mut recovered = vec![crate::registry::set_quota(
        &json::from_slice(br#"{"role":"db","guarantees":{"cpus":{"value":1}}}"#).unwrap(),
    )];
    for id in [&id, &second, &third] {
        recovered.push(crate::registry::admit(id, &agent_info(Some(id.clone()))));
    }
    let recovered = recovered
        .into_iter()
        .map(|(key, value)| (key, value.unwrap()));
    let mut next = World::before_recovery(|_| {});
    next.recover(recovered.collect());
    let scheduler = next.subscribe(in_role("web"));
    next.reregister(&pid, &id, Vec::new(), Vec::new());
    assert!(next.offers(&scheduler).is_empty());
    let why = why(&mut next, &scheduler);
    assert_eq!(why["roles"][0]["reasons"][0]["reason"], "RECOVERING");
    next.reregister(&other, &second, Vec::new(), Vec::new());
    assert!(!next.offers(&scheduler).is_empty());
}

fn why(world: &mut World, scheduler: &Scheduler) -> Value {
    let path = format!("/why?framework_id={}", scheduler.id);
    serde_json::from_slice(&ask(world, "GET", &path, "").0.body).unwrap()
}

#[test]
fn the_reason_for_no_offer_is_told_with_the_nearest_misses() {
    let mut world = World::new();
    world.agent(&upid("slave(1)", 6001));
    let scheduler = world.subscribe(in_role("web"));
    let offer = world.offers(&scheduler).remove(0);
    let answer = why(&mut world, &scheduler);
    let role = &answer["roles"][0];
    assert_eq!((&role["role"], &role["offers"]), (&"web".into(), &1.into()));
    assert_eq!(role["reasons"][0]["reason"], "NOTHING_FREE");

    world.accept(&scheduler, &offer, Vec::new());
    let answer = why(&mut world, &scheduler);
    let miss = &answer["roles"][0]["nearest"][0];
    assert_eq!(miss["reason"], "FILTERED");
    assert_eq!(miss["hostname"], "host");
    let left = miss["until"].as_f64().unwrap() - world.now.wall.as_secs_f64();
    assert!((4.9..=5.0).contains(&left), "{left}");

    for (path, status) in [
        ("/why".to_owned(), 400),
        ("/why?framework_id=x".to_owned(), 404),
        (
            format!("/why?framework_id={}&role=other", scheduler.id),
            404,
        ),
        (format!("/why?framework_id={}&nearest=x", scheduler.id), 400),
    ] {
        assert_eq!(ask(&mut world, "GET", &path, "").0.status, status, "{path}");
    }
}

#[test]
fn a_large_cluster_is_looked_at_in_pieces_and_each_agent_once() {
    let mut world = World::new();
    let agents = u16::try_from(crate::limits::MAX_VERDICTS_PER_STEP).unwrap() * 2 + 7;
    for port in 0..agents {
        world.agent(&upid("slave(1)", 10_000 + port));
        world.actions();
    }
    let mut info = framework_info();
    info.roles = vec!["a".into(), "b".into()];
    let scheduler = world.subscribe(info);
    world.settle();
    world.actions();
    let question = Question {
        framework_id: scheduler.id.clone(),
        role: None,
        nearest: 3,
    };
    world.step(Input::Why {
        request: REQUEST,
        question,
    });
    let mut steps = 0;
    let reply = loop {
        let answer = world.actions().into_iter().find_map(|action| match action {
            Action::Reply { reply, .. } => Some(reply),
            _ => None,
        });
        if let Some(reply) = answer {
            break reply;
        }
        steps += 1;
        // All that is due now, and no more.
        world.pass(Duration::from_nanos(1));
    };
    assert_eq!(steps, 4, "two roles on so many agents take five steps");
    let answer: Value = serde_json::from_slice(&reply.body).unwrap();
    for role in answer["roles"].as_array().unwrap() {
        assert_eq!(role["agents"], agents);
        assert_eq!(role["nearest"].as_array().unwrap().len(), 3);
    }
}

/// Comes back with these resources.
fn come_back(world: &mut World, pid: &Upid, id: &AgentId, resources: &str) {
    let mut slave = agent_info(Some(id.clone()));
    slave.resources = Resources::parse(resources, "*").unwrap().to_v1();
    let message = ReregisterSlaveMessage {
        slave: slave.into(),
        version: Some("1.11.0".into()),
        agent_capabilities: agent_capabilities(),
        ..Default::default()
    };
    world.message(pid, "master", &message);
}

fn consumed(world: &mut World, role: &str) -> String {
    let (reply, _) = operator(world, &limit(role, 0.0));
    let text = text(&reply);
    let (_, consumed) = text.split_once("already consuming '").expect("too much");
    consumed.split('\'').next().unwrap().to_owned()
}

#[test]
fn what_is_reserved_counts_once_however_much_of_it_is_taken_or_left() {
    let mut world = World::new();
    let pid = upid("slave(1)", 6001);
    world.message(&pid, "master", &registration());
    let agent = world
        .master
        .snapshot()
        .agents
        .keys()
        .next()
        .unwrap()
        .clone();
    come_back(&mut world, &pid, &agent, "cpus(web):3;cpus:1;mem:1024");
    assert_eq!(consumed(&mut world, "web"), "cpus:3");

    let scheduler = world.subscribe(in_role("web"));
    let offer = world.offers(&scheduler).remove(0);
    let task = TaskInfo {
        resources: offer.resources.clone(),
        ..command_task("t", &offer, "cpus:1")
    };
    world.accept(&scheduler, &offer, vec![task]);
    assert_eq!(consumed(&mut world, "web"), "cpus:4; mem:1024");

    // Less is reserved than the task takes, which nobody gets back by that.
    come_back(&mut world, &pid, &agent, "cpus(web):1;cpus:3;mem:1024");
    assert_eq!(consumed(&mut world, "web"), "cpus:4; mem:1024");
    come_back(&mut world, &pid, &agent, "cpus(web):9;cpus:3;mem:1024");
    assert_eq!(consumed(&mut world, "web"), "cpus:10; mem:1024");
    world.update(&pid, &agent, &scheduler, "t", TaskState::TaskFinished, None);
    assert_eq!(consumed(&mut world, "web"), "cpus:9");
}
