import { expect, test } from "vitest";

import { ago, bytes, duration, mood } from "./format";
import { link, parse, tasksLink } from "./route";
import { type Task, origin, sandboxHash, started } from "./state";

const task: Task = {
  id: "a/b?c#d",
  name: "",
  framework_id: "f-0",
  executor_id: "",
  slave_id: "s-0",
  state: "TASK_RUNNING",
  statuses: [
    { state: "TASK_STARTING", timestamp: 1 },
    {
      state: "TASK_RUNNING",
      timestamp: 2,
      container_status: { container_id: { value: "inner", parent: { value: "outer" } } },
    },
  ],
};

test("a link to a sandbox finds the task again, whatever its id is", () => {
  expect(parse(sandboxHash(task))).toEqual({
    view: "sandbox",
    framework: "f-0",
    executor: "a/b?c#d",
    containers: ["outer", "inner"],
    folder: [],
    file: undefined,
  });
});

test("an address that asks for nothing known is the front page", () => {
  for (const hash of ["", "#", "#/", "#/sandbox", "#/sandbox/f", "#/%E0%A4%A/x", "#/nothing"]) {
    expect(parse(hash)).toEqual({ view: "home" });
  }
});

test("every view has an address, and ids in it may be anything", () => {
  expect(parse("#/agents/a%2Fb")).toEqual({ view: "agent", id: "a/b" });
  expect(parse("#/frameworks")).toEqual({ view: "frameworks" });
  expect(parse(link(["tasks", "f", "s", "t/1?#"]))).toEqual({
    view: "task",
    framework: "f",
    agent: "s",
    task: "t/1?#",
  });
  expect(parse(tasksLink("a&b", ["TASK_LOST", "TASK_GONE"]))).toEqual({
    view: "tasks",
    search: "a&b",
    states: ["TASK_LOST", "TASK_GONE"],
  });
});

test("a task has started when it ran first", () => {
  expect(started(task)).toBe(2);
  expect(started({ ...task, statuses: [{ state: "TASK_STAGING", timestamp: 1 }] })).toBe(1);
  expect(started({ ...task, statuses: [] })).toBeUndefined();
});

test("only an address of a process is made into a link", () => {
  expect(origin("slave(1)@10.0.0.7:5051", "http:")).toBe("http://10.0.0.7:5051");
  expect(origin("slave(1)@[::1]:5051", "https:")).toBe("https://[::1]:5051");
  for (const pid of ["", "slave(1)", "x@evil.example/:80", "x@1.2.3.4:5051/..", undefined]) {
    expect(origin(pid, "http:")).toBeUndefined();
  }
});

test("numbers and times are said as people say them", () => {
  expect(bytes(0)).toBe("0 B");
  expect(bytes(1536)).toBe("1.5 KB");
  expect(ago(100, 103)).toBe("just now");
  expect(ago(100, 99)).toBe("just now");
  expect(duration(0.4)).toBe("0 s");
  expect(duration(61)).toBe("1 min 1 s");
  expect(duration(86_400 * 3 + 3600 * 2 + 59)).toBe("3 d 2 h");
  expect(ago(0, 7200)).toBe("2 h ago");
});

test("a state that is not known asks for attention", () => {
  expect(mood("TASK_SOMETHING_NEW")).toBe("bad");
  expect(mood("TASK_FINISHED")).toBe("calm");
});
