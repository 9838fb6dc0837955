import { expect, test } from "vitest";

import { runsOf } from "./chart";

test("where nobody measured there is a gap and no slope", () => {
  const sample = (at: number) => ({ at, used: 1, offered: 0, all: 2 });
  const runs = runsOf([sample(0), sample(1), sample(30), sample(31), sample(32)]);
  expect(runs.map((run) => run.map(({ at }) => at))).toEqual([
    [0, 1],
    [30, 31, 32],
  ]);
  expect(runsOf([])).toEqual([]);
});
