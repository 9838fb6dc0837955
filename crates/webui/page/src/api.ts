import { NoAnswer, Refusal, json } from "./files";
import type { Resources, Status, Task } from "./state";

/** What the page asks the master for. Anything may be missing: other versions say less. */

export type Counts = Record<`TASK_${string}`, number>;

export interface AgentSummary {
  id: string;
  hostname: string;
  port?: number;
  pid: string;
  attributes?: Record<string, unknown>;
  registered_time?: number;
  reregistered_time?: number;
  resources?: Resources;
  used_resources?: Resources;
  offered_resources?: Resources;
  unreserved_resources?: Resources;
  active?: boolean;
  deactivated?: boolean;
  drain_info?: { state?: string; config?: { mark_gone?: boolean } };
  version?: string;
  framework_ids?: string[];
  domain?: { fault_domain?: { region?: { name?: string }; zone?: { name?: string } } };
}

export interface FrameworkSummary {
  id: string;
  name: string;
  used_resources?: Resources;
  offered_resources?: Resources;
  hostname?: string;
  webui_url?: string;
  active?: boolean;
  connected?: boolean;
  recovered?: boolean;
  slave_ids?: string[];
}

export interface Summary {
  hostname?: string;
  cluster?: string;
  slaves: (AgentSummary & Counts)[];
  frameworks: (FrameworkSummary & Counts)[];
}

export type Metrics = Record<string, number>;

export const metrics = (signal: AbortSignal) => json<Metrics>("/metrics/snapshot", signal);
export const summary = (signal: AbortSignal) => json<Summary>("/state-summary", signal);

export interface MasterFacts {
  master_info: { id: string; pid: string; hostname: string; version: string };
  start_time?: number;
  elected_time?: number;
}

export interface Scalar {
  name: string;
  type?: string;
  scalar?: { value: number };
  ranges?: { range?: { begin: number; end: number }[] };
  set?: { item?: string[] };
  role?: string;
  reservation?: object;
  reservations?: { type?: string; role?: string; principal?: string }[];
  disk?: { persistence?: { id: string } };
}

export interface Offer {
  id: { value: string };
  framework_id: { value: string };
  agent_id: { value: string };
  hostname?: string;
  resources?: Scalar[];
  allocation_info?: { role?: string };
}

/** When a machine is away: without a duration, for good. */
export interface Unavailability {
  start: { nanoseconds: number };
  duration?: { nanoseconds: number };
}

/** What a framework is asked to give back before its machine goes. */
export interface InverseOffer {
  id: { value: string };
  framework_id: { value: string };
  agent_id?: { value: string };
  unavailability: Unavailability;
}

export interface FrameworkFacts {
  framework_info: {
    id: { value: string };
    name: string;
    user?: string;
    principal?: string;
    roles?: string[];
    failover_timeout?: number;
    checkpoint?: boolean;
    hostname?: string;
    webui_url?: string;
    capabilities?: { type: string }[];
  };
  active?: boolean;
  connected?: boolean;
  recovered?: boolean;
  registered_time?: { nanoseconds: number };
  reregistered_time?: { nanoseconds: number };
  unregistered_time?: { nanoseconds: number };
  offers?: Offer[];
  inverse_offers?: InverseOffer[];
  allocated_resources?: Scalar[];
  offered_resources?: Scalar[];
}

export interface Frameworks {
  frameworks?: FrameworkFacts[];
  completed_frameworks?: FrameworkFacts[];
}

/** A call of the operator API that only reads. */
export async function ask<T>(type: string, signal: AbortSignal): Promise<T> {
  const answer = await json<Record<string, T>>("/api/v1", signal, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify({ type }),
  });
  return answer[type.toLowerCase()] as T;
}

/** A call of the operator API that changes something. */
export async function order(call: { type: string } & Record<string, unknown>): Promise<void> {
  await send("/api/v1", JSON.stringify(call), "application/json");
}

/** An order that may not have been heard. */
class Unheard extends Refusal {
  constructor() {
    super("The master did not answer. Look whether it runs and what has changed, and try again.");
  }
}

