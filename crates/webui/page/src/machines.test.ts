import { expect, test } from "vitest";

import type { AgentSummary, Counts, FrameworkFacts } from "./api";
import { keyOf, machineOf, machines, without } from "./machines";

const NODE7 = { hostname: "node7", ip: "10.0.0.7" };
const NODE8 = { hostname: "node8", ip: "10.0.0.8" };
const AWAY = { start: { nanoseconds: 1e18 } };

function agent(id: string, more: object = {}): AgentSummary & Counts {
  return { id, hostname: "Node7", port: 5051, pid: "slave(1)@10.0.0.7:5051", ...more };
}

function asking(id: string, agent: string): FrameworkFacts {
  const [framework_id, agent_id] = [{ value: id }, { value: agent }];
  const offer = { id: { value: "o" }, framework_id, agent_id, unavailability: AWAY };
  return { framework_info: { id: framework_id, name: id }, inverse_offers: [offer] };
}

test("an agent's machine is found by its address and by its hostname in capitals or not", () => {
  expect(keyOf(machineOf(agent("s-0")))).toBe(keyOf(NODE7));
  const pid = "slave(1)@[fd00::7]:5051";
  expect(machineOf(agent("s-0", { pid }))).toEqual({ hostname: "Node7", ip: "fd00::7" });
});

test("a machine says what is still there, and who has agreed to leave it", () => {
  const windows = [{ machine_ids: [NODE7, NODE8], unavailability: AWAY }];
  const timestamp = { nanoseconds: 5e9 };
  const statuses = [{ status: "DECLINE" as const, framework_id: { value: "f-0" }, timestamp }];
  const status = { draining_machines: [{ id: NODE7, statuses }], down_machines: [NODE8] };
  const frameworks = [asking("f-0", "s-0"), asking("f-1", "s-0"), asking("f-2", "s-9")];
  const agents = [agent("s-0", { TASK_RUNNING: 2, TASK_FINISHED: 9 })];
  const [first, second] = machines({ windows, status, frameworks }, agents);
  expect(first).toMatchObject({ mode: "draining", tasks: 2 });
  expect(first?.answers.map(({ framework, status, at }) => [framework, status, at])).toEqual([
    ["f-0", "declines", 5],
    ["f-1", "not answered", undefined],
  ]);
  expect(second).toMatchObject({ mode: "down", agents: [], answers: [] });
});

test("a machine that leaves the schedule takes along a window that was its own", () => {
  const windows = [
    { machine_ids: [NODE7], unavailability: AWAY },
    { machine_ids: [NODE7, NODE8], unavailability: AWAY },
  ];
  expect(without(windows, [{ ...NODE7, hostname: "NODE7" }])).toEqual([
    { machine_ids: [NODE8], unavailability: AWAY },
  ]);
});
