import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Records, record } from "./recordio";
import { Session } from "./session";

/** What the agent was asked, and how it answers. */
interface Asked {
  headers: Record<string, string>;
  body: string;
  answer: (answer: Response) => void;
}

let asked: Asked[];

beforeEach(() => {
  asked = [];
  vi.stubGlobal(
    "fetch",
    (_: string, how: RequestInit) =>
      new Promise<Response>((answer) => {
        asked.push({ headers: how.headers as Record<string, string>, body: String(how.body), answer });
      }),
  );
});

afterEach(() => vi.unstubAllGlobals());

const settled = () => new Promise((resolve) => setTimeout(resolve));

/** A session whose shell runs: the bytes that it prints go through `print`. */
async function running(size = { rows: 24, columns: 80 }) {
  let shown = "";
  const failures: string[] = [];
  const session = new Session(
    ["outer", "inner"],
    (output) => (shown += new TextDecoder().decode(output)),
    (error) => failures.push(error.message),
  );
  const end = session.run(size, new AbortController().signal);
  let print: (text: string) => void = () => {};
  let close: () => void = () => {};
  const stream = new ReadableStream<Uint8Array>({
    start(control) {
      print = (text) => control.enqueue(new TextEncoder().encode(text));
      close = () => control.close();
    },
  });
  const launch = asked.shift() as Asked;
  launch.answer(new Response(stream));
  await settled();
  return { session, launch, end, print, close, failures, shown: () => shown };
}

function output(text: string): string {
  return record(JSON.stringify({ type: "DATA", data: { type: "STDOUT", data: btoa(text) } }));
}

/** The calls of a request with a stream of them. */
function calls(request: Asked | undefined): unknown[] {
  const records = new Records().push(new TextEncoder().encode(request?.body));
  return records.map(
    (text) => (JSON.parse(text) as { attach_container_input: unknown }).attach_container_input,
  );
}

function typed(text: string) {
  return { type: "PROCESS_IO", process_io: { type: "DATA", data: { type: "STDIN", data: btoa(text) } } };
}

test("a shell is a container with a terminal in the innermost one", async () => {
  const { launch } = await running();
  const call = JSON.parse(launch.body).launch_nested_container_session;
  expect(call.container_id.parent).toEqual({ value: "inner", parent: { value: "outer" } });
  expect(call.container_id.value).toMatch(/^terminal-[0-9a-f]{32}$/);
  expect(call.container).toEqual({
    type: "MESOS",
    tty_info: { window_size: { rows: 24, columns: 80 } },
  });
  expect(launch.headers["Accept"]).toBe("application/recordio");
});

test("what the shell prints is shown until it ends", async () => {
  const { print, close, end, shown } = await running();
  const heartbeat = record(JSON.stringify({ type: "CONTROL", control: { type: "HEARTBEAT" } }));
  print(output("hel") + heartbeat + output("lo"));
  close();
  await end;
  expect(shown()).toBe("hello");
});

test("keys that are pressed while others are on their way go together, and none is lost", async () => {
  const { session, launch } = await running();
  for (const key of "echo") session.type(key);
  await settled();
  expect(asked.length).toBe(1);
  const id = JSON.parse(launch.body).launch_nested_container_session.container_id;
  expect(calls(asked[0])).toEqual([{ type: "CONTAINER_ID", container_id: id }, typed("e")]);
  expect(asked[0]?.headers["Content-Type"]).toBe("application/recordio");
  asked.shift()?.answer(new Response());
  await settled();
  expect(calls(asked[0]).slice(1)).toEqual([typed("cho")]);
});

test("a new size is told before what is typed after it", async () => {
  const { session } = await running();
  session.type("a");
  session.resize({ rows: 10, columns: 20 });
  session.type("ü");
  asked.shift()?.answer(new Response());
  await settled();
  const [, size, text] = calls(asked[0]) as [unknown, unknown, ReturnType<typeof typed>];
  expect(size).toEqual({
    type: "PROCESS_IO",
    process_io: {
      type: "CONTROL",
      control: { type: "TTY_INFO", tty_info: { window_size: { rows: 10, columns: 20 } } },
    },
  });
  const bytes = Uint8Array.from(atob(text.process_io.data.data), (one) => one.charCodeAt(0));
  expect(new TextDecoder().decode(bytes)).toBe("ü");
});

test("what the agent refuses is said in its words", async () => {
  const session = new Session(["gone"], vi.fn(), vi.fn());
  const end = session.run({ rows: 1, columns: 1 }, new AbortController().signal);
  asked[0]?.answer(new Response("Container gone cannot be found\n", { status: 404 }));
  await expect(end).rejects.toThrow("Container gone cannot be found");
});

test("input that is refused is told of, unless the shell has ended", async () => {
  const { session, failures, close, end } = await running();
  session.type("a");
  asked.shift()?.answer(new Response("not now", { status: 400 }));
  await settled();
  expect(failures).toEqual(["not now"]);
  session.type("b");
  close();
  await end;
  asked.shift()?.answer(new Response("gone", { status: 404 }));
  await settled();
  expect(failures).toEqual(["not now"]);
});
