// @vitest-environment happy-dom

import { render } from "preact";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { App } from "./app";
import type { AgentState, MasterState } from "./state";

/** Long enough for effects and one reading, too short for a second one. */
const SETTLED = 300;

let answers: Record<string, unknown>;
let asked: string[];

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  vi.stubGlobal("fetch", async (url: string) => {
    asked.push(url);
    const path = url.split("?")[0] ?? url;
    const answer = answers[url] ?? answers[path];
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

async function show(): Promise<void> {
  render(<App />, document.body);
  await vi.advanceTimersByTimeAsync(SETTLED);
}

function rows(caption: string): Element[] {
  const tables = [...document.querySelectorAll("table")];
  const table = tables.find((one) => one.querySelector("caption")?.textContent === caption);
  return [...(table?.querySelectorAll("tbody tr") ?? [])];
}

function cells(caption: string): string[][] {
  return rows(caption).map((row) => [...row.children].map((cell) => cell.textContent ?? ""));
}

function cluster(name: string, state = "TASK_RUNNING"): MasterState {
  return {
    id: "m-1",
    pid: "master@10.0.0.1:5050",
    cluster: "prod",
    slaves: [
      {
        id: "s-0",
        hostname: "node7",
        pid: "slave(1)@10.0.0.7:5051",
        resources: { cpus: 4, mem: 4096 },
        used_resources: { cpus: 1, mem: 1024 },
      },
    ],
    frameworks: [
      {
        id: "f-0",
        name: "marathon",
        active: true,
        webui_url: "javascript:alert(1)",
        tasks: [
          {
            id: "t-1",
            name,
            framework_id: "f-0",
            slave_id: "s-0",
            state,
            statuses: [
              {
                state,
                timestamp: 1000,
                container_status: { container_id: { value: "c-1" } },
              },
            ],
          },
        ],
      },
    ],
  };
}

test("a master shows its tasks with a link to each sandbox on the agent's own page", async () => {
  answers = { "/state": cluster("web") };
  await show();
  expect(document.querySelector("h1")?.textContent).toBe("prod");
  const [row] = cells("Active tasks");
  expect(row?.slice(0, 4)).toEqual(["marathon", "t-1", "web", "running"]);
  expect(row?.[5]).toBe("node7");
  const link = rows("Active tasks")[0]?.querySelector("a");
  expect(link?.getAttribute("href")).toBe("http://10.0.0.7:5051/#/sandbox/f-0/t-1/c-1");
  expect(cells("Agents")[0]?.slice(3, 5)).toEqual(["1 of 4", "1 GB of 4 GB"]);
});

test("what frameworks say is text, never markup and never a script", async () => {
  const evil = "<img src=x onerror=alert(1)>";
  answers = { "/state": cluster(evil) };
  await show();
  expect(cells("Active tasks")[0]?.[2]).toBe(evil);
  expect(document.querySelector("img")).toBeNull();
  expect(document.body.innerHTML).not.toContain("javascript:");
});

test("a change touches the cell that changed and leaves the rest standing", async () => {
  answers = { "/state": cluster("web", "TASK_STAGING") };
  await show();
  const row = rows("Active tasks")[0];
  const name = row?.children[2]?.firstChild;
  answers = { "/state": cluster("web") };
  await vi.advanceTimersByTimeAsync(3000);
  expect(rows("Active tasks")[0]).toBe(row);
  expect(row?.children[2]?.firstChild).toBe(name);
  expect(row?.children[3]?.textContent).toBe("running");
});

test("a page that cannot be seen asks for nothing", async () => {
  answers = { "/state": cluster("web") };
  await show();
  const hidden = vi.spyOn(document, "hidden", "get").mockReturnValue(true);
  await vi.advanceTimersByTimeAsync(2000);
  const before = asked.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked.length).toBe(before);
  hidden.mockReturnValue(false);
  document.dispatchEvent(new Event("visibilitychange"));
  await vi.advanceTimersByTimeAsync(SETTLED);
  expect(asked.length).toBe(before + 1);
  hidden.mockRestore();
});

test("what was read last stays when the daemon does not answer", async () => {
  answers = { "/state": cluster("web") };
  await show();
  answers = {};
  await vi.advanceTimersByTimeAsync(3000);
  expect(document.querySelector(".trouble")?.textContent).toBe("no such file");
  expect(rows("Active tasks").length).toBe(1);
});

test("thousands of tasks are counted, searched, and shown a hundred at a time", async () => {
  const state = cluster("web");
  const [task] = state.frameworks?.[0]?.tasks ?? [];
  if (!task || !state.frameworks?.[0]) throw new Error("the cluster has a task");
  state.frameworks[0].tasks = Array.from({ length: 5000 }, (_, n) => ({ ...task, id: `t-${n}` }));
  answers = { "/state": state };
  await show();
  expect(rows("Active tasks").length).toBe(100);
  const search = document.querySelector("input");
  if (!search) throw new Error("so many rows have a search field");
  search.value = "T-4999";
  search.dispatchEvent(new Event("input", { bubbles: true }));
  await vi.advanceTimersByTimeAsync(SETTLED);
  expect(cells("Active tasks").map((row) => row[1])).toEqual(["t-4999"]);
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

function file(path: string, content: string): Record<string, unknown> {
  const query = `/files/read?path=${encodeURIComponent(path)}`;
  return {
    [`${query}&offset=-1`]: { data: "", offset: content.length },
    [`${query}&offset=0&length=${content.length}`]: { data: content, offset: 0 },
  };
}

test("an agent lists its executors, and the link of each leads to its sandbox", async () => {
  answers = { "/state": agent };
  await show();
  expect(cells("Running executors")[0]?.slice(0, 2)).toEqual(["marathon", "t-1"]);
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
    "/state": agent,
    "/files/browse": [entry("stdout", "-rw-r--r--"), entry("data", "drwxr-xr-x")],
    ...file("/work/runs/c-1/stdout", "hello\n"),
    ...file("/work/runs/c-1/stderr", "<b>&\n"),
  };
  location.hash = "#/sandbox/f-0/t-1/c-1";
  await show();
  await vi.advanceTimersByTimeAsync(1500);
  const printed = [...document.querySelectorAll("pre")].map((box) => box.textContent);
  expect(printed).toEqual(["hello\n", "<b>&\n"]);
  expect(cells("Files").map((row) => row[4])).toEqual(["stdout", "data/"]);
  const folder = rows("Files")[1]?.querySelector("a");
  expect(folder?.getAttribute("href")).toBe("#/sandbox/f-0/t-1/c-1?folder=data");
});

test("a sandbox that the agent does not know is said to be so", async () => {
  answers = { "/state": agent };
  location.hash = "#/sandbox/f-0/t-1/another";
  await show();
  expect(document.querySelector("main .trouble")?.textContent).toContain("does not know");
});
