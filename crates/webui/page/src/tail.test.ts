import { expect, test } from "vitest";

import { EMPTY, KEPT, PIECE, type Tail, follow, isCut } from "./tail";

/** A file on an agent, whose length counts in bytes. */
class File {
  reads: [number, number][] = [];
  constructor(public content: string) {}

  follow(tail: Tail): Promise<Tail> {
    const content = new TextEncoder().encode(this.content);
    return follow(
      tail,
      async () => content.length,
      async (offset, length) => {
        this.reads.push([offset, length]);
        return new TextDecoder().decode(content.slice(offset, offset + length));
      },
    );
  }
}

function text(tail: Tail): string {
  return tail.pieces.map((piece) => piece.text).join("");
}

test("a growing file is read once, from where it was left", async () => {
  const file = new File("one\n");
  const first = await file.follow(EMPTY);
  file.content += "zwölf\n";
  const second = await file.follow(first);
  expect(text(second)).toBe("one\nzwölf\n");
  expect(file.reads).toEqual([
    [0, 4],
    [4, 7],
  ]);
});

test("nothing new is nothing to render", async () => {
  const file = new File("one\n");
  const tail = await file.follow(EMPTY);
  expect(await file.follow(tail)).toBe(tail);
});

test("only the end of a long file is read and kept", async () => {
  const file = new File("x".repeat(3 * KEPT) + "the end");
  const tail = await file.follow(EMPTY);
  expect(text(tail).length).toBe(KEPT);
  expect(text(tail).endsWith("the end")).toBe(true);
  expect(isCut(tail)).toBe(true);
  expect(file.reads.every(([, length]) => length <= PIECE)).toBe(true);
});

test("however long a file grows, what is kept has a bound and few pieces", async () => {
  const file = new File("");
  let tail = EMPTY;
  for (let line = 0; line < 2000; line++) {
    file.content += "y".repeat(500) + "\n";
    tail = await file.follow(tail);
  }
  const kept = text(tail).length;
  expect(kept).toBeGreaterThanOrEqual(KEPT);
  expect(kept).toBeLessThan(KEPT + 2 * PIECE);
  expect(tail.pieces.length).toBeLessThan(12);
  expect(file.content.endsWith(text(tail))).toBe(true);
});

test("a file that was begun again is read from its start", async () => {
  const file = new File("a long first life\n");
  const tail = await file.follow(EMPTY);
  file.content = "second\n";
  expect(text(await file.follow(tail))).toBe("second\n");
});
