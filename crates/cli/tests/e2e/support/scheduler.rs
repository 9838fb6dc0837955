//! A scheduler that a test drives by hand, on either wire format.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use meseta_proto::v1;
use prost::Message;
use serde_json::{Value, json};

use super::PATIENCE;
use super::client::{Client, Subscribed};
use super::events::{Events, Quiet, Wire};
use super::http::Answer;

/// Where the scheduler API of a master stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) target: &'static str,
}

/// How a scheduler speaks: who sends, how calls are written, how events are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice {
    pub(crate) client: Client,
    pub(crate) calls: Wire,
    pub(crate) events: Wire,
}

impl Voice {
    pub(crate) const JSON: Self = Self {
        client: Client::Socket,
        calls: Wire::Json,
        events: Wire::Json,
    };
    pub(crate) const PROTOBUF: Self = Self {
        client: Client::Socket,
        calls: Wire::Protobuf,
        events: Wire::Protobuf,
    };
    pub(crate) const CURL: Self = Self {
        client: Client::Curl,
        calls: Wire::Json,
        events: Wire::Json,
    };
}

/// A subscribed framework.
#[derive(Debug)]
pub(crate) struct Scheduler {
    endpoint: Endpoint,
    voice: Voice,
    pub(crate) id: String,
    pub(crate) stream_id: String,
    pub(crate) role: String,
    /// The body of SUBSCRIBED.
    pub(crate) subscribed: Value,
    events: Events,
    /// What came while something else was awaited.
    passed_over: VecDeque<Value>,
    /// The updates that [`Self::expect`] has seen.
    acknowledged: BTreeSet<String>,
}

/// A framework of one role with what is usual today.
pub(crate) fn framework(name: &str) -> Value {
    json!({
        "user": "root",
        "name": name,
        "roles": ["golden"],
        "capabilities": [
            {"type": "MULTI_ROLE"},
            {"type": "PARTITION_AWARE"},
            {"type": "TASK_KILLING_STATE"},
            {"type": "RESERVATION_REFINEMENT"},
        ],
    })
}

/// A task of the shell with a tenth of a cpu and 32 MB.
pub(crate) fn shell_task(id: &str, command: &str) -> Value {
    json!({
        "name": id,
        "task_id": {"value": id},
        "command": {"shell": true, "value": command},
        "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
    })
}

/// A resource to ask for; [`Scheduler::launch`] adds the allocation.
pub(crate) fn scalar(name: &str, value: f64) -> Value {
    json!({"name": name, "type": "SCALAR", "role": "*", "scalar": {"value": value}})
}

/// Disk that is reserved for the role of [`framework`].
pub(crate) fn reserved_disk(megabytes: f64) -> Value {
    json!({
        "name": "disk",
        "type": "SCALAR",
        "scalar": {"value": megabytes},
        "reservations": [{"type": "DYNAMIC", "role": "golden"}],
    })
}

/// A persistent volume on such disk, to be found as `data`.
pub(crate) fn volume(id: &str, megabytes: f64) -> Value {
    let mut volume = reserved_disk(megabytes);
    volume["disk"] = json!({
        "persistence": {"id": id},
        "volume": {"mode": "RW", "container_path": "data"},
    });
    volume
}

/// The operations that make such a volume, with feedback as `reserve` and `create`.
pub(crate) fn to_make_volume(id: &str, megabytes: f64) -> [Value; 2] {
    [
        json!({"type": "RESERVE", "id": {"value": "reserve"},
            "reserve": {"resources": [reserved_disk(megabytes)]}}),
        json!({"type": "CREATE", "id": {"value": "create"},
            "create": {"volumes": [volume(id, megabytes)]}}),
    ]
}

/// The operations that leave nothing of such a volume.
pub(crate) fn to_end_volume(id: &str, megabytes: f64) -> [Value; 2] {
    [
        json!({"type": "DESTROY", "destroy": {"volumes": [volume(id, megabytes)]}}),
        json!({"type": "UNRESERVE", "unreserve": {"resources": [reserved_disk(megabytes)]}}),
    ]
}

/// A [`shell_task`] with a volume.
pub(crate) fn task_on_volume(id: &str, command: &str, volume: Value) -> Value {
    let mut task = shell_task(id, command);
    if let Some(resources) = task["resources"].as_array_mut() {
        resources.push(volume);
    }
    task
}

