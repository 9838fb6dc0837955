import { useEffect, useState } from "preact/hooks";

import { NoAnswer, NotLeading } from "./files";
import { ago } from "./format";

/** How the page stands with the daemon that it is of, said at the top of every view. */

/** What was read longer ago than this is no longer what there is. */
const LATE = 6_000;

export interface Contact {
  /** When the daemon last answered, in milliseconds since 1970. */
  at: number | undefined;
  error: Error | undefined;
}

/** Says since when what is shown is old, and why. Nothing is shown while all is well. */
export function Behind({ of, contact: { at, error } }: { of: string; contact: Contact }) {
  const now = useNow();
  const [opened] = useState(now);
  if (!isBehind({ at: at ?? opened, error }, now)) return null;
  if (error instanceof NotLeading) {
    return (
      <p class="notice" role="status">
        This master does not lead, and knows nothing of the cluster. <a href="/redirect">Go to the one that does</a>
      </p>
    );
  }
  const what =
    error === undefined || error instanceof NoAnswer ? `The ${of} does not answer.` : error.message;
  return (
    <p class="notice bad" role="status">
      <b>{what}</b>{" "}
      {at === undefined ? (
        "Look whether it runs. The page tries again every second."
      ) : (
        <>
          What is shown is from {new Date(at).toLocaleTimeString()}
          <span aria-hidden="true">, {ago(at / 1000, now / 1000)}</span>. The page tries again every second.
        </>
      )}
    </p>
  );
}

/** The time, once a second. */
export function useNow(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** Whether what is shown cannot be relied on. */
export function isBehind({ at, error }: Contact, now: number): boolean {
  return error !== undefined || (at !== undefined && now - at > LATE);
}
