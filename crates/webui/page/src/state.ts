import { type Sandbox, format } from "./route";

/** What the page reads of an agent's `/state`, and of tasks. Anything may be missing: older versions say less. */

export interface Resources {
  cpus?: number;
  mem?: number;
  disk?: number;
  gpus?: number;
}

export interface ContainerId {
  value: string;
  parent?: ContainerId;
}

export interface Status {
  state: string;
  /** Why, by the master's or the agent's own name for it, and in words. */
  reason?: string;
  message?: string;
  timestamp?: number;
  healthy?: boolean;
  container_status?: {
    container_id?: ContainerId;
    network_infos?: { ip_addresses?: { ip_address?: string }[] }[];
  };
  check_status?: {
    command?: { exit_code?: number };
    http?: { status_code?: number };
    tcp?: { succeeded?: boolean };
  };
}

export interface Task {
  id: string;
  name: string;
  framework_id: string;
  executor_id?: string;
  slave_id: string;
  state: string;
  statuses?: Status[];
}

export interface Executor {
  id: string;
  name: string;
  container: string;
  directory: string;
  tasks?: Task[];
  queued_tasks?: { id?: string; name?: string }[];
  completed_tasks?: Task[];
}

export interface AgentFramework {
  id: string;
  name: string;
  executors?: Executor[];
  completed_executors?: Executor[];
}

export interface AgentState {
  id: string;
  pid: string;
  hostname?: string;
  version?: string;
  master_hostname?: string;
  start_time?: number;
  resources?: Resources;
  unreserved_resources_allocated?: Resources;
  reserved_resources_allocated?: Record<string, Resources>;
  frameworks?: AgentFramework[];
  completed_frameworks?: AgentFramework[];
  flags?: Record<string, string>;
}

/** Adds up resources, kind by kind. */
export function total(parts: (Resources | undefined)[]): Required<Resources> {
  const sum = { cpus: 0, mem: 0, disk: 0, gpus: 0 };
  for (const part of parts) {
    sum.cpus += part?.cpus ?? 0;
    sum.mem += part?.mem ?? 0;
    sum.disk += part?.disk ?? 0;
    sum.gpus += part?.gpus ?? 0;
  }
  return sum;
}

/** When a task began to run, or else when it was first heard of. */
export function started(task: Task): number | undefined {
  const statuses = task.statuses ?? [];
  const running = statuses.find((status) => status.state === "TASK_RUNNING");
  return (running ?? statuses[0])?.timestamp;
}

/** When the newest thing was heard of a task. */
export function changed(task: Task): number {
  return task.statuses?.at(-1)?.timestamp ?? 0;
}

/** The container of a task with those around it, the outermost first. */
export function containers(task: Task): string[] {
  const statuses = task.statuses ?? [];
  const known = statuses.findLast((status) => status.container_status?.container_id);
  const path: string[] = [];
  for (let id = known?.container_status?.container_id; id; id = id.parent) {
    path.unshift(id.value);
  }
  return path;
}

/** Where a task's sandbox is shown, from the page of the agent that has it. */
export function sandboxHash(task: Task, view: Sandbox["view"] = "sandbox"): string {
  return format({
    view,
    framework: task.framework_id,
    // The executor that an agent adds for a command has the id of its task.
    executor: task.executor_id || task.id,
    containers: containers(task),
    folder: [],
    file: undefined,
  });
}

/** The origin of the process behind `slave(1)@10.0.0.7:5051`, if it has the form of one. */
export function origin(pid: string | undefined, protocol: string): string | undefined {
  const address = /@(\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:]+\]):(\d{1,5})$/.exec(pid ?? "");
  return address ? `${protocol}//${address[1]}:${address[2]}` : undefined;
}

/**
 * The page of an agent's master, where its flags name it by an address: of several masters one that does not
 * lead knows who does. Those that ZooKeeper names have no address here.
 */
export function masterAt({ flags }: AgentState, protocol: string): string | undefined {
  const first = (flags?.["master"] ?? "").split(",")[0] ?? "";
  return /^[\w.-]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/.test(first) ? `${protocol}//${first}/` : undefined;
}
