/** The end of a file that grows, of which a bounded part is kept. */

/** How much of a file is shown: the rest is to be downloaded. */
export const KEPT = 256 * 1024;

/** As much as an agent gives out at once. */
export const PIECE = 64 * 1024;

export interface Piece {
  offset: number;
  length: number;
  text: string;
}

export interface Tail {
  pieces: Piece[];
  /** Where the next piece begins. */
  end: number;
}

export const EMPTY: Tail = { pieces: [], end: 0 };

/** Reads what a file has got since the last time; the same tail comes back if it has got nothing. */
export async function follow(
  tail: Tail,
  size: () => Promise<number>,
  read: (offset: number, length: number) => Promise<string>,
): Promise<Tail> {
  const goal = await size();
  // A shorter file is another one, or was begun again.
  let { pieces, end } = goal < tail.end ? EMPTY : tail;
  if (goal === tail.end) return tail;
  // What would be thrown away at once is not read.
  if (goal - end > KEPT) {
    pieces = [];
    end = goal - KEPT;
  }
  while (end < goal) {
    // The length is counted in bytes of the file: the text's own length says nothing of them.
    const length = Math.min(PIECE, goal - end);
    const text = await read(end, length);
    pieces = [...pieces, { offset: end, length, text }];
    end += length;
  }
  return { pieces: lastOf(pieces), end };
}

/** Drops the oldest pieces that are not needed to have [`KEPT`] bytes. */
function lastOf(pieces: Piece[]): Piece[] {
  let kept = pieces.reduce((sum, piece) => sum + piece.length, 0);
  let first = 0;
  for (const piece of pieces) {
    if (kept - piece.length < KEPT) break;
    kept -= piece.length;
    first += 1;
  }
  return joined(pieces.slice(first));
}

/** A file that grows by a line a second would otherwise become thousands of pieces. */
function joined(pieces: Piece[]): Piece[] {
  const whole: Piece[] = [];
  for (const piece of pieces) {
    const last = whole.at(-1);
    if (last && last.length + piece.length <= PIECE) {
      whole[whole.length - 1] = {
        offset: last.offset,
        length: last.length + piece.length,
        text: last.text + piece.text,
      };
    } else {
      whole.push(piece);
    }
  }
  return whole;
}

/** Whether the beginning of the file is not in the tail. */
export function isCut(tail: Tail): boolean {
  return (tail.pieces[0]?.offset ?? 0) > 0;
}
