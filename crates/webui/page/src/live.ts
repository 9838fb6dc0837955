import { useEffect, useState } from "preact/hooks";

import { type Event, type Told, tell } from "./happening";
import { Records } from "./recordio";

/**
 * The master's events: they tell when there is something new to read.
 *
 * A stream that breaks is opened again behind the last event that was seen, and what has been shown stands:
 * only what was missed makes the views read again. Where the master cannot tell what was missed, because it is
 * another one or too much has happened, everything is read again.
 *
 * ```text
 *  connecting ──▶ live ◀──▶ behind          a stream broke, and is not there again yet
 *       │          ▲  ▲        │
 *       └──────────┼──┴─ polling            the master answers, and gives no stream
 *                  └────────────┘
 * ```
 */
export type Link = "connecting" | "live" | "behind" | "polling";

export interface Happening extends Told {
  /** Grows by one with each. */
  number: number;
  at: number;
}

/** As many happenings are remembered as anybody looks through. */
const REMEMBERED = 50;

/** Before each attempt to open a stream again, one after the other, and then the last of them. */
const PAUSES = [0, 500, 1_000, 2_000, 5_000];

/** A stream that has lasted so long was a good one: its end is a new trouble. */
const GOOD = 5_000;

/** The master beats every 15 seconds; a stream that is silent for longer is given up. */
const SILENCE = 45_000;

/** The status of a stream that cannot go on where it was. */
const GONE = 410;

/** `news` says whether there is something to read, or just another state of the link. */
type Listener = (news: boolean) => void;

/** The last event that was seen: the run of a master, and how many there had been. */
interface Place {
  run: string;
  number: number;
}

/** One stream for the whole page. */
class Live {
  link: Link = "connecting";
  happenings: Happening[] = [];
  private readonly listeners = new Set<Listener>();
  private end: AbortController | undefined;
  private count = 0;
  private place: Place | undefined;
  /** The place that the master could not go on from, until there is a new one. */
  private lost: Place | undefined;

  start(): void {
    document.addEventListener("visibilitychange", this.look);
    addEventListener("pagehide", this.leave);
    addEventListener("pageshow", this.look);
    this.look();
  }

  stop(): void {
    document.removeEventListener("visibilitychange", this.look);
    removeEventListener("pagehide", this.leave);
    removeEventListener("pageshow", this.look);
    this.leave();
    this.happenings = [];
    this.place = undefined;
    this.lost = undefined;
  }

  /**
   * Browsers have six connections to a host, for all of its pages together. A page that nobody sees
   * leaves them to others, and goes on where it was when it is seen.
   */
  private readonly look = (): void => {
    if (document.hidden) return this.leave();
    if (this.end) return;
    this.end = new AbortController();
    void this.follow(this.end.signal);
  };

  private readonly leave = (): void => {
    this.end?.abort();
    this.end = undefined;
    this.link = "connecting";
  };

  listen(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private tell(news: boolean): void {
    for (const listener of [...this.listeners]) listener(news);
  }

  private become(link: Link, news = false): void {
    if (link === this.link && !news) return;
    this.link = link;
    this.tell(news);
  }

  private async follow(signal: AbortSignal): Promise<void> {
    let tries = 0;
    while (!signal.aborted) {
      const began = performance.now();
      let answered = false;
      try {
        answered = await this.subscribe(signal);
      } catch {
        // Whatever broke it, it is tried again.
      }
      if (signal.aborted) return;
      if (this.link === "live" && performance.now() - began > GOOD) tries = 0;
      this.become(answered ? "polling" : "behind");
      const pause = PAUSES[Math.min(tries, PAUSES.length - 1)];
      tries += 1;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** Follows one stream to its end; says whether the master answered with something else. */
  private async subscribe(signal: AbortSignal): Promise<boolean> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE);
    const { place } = this;
    try {
      const answer = await fetch("/api/v1?state=false", {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          Accept: "application/json",
          ...(place && { "Last-Event-ID": `${place.run}:${place.number}` }),
        },
        body: '{"type":"SUBSCRIBE"}',
        signal: AbortSignal.any([signal, silence.signal]),
        redirect: "manual",
      });
      if (answer.status === GONE && place) {
        this.lost = place;
        this.place = undefined;
        return await this.subscribe(signal);
      }
      if (!answer.ok || !answer.body) return true;
      this.place = placeIn(answer.headers.get("Meseta-Event-Id"));
      this.ownUpToGap();
      // What was read before a first stream may be older than its beginning.
      this.become("live", place === undefined);
      const reader = answer.body.getReader();
      const records = new Records();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return false;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE);
        let news = false;
        for (const record of records.push(value)) {
          news = this.take(JSON.parse(record) as Event) || news;
        }
        if (news) this.tell(true);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Where happenings are missing, that is said in their place. */
  private ownUpToGap(): void {
    if (!this.lost) return;
    const why =
      this.lost.run === this.place?.run
        ? "More happened while there was no connection than the master remembers"
        : "The master was restarted, or another one leads now";
    this.lost = undefined;
    this.remember({ what: `${why}: what came before is not all here`, href: undefined, state: undefined });
  }

  /** Counts an event and remembers what it tells; says whether it is news. */
  private take(event: Event): boolean {
    if (event.type === "HEARTBEAT" || event.type === "SUBSCRIBED") return false;
    if (this.place) this.place.number += 1;
    const told = tell(event);
    if (told) this.remember(told);
    return true;
  }

  private remember(told: Told): void {
    this.count += 1;
    const happening = { ...told, number: this.count, at: Date.now() / 1000 };
    this.happenings = [happening, ...this.happenings].slice(0, REMEMBERED);
  }
}

/** The place that `Meseta-Event-Id: <run>:<number>` names. */
function placeIn(header: string | null): Place | undefined {
  const [, run, number] = /^(.+):(\d+)$/.exec(header ?? "") ?? [];
  return run === undefined ? undefined : { run, number: Number(number) };
}

export const live = new Live();

/** Renders again with each of the master's events. */
export function useLive(): Live {
  const [, again] = useState(0);
  useEffect(() => {
    let due = false;
    return live.listen(() => {
      // A burst of events is one change for the eye.
      if (due) return;
      due = true;
      requestAnimationFrame(() => {
        due = false;
        again((n) => n + 1);
      });
    });
  }, []);
  return live;
}
