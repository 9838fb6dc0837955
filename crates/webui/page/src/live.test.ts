// @vitest-environment happy-dom

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { live } from "./live";

let open: AbortSignal[];

beforeEach(() => {
  open = [];
  vi.stubGlobal("fetch", (_: string, how: RequestInit) => {
    open.push(how.signal as AbortSignal);
    return new Promise(() => {});
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

test("a page that nobody sees holds no connection", () => {
  live.start();
  expect(open.length).toBe(1);
  see(false);
  expect(open[0]?.aborted).toBe(true);
  see(true);
  expect(open.map((signal) => signal.aborted)).toEqual([true, false]);
});

test("a page that is left holds none either, until somebody comes back", () => {
  live.start();
  dispatchEvent(new Event("pagehide"));
  expect(open[0]?.aborted).toBe(true);
  dispatchEvent(new Event("pageshow"));
  expect(open.map((signal) => signal.aborted)).toEqual([true, false]);
});
