import { expect, test } from "vitest";

import { measured } from "./usage";

test("processors in use are the time that they took between two measurements", () => {
  const first = { timestamp: 10, cpus_user_time_secs: 1, cpus_system_time_secs: 1, cpus_limit: 2 };
  const one = measured(undefined, first);
  expect(one.cpus).toEqual([]);
  const two = measured(one, { ...first, timestamp: 12, cpus_user_time_secs: 2 });
  expect(two.cpus).toEqual([{ at: 12, used: 0.5, offered: 0, all: 2 }]);
  // The agent measures less often than it is asked.
  expect(measured(two, two.latest).cpus).toBe(two.cpus);
  expect(measured(two, undefined).latest).toBeUndefined();
});

test("a chart has a bound, however long the page is open", () => {
  let used = measured(undefined, { timestamp: 0 });
  for (let at = 1; at < 1000; at += 1) used = measured(used, { timestamp: at });
  expect([used.cpus.length, used.memory.length]).toEqual([600, 600]);
});
