import { useEffect, useState } from "preact/hooks";

import { NoAnswer } from "./files";
import { live } from "./live";

/** Between two readings of what no event tells of, and of what events do, while they come. */
const PERIOD = 1000;
const CALM = 5000;

/** Reading takes at most one part in so many of the time. */
const REST = 4;

/** Events of one moment are answered by one reading. */
const GATHER = 150;

export interface Polled<T> {
  value: T | undefined;
  error: Error | undefined;
  /** When the value was read, in milliseconds since 1970. */
  at: number | undefined;
}

/**
 * What makes a reading due: time alone, or the master's events, with time as the fallback. Where nobody answers,
 * one reading goes on at its pace, and all others follow once it is answered again.
 */
export type Due = "by time" | "by events" | "to find out";

/**
 * Reads again and again while the page can be seen. What was read last stays when a reading fails.
 * `step` gets the last value, and starts over when `key` changes.
 */
export function usePolled<T>(
  key: string,
  step: (last: T | undefined, signal: AbortSignal) => Promise<T>,
  due: Due = "by time",
): Polled<T> {
  const [polled, setPolled] = useState<Polled<T> & { key: string }>({
    key,
    value: undefined,
    error: undefined,
    at: undefined,
  });
  useEffect(() => {
    const end = new AbortController();
    let last: T | undefined;
    let at: number | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let reading = false;
    let news = false;
    let rested = 0;
    let unanswered = false;

    async function turn() {
      if (reading || document.hidden || end.signal.aborted) return;
      clearTimeout(timer);
      reading = true;
      news = false;
      const began = performance.now();
      try {
        last = await step(last, end.signal);
        unanswered = false;
        at = Date.now();
        if (!end.signal.aborted) setPolled({ key, value: last, error: undefined, at });
      } catch (error) {
        unanswered = error instanceof NoAnswer;
        if (!end.signal.aborted) setPolled({ key, value: last, error: error as Error, at });
      }
      reading = false;
      const now = performance.now();
      const rest = REST * (now - began);
      rested = now + rest;
      const isCalm = due === "by events" && live.link === "live";
      const period = isCalm || (unanswered && due !== "to find out") ? CALM : PERIOD;
      timer = setTimeout(turn, Math.max(news ? GATHER : period, rest));
    }

    function hear(isNews: boolean) {
      if (due !== "by events" || !isNews) return;
      const first = !news;
      news = true;
      if (reading || !first) return;
      clearTimeout(timer);
      timer = setTimeout(turn, Math.max(GATHER, rested - performance.now()));
    }

    const deaf = live.listen(hear);
    const again = () => void turn();
    document.addEventListener("visibilitychange", again);
    addEventListener("pageshow", again);
    addEventListener("changed", again);
    void turn();
    return () => {
      end.abort();
      clearTimeout(timer);
      deaf();
      document.removeEventListener("visibilitychange", again);
      removeEventListener("pageshow", again);
      removeEventListener("changed", again);
    };
  }, [key]);
  return polled.key === key ? polled : { value: undefined, error: undefined, at: undefined };
}

/** Something was changed, or may have been: all that is shown is read again. */
export function changed(): void {
  dispatchEvent(new Event("changed"));
}