impl Scheduler {
    pub(crate) fn subscribe(endpoint: Endpoint, voice: Voice, info: Value) -> Self {
        match Self::try_subscribe(endpoint, voice, info) {
            Ok(scheduler) => scheduler,
            Err(refusal) => panic!("SUBSCRIBE was answered with {refusal}"),
        }
    }

    /// Subscribes; the first event or the refusal when that is not SUBSCRIBED.
    pub(crate) fn try_subscribe(
        endpoint: Endpoint,
        voice: Voice,
        info: Value,
    ) -> Result<Self, Value> {
        let role = info["roles"][0].as_str().unwrap_or("*").to_owned();
        let mut call = json!({"type": "SUBSCRIBE"});
        if let Some(id) = info.get("id") {
            call["framework_id"] = id.clone();
        }
        call["subscribe"]["framework_info"] = info;
        let headers = [
            ("content-type", voice.calls.media_type()),
            ("accept", voice.events.media_type()),
        ];
        let body = encode(&call, voice.calls);
        let Endpoint { address, target } = endpoint;
        let (head, events) =
            match voice
                .client
                .subscribe(address, target, &headers, &body, voice.events)
            {
                Subscribed::Stream(head, events) => (head, events),
                Subscribed::Refused(answer) => {
                    return Err(json!({"status": answer.status(), "body": answer.text()}));
                }
            };
        assert_eq!(head.header("content-type"), Some(voice.events.media_type()));
        let first = events.next().expect("the first event");
        if first["type"] != "SUBSCRIBED" {
            return Err(first);
        }
        Ok(Self {
            endpoint,
            voice,
            id: text(&first["subscribed"]["framework_id"]["value"]),
            stream_id: head
                .header("mesos-stream-id")
                .expect("a stream id")
                .to_owned(),
            role,
            subscribed: first["subscribed"].clone(),
            events,
            passed_over: VecDeque::new(),
            acknowledged: BTreeSet::new(),
        })
    }

    /// Sends a call, whatever the answer.
    pub(crate) fn call(&self, mut call: Value) -> Answer {
        call["framework_id"] = json!({"value": self.id});
        let headers = [
            ("content-type", self.voice.calls.media_type()),
            ("mesos-stream-id", &self.stream_id),
        ];
        let Endpoint { address, target } = self.endpoint;
        self.voice
            .client
            .post(address, target, &headers, &encode(&call, self.voice.calls))
    }

    /// Sends a call that must be taken.
    pub(crate) fn tell(&self, call: Value) {
        let shown = call["type"].clone();
        let answer = self.call(call);
        assert_eq!(answer.status(), 202, "{shown}: {}", answer.text());
    }

    /// The next event of a type, past others (which stay for later); its inner message.
    pub(crate) fn event(&mut self, kind: &str) -> Value {
        self.matching(|event| event["type"] == kind)
            .unwrap_or_else(|Quiet| self.waited_in_vain(kind))
            .unwrap_or_else(|| panic!("the stream ended before {kind}"))
            .get(kind.to_lowercase())
            .cloned()
            .unwrap_or(Value::Null)
    }

    /// The next event, whatever it is.
    pub(crate) fn any(&mut self) -> Value {
        self.matching(|_| true)
            .unwrap_or_else(|Quiet| self.waited_in_vain("event"))
            .expect("an open stream")
    }

    /// The next event that `wanted` holds for; `None` when the stream ends before.
    fn matching(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Option<Value>, Quiet> {
        if let Some(place) = self.passed_over.iter().position(&wanted) {
            return Ok(self.passed_over.remove(place));
        }
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Some(event) = self.events.next_within(left)? else {
                return Ok(None);
            };
            if wanted(&event) {
                return Ok(Some(event));
            }
            self.passed_over.push_back(event);
        }
    }

    fn waited_in_vain(&self, what: &str) -> ! {
        panic!(
            "no {what} within {PATIENCE:?}; what came: {:?}",
            self.passed_over
        )
    }

    /// Waits until the master ends the stream; gives what came before that.
    pub(crate) fn drain(mut self) -> Vec<Value> {
        match self.matching(|_| false) {
            Err(Quiet) => self.waited_in_vain("end of the stream"),
            Ok(_) => self.passed_over.into(),
        }
    }

