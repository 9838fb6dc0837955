import type {
  AgentSummary,
  Counts,
  FrameworkFacts,
  Leaving,
  MachineId,
  MaintenanceStatus,
  Unavailability,
  Window,
} from "./api";

/** Machines as the maintenance schedule names them: by a hostname, an address or both. */

type Agent = AgentSummary & Counts;

/** A machine of the schedule, with what is still there. */
export interface Machine {
  id: MachineId;
  unavailability: Unavailability | undefined;
  mode: "draining" | "down";
  agents: Agent[];
  tasks: number;
  answers: Answer[];
}

/** What a framework says to leaving a machine; it may not have said anything yet. */
export interface Answer {
  machine: MachineId;
  framework: string;
  status: "accepts" | "declines" | "not answered";
  at: number | undefined;
}

/** What is read to know how maintenance goes. */
export interface Planned {
  windows: Window[];
  status: MaintenanceStatus;
  frameworks: FrameworkFacts[];
}

/** What one machine is known by; hostnames are the same in capitals. */
export function keyOf({ hostname, ip }: MachineId): string {
  return `${(hostname ?? "").toLowerCase()}/${ip ?? ""}`;
}

export function nameOf({ hostname, ip }: MachineId): string {
  return [...new Set([hostname, ip])].filter((part) => part).join(" / ");
}

/** The machine of an agent, as its master finds it in the schedule. */
export function machineOf({ hostname, pid }: AgentSummary): MachineId {
  const ip = /@\[?([^\]]*?)\]?:\d+$/.exec(pid)?.[1];
  return ip === undefined ? { hostname } : { hostname, ip };
}

/** The machines of a schedule, in its order, and those that are down without it. */
export function machines(planned: Planned, agents: Agent[]): Machine[] {
  const { windows, status, frameworks } = planned;
  const down = new Map((status.down_machines ?? []).map((id) => [keyOf(id), id]));
  const told = new Map((status.draining_machines ?? []).map((one) => [keyOf(one.id), one.statuses]));
  const here = grouped(agents.map((agent) => [keyOf(machineOf(agent)), agent]));
  const asked = grouped(frameworks.flatMap(askedOn));
  const scheduled = windows.flatMap(({ machine_ids, unavailability }) =>
    machine_ids.map((id) => ({ id, unavailability })),
  );
  const known = new Set(scheduled.map(({ id }) => keyOf(id)));
  const others = [...down.values()].filter((id) => !known.has(keyOf(id)));
  const all = [...scheduled, ...others.map((id) => ({ id, unavailability: undefined }))];
  return all.map(({ id, unavailability }) => {
    const key = keyOf(id);
    const agents = here.get(key) ?? [];
    const open = agents.flatMap((agent) => asked.get(agent.id) ?? []);
    return {
      id,
      unavailability,
      mode: down.has(key) ? "down" : "draining",
      agents,
      tasks: agents.reduce((sum, agent) => sum + tasksOn(agent), 0),
      answers: answersOf(id, told.get(key) ?? [], open),
    };
  });
}

function grouped<T>(all: [string, T][]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const [key, one] of all) {
    const group = groups.get(key);
    if (group) group.push(one);
    else groups.set(key, [one]);
  }
  return groups;
}

/** The agents that a framework is asked to leave just now, each with the framework. */
function askedOn({ framework_info, inverse_offers }: FrameworkFacts): [string, string][] {
  const agents = new Set(inverse_offers?.map(({ agent_id }) => agent_id?.value ?? ""));
  return [...agents].map((agent) => [agent, framework_info.id.value]);
}

/** What those have said who have said something, and then those who are asked and have not. */
function answersOf(machine: MachineId, said: Leaving[], open: string[]): Answer[] {
  const answered = said.map(
    ({ framework_id, status, timestamp }): Answer => ({
      machine,
      framework: framework_id.value,
      status: WORDS[status] ?? "not answered",
      at: timestamp.nanoseconds / 1e9,
    }),
  );
  const known = new Set(answered.map(({ framework }) => framework));
  const silent = [...new Set(open)].filter((framework) => !known.has(framework));
  return [
    ...answered,
    ...silent.map(
      (framework): Answer => ({ machine, framework, status: "not answered", at: undefined }),
    ),
  ];
}

const WORDS: Record<string, Answer["status"]> = { ACCEPT: "accepts", DECLINE: "declines" };

const RUNNING = ["TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"] as const;

/** Tasks on an agent that have not ended. */
export function tasksOn(agent: Counts): number {
  return RUNNING.reduce((sum, state) => sum + (agent[state] ?? 0), 0);
}

/** A schedule without some machines. */
export function without(windows: Window[], gone: MachineId[]): Window[] {
  const keys = new Set(gone.map(keyOf));
  return windows
    .map((window) => ({
      ...window,
      machine_ids: window.machine_ids.filter((id) => !keys.has(keyOf(id))),
    }))
    .filter((window) => window.machine_ids.length > 0);
}
