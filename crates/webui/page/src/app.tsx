import { useEffect, useRef, useState } from "preact/hooks";

import { AgentPage } from "./agent";
import { type Metrics, metrics } from "./api";
import { Behind } from "./contact";
import { NoAnswer } from "./files";
import { MasterPage } from "./master";
import { changed, usePolled } from "./poll";
import { type Route, parse } from "./route";

/** The page of whichever daemon serves it. */
export function App() {
  const route = useRoute();
  const { value, ...contact } = usePolled<Metrics>(
    "metrics",
    (_, signal) => metrics(signal),
    "to find out",
  );
  useArrival(route);
  useReturn(contact.error instanceof NoAnswer);
  if (!value) {
    return (
      <main class="alone">
        <Behind of="daemon" contact={contact} />
      </main>
    );
  }
  return "slave/registered" in value ? (
    <AgentPage route={route} contact={contact} />
  ) : (
    <MasterPage metrics={value} route={route} contact={contact} />
  );
}

function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const moved = () => setHash(location.hash);
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return parse(hash);
}

/** When a daemon answers again, so do all views. */
function useReturn(isGone: boolean): void {
  const wasGone = useRef(false);
  useEffect(() => {
    if (wasGone.current && !isGone) changed();
    wasGone.current = isGone;
  }, [isGone]);
}

/** What was focused is gone with the view before: the keyboard, and who is read to, begin with the new one. */
function useArrival(route: Route): void {
  // What is searched for in a list is no other place.
  const place = JSON.stringify({ ...route, search: undefined, states: undefined });
  const before = useRef(place);
  useEffect(() => {
    if (before.current === place) return;
    before.current = place;
    window.scrollTo?.(0, 0);
    document.getElementById("content")?.focus({ preventScroll: true });
  }, [place]);
}
