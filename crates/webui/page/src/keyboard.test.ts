import { expect, test } from "vitest";

import { pasted, sent } from "./keyboard";

function press(names: string, application = false): string | undefined {
  const keys = names.split("+");
  const key = keys.pop() ?? "";
  return sent(
    {
      key,
      ctrlKey: keys.includes("Ctrl"),
      altKey: keys.includes("Alt"),
      shiftKey: keys.includes("Shift"),
      metaKey: keys.includes("Meta"),
    },
    application,
  );
}

test.each([
  ["Enter", "\r"],
  ["Backspace", "\x7f"],
  ["Tab", "\t"],
  ["Escape", "\x1b"],
  ["ArrowUp", "\x1b[A"],
  ["Ctrl+ArrowLeft", "\x1b[1;5D"],
  ["Shift+Alt+End", "\x1b[1;4F"],
  ["Delete", "\x1b[3~"],
  ["Ctrl+PageUp", "\x1b[5;5~"],
  ["F1", "\x1bOP"],
  ["F5", "\x1b[15~"],
  ["Ctrl+c", "\x03"],
  ["Ctrl+Shift+C", "\x03"],
  ["Ctrl+[", "\x1b"],
  ["Ctrl+ ", "\0"],
  ["Alt+b", "\x1bb"],
])("%s", (names, expected) => {
  expect(press(names)).toBe(expected);
});

test("a program that asks for it gets the other form of keys that move", () => {
  expect(press("ArrowUp", true)).toBe("\x1bOA");
  expect(press("Home", true)).toBe("\x1bOH");
  expect(press("Shift+ArrowUp", true)).toBe("\x1b[1;2A");
});

test.each(["a", "ä", "Shift+A", "Meta+c", "Shift+Tab", "Ctrl+Alt+q", "Dead", "Shift", "Ctrl+1"])(
  "%s is the browser's",
  (names) => {
    expect(press(names)).toBeUndefined();
  },
);

test("a paste cannot end itself", () => {
  expect(pasted("one\ntwo\r\n", false)).toBe("one\rtwo\r");
  expect(pasted("evil\x1b[201~rm\n", true)).toBe("\x1b[200~evil[201~rm\r\x1b[201~");
});
