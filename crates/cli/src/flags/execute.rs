//! The flags of `mesos-execute`, with Mesos's names and defaults.

use super::Form::{Path, Switch, Text};
use super::{Flag, not_yet, served};

/// Every flag of `mesos-execute`.
#[rustfmt::skip] // A table: one flag a line.
pub(crate) const FLAGS: &[Flag] = &[
    served("master", Text, None, "host:port of a master"),
    served("name", Text, None, "Name and id of the task"),
    served("command", Text, None, "What to run"),
    served("shell", Switch, Some("true"), "Whether a shell runs the command; otherwise its words are the program and its arguments"),
    served("env", Text, None, "Environment variables, as a JSON object of texts"),
    served("resources", Text, Some("cpus:1;mem:128"), "What the task needs"),
    served("role", Text, Some("*"), "Role to use resources of"),
    served("kill_after", Text, None, "Kill the task when it has run for so long"),
    served("principal", Text, None, "Principal of the framework"),
    served("checkpoint", Switch, Some("false"), "Whether the task outlives a restart of its agent"),
    served("partition_aware", Switch, Some("true"), "Whether a task on an unreachable agent may come back"),
    served("content_type", Text, Some("protobuf"), "How to talk to the master: json or protobuf"),
    not_yet("appc_image", Text, None),
    not_yet("bounding_capabilities", Text, None),
    not_yet("containerizer", Text, Some("mesos")),
    not_yet("docker_image", Text, None),
    not_yet("effective_capabilities", Text, None),
    not_yet("framework_capabilities", Text, None),
    not_yet("hadoop", Text, Some("hadoop")),
    not_yet("hdfs", Text, Some("localhost:9000")),
    not_yet("networks", Text, None),
    not_yet("overwrite", Switch, Some("false")),
    not_yet("package", Path, None),
    not_yet("rlimits", Text, None),
    not_yet("secret", Text, None),
    not_yet("task", Text, None),
    not_yet("task_group", Text, None),
    not_yet("tty", Switch, Some("false")),
    not_yet("volumes", Text, None),
];
