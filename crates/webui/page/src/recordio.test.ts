import { expect, test } from "vitest";

import { Records } from "./recordio";

const encode = (text: string) => new TextEncoder().encode(text);

test("records come out whole, wherever the stream was cut", () => {
  const whole = encode('2\n{}5\n"\u00e4b"0\n3\n[1]');
  for (let step = 1; step <= whole.length; step += 1) {
    const records = new Records();
    const found: string[] = [];
    for (let at = 0; at < whole.length; at += step) {
      found.push(...records.push(whole.subarray(at, at + step)));
    }
    expect(found).toEqual(["{}", '"\u00e4b"', "", "[1]"]);
  }
});

test("what is no RecordIO is refused instead of waited for", () => {
  for (const text of ["x\n", "-1\n", "1.5\n", "99999999999\n"]) {
    expect(() => new Records().push(encode(text))).toThrow("no RecordIO");
  }
});
