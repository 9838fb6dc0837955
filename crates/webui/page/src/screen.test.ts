import { Terminal } from "@xterm/headless";
import { expect, test } from "vitest";

import { colour, runsOf } from "./screen";

/** The runs of the first line after a text was written. */
async function runs(text: string, cursor?: number) {
  const terminal = new Terminal({ allowProposedApi: true, cols: 20, rows: 4 });
  await new Promise<void>((done) => terminal.write(text, done));
  const found = runsOf(terminal.buffer.active.getLine(0), cursor);
  terminal.dispose();
  return found.map(({ text, class: name, color, background }) => [text, name, color, background]);
}

test("letters that look the same are one, and the blank end of a line is left out", async () => {
  expect(await runs("plain \x1b[1;31mred\x1b[0m text")).toEqual([
    ["plain ", "", undefined, undefined],
    ["red", "bold", "var(--terminal-1)", undefined],
    [" text", "", undefined, undefined],
  ]);
});

test("what is inverse has both colours, its own or the page's", async () => {
  expect((await runs("\x1b[7minverse"))[0]).toEqual(["inverse", "", "var(--ground)", "var(--ink)"]);
  expect((await runs("\x1b[7;32;44mboth"))[0]).toEqual([
    "both",
    "",
    "var(--terminal-4)",
    "var(--terminal-2)",
  ]);
});

test("the cursor is a letter of its own, also where nothing is written", async () => {
  expect((await runs("ab", 1)).map(([text, name]) => [text, name])).toEqual([
    ["a", ""],
    ["b", "cursor"],
    ["", ""],
  ]);
  const blank = await runs("", 3);
  expect(blank[1]).toEqual([" ", "cursor", undefined, undefined]);
});

test("wide letters take two places", async () => {
  const [wide, rest] = await runs("漢x");
  expect(wide?.slice(0, 2)).toEqual(["漢", "broad"]);
  expect(rest?.[0]).toBe("x");
});

test("colours by number are those of xterm", () => {
  expect(colour(true, false, 16)).toBe("rgb(0 0 0)");
  expect(colour(true, false, 196)).toBe("rgb(255 0 0)");
  expect(colour(true, false, 244)).toBe("rgb(128 128 128)");
  expect(colour(false, true, 0x0a0b0c)).toBe("#0a0b0c");
  expect(colour(false, false, 0)).toBeUndefined();
});