    /// The status of the next update, not acknowledged.
    pub(crate) fn update(&mut self) -> Value {
        self.event("UPDATE")["status"].clone()
    }

    /// The status of the next update, acknowledged if it wants to be.
    pub(crate) fn acknowledged_update(&mut self) -> Value {
        let status = self.update();
        self.acknowledge(&status);
        status
    }

    /// The next `count` updates, acknowledged; fewer when no more come.
    pub(crate) fn updates(&mut self, count: usize) -> Vec<Value> {
        let mut updates = Vec::new();
        while updates.len() < count {
            let is_update = |event: &Value| event["type"] == "UPDATE";
            let Ok(Some(event)) = self.matching(is_update) else {
                break;
            };
            let status = event["update"]["status"].clone();
            self.acknowledge(&status);
            updates.push(status);
        }
        updates
    }

    /// The next new update, which must be of a state; acknowledged. An update comes again when the
    /// agent ended before the acknowledgement reached it.
    pub(crate) fn expect(&mut self, state: &str) -> Value {
        loop {
            let status = self.acknowledged_update();
            let uuid = status["uuid"].as_str().map(str::to_owned);
            if uuid.is_none_or(|uuid| self.acknowledged.insert(uuid)) {
                assert_eq!(status["state"], state, "{status}");
                return status;
            }
        }
    }

    pub(crate) fn acknowledge(&self, status: &Value) {
        if status.get("uuid").is_some() {
            self.tell(json!({"type": "ACKNOWLEDGE", "acknowledge": {
                "agent_id": status["agent_id"],
                "task_id": status["task_id"],
                "uuid": status["uuid"],
            }}));
        }
    }

    /// The next offer that is not rescinded before it is seen.
    pub(crate) fn offer(&mut self) -> Value {
        let mut offers = self.event("OFFERS");
        let offer = offers["offers"][0].take();
        for other in offers["offers"].as_array().into_iter().flatten().skip(1) {
            let alone = json!({"type": "OFFERS", "offers": {"offers": [other]}});
            self.passed_over.push_back(alone);
        }
        offer
    }

    /// Launches tasks on an offer. Their agent and the allocation of their resources are filled in
    /// where a task says nothing about them.
    pub(crate) fn launch(&self, offer: &Value, tasks: &[Value]) -> Answer {
        let tasks: Vec<Value> = tasks
            .iter()
            .map(|task| self.complete(task, offer))
            .collect();
        self.call(json!({"type": "ACCEPT", "accept": {
            "offer_ids": [offer["id"]],
            "operations": [{"type": "LAUNCH", "launch": {"task_infos": tasks}}],
            "filters": {"refuse_seconds": 0.0},
        }}))
    }

    /// Forgets what came of offers that have ended since.
    pub(crate) fn forget_ended_offers(&mut self) {
        // What the master answers comes after all that it has said before.
        let question = "unknown-task";
        self.tell(json!({"type": "RECONCILE", "reconcile": {
            "tasks": [{"task_id": {"value": question}}],
        }}));
        let is_answer = |event: &Value| event["update"]["status"]["task_id"]["value"] == question;
        let answer = self.matching(is_answer);
        assert!(matches!(answer, Ok(Some(_))), "an answer");
        let events = std::mem::take(&mut self.passed_over);
        let is_rescind = |event: &Value| event["type"] == "RESCIND";
        let (rescinds, mut others): (VecDeque<_>, VecDeque<_>) =
            events.into_iter().partition(is_rescind);
        let has_ended = |offer: &Value| {
            let mut rescinds = rescinds.iter();
            rescinds.any(|rescind| rescind["rescind"]["offer_id"] == offer["id"])
        };
        others.retain_mut(|event| {
            match event
                .pointer_mut("/offers/offers")
                .and_then(Value::as_array_mut)
            {
                Some(offers) => {
                    offers.retain(|offer| !has_ended(offer));
                    !offers.is_empty()
                }
                None => true,
            }
        });
        self.passed_over = others;
    }