export async function send(path: string, body: string, type: string): Promise<void> {
  let answer: Response;
  try {
    answer = await fetch(path, { method: "POST", headers: { "Content-Type": type }, body });
  } catch {
    throw new Unheard();
  }
  if (!answer.ok) {
    const text = (await answer.text()).trim();
    throw new Refusal(text || `The master refused: ${answer.status} ${answer.statusText}`);
  }
}

export interface TaskQuery {
  framework?: string | undefined;
  agent?: string | undefined;
  task?: string | undefined;
  states?: string[] | undefined;
  search?: string | undefined;
  /** With why each state came. */
  history?: true;
}

export interface TaskPage {
  tasks: (Task & TaskDetails)[];
  total: number;
}

export interface TaskDetails {
  resources?: Resources & { ports?: string };
  role?: string;
  user?: string;
  labels?: { key: string; value?: string }[];
  discovery?: unknown;
  /** Its statuses in whole. */
  history?: Status[];
  health_check?: Check;
}

/** How an executor looks whether a task is well. */
export interface Check {
  type?: string;
  http?: { scheme?: string; port?: number; path?: string };
  tcp?: { port?: number };
  command?: { value?: string };
  interval_seconds?: number;
}

export function tasks(
  wanted: TaskQuery,
  offset: number,
  limit: number,
  signal: AbortSignal,
): Promise<TaskPage> {
  const query = new URLSearchParams({ total: "true", offset: `${offset}`, limit: `${limit}` });
  if (wanted.framework) query.set("framework_id", wanted.framework);
  if (wanted.agent) query.set("slave_id", wanted.agent);
  if (wanted.task) query.set("task_id", wanted.task);
  if (wanted.states?.length) query.set("state", wanted.states.join(","));
  if (wanted.history) query.set("history", "true");
  if (wanted.search) query.set("search", wanted.search);
  return json(`/tasks?${query}`, signal);
}

export interface Why {
  name: string;
  connected?: boolean;
  active?: boolean;
  roles: WhyRole[];
}

export interface WhyRole {
  role: string;
  weight: number;
  suppressed: boolean;
  offers: number;
  agents: number;
  offerable: number;
  reasons: { reason: string; agents: number; meaning: string; remedy: string }[];
  nearest: {
    agent_id: string;
    hostname?: string;
    reason: string;
    free?: Record<string, number>;
    missing?: Record<string, number>;
    used?: Record<string, number>;
    until?: number;
  }[];
  quotas: { role: string; limits: Record<string, number>; consumed?: Record<string, number> }[];
}

export const why = (framework: string, signal: AbortSignal) =>
  json<Why>(`/why?framework_id=${encodeURIComponent(framework)}`, signal);

export interface Role {
  name: string;
  weight?: number;
  quota?: {
    guarantee?: Record<string, number>;
    limit?: Record<string, number>;
    consumed?: Record<string, number>;
  };
  allocated?: Record<string, number | string>;
  offered?: Record<string, number | string>;
  reserved?: Record<string, number | string>;
  frameworks?: string[];
}

export const roles = (signal: AbortSignal) => json<{ roles: Role[] }>("/roles", signal);

export interface MachineId {
  hostname?: string;
  ip?: string;
}

export interface Window {
  machine_ids: MachineId[];
  unavailability: Unavailability;
}

/** What a framework answered when it was asked to leave a machine. */
export interface Leaving {
  status: "UNKNOWN" | "ACCEPT" | "DECLINE";
  framework_id: { value: string };
  timestamp: { nanoseconds: number };
}

export interface MaintenanceStatus {
  draining_machines?: { id: MachineId; statuses?: Leaving[] }[];
  down_machines?: MachineId[];
}

export const schedule = (signal: AbortSignal) =>
  json<{ windows?: Window[] }>("/maintenance/schedule", signal);
export const maintenance = (signal: AbortSignal) =>
  json<MaintenanceStatus>("/maintenance/status", signal);

/**
 * Changes the schedule from what it is at this moment: the master takes it as a whole, and somebody else may
 * have changed it since the page was read.
 */
export async function replan(change: (windows: Window[]) => Window[]): Promise<void> {
  const { windows } = await schedule(new AbortController().signal).catch((error: Error) => {
    throw error instanceof NoAnswer ? new Unheard() : error;
  });
  await order({
    type: "UPDATE_MAINTENANCE_SCHEDULE",
    update_maintenance_schedule: { schedule: { windows: change(windows ?? []) } },
  });
}
