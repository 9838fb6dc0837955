// @vitest-environment happy-dom

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { live } from "./live";
import { record } from "./recordio";

/** A request for events, as the master gets it. */
interface Asked {
  signal: AbortSignal;
  after: string | undefined;
  answer: (answer: Response) => void;
  fail: () => void;
}

let asked: Asked[];

beforeEach(() => {
  asked = [];
  vi.stubGlobal("fetch", (_: string, how: RequestInit) => {
    const headers = how.headers as Record<string, string>;
    return new Promise<Response>((answer, fail) => {
      asked.push({
        signal: how.signal as AbortSignal,
        after: headers["Last-Event-ID"],
        answer,
        fail: () => fail(new TypeError("cut")),
      });
    });
  });
});

afterEach(() => {
  live.stop();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function see(seen: boolean): void {
  vi.spyOn(document, "hidden", "get").mockReturnValue(!seen);
  document.dispatchEvent(new Event("visibilitychange"));
}

/** The master's answer to the request of this number, and the way to write events into it. */
async function stream(number: number, place: string): Promise<ReadableStreamDefaultController> {
  await vi.waitFor(() => expect(asked.length).toBeGreaterThan(number));
  let pen: ReadableStreamDefaultController | undefined;
  const body = new ReadableStream({ start: (controller) => void (pen = controller) });
  asked[number]?.answer(new Response(body, { headers: { "Meseta-Event-Id": place } }));
  if (!pen) throw new Error("a stream starts at once");
  return pen;
}

function event(type: string, more: object = {}): Uint8Array {
  return new TextEncoder().encode(record(JSON.stringify({ type, ...more })));
}

const ADDED = { agent_added: { agent: { agent_info: { hostname: "node7" } } } };

function said(): string[] {
  return live.happenings.map((one) => one.what);
}

test("a page that nobody sees holds no connection", () => {
  live.start();
  expect(asked.length).toBe(1);
  see(false);
  expect(asked[0]?.signal.aborted).toBe(true);
  see(true);
  expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, false]);
});

test("a page that is left holds none either, until somebody comes back", () => {
  live.start();
  dispatchEvent(new Event("pagehide"));
  expect(asked[0]?.signal.aborted).toBe(true);
  dispatchEvent(new Event("pageshow"));
  expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, false]);
});

test("a stream that breaks goes on behind its last event, and nothing is read again for that", async () => {
  live.start();
  const first = await stream(0, "run:41");
  first.enqueue(event("SUBSCRIBED"));
  first.enqueue(event("HEARTBEAT"));
  first.enqueue(event("AGENT_ADDED", ADDED));
  first.enqueue(event("TASK_UPDATED"));
  await vi.waitFor(() => expect(said()).toEqual(["Agent node7 registered"]));
  expect(asked[0]?.after).toBeUndefined();

  let news = 0;
  const deaf = live.listen((isNews) => void (news += isNews ? 1 : 0));
  first.error(new Error("cut"));
  const second = await stream(1, "run:43");
  expect(asked[1]?.after).toBe("run:43");
  await vi.waitFor(() => expect(live.link).toBe("live"));
  second.enqueue(event("HEARTBEAT"));
  expect(news).toBe(0);
  // What was missed is told like everything else.
  second.enqueue(event("AGENT_ADDED", ADDED));
  await vi.waitFor(() => expect(said().length).toBe(2));
  expect(news).toBe(1);
  deaf();
});

test("where the master cannot go on, everything is read again, and that something is missing is said", async () => {
  live.start();
  await stream(0, "old:7");
  await vi.waitFor(() => expect(live.link).toBe("live"));
  let news = 0;
  const deaf = live.listen((isNews) => void (news += isNews ? 1 : 0));
  see(false);
  see(true);
  expect(asked[1]?.after).toBe("old:7");
  asked[1]?.answer(new Response("The events after old:7 can't be told", { status: 410 }));
  await stream(2, "new:0");
  expect(asked[2]?.after).toBeUndefined();
  await vi.waitFor(() => expect(news).toBe(1));
  expect(said()[0]).toContain("The master was restarted, or another one leads now");
  deaf();
});

test("a link tells a lost stream from a master that gives none", async () => {
  live.start();
  asked[0]?.fail();
  await vi.waitFor(() => expect(live.link).toBe("behind"));
  await vi.waitFor(() => expect(asked.length).toBe(2));
  asked[1]?.answer(new Response("too many", { status: 503 }));
  await vi.waitFor(() => expect(live.link).toBe("polling"));
});