    /// Accepts an offer for operations of any kind; what they leave is offered again at once.
    pub(crate) fn accept(&self, offer: &Value, operations: &[Value]) -> Answer {
        self.call(json!({"type": "ACCEPT", "accept": {
            "offer_ids": [offer["id"]],
            "operations": operations,
            "filters": {"refuse_seconds": 0.0},
        }}))
    }

    /// The operation that launches a task, for [`Self::accept`].
    pub(crate) fn to_launch(&self, task: &Value, offer: &Value) -> Value {
        json!({"type": "LAUNCH", "launch": {"task_infos": [self.complete(task, offer)]}})
    }

    /// The next offer that holds a persistent volume; others are kept.
    pub(crate) fn offer_of_volume(&mut self) -> Value {
        self.offer_that(|offer| {
            let mut resources = offer["resources"].as_array().into_iter().flatten();
            resources.any(|it| it["disk"].get("persistence").is_some())
        })
    }

    /// The next offer of an agent, by its address; those of others are kept.
    pub(crate) fn offer_of(&mut self, agent: SocketAddr) -> Value {
        self.offer_that(|offer| offer["url"]["address"]["port"] == agent.port())
    }

    fn offer_that(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let offer = self.offer();
            if is_wanted(&offer) {
                return offer;
            }
        }
    }

    /// What becomes of the next operation, acknowledged if it wants to be.
    pub(crate) fn operation_status(&mut self) -> Value {
        let status = self.event("UPDATE_OPERATION_STATUS")["status"].clone();
        if let Some(uuid) = status.get("uuid") {
            self.tell(json!({
                "type": "ACKNOWLEDGE_OPERATION_STATUS",
                "acknowledge_operation_status": {
                    "agent_id": status["agent_id"],
                    "operation_id": status["operation_id"],
                    "uuid": uuid["value"],
                },
            }));
        }
        status
    }

    /// Launches a group of tasks on an offer, under a default executor.
    pub(crate) fn launch_group(&self, offer: &Value, executor: &str, tasks: &[Value]) {
        let tasks: Vec<Value> = tasks
            .iter()
            .map(|task| self.complete(task, offer))
            .collect();
        let resources = [
            scalar("cpus", 0.1),
            scalar("mem", 32.0),
            scalar("disk", 8.0),
        ];
        let executor = json!({
            "type": "DEFAULT",
            "executor_id": {"value": executor},
            "framework_id": {"value": self.id},
            "resources": resources,
        });
        let answer = self.accept(
            offer,
            &[json!({"type": "LAUNCH_GROUP", "launch_group": {
                "executor": self.complete(&executor, offer),
                "task_group": {"tasks": tasks},
            }})],
        );
        assert_eq!(answer.status(), 202, "{}", answer.text());
    }

    fn complete(&self, task: &Value, offer: &Value) -> Value {
        let mut task = task.clone();
        task["agent_id"] = offer["agent_id"].clone();
        for resource in task["resources"].as_array_mut().into_iter().flatten() {
            if resource.get("allocation_info").is_none() {
                resource["allocation_info"] = json!({"role": self.role});
            }
        }
        task
    }

    /// Waits for an offer and launches one task on it.
    pub(crate) fn start(&mut self, task: &Value) {
        let offer = self.offer();
        let answer = self.launch(&offer, std::slice::from_ref(task));
        assert_eq!(answer.status(), 202, "{}", answer.text());
    }

    /// [`Self::start`], seen to TASK_RUNNING; gives that update.
    pub(crate) fn start_and_see_running(&mut self, task: &Value) -> Value {
        self.start(task);
        self.expect("TASK_STARTING");
        self.expect("TASK_RUNNING")
    }

    pub(crate) fn kill(&self, task_id: &str) {
        self.tell(json!({"type": "KILL", "kill": {"task_id": {"value": task_id}}}));
    }

    /// Ends the connection as a crash of the scheduler would.
    pub(crate) fn disconnect(self) -> String {
        self.id
    }
}

fn encode(call: &Value, wire: Wire) -> Vec<u8> {
    let text = call.to_string().into_bytes();
    match wire {
        Wire::Json => text,
        Wire::Protobuf => meseta_proto::json::from_slice::<v1::scheduler::Call>(&text)
            .expect("a call of the test's own")
            .encode_to_vec(),
    }
}

/// A string of a JSON document.
pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} for a string"))
        .to_owned()
}
