// @vitest-environment happy-dom

import { render } from "preact";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { App } from "./app";
import type { AgentState, Task } from "./state";

/** Long enough for effects and one reading, too short for a second one. */
const SETTLED = 300;

let answers: Record<string, unknown>;
let asked: string[];
let sent: unknown[];

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  sent = [];
  vi.stubGlobal("fetch", async (url: string, how?: RequestInit) => {
    asked.push(url);
    const call = how?.body ? (JSON.parse(String(how.body)) as { type: string }) : undefined;
    if (call) sent.push(call);
    const path = url.split("?")[0] ?? url;
    const answer = answers[call?.type ?? url] ?? answers[path];
    if (answer === undefined) return new Response("no such file\n", { status: 404 });
    return new Response(JSON.stringify(answer));
  });
});

afterEach(() => {
  render(null, document.body);
  location.hash = "";
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function show(hash = ""): Promise<void> {
  location.hash = hash;
  render(<App />, document.body);
  await vi.advanceTimersByTimeAsync(SETTLED);
  await vi.advanceTimersByTimeAsync(SETTLED);
}

function go(hash: string): void {
  location.hash = hash;
  dispatchEvent(new Event("hashchange"));
}

function button(name: string): HTMLElement | undefined {
  return [...document.querySelectorAll("button")].find((one) => one.textContent === name);
}

function rows(caption: string): Element[] {
  const table = document.querySelector(`[role=table][aria-label="${caption}"]`);
  return [...(table?.querySelectorAll(".rows > [role=row]") ?? [])];
}

function cells(caption: string): string[][] {
  return rows(caption).map((row) => [...row.children].map((cell) => cell.textContent ?? ""));
}

function task(id: string, name = "web", state = "TASK_RUNNING"): Task {
  const container_status = { container_id: { value: "c-1" } };
  const statuses = [{ state, timestamp: 1000, container_status }];
  return { id, name, framework_id: "f-0", slave_id: "s-0", state, statuses };
}

function cluster(tasks: Task[], total = tasks.length): Record<string, unknown> {
  return {
    "/metrics/snapshot": { "master/elected": 1, "master/cpus_total": 4, "master/cpus_used": 1 },
    "/state-summary": {
      cluster: "prod",
      slaves: [
        {
          id: "s-0",
          hostname: "node7",
          port: 5051,
          pid: "slave(1)@10.0.0.7:5051",
          resources: { cpus: 4, mem: 4096 },
          used_resources: { cpus: 1, mem: 1024 },
        },
      ],
      frameworks: [{ id: "f-0", name: "marathon", active: true }],
    },
    "/tasks": { tasks, total },
    "/why": { name: "marathon", roles: [] },
    GET_MASTER: {
      get_master: { master_info: { pid: "master@10.0.0.1:5050", hostname: "h", version: "1" } },
    },
    GET_FRAMEWORKS: {
      get_frameworks: {
        frameworks: [
          {
            active: true,
            framework_info: {
              id: { value: "f-0" },
              name: "marathon",
              webui_url: "javascript:alert(1)",
            },
          },
        ],
      },
    },
  };
}

test("a task leads to its sandbox on the agent's own page", async () => {
  answers = cluster([task("t-1")]);
  await show("#/tasks/f-0/s-0/t-1");
  expect(document.querySelector("h1")?.textContent).toBe("t-1");
  const links = [...document.querySelectorAll(".title a")].map((link) => link.getAttribute("href"));
  expect(links).toEqual([
    "http://10.0.0.7:5051/#/terminal/f-0/t-1/c-1",
    "http://10.0.0.7:5051/#/sandbox/f-0/t-1/c-1",
  ]);
});

test("tasks are listed with the names of their frameworks and agents", async () => {
  answers = cluster([task("t-1")]);
  await show("#/tasks");
  expect(cells("Tasks")[0]?.slice(0, 5)).toEqual(["t-1", "running", "web", "marathon", "node7:5051"]);
});

test("what frameworks say is text, never markup and never a script", async () => {
  const evil = "<img src=x onerror=alert(1)>";
  answers = cluster([task("t-1", evil)]);
  await show("#/tasks");
  expect(cells("Tasks")[0]?.[2]).toBe(evil);
  expect(document.querySelector("img")).toBeNull();
});

test("an address that a framework names is no link unless it is one to a page", async () => {
  answers = cluster([]);
  await show("#/frameworks/f-0");
  expect(document.querySelector("h1")?.textContent).toBe("marathon");
  expect(document.querySelector("a[href^=javascript]")).toBeNull();
});

test("a change touches the cell that changed and leaves the rest standing", async () => {
  answers = cluster([task("t-1", "web", "TASK_STAGING")]);
  await show("#/tasks");
  const row = rows("Tasks")[0];
  const name = row?.children[2]?.firstChild;
  answers = cluster([task("t-1")]);
  await vi.advanceTimersByTimeAsync(3000);
  expect(rows("Tasks")[0]).toBe(row);
  expect(row?.children[2]?.firstChild).toBe(name);
  expect(row?.children[1]?.textContent).toBe("running");
});

test("a page that cannot be seen asks for nothing", async () => {
  answers = { "/metrics/snapshot": { "slave/registered": 1 }, "/state": agent };
  await show();
  const hidden = vi.spyOn(document, "hidden", "get").mockReturnValue(true);
  await vi.advanceTimersByTimeAsync(2000);
  const before = asked.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked.length).toBe(before);
  hidden.mockReturnValue(false);
  document.dispatchEvent(new Event("visibilitychange"));
  await vi.advanceTimersByTimeAsync(SETTLED);
  expect(asked.length).toBeGreaterThan(before);
  hidden.mockRestore();
});

test("what was read last stays when the daemon does not answer, and the page says so", async () => {
  answers = cluster([task("t-1")]);
  await show("#/tasks");
  answers = {};
  await vi.advanceTimersByTimeAsync(3000);
  expect(document.querySelector(".notice")?.textContent).toContain("no such file");
  expect(document.querySelector(".foot .state")?.textContent).toBe("No answer");
  expect(rows("Tasks").length).toBe(1);
});

test("a master that takes requests and never answers is noticed, and since when is said", async () => {
  answers = cluster([task("t-1")]);
  await show("#/tasks");
  expect(document.querySelector(".notice")).toBeNull();
  vi.stubGlobal("fetch", () => new Promise(() => {}));
  await vi.advanceTimersByTimeAsync(10_000);
  const said = document.querySelector(".notice")?.textContent;
  expect(said).toMatch(/^The master does not answer\. What is shown is from .*, \d+ s ago\./);
  expect(document.querySelector(".foot .state")?.textContent).toBe("No answer");
});

test("each view has a title of its own, and the focus goes to a view that is gone to", async () => {
  answers = cluster([task("t-1")]);
  await show("#/tasks");
  expect(document.title).toBe("Tasks – prod – Meseta");
  go("#/agents/s-0");
  await vi.advanceTimersByTimeAsync(SETTLED);
  expect(document.title).toBe("node7:5051 – prod – Meseta");
  expect(document.activeElement?.id).toBe("content");
});

test("the field follows an address that is gone to", async () => {
  answers = cluster([task("t-1")]);
  await show("#/tasks?search=web");
  expect(document.querySelector("input")?.value).toBe("web");
  go("#/tasks");
  await vi.advanceTimersByTimeAsync(SETTLED);
  expect(document.querySelector("input")?.value).toBe("");
  await vi.advanceTimersByTimeAsync(SETTLED);
  expect(location.hash).toBe("#/tasks");
});

test("rows are in the order of a column, and of another or the other way round by a click on its head", async () => {
  answers = cluster([]);
  const summary = answers["/state-summary"] as { slaves: Record<string, unknown>[] };
  const [one] = summary.slaves;
  summary.slaves = ["node10", "node9", "node1"].map((hostname) => ({ ...one, id: hostname, hostname }));
  await show("#/agents");
  const hosts = () => cells("Agents").map(([host]) => host?.split(":")[0]);
  const head = document.querySelector<HTMLElement>("[role=columnheader] button");
  expect(head?.textContent).toBe("Host");
  expect(hosts()).toEqual(["node1", "node9", "node10"]);
  expect(document.querySelector("[role=columnheader]")?.getAttribute("aria-sort")).toBe("ascending");
  head?.click();
  await vi.advanceTimersByTimeAsync(SETTLED);
  expect(hosts()).toEqual(["node10", "node9", "node1"]);
  button("State")?.click();
  await vi.advanceTimersByTimeAsync(SETTLED);
  // Those that are equal stay as they came.
  expect(hosts()).toEqual(["node10", "node9", "node1"]);
});

test("maintenance is planned from what the schedule is at that moment", async () => {
  const away = { start: { nanoseconds: 1e18 } };
  const other = { machine_ids: [{ hostname: "node9" }], unavailability: away };
  answers = {
    ...cluster([]),
    "/maintenance/schedule": {},
    "/maintenance/status": {},
    UPDATE_MAINTENANCE_SCHEDULE: {},
  };
  await show("#/maintenance");
  button("Schedule")?.click();
  await vi.advanceTimersByTimeAsync(SETTLED);
  document.querySelector<HTMLInputElement>("dialog input[type=checkbox]")?.click();
  await vi.advanceTimersByTimeAsync(SETTLED);
  // Somebody else has planned something since the page was read.
  answers["/maintenance/schedule"] = { windows: [other] };
  const form = document.querySelector("dialog form");
  form?.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
  await vi.advanceTimersByTimeAsync(SETTLED);
  const call = sent.find((one) => (one as { type: string }).type === "UPDATE_MAINTENANCE_SCHEDULE");
  const { schedule } = (call as { update_maintenance_schedule: { schedule: { windows: unknown[] } } })
    .update_maintenance_schedule;
  expect(schedule.windows[0]).toEqual(other);
  expect(schedule.windows[1]).toMatchObject({ machine_ids: [{ hostname: "node7", ip: "10.0.0.7" }] });
});

test("of a hundred thousand tasks those in sight are asked for and in the page", async () => {
  answers = cluster([task("t-1")], 100_000);
  await show("#/tasks");
  const table = document.querySelector("[role=table]");
  expect(table?.getAttribute("aria-rowcount")).toBe("100001");
  expect(rows("Tasks").length).toBeLessThan(60);
  const pages = asked.filter((url) => url.startsWith("/tasks"));
  expect(pages.every((url) => /[?&]limit=(50|100)(&|$)/.test(url))).toBe(true);
});

test("the master does the searching", async () => {
  answers = cluster([task("t-1")], 100_000);
  await show("#/tasks?state=TASK_RUNNING");
  const search = document.querySelector("input");
  if (!search) throw new Error("tasks can be searched");
  search.value = "T-4999";
  search.dispatchEvent(new Event("input", { bubbles: true }));
  await vi.advanceTimersByTimeAsync(SETTLED);
  const last = asked.filter((url) => url.startsWith("/tasks")).at(-1) ?? "";
  const query = new URLSearchParams(last.split("?")[1]);
  expect([query.get("search"), query.get("state")]).toEqual(["T-4999", "TASK_RUNNING"]);
});

test("agents are put together by what they have in common", async () => {
  answers = cluster([]);
  const summary = answers["/state-summary"] as { slaves: Record<string, unknown>[] };
  const [one] = summary.slaves;
  const domain = { fault_domain: { region: { name: "north" }, zone: { name: "n1" } } };
  summary.slaves = [
    { ...one, id: "s-1", attributes: { rack: "r2" }, domain },
    { ...one, id: "s-2", attributes: { rack: "r1" }, deactivated: true },
    { ...one, id: "s-3", attributes: { rack: "r2" } },
  ];
  await show("#/agents");
  const select = document.querySelector("select");
  const names = [...(select?.options ?? [])].map((option) => option.value);
  expect(names).toEqual(["", "rack", "region", "zone"]);
  if (select) select.value = "rack";
  select?.dispatchEvent(new Event("change", { bubbles: true }));
  await vi.advanceTimersByTimeAsync(SETTLED);
  expect(cells("By rack").map((row) => row.slice(0, 3))).toEqual([
    ["r1", "1", "0"],
    ["r2", "2", "2"],
  ]);
});

test("nothing is done to an agent before it is confirmed", async () => {
  answers = { ...cluster([]), DRAIN_AGENT: {} };
  await show("#/agents/s-0");
  const buttons = [...document.querySelectorAll("button")];
  buttons.find((button) => button.textContent === "Drain")?.click();
  await vi.advanceTimersByTimeAsync(SETTLED);
  expect(sent.some((call) => (call as { type: string }).type === "DRAIN_AGENT")).toBe(false);
  const form = document.querySelector("dialog form");
  form?.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
  await vi.advanceTimersByTimeAsync(SETTLED);
  expect(sent).toContainEqual({
    type: "DRAIN_AGENT",
    drain_agent: { agent_id: { value: "s-0" }, mark_gone: false },
  });
  expect(document.querySelector("dialog")).toBeNull();
});

test("a refusal stays in the dialog that it answers", async () => {
  answers = cluster([]);
  await show("#/agents/s-0");
  const buttons = [...document.querySelectorAll("button")];
  buttons.find((button) => button.textContent === "Deactivate")?.click();
  await vi.advanceTimersByTimeAsync(SETTLED);
  const form = document.querySelector("dialog form");
  form?.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
  await vi.advanceTimersByTimeAsync(SETTLED);
  expect(document.querySelector("dialog .trouble")?.textContent).toBe("no such file");
});

const agent: AgentState = {
  id: "s-0",
  pid: "slave(1)@10.0.0.7:5051",
  hostname: "node7",
  frameworks: [
    {
      id: "f-0",
      name: "marathon",
      executors: [{ id: "t-1", name: "", container: "c-1", directory: "/work/runs/c-1" }],
    },
  ],
};

/** By this the page knows what it is of. */
const AGENT = { "/metrics/snapshot": { "slave/registered": 1 }, "/containers": [] };

function file(path: string, content: string): Record<string, unknown> {
  const query = `/files/read?path=${encodeURIComponent(path)}`;
  return {
    [`${query}&offset=-1`]: { data: "", offset: content.length },
    [`${query}&offset=0&length=${content.length}`]: { data: content, offset: 0 },
  };
}

test("the history of a task says why each state came, and there is no terminal in what has ended", async () => {
  const history = [
    { state: "TASK_RUNNING", timestamp: 1000 },
    {
      state: "TASK_FAILED",
      timestamp: 1005,
      reason: "REASON_COMMAND_EXECUTOR_FAILED",
      message: "Command exited with status 7",
    },
  ];
  answers = cluster([{ ...task("t-1", "web", "TASK_FAILED"), history } as Task]);
  await show("#/tasks/f-0/s-0/t-1");
  const said = [...document.querySelectorAll(".timeline li")].map((one) => one.textContent);
  expect(said[1]).toContain("after 5 s running");
  expect(said[1]).toContain("Command exited with status 7 command executor failed");
  expect(document.querySelectorAll(".title a").length).toBe(1);
});

test("a log is shown where one is kept", async () => {
  const flags = { log_dir: "/var/log" };
  answers = { ...AGENT, "/state": { ...agent, flags }, ...file("/slave/log", "registered\n") };
  await show("#/");
  await vi.advanceTimersByTimeAsync(1500);
  expect(document.querySelector("pre[aria-label=Log]")?.textContent).toBe("registered\n");
  expect(document.body.textContent).not.toContain("standard error");
});

test("who looks for a log that is not kept is told how to keep one", async () => {
  answers = { ...AGENT, "/state": agent };
  await show("#/");
  expect(document.body.textContent).toContain("--log_dir");
  expect(asked.some((url) => url.startsWith("/files"))).toBe(false);
});

test("an agent lists its executors, and the link of each leads to its sandbox", async () => {
  answers = { ...AGENT, "/state": agent };
  await show();
  expect(cells("Running executors")[0]?.slice(0, 2)).toEqual(["t-1", "marathon"]);
  const link = rows("Running executors")[0]?.querySelector("a");
  expect(link?.getAttribute("href")).toBe("#/sandbox/f-0/t-1/c-1");
});

test("a sandbox shows what its programs print, and its files", async () => {
  const entry = (name: string, mode: string) => ({
    path: `/work/runs/c-1/${name}`,
    mode,
    size: 6,
    mtime: 1000,
    uid: "root",
    gid: "root",
    nlink: 1,
  });
  answers = {
    ...AGENT,
    "/state": agent,
    "/files/browse": [entry("stdout", "-rw-r--r--"), entry("data", "drwxr-xr-x")],
    ...file("/work/runs/c-1/stdout", "hello\n"),
    ...file("/work/runs/c-1/stderr", "<b>&\n"),
  };
  await show("#/sandbox/f-0/t-1/c-1");
  await vi.advanceTimersByTimeAsync(1500);
  const printed = [...document.querySelectorAll("pre")].map((box) => box.textContent);
  expect(printed).toEqual(["hello\n", "<b>&\n"]);
  expect(cells("Files").map((row) => row[0])).toEqual(["stdout", "data/"]);
  const folder = rows("Files")[1]?.querySelector("a");
  expect(folder?.getAttribute("href")).toBe("#/sandbox/f-0/t-1/c-1?folder=data");
});

test("a sandbox that the agent does not know is said to be so", async () => {
  answers = { ...AGENT, "/state": agent };
  await show("#/sandbox/f-0/t-1/another");
  expect(document.querySelector("main .empty")?.textContent).toContain("does not know");
});
