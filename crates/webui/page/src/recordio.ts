/** RecordIO: each record is its length in bytes, in decimal, a line feed, and the record. */

/** A record longer than this is taken for a fault of the stream. */
const LONGEST = 16 * 1024 * 1024;
const LINE_FEED = 10;

const encoder = new TextEncoder();

/** A text as a record. */
export function record(text: string): string {
  return `${encoder.encode(text).length}\n${text}`;
}

/** Takes a stream apart, however its pieces are cut. */
export class Records {
  private left: Uint8Array<ArrayBufferLike> = new Uint8Array();
  private readonly decoder = new TextDecoder();

  /** The records that are complete with this piece. */
  push(piece: Uint8Array): string[] {
    const joined = new Uint8Array(this.left.length + piece.length);
    joined.set(this.left);
    joined.set(piece, this.left.length);
    const records: string[] = [];
    let at = 0;
    for (;;) {
      const feed = joined.indexOf(LINE_FEED, at);
      if (feed < 0) break;
      const length = Number(this.decoder.decode(joined.subarray(at, feed)));
      if (!Number.isInteger(length) || length < 0 || length > LONGEST) {
        throw new Error("The event stream is no RecordIO.");
      }
      if (joined.length < feed + 1 + length) break;
      records.push(this.decoder.decode(joined.subarray(feed + 1, feed + 1 + length)));
      at = feed + 1 + length;
    }
    this.left = joined.subarray(at);
    return records;
  }
}
