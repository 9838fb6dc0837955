//! What is bounded, and why.

use std::time::Duration;

/// Statuses that are kept for one task. Mesos keeps one for each change of state, which an executor
/// that goes back and forth makes grow without end; a task's honest life has at most four.
pub(crate) const MAX_STATUSES_PER_TASK: usize = 32;

/// How many clients may be authenticating at once: all agents of the largest clusters that are known,
/// when their master has failed over. Each takes a few hundred bytes.
pub(crate) const MAX_AUTHENTICATIONS: usize = 100_000;

/// Of how many clients is known who they are. Only who has a credential adds to them, and agents and
/// drivers that go away are forgotten; so it bounds what a client does that authenticates without end.
pub(crate) const MAX_AUTHENTICATED: usize = 200_000;

/// How many bytes of registrations are held in sum for clients that are authenticating just now.
/// Clients wait for the end of that, so that nothing is held in an honest cluster; and those that
/// hear nothing send again.
pub(crate) const MAX_HELD_BYTES: usize = 16 * 1024 * 1024;

/// Operations of one framework that are not over, or whose end it has not acknowledged. It may make
/// several with each offer, but one that acknowledges nothing must not fill memories and disks.
pub(crate) const MAX_OPERATIONS_PER_FRAMEWORK: usize = 10_000;

/// Statuses that are kept for one operation. An honest one is pending, and then over.
pub(crate) const MAX_STATUSES_PER_OPERATION: usize = 8;

/// How long after its return an agent's news of operations is left for frameworks that have not come
/// back to this master yet. As in Mesos.
pub(crate) const ORPHANED_OPERATION_WAIT: Duration = Duration::from_mins(10);

/// Events that are remembered for operators whose streams break, and what they come to as messages: a
/// minute of a busy cluster. In memory it is some times that.
pub(crate) const MAX_RECENT_EVENTS: usize = 8_192;
pub(crate) const MAX_RECENT_BYTES: usize = 16 * 1024 * 1024;

/// For how long they go on being remembered when the last stream has ended. A master that nobody
/// watches shall not work for them for ever.
pub(crate) const RECENT_PATIENCE: Duration = Duration::from_mins(5);

/// By how much pings, heartbeats, and the ends of patience with offers and agents may be late, so that
/// those of a large cluster happen together: pings of 20,000 agents, each every 15 seconds, then wake a
/// master 20 times a second and not 1,300 times. An agent that does not answer is given up at most so
/// much later for each of its `--max_agent_ping_timeouts`.
pub(crate) const TIMER_SLACK: Duration = Duration::from_millis(50);

/// The shortest time between two looks through the agents that stay away, which takes some
/// milliseconds when there are many.
pub(crate) const MIN_REGISTRY_GC_INTERVAL: Duration = Duration::from_secs(1);

/// How many tasks `/tasks` shows unless it is asked for more, as in Mesos.
pub(crate) const DEFAULT_TASKS_LIMIT: usize = 100;

/// How long a pattern in offer constraints may be. A pattern compiles to a program that is matched
/// against every agent, so its size is bounded; Mesos bounds the program at some thousand steps.
pub(crate) const MAX_REGEX_LENGTH: usize = 4 * 1024;

/// How many agents are looked at in one step to find out why a framework gets no offers. It takes
/// half a millisecond, after which whatever else has come has its turn.
pub(crate) const MAX_VERDICTS_PER_STEP: usize = 1000;

/// How many such questions wait at most. Each may take a look at all agents for all roles of its
/// framework; more than that at once is no way to watch a cluster.
pub(crate) const MAX_QUESTIONS: usize = 64;

/// How many near misses an answer shows for each role, unless the question says.
pub(crate) const DEFAULT_NEAREST: usize = 5;

/// What an executor of task groups needs at least, in CPUs.
pub(crate) const MIN_EXECUTOR_CPUS: f64 = 0.01;

/// What an executor of task groups needs at least, in megabytes.
pub(crate) const MIN_EXECUTOR_MEM: f64 = 32.0;

/// Agents of which it is known that tasks were given up there and may come back. Most never do. Of
/// one that is forgotten such a task would stand among the completed ones too.
pub(crate) const MAX_GIVEN_UP: usize = 100_000;

/// The longest operator's call whose kind is looked at before it has its turn: that happens on the
/// threads of the network, so it must take next to no time. Calls that read are far shorter.
pub(crate) const MAX_READ_CALL: usize = 4 * 1024;
