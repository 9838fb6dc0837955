import { useEffect, useState } from "preact/hooks";

/** Between two readings, unless reading takes so long that it would be all that is done. */
const PERIOD = 1000;
const REST = 4;

export interface Polled<T> {
  value: T | undefined;
  error: Error | undefined;
}

/**
 * Reads again and again while the page can be seen. What was read last stays when a reading fails.
 * `step` gets the last value, and starts over when `key` changes.
 */
export function usePolled<T>(
  key: string,
  step: (last: T | undefined, signal: AbortSignal) => Promise<T>,
): Polled<T> {
  const [polled, setPolled] = useState<Polled<T> & { key: string }>({
    key,
    value: undefined,
    error: undefined,
  });
  useEffect(() => {
    const end = new AbortController();
    let last: T | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let reading = false;

    async function turn() {
      if (reading || document.hidden || end.signal.aborted) return;
      clearTimeout(timer);
      reading = true;
      const began = performance.now();
      try {
        last = await step(last, end.signal);
        if (!end.signal.aborted) setPolled({ key, value: last, error: undefined });
      } catch (error) {
        if (!end.signal.aborted) setPolled({ key, value: last, error: error as Error });
      }
      reading = false;
      timer = setTimeout(turn, Math.max(PERIOD, REST * (performance.now() - began)));
    }

    document.addEventListener("visibilitychange", turn);
    void turn();
    return () => {
      end.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", turn);
    };
  }, [key]);
  return polled.key === key ? polled : { value: undefined, error: undefined };
}
