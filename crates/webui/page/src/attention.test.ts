import { expect, test } from "vitest";

import { concerns } from "./attention";

function agent(id: string, more: object) {
  return { id, hostname: id, port: 5051, pid: "", ...more };
}

test("what is not as it should be is named, with a link to it", () => {
  const slaves = [
    agent("a1", { active: false }),
    agent("a2", { active: false, deactivated: true }),
    agent("a3", { active: false, deactivated: true, drain_info: { state: "DRAINING" } }),
    agent("a4", { active: true }),
  ];
  const frameworks = ["f1", "f2", "f3", "f4", "f5"].map((id) => ({ id, name: id, connected: id === "f5" }));
  const metrics = { "master/slaves_unreachable": 1, "master/tasks_unreachable": 2, "master/slaves_recovered": 3 };
  expect(concerns({ summary: { slaves, frameworks }, metrics })).toEqual([
    {
      mood: "bad",
      what: "1 agent unreachable, with 2 tasks that may run on",
      href: "#/tasks?state=TASK_UNREACHABLE",
    },
    { mood: "bad", what: "3 agents not back since the last master", href: "#/agents" },
    { mood: "bad", what: "1 agent disconnected: a1:5051", href: "#/agents/a1" },
    { mood: "bad", what: "4 frameworks disconnected: f1, f2, f3 and 1 more", href: "#/frameworks" },
    { mood: "busy", what: "1 agent draining: a3:5051", href: "#/agents/a3" },
  ]);
});

test("where all is well there is nothing to say", () => {
  expect(concerns({ summary: { slaves: [], frameworks: [] }, metrics: {} })).toEqual([]);
});
