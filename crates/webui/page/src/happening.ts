/** What the master's events tell people. */

export interface Told {
  what: string;
  /** Where more is to be seen. */
  href: string | undefined;
  state: string | undefined;
}

interface Value {
  value: string;
}

/** What is read of an event. */
export interface Event {
  type: string;
  task_added?: { task?: { task_id: Value; framework_id: Value; agent_id: Value; state?: string } };
  task_updated?: {
    framework_id?: Value;
    status?: { task_id?: Value; agent_id?: Value; message?: string };
    state?: string;
  };
  agent_added?: { agent?: { agent_info?: { id?: Value; hostname?: string } } };
  agent_removed?: { agent_id?: Value };
  framework_added?: { framework?: { framework_info?: { id?: Value; name?: string } } };
  framework_updated?: { framework?: { framework_info?: { id?: Value; name?: string } } };
  framework_removed?: { framework_info?: { id?: Value; name?: string } };
}

/** What happened, if it is something that people look for. */
export function tell(event: Event): Told | undefined {
  const added = event.task_added?.task;
  if (added) {
    const href = path("tasks", added.framework_id.value, added.agent_id.value, added.task_id.value);
    return { what: `Task ${added.task_id.value} launched`, href, state: undefined };
  }
  const updated = event.task_updated;
  if (updated) {
    const { task_id: task, agent_id: agent } = updated.status ?? {};
    const href = path("tasks", updated.framework_id?.value, agent?.value, task?.value);
    return { what: `Task ${task?.value}`, href, state: updated.state };
  }
  const agent = event.agent_added?.agent?.agent_info;
  if (agent) {
    const href = path("agents", agent.id?.value);
    return { what: `Agent ${agent.hostname} registered`, href, state: undefined };
  }
  if (event.agent_removed) {
    const what = `Agent ${event.agent_removed.agent_id?.value} removed`;
    return { what, href: undefined, state: undefined };
  }
  const framework = event.framework_added?.framework?.framework_info;
  if (framework) {
    const href = path("frameworks", framework.id?.value);
    return { what: `Framework ${framework.name} subscribed`, href, state: undefined };
  }
  const gone = event.framework_removed?.framework_info;
  if (gone) {
    const href = path("frameworks", gone.id?.value);
    return { what: `Framework ${gone.name} ended`, href, state: undefined };
  }
  return undefined;
}

function path(...parts: (string | undefined)[]): string {
  return `#/${parts.map((part) => encodeURIComponent(part ?? "")).join("/")}`;
}
